/** HTTP/1.1 on the sockets of a listener: a `node:http` server that never listens itself. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { BodyError } from "../types/http.ts";
import type { Connection, Exchange } from "./connections.ts";
import { adapted, type Protocol, send, type Speech } from "./exchange.ts";

const MAX_HEADER_BYTES = 16 * 1024;
const CLOSE = { connection: "close" };
const KEEP = {};
const MALFORMED = "its chunks are malformed, or it is shorter than announced";

/** A connection: one exchange at a time, the others wait. */
type Spoken = {
  readonly connection: Connection;
  readonly socket: Socket;
  readonly waiting: (() => void)[];
  /** What came after the requests that were read is no HTTP. */
  lost: boolean;
};

/** Takes the socket from the HTTP server and drops what it still receives. */
function dropInput(socket: Socket): void {
  socket.removeAllListeners("data");
  socket.on("data", () => {});
  socket.resume();
}

/** Answers what has no request to be answered to. */
function refuse(socket: Socket, status: string): void {
  if (socket.writable) {
    socket.write(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  }
}

/** Speaks it on all connections of a listener that are given to it. */
export class Http1 implements Protocol {
  readonly #speech: Speech;
  readonly #server: Server;
  readonly #spoken = new WeakMap<Socket, Spoken>();
  #pipelined = 0;

  constructor(speech: Speech) {
    this.#speech = speech;
    this.#server = createServer({
      // All times are the connections'.
      requestTimeout: 0,
      headersTimeout: 0,
      keepAliveTimeout: 0,
      maxHeaderSize: MAX_HEADER_BYTES,
    }, (request, response) => this.#dispatch(request, response, false));
    this.#server.on("checkContinue", (request, response) => this.#dispatch(request, response, true));
    this.#server.on("clientError", (error, stream) => this.#malformed(error, stream as Socket));
  }

  speak(connection: Connection, socket: Socket): void {
    const { connections } = this.#speech;
    const on: Spoken = { connection, socket, waiting: [], lost: false };
    this.#spoken.set(socket, on);
    connections.ready(connection, {
      end: () => {
        dropInput(socket);
        socket.end();
      },
      leave: () => {},
      refuseHead: () => refuse(socket, "408 Request Timeout"),
      framed: false,
    });
    // A client that waits for an answer does not close its side; when it gives up, this is all that is seen of it.
    socket.on("end", () => {
      for (const { gone } of connection.exchanges) gone?.abort();
    });
    socket.on("close", () => {
      this.#pipelined -= on.waiting.length;
      on.waiting.length = 0;
      connections.destroy(connection);
    });
    socket.on("error", () => connections.destroy(connection));
    // What node:http calls after the last answer; it would destroy the socket, and with it what the client has not read yet.
    socket.destroySoon = () => connections.close(connection);
    this.#server.emit("connection", socket);
  }

  #dispatch(request: IncomingMessage, response: ServerResponse, waits: boolean): void {
    const { connections, limits } = this.#speech;
    const on = this.#spoken.get(request.socket);
    if (on === undefined || on.lost || on.connection.state === "closing") return;
    const begin = () =>
      void this.#serve(on, request, response, waits).catch(() => connections.destroy(on.connection));
    if (on.connection.exchanges.size === 0) return begin();
    // Answers go out in the order of the requests, so nothing is gained by working on several.
    this.#pipelined++;
    on.waiting.push(begin);
    if (this.#pipelined > limits.maxPipelined) return connections.destroy(on.connection, "pipelined");
    request.socket.pause();
  }

  async #serve(
    on: Spoken,
    request: IncomingMessage,
    response: ServerResponse,
    waits: boolean,
  ): Promise<void> {
    const { connections, handler, ending } = this.#speech;
    const { connection } = on;
    const exchange = connections.begin(connection);
    response.once("finish", () => this.#next(on, exchange));
    const answer = await handler(
      adapted(this.#speech, request, exchange, () => waits && response.writeContinue()),
    );
    if (connection.state === "closing" || exchange.gone?.signal.aborted) {
      return connections.destroy(connection);
    }
    // A body that was not read to its end makes the connection useless for another request.
    const last = !request.complete || ((ending() || on.lost) && on.waiting.length === 0);
    await send(this.#speech, exchange, response, answer, last ? CLOSE : KEEP);
  }

  #next({ connection, waiting, socket }: Spoken, exchange: Exchange): void {
    this.#speech.connections.finish(connection, exchange);
    if (connection.state === "closing") return;
    const begin = waiting.shift();
    if (begin === undefined) return;
    this.#pipelined--;
    if (waiting.length === 0) socket.resume();
    begin();
  }

  /** What came is no HTTP, or ended too early. */
  #malformed(error: NodeJS.ErrnoException, socket: Socket): void {
    const on = this.#spoken.get(socket);
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
    this.#speech.connections.close(connection);
  }
}
