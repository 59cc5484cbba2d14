/** How a host is reached: which protocols are tried, and which authorities vouch for it (`spec/fetch-verify.md §2.3`). */
import { effectiveProxies } from "../render/proxy.ts";
import { apiHost } from "../render/reference.ts";
import { ArtifactError, codeOf, messageOf } from "../types/error.ts";
import type { ArtifactOptions } from "../types/options.ts";
import type { Sources } from "../types/sources.ts";
import { log } from "./event.ts";
import { createHttpClient, type HttpClient } from "./http.ts";
import { retrying } from "./retry.ts";
import { environmentOf, limitsOf, sourcesOf } from "./settings.ts";
import { trustedRoots } from "./trusted_roots.ts";

type Attempt = {
  readonly name: "HTTPS" | "HTTPS without certificate verification" | "HTTP";
  readonly scheme: "https" | "http";
  readonly verify: boolean;
};

const VERIFIED: Attempt = { name: "HTTPS", scheme: "https", verify: true };
const UNVERIFIED: Attempt = {
  name: "HTTPS without certificate verification",
  scheme: "https",
  verify: false,
};
const PLAIN: Attempt = { name: "HTTP", scheme: "http", verify: false };

/** Roots with a host's own authorities, made once per sources and host so that TLS contexts are built once as well. */
const authorityLists = new WeakMap<Sources, Map<string, readonly string[]>>();

function authoritiesFor(host: string, sources: Sources, roots: readonly string[]): readonly string[] {
  const own = sources.sourceAuthorities.get(host);
  if (own === undefined) return roots;
  const lists = authorityLists.get(sources) ?? new Map<string, readonly string[]>();
  authorityLists.set(sources, lists);
  const known = lists.get(host);
  if (known !== undefined && known.length === roots.length + own.length && known[0] === roots[0]) {
    return known;
  }
  const list = [...roots, ...own];
  lists.set(host, list);
  return list;
}

/** `insecure_sources` as URLs spell hosts: lower case, without the port that is the scheme's own. */
type InsecureHosts = { readonly http: ReadonlySet<string>; readonly https: ReadonlySet<string> };

/** Spelt once for each `sources.yml`: every request to a registry asks. */
const insecureLists = new WeakMap<Sources, InsecureHosts>();

function insecureHosts(sources: Sources): InsecureHosts {
  const known = insecureLists.get(sources);
  if (known !== undefined) return known;
  const spelt = (scheme: string) =>
    new Set(
      [...sources.insecureSources].map((host) => apiHost(host)).flatMap((host) =>
        URL.canParse(`${scheme}://${host}`) ? [new URL(`${scheme}://${host}`).host] : []
      ),
    );
  const hosts = { http: spelt("http"), https: spelt("https") };
  insecureLists.set(sources, hosts);
  return hosts;
}

/** Whether a host may be spoken to without TLS. */
export function plainAllowed(options: ArtifactOptions, host: string): boolean {
  return insecureHosts(sourcesOf(options)).http.has(host);
}

/** A client whose trust is the configured one: private authorities for their own host only, no verification where listed. */
function clientFor(options: ArtifactOptions, attempt: Attempt): HttpClient {
  const sources = sourcesOf(options);
  const env = environmentOf(options);
  const roots = trustedRoots(env);
  return createHttpClient({
    tlsFor: (host) => ({
      ca: authoritiesFor(host, sources, roots),
      verify: attempt.verify || !insecureHosts(sources).https.has(host),
    }),
    plainAllowed: (host) => plainAllowed(options, host),
    proxies: effectiveProxies(sources, env),
    limits: limitsOf(options),
    signal: options.signal,
  });
}

/** The three protocols for an insecure host, verified HTTPS alone for any other. */
export function registryAttempts(hostAndPort: string, options: ArtifactOptions): readonly Attempt[] {
  return sourcesOf(options).insecureSources.has(hostAndPort) ? [VERIFIED, UNVERIFIED, PLAIN] : [VERIFIED];
}

/** As for registries, but the URL says which scheme is spoken: `https:` is never downgraded. */
export function fileServerAttempts(
  scheme: "http" | "https",
  hostAndPort: string,
  options: ArtifactOptions,
): readonly Attempt[] {
  const insecure = sourcesOf(options).insecureSources.has(hostAndPort);
  if (scheme === "https") return insecure ? [VERIFIED, UNVERIFIED] : [VERIFIED];
  if (insecure) return [PLAIN];
  throw new ArtifactError(
    "connect",
    `http://${hostAndPort} is refused: without TLS only hosts in insecure_sources are spoken to (add "${hostAndPort}" there)`,
  );
}

/** A host, spoken to over one protocol for one operation. */
export type Connection = {
  readonly scheme: Attempt["scheme"];
  readonly http: HttpClient;
  /** Repeats a step that has no effect on the host. */
  readonly retry: <T>(step: () => Promise<T>) => Promise<T>;
};

async function withConnection<T>(
  attempt: Attempt,
  last: boolean,
  options: ArtifactOptions,
  operation: (connection: Connection) => Promise<T>,
): Promise<T> {
  const http = clientFor(options, attempt);
  const settings = {
    limits: limitsOf(options),
    signal: options.signal,
    onEvent: options.onEvent,
    // On an insecure host a refused connection most likely means that another protocol is spoken.
    retryConnect: last,
  };
  try {
    return await operation({ scheme: attempt.scheme, http, retry: (step) => retrying(settings, step) });
  } finally {
    await http.close();
  }
}

/** Failures that another protocol cannot mend. */
const FINAL: readonly string[] = ["aborted", "not_wasm", "store", "limit", "signature"];

/**
 * Runs an operation over each protocol in turn until one succeeds. The last failure is thrown; the earlier ones are named
 * in its message.
 */
export async function withProtocols<T>(
  attempts: readonly Attempt[],
  hostAndPort: string,
  options: ArtifactOptions,
  operation: (connection: Connection) => Promise<T>,
): Promise<T> {
  const failures: string[] = [];
  for (const attempt of attempts) {
    const last = attempt === attempts.at(-1);
    try {
      return await withConnection(attempt, last, options, operation);
    } catch (error) {
      const code = codeOf(error);
      if (attempts.length === 1 || code === undefined || FINAL.includes(code)) throw error;
      log(options, "info", "operation failed", {
        err: messageOf(error),
        client_protocol: attempt.name,
        insecure_source: true,
        host: hostAndPort,
      });
      if (last) {
        throw new ArtifactError(code, `${messageOf(error)}; tried before: ${failures.join("; ")}`, error);
      }
      failures.push(`${attempt.name}: ${messageOf(error)}`);
    }
  }
  throw new ArtifactError("connect", `no protocol to reach ${hostAndPort}`);
}
