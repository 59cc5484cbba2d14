/**
 * A listener, the same on Node and on Bun. A TCP listener accepts; TLS and HTTP are spoken by servers of `node:tls` and
 * `node:http` that never listen themselves but are handed its sockets. So every descriptor is known from its first moment, and
 * a new certificate is another `node:tls` server for the connections from then on: Bun can't change the one of a server that
 * runs. `Bun.serve`, which costs 20 µs less a request, tells of no connection before its first request, answers none of several
 * requests sent at once, and resets connections that wait when it closes (measured with 1.4.5).
 */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import { BodyError, type HttpRequest, type HttpResponse, inPieces } from "../types/http.ts";
import { type HttpListener, LIMITS, type ListenOptions, type TlsSettings } from "../types/listener.ts";
import { arrivingBodies } from "./arriving_bodies.ts";
import { type Connection, type Exchange, trackConnections } from "./connections.ts";
import { type BodyLimits, readBody } from "./request_body.ts";

const MAX_HEADER_BYTES = 16 * 1024;
/** How long connections may take to close when the listener ends at once, in milliseconds. */
const CLOSING_MS = 1_000;

/** What is known of a connection that speaks HTTP/1.1: one exchange at a time, the others wait. */
type Spoken = {
  readonly connection: Connection;
  readonly socket: Socket;
  readonly waiting: (() => void)[];
  /** What came after the requests that were read is no HTTP. */
  lost: boolean;
};

function tlsServer({ cert, key, clientCas }: TlsSettings): TlsServer {
  return createTlsServer({
    cert,
    key,
    minVersion: "TLSv1.2",
    ...(clientCas && { ca: [...clientCas], requestCert: true, rejectUnauthorized: true }),
  });
}

const MALFORMED = "its chunks are malformed, or it is shorter than announced";

/** Sends an answer; pieces as they come, no faster than they are taken. */
async function send(
  { status, headers, body }: HttpResponse,
  response: ServerResponse,
  last: boolean,
  enter: (phase: "answer" | "send") => void,
): Promise<void> {
  const pieces = inPieces(body);
  const head: Record<string, string | number> = pieces
    ? { ...headers }
    : { ...headers, "content-length": Buffer.byteLength(body) };
  if (last) head["connection"] = "close";
  response.writeHead(status, head);
  if (pieces) {
    for await (const piece of body) {
      if (response.destroyed) return;
      enter("send");
      if (!response.write(piece)) await Promise.race([once(response, "drain"), once(response, "close")]);
      enter("answer");
    }
  }
  enter("send");
  if (pieces) response.end();
  else response.end(body);
}

/** Takes the socket from the HTTP server and drops what it still receives. */
function dropInput(socket: Socket): void {
  socket.removeAllListeners("data");
  socket.on("data", () => {});
  socket.resume();
}

