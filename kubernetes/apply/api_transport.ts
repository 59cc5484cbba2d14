/**
 * HTTP to a Kubernetes API server, alike on Node and on Bun: private certificate authorities, client certificates, tokens,
 * streaming bodies (watches). Bun's own `undici` ignores TLS settings, hence one small transport for both.
 *
 * @example
 * ```ts
 * const transport = await connect({ kubeconfig: "/home/me/.kube/config" });
 * const answer = await transport.request({ method: "GET", path: "/version" });
 * console.log(answer.status, await answer.text());
 * transport.close();
 * ```
 */
import { Agent, request as httpsRequest } from "node:https";
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import process from "node:process";
import type { Credentials } from "./credentials.ts";
import { loadKubeconfig } from "./kubeconfig.ts";
import { needsTunnel, proxyAddress, proxyAuthorization, tunnelAgent } from "./proxy_agent.ts";
import { setOwn } from "../../program/types/own.ts";

export type ApiRequest = {
  readonly method: string;
  /** Path and query, such as `/api/v1/pods?limit=5`. */
  readonly path: string;
  readonly body?: string | undefined;
  readonly headers?: { readonly [name: string]: string };
  /** Ends the request, and a body that is still being read. */
  readonly signal?: AbortSignal | undefined;
};

export type ApiResponse = {
  readonly status: number;
  /** Header names are in lower case. */
  readonly headers: { readonly [name: string]: string };
  /** The whole body. */
  text(): Promise<string>;
  /** The body as it arrives. Exactly one of `text` and `chunks` may be used. */
  chunks(): AsyncIterable<Uint8Array>;
};

export type ApiTransport = {
  /** Base URL, without a closing slash. */
  readonly server: string;
  /** What told of the server and who we are to it, for messages. */
  readonly origin: string;
  request(request: ApiRequest): Promise<ApiResponse>;
  close(): void;
};

function lowerCased(headers: Iterable<readonly [string, string]>): { [name: string]: string } {
  const result: { [name: string]: string } = {};
  for (const [name, value] of headers) setOwn(result, name.toLowerCase(), value);
  return result;
}

async function readText(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}

async function* webChunks(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** How long, in milliseconds, credentials are used before the kubeconfig is asked again. */
const CREDENTIALS_MS = 20_000;

type Credential = () => Promise<Credentials>;

/** Bun's `fetch` joins the values of a header, and an API server takes `a, b` for the name of one group. */
const hasLists = ({ headers }: Credentials): boolean =>
  Object.values(headers).some((value) => typeof value !== "string");

function bunTransport(
  server: string,
  credentials: Credential,
  origin: string,
): ApiTransport {
  const lists = nodeTransport(server, credentials, origin, undefined);
  return {
    server,
    origin,
    async request(request) {
      const { method, path, body, headers, signal } = request;
      const given = await credentials();
      if (hasLists(given)) return await lists.request(request);
      const { tls, headers: auth } = given;
      const response = await fetch(server + path, {
        method,
        headers: { ...auth as Readonly<Record<string, string>>, ...headers },
        ...(body === undefined ? {} : { body }),
        ...(signal === undefined ? {} : { signal }),
        redirect: "manual",
        // Bun's fetch takes these; Node never comes here.
        tls,
        // `false`, not `undefined`: Bun would read the environment's proxy itself, also for this machine.
        proxy: false,
        timeout: false,
      } as RequestInit);
      return {
        status: response.status,
        headers: lowerCased(response.headers),
        text: () => response.text(),
        chunks: () => webChunks(response.body),
      };
    },
    close: () => lists.close(),
  };
}

/** What `node:http` received, with headers that came several times joined. */
function responseOf(message: IncomingMessage): ApiResponse {
  const headers = Object.entries(message.headers)
    .map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value ?? ""] as const);
  return {
    status: message.statusCode ?? 0,
    headers: lowerCased(headers),
    text: () => readText(message),
    chunks: () => message,
  };
}

