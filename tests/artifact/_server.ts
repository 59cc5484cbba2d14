/** Servers that behave badly on purpose, a registry in memory among them, and a proxy that remembers what went through it. */
import { createHash } from "node:crypto";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import type { ServerCertificate } from "./_certificates.ts";

export type Answer = (
  request: http.IncomingMessage,
  response: http.ServerResponse,
  body: Buffer,
) => void | Promise<void>;

export type TestServer = {
  /** `localhost:PORT`. */
  readonly host: string;
  readonly base: string;
  /** `METHOD path`, in order. */
  readonly requests: { readonly line: string; readonly headers: http.IncomingHttpHeaders }[];
  readonly stop: () => Promise<void>;
};

export async function startServer(
  answer: Answer,
  tls?: ServerCertificate & { readonly clientCa?: string },
): Promise<TestServer> {
  const requests: { line: string; headers: http.IncomingHttpHeaders }[] = [];
  const sockets = new Set<net.Socket>();
  const listener = (request: http.IncomingMessage, response: http.ServerResponse) => {
    requests.push({ line: `${request.method} ${request.url}`, headers: request.headers });
    const pieces: Buffer[] = [];
    request.on("error", () => {});
    response.on("error", () => {});
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => {
      void (async () => {
        try {
          await answer(request, response, Buffer.concat(pieces));
        } catch (error) {
          console.error(error);
          response.destroy();
        }
      })();
    });
  };
  const server = tls === undefined ? http.createServer(listener) : https.createServer({
    cert: tls.cert,
    key: tls.key,
    ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
  }, listener);
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  const host = `localhost:${port}`;
  return {
    host,
    base: `${tls === undefined ? "http" : "https"}://${host}`,
    requests,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A registry in memory: reads only. Keys are `<repository>/manifests/<name>` and `<repository>/blobs/<digest>`. */
export function memoryRegistry() {
  const content = new Map<string, { readonly type: string; readonly bytes: Uint8Array }>();
  const digestOf = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  const blob = (
    repository: string,
    mediaType: string,
    bytes: Uint8Array,
    annotations?: Record<string, string>,
  ) => {
    const digest = digestOf(bytes);
    content.set(`${repository}/blobs/${digest}`, { type: "application/octet-stream", bytes });
    return { mediaType, digest, size: bytes.length, ...(annotations === undefined ? {} : { annotations }) };
  };
  const manifest = (repository: string, name: string, document: unknown, type: string) => {
    const bytes = Buffer.from(typeof document === "string" ? document : JSON.stringify(document));
    const digest = digestOf(bytes);
    for (const key of [name, digest]) content.set(`${repository}/manifests/${key}`, { type, bytes });
    return { digest, size: bytes.length };
  };
  const answer: Answer = (request, response) => {
    const path = decodeURIComponent(request.url ?? "").replace(/^\/v2\//, "");
    if (path === "") return void response.end("{}");
    const found = content.get(path);
    if (found === undefined) {
      response.statusCode = 404;
      response.setHeader("content-type", "application/json");
      return void response.end(
        JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] }),
      );
    }
    response.setHeader("content-type", found.type);
    response.setHeader("content-length", found.bytes.length);
    response.setHeader("docker-content-digest", digestOf(found.bytes));
    response.end(request.method === "HEAD" ? undefined : found.bytes);
  };
  return { content, blob, manifest, answer };
}

export type TestProxy = {
  /** `http://[user:password@]localhost:PORT`. */
  readonly url: string;
  /** `CONNECT host:port` and `METHOD http://…`. */
  readonly seen: string[];
  /** Forgets what was seen, and ends tunnels that a client kept (Bun keeps them from one request to the next). */
  readonly reset: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

/** @param login `user:password` to be asked for */
export async function startProxy(login?: string): Promise<TestProxy> {
  const seen: string[] = [];
  const sockets = new Set<net.Socket>();
  const wanted = login === undefined ? undefined : `Basic ${Buffer.from(login).toString("base64")}`;
  const refused = (headers: http.IncomingHttpHeaders) =>
    wanted !== undefined && headers["proxy-authorization"] !== wanted;
  const server = http.createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    if (refused(request.headers)) {
      response.statusCode = 407;
      return void response.end();
    }
    const target = new URL(request.url ?? "");
    const { "proxy-authorization": _login, ...headers } = request.headers;
    const forward = http.request(target, { method: request.method ?? "GET", headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    forward.on("error", () => response.destroy());
    request.pipe(forward);
  });
  server.on("connect", (request, socket: net.Socket) => {
    seen.push(`CONNECT ${request.url}`);
    if (refused(request.headers)) {
      return void socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    }
    const [host = "", port = ""] = (request.url ?? "").split(":");
    const target = net.connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      target.pipe(socket).pipe(target);
    });
    for (const end of [target, socket]) {
      sockets.add(end);
      end.on("error", () => {});
      end.on("close", () => (target.destroy(), socket.destroy()));
    }
  });
  server.on("connection", (socket: net.Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    url: `http://${login === undefined ? "" : `${login}@`}localhost:${port}`,
    seen,
    reset: async () => {
      const closing = [...sockets].filter((socket) => !socket.destroyed).map((socket) =>
        new Promise((resolve) => socket.once("close", resolve).destroy())
      );
      sockets.clear();
      await Promise.all(closing);
      // The client's end learns of it a turn later.
      await new Promise((resolve) => setTimeout(resolve, 20));
      seen.length = 0;
    },
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
