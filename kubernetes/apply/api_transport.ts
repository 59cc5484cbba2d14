/**
 * HTTP to a Kubernetes API server, alike on Node and on Bun: private certificate authorities, client certificates, tokens,
 * streaming bodies (watches). Bun's own `undici` ignores the TLS settings that `@kubernetes/client-node` gives it, hence one
 * small transport for both.
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
import type { KubeConfig } from "../../deps.ts";
import { loadKubeconfig } from "./kubeconfig.ts";
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

export type Credentials = {
  readonly headers: { readonly [name: string]: string };
  readonly tls: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly servername?: string;
    readonly rejectUnauthorized: boolean;
  };
};

type TlsText = string | Uint8Array | readonly (string | Uint8Array)[] | undefined | null;

function pem(value: TlsText): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  return value.map((part) => pem(part) ?? "").join("\n");
}

/** What a kubeconfig's current context says about authentication; tokens from files and plugins are renewed by it. */
export async function credentialsOf(config: KubeConfig): Promise<Credentials> {
  const options: Parameters<KubeConfig["applyToHTTPSOptions"]>[0] = { headers: {} };
  await config.applyToHTTPSOptions(options);
  const headers: { [name: string]: string } = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    if (value !== undefined) setOwn(headers, name, String(value));
  }
  const found = options as { [key: string]: unknown };
  const auth = found["auth"];
  if (typeof auth === "string") headers["Authorization"] = `Basic ${btoa(auth)}`;
  const ca = pem(found["ca"] as TlsText);
  const cert = pem(found["cert"] as TlsText);
  const key = pem(found["key"] as TlsText);
  const servername = found["servername"];
  return {
    headers,
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(typeof servername === "string" ? { servername } : {}),
      rejectUnauthorized: found["rejectUnauthorized"] !== false,
    },
  };
}

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

function bunTransport(server: string, credentials: Credential, origin: string): ApiTransport {
  return {
    server,
    origin,
    async request({ method, path, body, headers, signal }) {
      const { tls, headers: auth } = await credentials();
      const response = await fetch(server + path, {
        method,
        headers: { ...auth, ...headers },
        ...(body === undefined ? {} : { body }),
        ...(signal === undefined ? {} : { signal }),
        redirect: "manual",
        // Bun's fetch takes these; Node never comes here.
        tls,
        timeout: false,
      } as RequestInit);
      return {
        status: response.status,
        headers: lowerCased(response.headers),
        text: () => response.text(),
        chunks: () => webChunks(response.body),
      };
    },
    close() {},
  };
}

function nodeTransport(server: string, credentials: Credential, origin: string): ApiTransport {
  const url = new URL(server);
  const secure = url.protocol === "https:";
  const settings = { keepAlive: true, maxFreeSockets: 16 };
  const agent = secure ? new Agent(settings) : new HttpAgent(settings);
  const prefix = url.pathname.replace(/\/$/, "");
  const once = ({ method, path, body, headers, signal }: ApiRequest, { tls, headers: auth }: Credentials) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const send = secure ? httpsRequest : httpRequest;
      const sent = send({
        protocol: url.protocol,
        host: url.hostname.replace(/^\[|\]$/g, ""),
        port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
        path: prefix + path,
        method,
        agent,
        headers: {
          ...auth,
          ...headers,
          ...(body === undefined ? {} : { "content-length": String(new TextEncoder().encode(body).length) }),
        },
        ...(secure ? tls : {}),
        ...(signal === undefined ? {} : { signal }),
      }, resolve);
      sent.on("error", reject);
      sent.end(body);
    });
  return {
    server,
    origin,
    async request(request) {
      const response = await once(request, await credentials());
      const headers = Object.entries(response.headers)
        .map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value ?? ""] as const);
      return {
        status: response.statusCode ?? 0,
        headers: lowerCased(headers),
        text: () => readText(response),
        chunks: () => response,
      };
    },
    close: () => agent.destroy(),
  };
}

/** A transport to `server` that authenticates with what `credentials` gives for each request. */
export function openTransport(
  server: string,
  credentials: Credential,
  origin = "the given connection",
): ApiTransport {
  const base = server.replace(/\/+$/, "");
  const open = "bun" in process.versions ? bunTransport : nodeTransport;
  return open(base, credentials, origin);
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
  const { config, origin } = await loadKubeconfig(kubeconfig);
  // Tokens from files and plugins live for minutes; asking for them at every request would cost more than the request.
  let known: { readonly until: number; readonly credentials: Promise<Credentials> } | undefined;
  return openTransport(config.getCurrentCluster()!.server, () => {
    const now = Date.now();
    if (known === undefined || known.until < now) {
      const credentials = credentialsOf(config);
      known = { until: now + CREDENTIALS_MS, credentials };
      credentials.catch(() => known = undefined);
    }
    return known.credentials;
  }, origin);
}
