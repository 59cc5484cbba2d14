/** HTTP/2 on the sockets of a listener: a `node:http2` server that never listens itself. */
import {
  constants,
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import type { Connection } from "./connections.ts";
import { adapted, type Protocol, send, type Speech } from "./exchange.ts";

/** Requests that one connection may have under way. */
const MAX_STREAMS = 100;

/** Speaks it on all connections of a listener that are given to it. */
export class Http2 implements Protocol {
  readonly #speech: Speech;
  readonly #server: Http2Server;
  readonly #spoken = new WeakMap<ServerHttp2Session, Connection>();
  /** The connection whose session is being made. */
  #opening: Connection | undefined;

  constructor(speech: Speech) {
    this.#speech = speech;
    this.#server = createServer({ settings: { maxConcurrentStreams: MAX_STREAMS, enablePush: false } });
    this.#server.on("session", (session) => this.#ready(session));
    this.#server.on("request", (request, response) => {
      const { session } = request.stream;
      const connection = session && this.#spoken.get(session as ServerHttp2Session);
      if (!connection || connection.state === "closing") return request.stream.close();
      void this.#serve(connection, request, response).catch(() => speech.connections.destroy(connection));
    });
  }

  speak(connection: Connection, socket: Socket): void {
    this.#opening = connection;
    this.#server.emit("connection", socket);
    this.#opening = undefined;
    socket.on("close", () => this.#speech.connections.destroy(connection));
  }

  #ready(session: ServerHttp2Session): void {
    const { connections } = this.#speech;
    const connection = this.#opening;
    if (connection === undefined) return session.destroy();
    this.#spoken.set(session, connection);
    const leave = () => session.close();
    connections.ready(connection, { end: leave, leave, refuseHead: () => {}, framed: true });
    session.on("close", () => connections.destroy(connection));
    session.on("error", () => connections.destroy(connection));
  }

  async #serve(
    connection: Connection,
    request: Http2ServerRequest,
    response: Http2ServerResponse,
  ): Promise<void> {
    const { connections, handler, ending } = this.#speech;
    const exchange = connections.begin(connection);
    const { stream } = request;
    stream.on("error", () => {});
    stream.once("close", () => {
      if (!response.writableFinished) exchange.gone?.abort();
      connections.finish(connection, exchange);
      if (ending()) connection.speaking?.leave();
    });
    // The rest of a body that nobody reads would be waited for.
    response.once("finish", () => request.complete || stream.close(constants.NGHTTP2_NO_ERROR));
    const answer = await handler(adapted(this.#speech, request, exchange, () => {}));
    if (!stream.destroyed) await send(this.#speech, exchange, response, answer, {});
  }
}
