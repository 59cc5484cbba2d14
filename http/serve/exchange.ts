/** What HTTP/1.1 and HTTP/2 share: a request as handlers see it, and an answer as it is sent. */
import { Buffer } from "node:buffer";
import type { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import type { Socket } from "node:net";
import { type HttpHandler, type HttpRequest, type HttpResponse, inPieces } from "../types/http.ts";
import type { ConnectionLimits } from "../types/listener.ts";
import type { ArrivingBodies } from "./arriving_bodies.ts";
import type { Connection, Connections, Exchange } from "./connections.ts";
import { readBody } from "./request_body.ts";

/** What a protocol is spoken with. */
export type Speech = {
  readonly handler: HttpHandler;
  readonly connections: Connections;
  readonly limits: ConnectionLimits;
  readonly maxBodyBytes: number;
  readonly arriving: ArrivingBodies;
  /** Whether clients are asked to leave. */
  readonly ending: () => boolean;
};

/** TLS, or a version of HTTP. */
export interface Protocol {
  /** Takes over the socket of a connection. */
  speak(connection: Connection, socket: Socket): void;
}

/** `goOn` asks a client that waits for leave to send its body. */
export function adapted(
  { connections, limits, maxBodyBytes, arriving }: Speech,
  request: IncomingMessage | Http2ServerRequest,
  exchange: Exchange,
  goOn: () => void,
): HttpRequest {
  const bounds = { maxBytes: maxBodyBytes, bodyMs: limits.bodyMs, arriving, connections };
  const target = request.url ?? "/";
  return {
    method: request.method ?? "",
    target,
    url: `http://host${target}`,
    contentType: request.headers["content-type"],
    body: () => readBody(request, exchange, bounds, goOn),
    get signal() {
      return (exchange.gone ??= new AbortController()).signal;
    },
  };
}

/** Either protocol's response, which TypeScript can't call as it is. */
type Sending = EventEmitter & {
  readonly destroyed: boolean;
  writeHead(status: number, headers: Readonly<Record<string, string | number>>): unknown;
  write(piece: string | Uint8Array): boolean;
  end(body?: string | Uint8Array): unknown;
};

/**
 * Longer answers are sent in parts of this many bytes, each when the one before is on its way: to encrypt and copy 4 MiB at once keeps
 * all other clients waiting, and its buffers stay with the process.
 */
const PART = 128 * 1024;

/** Waits until a response takes more, or nobody takes it any more. */
function taken(response: Sending): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed) return resolve();
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}

/** Sends an answer with `more` headers; pieces as they come, no faster than they are taken. */
export async function send(
  { connections, limits }: Speech,
  exchange: Exchange,
  response: Sending,
  { status, headers, body }: HttpResponse,
  more: Readonly<Record<string, string>>,
): Promise<void> {
  const pieces = inPieces(body);
  response.writeHead(status, {
    ...headers,
    ...(!pieces && { "content-length": Buffer.byteLength(body) }),
    ...more,
  });
  connections.enter(exchange, "send", limits.sendMs);
  if (!pieces) {
    if (body.length <= PART) return void (body.length === 0 ? response.end() : response.end(body));
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    let sent = 0;
    for (; sent + PART < bytes.length; sent += PART) {
      if (!response.write(bytes.subarray(sent, sent + PART))) await taken(response);
      if (response.destroyed) return;
    }
    return void response.end(bytes.subarray(sent));
  }
  for await (const piece of body) {
    if (response.destroyed) return;
    connections.enter(exchange, "send", limits.sendMs);
    if (!response.write(piece)) await taken(response);
    // The next piece is not the client's business.
    connections.enter(exchange, "answer", Infinity);
  }
  connections.enter(exchange, "send", limits.sendMs);
  response.end();
}