/** Binds a listener. Rejects when the address can't be bound, or the certificate can't be used. */
export async function listen(options: ListenOptions): Promise<HttpListener> {
  const { host, port, handler, maxBodyBytes, limits = LIMITS } = options;
  const connections = trackConnections(limits, options.onClosed);
  const reading: BodyLimits = {
    maxBytes: maxBodyBytes,
    bodyMs: limits.bodyMs,
    arriving: arrivingBodies(maxBodyBytes, limits.maxArrivingBytes),
    connections,
  };
  const spoken = new WeakMap<Socket, Spoken>();
  let ending = false;
  let pipelined = 0;

  const http = createHttpServer({
    // All times are the connections'.
    requestTimeout: 0,
    headersTimeout: 0,
    keepAliveTimeout: 0,
    maxHeaderSize: MAX_HEADER_BYTES,
  }, (request, response) => dispatch(request, response, false));
  http.on("checkContinue", (request, response) => dispatch(request, response, true));

  function dispatch(request: IncomingMessage, response: ServerResponse, waits: boolean): void {
    const on = spoken.get(request.socket);
    if (on === undefined || on.lost || on.connection.state === "closing") return;
    const begin = () =>
      void serve(on, request, response, waits).catch(() => connections.destroy(on.connection));
    if (on.connection.exchanges.size === 0) return begin();
    // Answers go out in the order of the requests, so nothing is gained by working on several.
    if (++pipelined > limits.maxPipelined) return connections.destroy(on.connection, "pipelined");
    on.waiting.push(begin);
    request.socket.pause();
  }

  async function serve(
    on: Spoken,
    request: IncomingMessage,
    response: ServerResponse,
    waits: boolean,
  ): Promise<void> {
    const { connection } = on;
    const exchange = connections.begin(connection);
    response.once("finish", () => next(on, exchange));
    const answer = await handler(adapt(request, exchange, () => waits && response.writeContinue()));
    if (connection.state === "closing" || exchange.gone?.signal.aborted) {
      return connections.destroy(connection);
    }
    // A body that was not read to its end makes the connection useless for another request.
    const last = !request.complete || ((ending || on.lost) && on.waiting.length === 0);
    await send(
      answer,
      response,
      last,
      (phase) => connections.enter(exchange, phase, phase === "send" ? limits.sendMs : Infinity),
    );
  }

  function adapt(request: IncomingMessage, exchange: Exchange, goOn: () => void): HttpRequest {
    return {
      method: request.method ?? "",
      url: `http://host${request.url ?? "/"}`,
      contentType: request.headers["content-type"],
      body: () => readBody(request, exchange, reading, goOn),
      get signal() {
        return (exchange.gone ??= new AbortController()).signal;
      },
    };
  }

  function next(on: Spoken, exchange: Exchange): void {
    const { connection, waiting, socket } = on;
    connections.finish(connection, exchange);
    if (connection.state === "closing") return;
    const begin = waiting.shift();
    if (begin === undefined) return;
    pipelined--;
    if (waiting.length === 0) socket.resume();
    begin();
  }

  /** Gives a socket to the HTTP server. */
  function speak(connection: Connection, socket: Socket): void {
    const on: Spoken = { connection, socket, waiting: [], lost: false };
    spoken.set(socket, on);
    connections.ready(connection, {
      end: () => {
        dropInput(socket);
        socket.end();
      },
      refuseHead: () => refuse(socket, "408 Request Timeout"),
    });
    // A client that waits for an answer does not close its side; when it gives up, this is all that is seen of it.
    socket.on("end", () => {
      for (const { gone } of connection.exchanges) gone?.abort();
    });
    socket.on("close", () => {
      pipelined -= on.waiting.length;
      on.waiting.length = 0;
      connections.destroy(connection);
    });
    socket.on("error", () => connections.destroy(connection));
    // What node:http calls after the last answer; it would destroy the socket, and with it what the client has not read yet.
    socket.destroySoon = () => connections.close(connection);
    http.emit("connection", socket);
  }

  function refuse(socket: Socket, status: string): void {
    if (socket.writable) {
      socket.write(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    }
  }

  http.on("clientError", (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket;
    const on = spoken.get(socket);
    if (on === undefined || !error.code?.startsWith("HPE_") || !socket.writable) return void socket.destroy();
    const { connection } = on;
    if (connection.state === "closing") return;
    if (connection.exchanges.size > 0) {
      // What came before is answered first.
      on.lost = true;
      for (const { failBody } of connection.exchanges) failBody?.(new BodyError("failed", MALFORMED));
      return;
    }
    refuse(
      socket,
      error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : "400 Bad Request",
    );
    connections.close(connection);
  });

  let tls: TlsServer | undefined;
  /** The connections whose handshake runs, by their client's address: the TLS server does not say whose socket it got. */
  const shaking = new Map<string, Connection>();
  const clientOf = ({ remoteAddress, remotePort, localAddress }: Socket | TLSSocket) =>
    `${remoteAddress} ${remotePort} ${localAddress}`;
  const useTls = (settings: TlsSettings) => {
    const server = tlsServer(settings);
    server.on("secureConnection", (socket) => {
      const connection = shaking.get(clientOf(socket));
      if (connection === undefined) return void socket.destroy();
      shaking.delete(clientOf(socket));
      speak(connection, socket);
    });
    // A handshake that failed: nobody to answer.
    server.on("tlsClientError", (_error, socket) => void socket.destroy());
    tls = server;
  };
  if (options.tls) useTls(options.tls);

  const front = createTcpServer({ noDelay: true, allowHalfOpen: tls === undefined }, (raw) => {
    const connection = connections.add(raw);
    if (connection === undefined) return;
    if (tls === undefined) return speak(connection, raw);
    const client = clientOf(raw);
    shaking.set(client, connection);
    raw.on("close", () => {
      if (shaking.get(client) === connection) shaking.delete(client);
    });
    tls.emit("connection", raw);
  });
  await new Promise<void>((resolve, reject) => {
    front.once("error", reject);
    front.listen({ port, host }, () => {
      front.off("error", reject);
      resolve();
    });
  });
  front.on("error", () => {}); // of single connections that could not be accepted

  return {
    port: (front.address() as AddressInfo).port,
    setTls(next) {
      if (tls !== undefined) useTls(next);
    },
    async end({ stillAcceptingMs, graceMs }) {
      const until = performance.now() + graceMs;
      ending = true;
      if (stillAcceptingMs > 0) {
        await new Promise((resolve) => setTimeout(resolve, Math.min(stillAcceptingMs, graceMs)));
      }
      const closed = new Promise<void>((resolve) => front.close(() => resolve()));
      connections.hurry();
      await connections.gone(Math.max(0, until - performance.now()));
      let limit: NodeJS.Timeout | undefined;
      await Promise.race([closed, new Promise((resolve) => limit = setTimeout(resolve, CLOSING_MS))]);
      clearTimeout(limit);
    },
  };
}
