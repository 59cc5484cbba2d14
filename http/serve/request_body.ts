/** Reads a request's body within the bounds of its listener. */
import { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { BodyError } from "../types/http.ts";
import type { ArrivingBodies } from "./arriving_bodies.ts";
import type { Connections, Exchange } from "./connections.ts";

const NO_BODY = new Uint8Array(0);

export type BodyLimits = {
  readonly maxBytes: number;
  readonly bodyMs: number;
  readonly arriving: ArrivingBodies;
  readonly connections: Pick<Connections, "enter">;
};

/**
 * Resolves to the body. What announces too much is refused before anything of it is read. `goOn` asks a client that waits for
 * leave to send.
 *
 * @throws {BodyError}
 */
export function readBody(
  request: IncomingMessage | Http2ServerRequest,
  exchange: Exchange,
  { maxBytes, bodyMs, arriving, connections }: BodyLimits,
  goOn: () => void,
): Promise<Uint8Array> {
  const tooLarge = () => new BodyError("too_large", `length limit exceeded (${maxBytes} bytes)`);
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    let first: Uint8Array | undefined;
    let chunks: Uint8Array[] | undefined;
    let length = 0;
    const end = () => {
      exchange.failBody = undefined;
      connections.enter(exchange, "answer", Infinity);
      body.end();
    };
    /** Holds no more of the body, whatever still comes. */
    const giveUp = (reason: BodyError) => {
      if (exchange.failBody !== giveUp) return;
      request.off("data", take).off("end", whole);
      request.on("data", (chunk: Uint8Array) => arriving.discarded(chunk.length));
      first = chunks = undefined;
      arriving.discarded(length);
      end();
      reject(reason);
    };
    const take = (chunk: Uint8Array) => {
      length += chunk.length;
      if (length > maxBytes) return giveUp(tooLarge());
      if (!body.arrived(chunk.length)) return;
      if (first === undefined) first = chunk;
      else (chunks ??= [first]).push(chunk);
    };
    const whole = () => {
      end();
      resolve(chunks ? Buffer.concat(chunks, length) : first ?? NO_BODY);
    };
    const body = arriving.begin(giveUp);
    exchange.failBody = giveUp;
    connections.enter(exchange, "body", bodyMs);
    request.on("data", take);
    request.on("end", whole);
    request.on("aborted", () => giveUp(new BodyError("failed", "the client went away")));
    request.on("error", (error) => giveUp(new BodyError("failed", error.message)));
    goOn();
  });
}
