/** A policy's host: what carries its calls, and what a failed one is. */
import type { Host, HostTransport } from "../types/host.ts";

/** A call of the host that failed; the message is the host's. */
export class HostError extends Error {
  /** The name of the error. */
  override readonly name = "HostError";
}

/**
 * A host over whatever carries its calls. A test of a policy answers them itself:
 *
 * ```ts
 * const host = hostOf((_namespace, operation) => operation === "v1/manifest_digest" ? '{"digest":"sha256:1"}' : "null");
 * ```
 */
export function hostOf(transport: HostTransport): Host {
  return {
    call(namespace, operation, payload) {
      const answer = transport(namespace, operation, JSON.stringify(payload));
      return answer === "" ? undefined : JSON.parse(answer);
    },
  };
}
