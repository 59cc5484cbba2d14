/** Requests to a server that runs, over kept-alive connections, and by hand where HTTP libraries are too polite. */
import { Agent as HttpAgent, type IncomingHttpHeaders, request as httpRequest } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ServerProcess } from "./server_process.ts";

/** An answer. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One request. */
export interface Ask {
  readonly method?: string;
  readonly path: string;
  readonly body?: string | Uint8Array;
  /** `application/json` unless given; undefined for none. */
  readonly contentType?: string | undefined;
}

/** What a client brings along, for TLS. */
export interface ClientTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** A client with up to `connections` kept-alive connections. */
export interface Client {
  ask(ask: Ask): Promise<Answer>;
  close(): void;
}

/** Opens a client of a server. Certificates are checked only where `tls` has a CA. */
export function client(
  server: Pick<ServerProcess, "port" | "tls">,
  { connections = 8, tls = {} }: { readonly connections?: number; readonly tls?: ClientTls } = {},
): Client {
  const agent = server.tls
    ? new Agent({
      keepAlive: true,
      maxSockets: connections,
      rejectUnauthorized: tls.ca !== undefined,
      ...tls,
    })
    : new HttpAgent({ keepAlive: true, maxSockets: connections });
  const send = server.tls ? httpsRequest : httpRequest;
  const port = server.port;
  return {
    ask: (asked) => {
      const { method = "POST", path, body = "" } = asked;
      const type = "contentType" in asked ? asked.contentType : "application/json";
      const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
      return new Promise((resolve, reject) => {
        const outgoing = send({
          agent,
          host: "127.0.0.1",
          port,
          method,
          path,
          // Bun takes these from the request, not from the agent.
          ...(server.tls && { rejectUnauthorized: tls.ca !== undefined, ...tls }),
          headers: {
            ...(type !== undefined && { "content-type": type }),
            ...(method !== "GET" && method !== "HEAD" && { "content-length": String(bytes.length) }),
          },
        }, (response) => {
          const chunks: Uint8Array[] = [];
          response.on("data", (chunk: Uint8Array) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks).toString(),
            }));
        });
        outgoing.on("error", reject);
        if (method !== "GET" && method !== "HEAD") outgoing.end(bytes);
        else outgoing.end();
      });
    },
    close: () => agent.destroy(),
  };
}

/** Sends one request over a connection of its own. */
export async function ask(
  server: Pick<ServerProcess, "port" | "tls">,
  asked: Ask,
  tls: ClientTls = {},
): Promise<Answer> {
  const once = client(server, { connections: 1, tls });
  try {
    return await once.ask(asked);
  } finally {
    once.close();
  }
}

/** A connection on which the test writes and reads bytes itself. */
export interface RawConnection {
  readonly socket: Socket;
  write(text: string): void;
  /** All that was received so far. */
  received(): string;
  readonly closed: Promise<void>;
}

/** Connects without any HTTP. */
export async function connectRaw(server: Pick<ServerProcess, "port" | "tls">): Promise<RawConnection> {
  let received = "";
  const socket = server.tls
    ? connectTls({ host: "127.0.0.1", port: server.port, rejectUnauthorized: false })
    : connectTcp({ host: "127.0.0.1", port: server.port, allowHalfOpen: true });
  socket.on("data", (chunk) => received += chunk.toString());
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    socket.once(server.tls ? "secureConnect" : "connect", () => resolve());
    socket.once("error", reject);
  });
  socket.on("error", () => {});
  return { socket, write: (text) => void socket.write(text), received: () => received, closed };
}

/** An AdmissionReview of a pod, told what to do by annotations (`tests/policies/instructions`). */
export function reviewOf(
  annotations: Readonly<Record<string, string>> = {},
  request: Readonly<Record<string, unknown>> = {},
): string {
  return JSON.stringify({
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid: "a-uid",
      kind: { group: "", version: "v1", kind: "Pod" },
      resource: { group: "", version: "v1", resource: "pods" },
      operation: "CREATE",
      userInfo: {},
      object: { metadata: { name: "a-pod", annotations } },
      ...request,
    },
  });
}
