/**
 * An HTTPS server on Node and on Bun, whose certificate can be changed without refusing or dropping a connection: on Node, where
 * it also speaks HTTP/2, the listener gets a new secure context. Bun cannot do that, and to close one of two listeners on a port resets the connections that
 * wait in it; there a listener that stays passes bytes on to the TLS server of the day.
 */
import { Buffer } from "node:buffer";
import { createSecureServer, type ServerHttp2Session } from "node:http2";
import {
  type AddressInfo,
  connect as connectTcp,
  createServer as createTcpServer,
  type Socket,
} from "node:net";
import process from "node:process";
import { createSecureContext } from "node:tls";
import { listenError } from "../../program/render/listen_error.ts";

export type HttpRequest = {
  readonly method: string;
  readonly path: string;
  readonly contentType: string | undefined;
  /** `undefined` when the body is larger than the limit. */
  readonly body: string | undefined;
};
export type HttpAnswer = { readonly status: number; readonly contentType: string; readonly body: string };

export type TlsMaterial = {
  readonly cert: string;
  readonly key: string;
  /** Authorities of the clients that are let in; absent: clients need no certificate. */
  readonly clientCa?: string | undefined;
};

export type TlsServerOptions = {
  readonly port: number;
  readonly hostname?: string | undefined;
  readonly tls: TlsMaterial;
  /** Largest body, in bytes. */
  readonly bodyLimit: number;
  handle(request: HttpRequest): Promise<HttpAnswer>;
};

export type TlsServer = {
  readonly port: number;
  /** Uses another certificate for connections from now on. Throws when it cannot be used. */
  update(tls: TlsMaterial): void;
  stop(): Promise<void>;
};

/** A client that sends nothing for so long, in seconds, is let go. */
const IDLE_SECONDS = 60;
/** Requests that one HTTP/2 connection may have open. */
const MAX_STREAMS = 100;
/** A request has arrived whole within this time, or its connection is ended. */
const BODY_MS = 30_000;
/** How long connections may take to end when the server stops. */
const STOP_MS = 1_000;

type BunServer = { readonly port: number; stop(force?: boolean): Promise<void> };
declare const Bun: { serve(options: { readonly [key: string]: unknown }): BunServer };

const unopened = (
  { port, hostname: host }: Pick<TlsServerOptions, "port" | "hostname">,
  error: Error,
) =>
  listenError({ what: "the API server's webhooks", host, port, portOption: "--webhook-server-port" }, error);

async function onBun({ port, hostname, tls, bodyLimit, handle }: TlsServerOptions): Promise<TlsServer> {
  const answer = async (request: Request): Promise<Response> => {
    const url = new URL(request.url);
    // Read even when it is too large, which Bun bounds: an answer before the end of a body resets the connection.
    const bytes = await request.arrayBuffer();
    const body = bytes.byteLength > bodyLimit ? undefined : new TextDecoder().decode(bytes);
    const contentType = request.headers.get("content-type") ?? undefined;
    const result = await handle({ method: request.method, path: url.pathname, contentType, body });
    return new Response(result.body, {
      status: result.status,
      headers: { "content-type": result.contentType },
    });
  };
  const serve = ({ cert, key, clientCa }: TlsMaterial) =>
    Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      idleTimeout: IDLE_SECONDS,
      maxRequestBodySize: bodyLimit + 1024 * 1024,
      tls: {
        cert,
        key,
        ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
      },
      fetch: answer,
    });
  /** Connections that a TLS server was given and that have not ended. */
  type Inner = { readonly server: BunServer; readonly sockets: Set<Socket>; retired: boolean };
  const inner = (material: TlsMaterial): Inner => ({
    server: serve(material),
    sockets: new Set(),
    retired: false,
  });
  const retire = (former: Inner) => {
    former.retired = true;
    if (former.sockets.size === 0) void former.server.stop(true);
  };
  let current = inner(tls);
  const front = createTcpServer((outside) => {
    const target = current;
    const inside = connectTcp(target.server.port, "127.0.0.1");
    target.sockets.add(outside);
    const end = () => {
      outside.destroy();
      inside.destroy();
      if (target.sockets.delete(outside) && target.retired && target.sockets.size === 0) {
        void target.server.stop(true);
      }
    };
    for (const socket of [outside, inside]) socket.on("error", end).on("close", end);
    outside.pipe(inside);
    inside.pipe(outside);
  });
  await new Promise<void>((resolve, reject) => {
    front.once("error", (error) => reject(unopened({ port, hostname }, error)));
    front.listen(port, hostname, resolve);
  }).catch(async (error: unknown) => {
    await current.server.stop(true);
    throw error;
  });
  return {
    port: (front.address() as AddressInfo).port,
    update(next) {
      const former = current;
      current = inner(next);
      retire(former);
    },
    async stop() {
      const closed = new Promise<void>((resolve) => front.close(() => resolve()));
      for (const socket of current.sockets) socket.destroy();
      await current.server.stop(true);
      await closed;
    },
  };
}

function onNode({ port, hostname, tls, bodyLimit, handle }: TlsServerOptions): Promise<TlsServer> {
  const context = ({ cert, key, clientCa }: TlsMaterial) => ({
    cert,
    key,
    ...(clientCa === undefined ? {} : { ca: clientCa }),
  });
  const server = createSecureServer({
    ...context(tls),
    ...(tls.clientCa === undefined ? {} : { requestCert: true, rejectUnauthorized: true }),
    minVersion: "TLSv1.2",
    allowHTTP1: true,
    settings: { maxConcurrentStreams: MAX_STREAMS, enablePush: false },
    ...{ keepAliveTimeout: IDLE_SECONDS * 1000 },
  }, (request, response) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    request.on("data", (chunk: Uint8Array) => {
      size += chunk.length;
      if (size <= bodyLimit) chunks.push(chunk);
    });
    // Over HTTP/1.1 the server has limits of its own.
    const late = setTimeout(() => request.socket.destroy(), BODY_MS);
    request.on("close", () => clearTimeout(late));
    request.on("error", () => response.destroy());
    request.on("end", () => {
      clearTimeout(late);
      const body = size > bodyLimit ? undefined : Buffer.concat(chunks).toString("utf8");
      const path = (request.url ?? "/").split("?")[0]!;
      handle({ method: request.method ?? "GET", path, contentType: request.headers["content-type"], body })
        .then(({ status, contentType, body }) => {
          response.writeHead(status, { "content-type": contentType });
          response.end(body);
        }, () => response.destroy());
    });
  });
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  server.on("secureConnection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.setTimeout(IDLE_SECONDS * 1000, () => session.destroy());
    session.once("close", () => sessions.delete(session));
  });
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(unopened({ port, hostname }, error)));
    server.listen(port, hostname, () =>
      resolve({
        port: (server.address() as AddressInfo).port,
        update(next) {
          createSecureContext(context(next));
          server.setSecureContext(context(next));
        },
        stop: () =>
          new Promise((closed) => {
            server.close(() => closed());
            // Requests that have begun are answered first.
            for (const session of sessions) session.close();
            setTimeout(() => {
              for (const socket of sockets) socket.destroy();
            }, STOP_MS).unref();
          }),
      }));
  });
}

/** Starts to listen; rejects when the port is taken or the certificate cannot be used. */
export async function startTlsServer(options: TlsServerOptions): Promise<TlsServer> {
  return "bun" in process.versions ? await onBun(options) : await onNode(options);
}
