/**
 * HTTP(S) to policy servers: connections that are kept and spread over a server's replicas, TLS as the flags say
 * (spec/audit.md §10.2, §10.3). undici on Node, Bun's own fetch there.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { createSecureContext, getCACertificates, rootCertificates } from "node:tls";
import { certificatesIn } from "../../program/apply/certificates.ts";
import { ENCRYPTED_KEY, isEncryptedKey } from "../../program/types/encrypted_key.ts";
import { own } from "../../program/types/own.ts";
import { loadUndici, type UndiciDispatcher } from "../../deps.ts";
import type { AuditSettings } from "../types/settings.ts";

/** In all, from connecting to the end of the body. */
export const REQUEST_LIMIT_MS = 10_000;
/** A connection ends after so many: kube-proxy then chooses a replica anew, maybe one that was not there before. */
const REQUESTS_PER_CONNECTION = 500;

export type Tls = {
  readonly verify: boolean;
  /** All that is trusted, as PEM; absent: what the runtime trusts. */
  readonly ca: readonly string[] | undefined;
  readonly certificate: { readonly cert: string; readonly key: string } | undefined;
};

function read(path: string, what: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`failed to create scanner: ${what}: ${(error as Error).message}`);
  }
}

/** The system's authorities where the image has any, else those that the runtime brings along. */
function commonAuthorities(): readonly string[] {
  const system = typeof getCACertificates === "function" ? getCACertificates("system") : [];
  return system.length > 0 ? system : rootCertificates;
}

/** Reads the files that the flags name. Throws what the scanner ends with when one cannot be used (spec/audit.md §10.3). */
export function tlsOf({ insecureSsl, extraCa, clientCert, clientKey }: AuditSettings): Tls {
  let ca: readonly string[] | undefined;
  if (extraCa !== undefined) {
    const text = read(extraCa, `failed to read file ${JSON.stringify(extraCa)} with CA cert`);
    const { certificates: extra, skipped } = certificatesIn(text);
    try {
      if (extra.length === 0) {
        throw new Error(`it holds no PEM certificate${skipped === 0 ? "" : " that can be read"}`);
      }
      createSecureContext({ ca: [...extra] });
    } catch (error) {
      throw new Error(
        `failed to create scanner: failed to append cert to in-app RootCAs trust store: ${extraCa}: ` +
          (error as Error).message,
      );
    }
    ca = [...commonAuthorities(), ...extra];
  }
  let certificate: Tls["certificate"];
  if (clientCert !== undefined && clientKey !== undefined) {
    certificate = {
      cert: read(clientCert, "loading client certificate"),
      key: read(clientKey, "loading client certificate"),
    };
    try {
      createSecureContext(certificate);
    } catch (error) {
      throw new Error(
        `failed to create scanner: loading client certificate: ${clientCert} and ${clientKey} are no certificate and its ` +
          `key in PEM: ${
            isEncryptedKey(certificate.key) ? `the key ${ENCRYPTED_KEY}` : (error as Error).message
          }`,
      );
    }
  }
  return { verify: !insecureSsl, ca, certificate };
}

export type Answer = {
  readonly status: number;
  /** `name` is in lower case. */
  header(name: string): string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
};
export type Exchange = {
  /** Sends a request and resolves to what `read` makes of the answer. */
  send<T>(
    request: {
      readonly method: "GET" | "POST";
      readonly url: string;
      readonly body: Uint8Array | undefined;
      readonly signal: AbortSignal;
    },
    read: (answer: Answer) => Promise<T>,
  ): Promise<T>;
  close(): Promise<void>;
};

const PROXY_VARIABLES = ["https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY"];
const HEADERS = { "content-type": "application/json" } as const;
const NOTHING: AsyncIterable<Uint8Array> = (async function* () {})();

function bunExchange({ verify, ca, certificate }: Tls): Exchange {
  const tls = { rejectUnauthorized: verify, ...(ca === undefined ? {} : { ca }), ...certificate };
  return {
    async send({ method, url, body, signal }, read) {
      const init = {
        method,
        headers: HEADERS,
        ...(body === undefined ? {} : { body }),
        signal,
        redirect: "manual",
        tls,
        timeout: false,
      };
      const answer = await fetch(url, init as RequestInit);
      return await read({
        status: answer.status,
        header: (name) => answer.headers.get(name) ?? undefined,
        body: answer.body ?? NOTHING,
      });
    },
    close: () => Promise.resolve(),
  };
}

function clientOptions({ verify, ca, certificate }: Tls) {
  const connect = {
    // Made once: a hundred authorities take longer to load than a handshake takes.
    secureContext: createSecureContext({
      minVersion: "TLSv1.2",
      ...(ca === undefined ? {} : { ca: [...ca] }),
      ...certificate,
    }),
    rejectUnauthorized: verify,
    timeout: REQUEST_LIMIT_MS,
  };
  return {
    connect,
    pipelining: 1,
    allowH2: false,
    maxRequestsPerClient: REQUESTS_PER_CONNECTION,
    headersTimeout: REQUEST_LIMIT_MS,
    bodyTimeout: REQUEST_LIMIT_MS,
  };
}

async function nodeExchange(tls: Tls): Promise<Exchange> {
  const { Client, EnvHttpProxyAgent } = await loadUndici();
  const options = clientOptions(tls);
  const proxied = PROXY_VARIABLES.some((name) => own(process.env, name));
  const proxy = proxied ? new EnvHttpProxyAgent({ ...options, requestTls: options.connect }) : undefined;
  // A connection for each request that is on its way, and no more: undici's own pool opens another whenever the others have
  // not quite taken note of their answers' ends.
  const idle = new Map<string, UndiciDispatcher[]>();
  const all = new Set<UndiciDispatcher>();

  function take(origin: string): UndiciDispatcher {
    if (proxy !== undefined) return proxy;
    const free = idle.get(origin)?.pop();
    if (free !== undefined) return free;
    const client = new Client(origin, options);
    all.add(client);
    return client;
  }

  function giveBack(origin: string, client: UndiciDispatcher): void {
    if (client === proxy) return;
    const free = idle.get(origin);
    if (free === undefined) idle.set(origin, [client]);
    else free.push(client);
  }

  return {
    async send({ method, url, body, signal }, read) {
      const { origin, pathname, search } = new URL(url);
      const client = take(origin);
      try {
        const answer = await client.request({
          origin,
          path: pathname + search,
          method,
          headers: HEADERS,
          body: body ?? null,
          signal,
        });
        return await read({
          status: answer.statusCode,
          header(name) {
            const value = own(answer.headers, name);
            return Array.isArray(value) ? value[0] : value;
          },
          body: answer.body,
        });
      } finally {
        giveBack(origin, client);
      }
    },
    async close() {
      await Promise.all([...all, ...(proxy === undefined ? [] : [proxy])].map((client) => client.destroy()));
    },
  };
}

/** Opens none of its connections before they are needed. */
export async function openExchange(tls: Tls): Promise<Exchange> {
  return "bun" in process.versions ? bunExchange(tls) : await nodeExchange(tls);
}
