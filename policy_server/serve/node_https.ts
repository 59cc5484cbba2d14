/** Serves with `node:http` and `node:https`, on Node and on Bun. */
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttpsServer,
  type Server as HttpsServer,
  type ServerOptions,
} from "node:https";
import { Server as TcpServer } from "node:net";
import process from "node:process";
import {
  BodyError,
  type HttpListener,
  type HttpRequest,
  inPieces,
  type Listen,
  type TlsSettings,
} from "../types/http.ts";
import { type ArrivingBodies, arrivingBodies } from "./arriving_bodies.ts";

/** How often the server looks for requests that take too long. */
const CHECK_MS = 1_000;
const NO_BODY = new Uint8Array(0);

function tlsOptions(tls: TlsSettings): ServerOptions {
  const { cert, key, clientCas } = tls;
  return {
    cert,
    key,
    minVersion: "TLSv1.2",
    ...(clientCas && { ca: [...clientCas], requestCert: true, rejectUnauthorized: true }),
  };
}

/** Reads a body, at most `maxBytes` of it. The server cuts requests that take longer than `timeoutMs`. */
function readBody(
  request: IncomingMessage,
  maxBytes: number,
  timeoutMs: number,
  arriving: ArrivingBodies,
): Promise<Uint8Array> {
  const started = performance.now();
  const tooLarge = () => new BodyError("too_large", `length limit exceeded (${maxBytes} bytes)`);
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > maxBytes) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    let first: Uint8Array | undefined;
    let chunks: Uint8Array[] | undefined;
    let length = 0;
    /** Holds no more of the body, whatever still comes. */
    const giveUp = (reason: BodyError) => {
      request.removeAllListeners("data");
      request.resume();
      first = chunks = undefined;
      body.end();
      reject(reason);
    };
    const body = arriving.begin(giveUp);
    request.on("data", (chunk: Uint8Array) => {
      length += chunk.length;
      if (length > maxBytes) return giveUp(tooLarge());
      if (!body.arrived(chunk.length)) return;
      if (first === undefined) first = chunk;
      else (chunks ??= [first]).push(chunk);
    });
    request.on("end", () => {
      body.end();
      resolve(chunks ? Buffer.concat(chunks, length) : first ?? NO_BODY);
    });
    const cut = (reason: string) =>
      performance.now() - started >= timeoutMs - CHECK_MS
        ? new BodyError("timeout", "the body did not arrive in time")
        : new BodyError("failed", reason);
    const lost = (reason: string) => {
      body.end();
      reject(cut(reason));
    };
    request.on("aborted", () => lost("the client went away"));
    request.on("error", (error) => lost(error.message));
  });
}

/** Sends pieces as they come, no faster than they are taken. */
async function sendPieces(response: ServerResponse, pieces: AsyncIterable<string>): Promise<void> {
  for await (const piece of pieces) {
    if (response.destroyed) return;
    if (!response.write(piece)) await Promise.race([once(response, "drain"), once(response, "close")]);
  }
  response.end();
}

/** Binds a listener. */
export const listenNode: Listen = async ({ host, port, tls, handler, maxBodyBytes, requestTimeoutMs }) => {
  const arriving = arrivingBodies(maxBodyBytes);
  let draining = false;
  let active = 0;
  let onIdle: (() => void) | undefined;

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    active++;
    // It may close long before it is answered: the client went away.
    response.once("close", () => {
      if (--active === 0) onIdle?.();
    });
    const adapted: HttpRequest = {
      method: request.method ?? "",
      url: `http://host${request.url ?? "/"}`,
      contentType: request.headers["content-type"],
      body: () => readBody(request, maxBodyBytes, requestTimeoutMs, arriving),
      whenGone: (listener) => void response.once("close", listener),
    };
    const { status, headers, body } = await handler(adapted);
    const pieces = inPieces(body);
    const head: Record<string, string | number> = pieces
      ? { ...headers }
      : { ...headers, "content-length": Buffer.byteLength(body) };
    // A body that was not read to its end makes the connection useless for another request.
    if (draining || !request.complete) head["connection"] = "close";
    response.writeHead(status, head);
    if (pieces) await sendPieces(response, body);
    else response.end(body);
  };

  const limits = {
    requestTimeout: requestTimeoutMs,
    headersTimeout: Math.min(requestTimeoutMs, 15_000),
    connectionsCheckingInterval: CHECK_MS,
    keepAliveTimeout: 0,
    maxHeaderSize: 16 * 1024,
  };
  const server = tls
    ? createHttpsServer({ ...limits, ...tlsOptions(tls) }, serve)
    : createHttpServer(limits, serve);
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const status = error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? "408 Request Timeout" : "400 Bad Request";
    if (socket.writable) {
      socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    } else socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  server.on("error", () => {}); // of single connections; the handler's log tells what matters
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    setTls: (next) => {
      if ("bun" in process.versions) {
        const reason =
          "node:https on Bun can't change certificates: restart the server, or use --http-adapter bun-serve";
        return Promise.reject(new Error(reason));
      }
      if (tls) (server as HttpsServer).setSecureContext(tlsOptions(next));
      return Promise.resolve();
    },
    drain: (graceMs) => drain(graceMs),
  } satisfies HttpListener;

  async function drain(graceMs: number): Promise<void> {
    draining = true;
    const closed = new Promise<void>((resolve) => server.once("close", () => resolve()));
    // http.Server's own close() would cut connections that are idle right now, maybe with a request on its way.
    if ("bun" in process.versions) server.close();
    else TcpServer.prototype.close.call(server);
    const settle = Math.min(graceMs, 1_000);
    await new Promise((resolve) => setTimeout(resolve, settle));
    server.closeIdleConnections();
    if (active > 0) {
      let limit: NodeJS.Timeout | undefined;
      await Promise.race([
        new Promise<void>((resolve) => onIdle = resolve),
        new Promise<void>((resolve) => limit = setTimeout(resolve, graceMs - settle)),
      ]);
      clearTimeout(limit);
    }
    server.closeAllConnections();
    await closed;
  }
};
