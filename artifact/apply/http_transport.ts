/**
 * One HTTP exchange, the same on Node and on Bun: undici's dispatchers on Node, Bun's own `fetch` with its `tls` and
 * `proxy` options there (neither runtime's `fetch` takes the other's). No redirects, no retries, no time limits: those
 * are `http.ts`, written once.
 */
import { createSecureContext, type SecureContext } from "node:tls";
import { own } from "../../program/types/own.ts";
import { loadUndici, type UndiciDispatcher } from "../../deps.ts";

export type TlsSettings = {
  /** PEM texts; they are all that is trusted. The same list is best the same array. */
  readonly ca: readonly string[];
  /** `false`: any certificate will do. */
  readonly verify: boolean;
  /** PEM texts to show to a server that asks for a client certificate. */
  readonly certificate?: { readonly cert: string; readonly key: string };
};

export type Route = {
  readonly tls: TlsSettings;
  /** URL of the proxy. */
  readonly proxy: string | undefined;
  readonly connectMs: number;
};

export type HttpMethod = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

export type RawRequest = {
  readonly method: HttpMethod;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
  readonly signal: AbortSignal;
};

export type RawResponse = {
  readonly status: number;
  /** Lower-case names. */
  readonly header: (name: string) => string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
};

export type Transport = {
  readonly exchange: (request: RawRequest, route: Route) => Promise<RawResponse>;
  /** Ends idle connections. */
  readonly close: () => Promise<void>;
};

const NO_BYTES: AsyncIterable<Uint8Array> = {
  // deno-lint-ignore require-yield
  async *[Symbol.asyncIterator]() {
    await Promise.resolve();
  },
};

function bunTransport(): Transport {
  return {
    exchange: async (request, route) => {
      const { ca, verify, certificate } = route.tls;
      const init = {
        method: request.method,
        headers: request.headers,
        body: request.body,
        signal: request.signal,
        redirect: "manual",
        decompress: false,
        // Without it, a connection made without verification could serve a later request that wants it.
        keepalive: verify,
        // `false`, not `undefined`: Bun would read the environment's proxy itself.
        proxy: route.proxy ?? false,
        tls: { ca: ca as string[], rejectUnauthorized: verify, ...certificate },
      };
      const response = await fetch(request.url, init as unknown as RequestInit);
      return {
        status: response.status,
        header: (name) => response.headers.get(name) ?? undefined,
        body: (response.body ?? NO_BYTES) as AsyncIterable<Uint8Array>,
      };
    },
    close: () => Promise.resolve(),
  };
}

/** Reading a few hundred roots takes tens of milliseconds: once per list of them. */
const contexts = new WeakMap<readonly string[], SecureContext>();

function secureContext({ ca, certificate }: TlsSettings): SecureContext {
  const known = certificate === undefined ? contexts.get(ca) : undefined;
  if (known !== undefined) return known;
  const context = createSecureContext({ ca: [...ca], ...certificate });
  if (certificate === undefined) contexts.set(ca, context);
  return context;
}

function nodeTransport(): Transport {
  const dispatchers = new Map<string, UndiciDispatcher>();
  return {
    exchange: async (request, route) => {
      const undici = await loadUndici();
      const { origin, protocol } = new URL(request.url);
      const key = `${origin} ${route.tls.verify} ${route.proxy ?? ""}`;
      let dispatcher = dispatchers.get(key);
      if (dispatcher === undefined) {
        const tls = {
          ...(protocol === "https:" || route.proxy?.startsWith("https:")
            ? { secureContext: secureContext(route.tls) }
            : {}),
          rejectUnauthorized: route.tls.verify,
          timeout: route.connectMs,
        };
        const limits = { headersTimeout: 0, bodyTimeout: 0 };
        dispatcher = route.proxy === undefined
          ? new undici.Agent({ connect: tls, ...limits })
          : new undici.ProxyAgent({
            uri: route.proxy,
            requestTls: tls,
            proxyTls: { ...tls, rejectUnauthorized: true },
            // Proxies commonly allow CONNECT to TLS ports only.
            proxyTunnel: protocol === "https:",
            ...limits,
          });
        dispatchers.set(key, dispatcher);
      }
      const response = await undici.request(request.url, {
        method: request.method,
        headers: request.headers,
        body: request.body ?? null,
        signal: request.signal,
        dispatcher,
      });
      return {
        status: response.statusCode,
        header: (name) => {
          const value = own(response.headers, name);
          return Array.isArray(value) ? value.join(", ") : value;
        },
        body: response.body,
      };
    },
    close: async () => {
      await Promise.all([...dispatchers.values()].map((dispatcher) => dispatcher.destroy()));
      dispatchers.clear();
    },
  };
}

/** The transport of the running runtime. */
export function createTransport(): Transport {
  return "Bun" in globalThis ? bunTransport() : nodeTransport();
}
