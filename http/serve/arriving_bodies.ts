/**
 * Bodies that are still arriving, bounded in all: thousands of clients that each send most of a large body and then wait would
 * fill the memory. When there is no room for what arrives, the body that began first is given up: honest ones take milliseconds,
 * so that whoever holds many back loses his own.
 */
import { discardedBytes } from "../apply/discarded_bytes.ts";
import { BodyError } from "../types/http.ts";
import { type ConnectionLimits, LIMITS } from "../types/listener.ts";

export type ArrivingBody = {
  /** So many bytes more are held; false when the body was given up for them. */
  readonly arrived: (bytes: number) => boolean;
  /** It is whole, or will not be. */
  readonly end: () => void;
};

export type ArrivingBodies = {
  /** `giveUp` is called when what is held of the body must go, with the reason. */
  readonly begin: (giveUp: (reason: BodyError) => void) => ArrivingBody;
  /** So many bytes of a body that was given up are thrown away. */
  readonly discarded: (bytes: number) => void;
};

/** @param maxBodyBytes the largest body that is taken */
export function arrivingBodies(
  maxBodyBytes: number,
  { maxArrivingBytes, largestAtOnce }: Pick<ConnectionLimits, "maxArrivingBytes" | "largestAtOnce"> = LIMITS,
): ArrivingBodies {
  const room = Math.max(maxArrivingBytes, largestAtOnce * maxBodyBytes);
  type Held = { bytes: number; readonly giveUp: (reason: BodyError) => void };
  // In the order in which they began.
  const held = new Set<Held>();
  let total = 0;

  function end(body: Held): void {
    if (held.delete(body)) total -= body.bytes;
  }

  return {
    discarded: discardedBytes(),
    begin(giveUp) {
      const body: Held = { bytes: 0, giveUp };
      held.add(body);
      return {
        arrived(bytes) {
          if (!held.has(body)) return false;
          body.bytes += bytes;
          total += bytes;
          for (const oldest of held) {
            if (total <= room) break;
            end(oldest);
            oldest.giveUp(
              new BodyError(
                "overloaded",
                "the body was too slow while too many others arrived, try again later",
              ),
            );
          }
          return held.has(body);
        },
        end: () => end(body),
      };
    },
  };
}
