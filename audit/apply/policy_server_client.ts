/**
 * Asks policy servers over HTTP(S): connections that are kept and spread over a server's replicas, TLS as the flags say, a time
 * limit on each request (spec/audit.md §10.2, §10.3). undici on Node, Bun's own fetch there.
 */
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import process from "node:process";
import { createSecureContext, getCACertificates, rootCertificates } from "node:tls";
import { loadUndici, type UndiciDispatcher } from "../../deps.ts";
import { judge, unanswered } from "../render/review.ts";
import type { Judgement } from "../types/judgement.ts";
import type { AuditSettings } from "../types/settings.ts";
import { type Gate, openGate } from "./gate.ts";

/** In all, from connecting to the end of the body. */
const REQUEST_LIMIT_MS = 10_000;
/** An AdmissionReview's answer is small; a patch, which nobody reads here, may be as large as an object. */
const ANSWER_LIMIT_BYTES = 4 * 1024 * 1024;
const MAX_REDIRECTS = 10;
/** Requests on the way to one server at first; more while it is slow, up to what the flags allow. */
const FIRST_REQUESTS = 12;
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
    const extra = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
    try {
      if (extra.length === 0) throw new Error("it holds no PEM certificate");
      createSecureContext({ ca: extra });
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
      throw new Error(`failed to create scanner: loading client certificate: ${(error as Error).message}`);
    }
  }
  return { verify: !insecureSsl, ca, certificate };
}

type Answer = { readonly status: number; readonly location: string | undefined; readonly text: string };
type Exchange = {
  send(method: string, url: string, body: Uint8Array | undefined, signal: AbortSignal): Promise<Answer>;
  close(): Promise<void>;
};

const PROXY_VARIABLES = ["https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY"];
const HEADERS = { "content-type": "application/json" } as const;

function bunExchange({ verify, ca, certificate }: Tls): Exchange {
  const tls = { rejectUnauthorized: verify, ...(ca === undefined ? {} : { ca }), ...certificate };
  return {
    async send(method, url, body, signal) {
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
      return {
        status: answer.status,
        location: answer.headers.get("location") ?? undefined,
        text: answer.body === null ? "" : await textOf(answer.body),
      };
    },
    close: () => Promise.resolve(),
  };
}

async function nodeExchange({ verify, ca, certificate }: Tls): Promise<Exchange> {
  const { Client, EnvHttpProxyAgent } = await loadUndici();
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
  const options = {
    connect,
    pipelining: 1,
    allowH2: false,
    maxRequestsPerClient: REQUESTS_PER_CONNECTION,
    headersTimeout: REQUEST_LIMIT_MS,
    bodyTimeout: REQUEST_LIMIT_MS,
  };
  const proxied = PROXY_VARIABLES.some((name) => process.env[name]);
  const proxy = proxied ? new EnvHttpProxyAgent({ ...options, requestTls: connect }) : undefined;
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
    async send(method, url, body, signal) {
      const { origin, pathname, search } = new URL(url);
      const client = take(origin);
      try {
        const answer = await client.request({
          origin,
          path: pathname + search,
          method: method as "POST",
          headers: HEADERS,
          body: body ?? null,
          signal,
        });
        const location = answer.headers["location"];
        return {
          status: answer.statusCode,
          location: Array.isArray(location) ? location[0] : location,
          text: await textOf(answer.body),
        };
      } finally {
        giveBack(origin, client);
      }
    },
    async close() {
      await Promise.all([...all, ...(proxy === undefined ? [] : [proxy])].map((client) => client.destroy()));
    },
  };
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > ANSWER_LIMIT_BYTES) throw new Error(`the answer has more than ${ANSWER_LIMIT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function reasonOf(error: unknown, depth = 0): string {
  if (!(error instanceof Error)) return String(error);
  const own = error instanceof AggregateError && error.errors.length > 0
    ? error.errors.map((part) => reasonOf(part, depth + 1)).join(", ")
    : error.message || String((error as { code?: unknown }).code ?? error.name);
  return error.cause instanceof Error && depth < 4 ? `${own}: ${reasonOf(error.cause, depth + 1)}` : own;
}

export type PolicyServerClient = {
  /** What the policy behind `url` says of a review. Whatever goes wrong is an error judgement that says so. */
  ask(url: string, review: Uint8Array): Promise<Judgement>;
  close(): Promise<void>;
};

/** A client with at most `most` requests on the way to each server. */
export async function policyServerClient(
  tls: Tls,
  most: number,
  limitMs = REQUEST_LIMIT_MS,
): Promise<PolicyServerClient> {
  const exchange = "bun" in process.versions ? bunExchange(tls) : await nodeExchange(tls);
  const gates = new Map<string, Gate>();
  const gateOf = (url: string) => {
    const origin = new URL(url).origin;
    let gate = gates.get(origin);
    if (gate === undefined) gates.set(origin, gate = openGate({ first: FIRST_REQUESTS, most }));
    return gate;
  };

  async function follow(url: string, review: Uint8Array, signal: AbortSignal): Promise<Judgement> {
    let method = "POST";
    for (let redirects = 0;; redirects++) {
      const answer = await exchange.send(method, url, method === "POST" ? review : undefined, signal);
      const moved = [301, 302, 303, 307, 308].includes(answer.status) && answer.location !== undefined;
      if (!moved) return judge(answer.status, answer.text);
      if (redirects === MAX_REDIRECTS) return unanswered(`stopped after ${MAX_REDIRECTS} redirects`);
      url = new URL(answer.location, url).href;
      if (answer.status < 307) method = "GET";
    }
  }

  return {
    ask: (url, review) =>
      gateOf(url).pass(async () => {
        const ending = new AbortController();
        const timer = setTimeout(() => ending.abort(), limitMs);
        try {
          return await follow(url, review, ending.signal);
        } catch (error) {
          return unanswered(
            ending.signal.aborted
              ? `POST ${url}: no answer within ${limitMs / 1000} s`
              : `POST ${url}: ${reasonOf(error)}`,
          );
        } finally {
          clearTimeout(timer);
        }
      }, url),
    close: () => exchange.close(),
  };
}
