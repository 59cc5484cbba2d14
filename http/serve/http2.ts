/** HTTP/2 on the sockets of a listener: a `node:http2` server that never listens itself. */
import { constants, createServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { Connection } from "./connections.ts";
import { adapted, send, type Speech } from "./exchange.ts";

/** Requests that one connection may have under way. */
const MAX_STREAMS = 100;

/** Returns what a socket is given to. */
export function speakHttp2(speech: Speech): (connection: Connection, socket: Socket) => void {
  const { connections, handler, ending } = speech;
  const spoken = new WeakMap<ServerHttp2Session, Connection>();
  /** The connection whose session is being made. */
  let opening: Connection | undefined;

  const server = createServer({ settings: { maxConcurrentStreams: MAX_STREAMS, enablePush: false } });
  server.on("session", (session) => {
    const connection = opening;
    if (connection === undefined) return session.destroy();
    spoken.set(session, connection);
    const leave = () => session.close();
    connections.ready(connection, { end: leave, leave, refuseHead: () => {}, framed: true });
    session.on("close", () => connections.destroy(connection));
    session.on("error", () => connections.destroy(connection));
  });
  server.on("request", (request, response) => {
    const { session } = request.stream;
    const connection = session && spoken.get(session as ServerHttp2Session);
    if (!connection || connection.state === "closing") return request.stream.close();
    void serve(connection, request, response).catch(() => connections.destroy(connection));
  });

  async function serve(
    connection: Connection,
    request: Http2ServerRequest,
    response: Http2ServerResponse,
  ): Promise<void> {
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
    const answer = await handler(adapted(speech, request, exchange, () => {}));
    if (!stream.destroyed) await send(speech, exchange, response, answer, {});
  }

  return (connection, socket) => {
    opening = connection;
    server.emit("connection", socket);
    opening = undefined;
    socket.on("close", () => connections.destroy(connection));
  };
}