function nodeTransport(
  server: string,
  credentials: Credential,
  origin: string,
  proxyUrl: string | undefined,
): ApiTransport {
  const url = new URL(server);
  const secure = url.protocol === "https:";
  const proxy = proxyUrl === undefined ? undefined : new URL(proxyUrl);
  const settings = { keepAlive: true, maxFreeSockets: 16 };
  // An HTTP proxy takes requests for a server of plain HTTP itself, by their whole URL.
  const relay = proxy !== undefined && !needsTunnel(proxy, secure) ? proxy : undefined;
  const encrypted = secure || relay?.protocol === "https:";
  const agent = proxy !== undefined && relay === undefined
    ? tunnelAgent(proxy, secure, settings)
    : encrypted
    ? new Agent(settings)
    : new HttpAgent(settings);
  const prefix = url.pathname.replace(/\/$/, "");
  const once = ({ method, path, body, headers, signal }: ApiRequest, { tls, headers: auth }: Credentials) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const send = encrypted ? httpsRequest : httpRequest;
      const sent = send({
        ...(relay === undefined
          ? {
            host: url.hostname.replace(/^\[|\]$/g, ""),
            port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
            path: prefix + path,
          }
          : { ...proxyAddress(relay, tls), path: url.origin + prefix + path }),
        method,
        agent,
        headers: {
          ...auth as Record<string, string | string[]>,
          ...headers,
          ...(relay === undefined ? {} : { host: url.host, ...proxyAuthorization(relay) }),
          ...(body === undefined ? {} : { "content-length": String(new TextEncoder().encode(body).length) }),
        },
        ...(secure ? tls : {}),
        ...(signal === undefined ? {} : { signal }),
      }, resolve);
      sent.on("error", reject);
      // As bytes: Node writes headers before a text as UTF-8, and otherwise byte by byte, as impersonation has them.
      sent.end(body === undefined ? undefined : new TextEncoder().encode(body));
    });
  return {
    server,
    origin,
    request: async (request) => responseOf(await once(request, await credentials())),
    close: () => agent.destroy(),
  };
}

/** A transport to `server` that authenticates with what `credentials` gives for each request. */
export function openTransport(
  server: string,
  credentials: Credential,
  origin = "the given connection",
  proxy?: string,
): ApiTransport {
  const base = server.replace(/\/+$/, "");
  return "bun" in process.versions && proxy === undefined
    ? bunTransport(base, credentials, origin)
    : nodeTransport(base, credentials, origin, proxy);
}

/** Where the API server is and who we are to it. */
export type Connection = {
  /** A kubeconfig file; without it `KUBECONFIG`, the home folder's file, then the pod's service account. */
  readonly kubeconfig?: string | undefined;
};

/**
 * Connects as a kubeconfig or the pod's service account says; nothing is sent yet.
 *
 * @throws {KubeconfigError} when none is found, or it can't be used
 */
export async function connect({ kubeconfig }: Connection): Promise<ApiTransport> {
  const loaded = await loadKubeconfig(kubeconfig);
  // Tokens from files and plugins live for minutes; asking for them at every request would cost more than the request.
  let known: { until: number; readonly credentials: Promise<Credentials> } | undefined;
  let refused = false;
  const transport = openTransport(
    loaded.server,
    () => {
      const now = Date.now();
      if (known === undefined || known.until < now) {
        const credentials = loaded.credentials(refused);
        refused = false;
        const asked = known = { until: now + CREDENTIALS_MS, credentials };
        credentials.then(
          ({ expiresAt = Infinity }) => asked.until = Math.min(asked.until, expiresAt),
          () => known = undefined,
        );
      }
      return known.credentials;
    },
    loaded.origin,
    loaded.proxy,
  );
  return {
    ...transport,
    async request(request) {
      const response = await transport.request(request);
      if (response.status === 401) {
        known = undefined;
        refused = true;
      }
      return response;
    },
  };
}
