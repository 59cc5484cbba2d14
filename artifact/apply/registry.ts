/**
 * One operation on one registry: which protocols are tried, how each request is authorized, what its refusals are called
 * (`spec/fetch-verify.md §2.3`, `§6`). What is asked for is in `registry_pull.ts` and `registry_push.ts`.
 */
import { effectiveProxies } from "../render/proxy.ts";
import { apiHost, formatReference, registryHost } from "../render/reference.ts";
import { ArtifactError, codeOf, messageOf } from "../types/error.ts";
import { parseJson } from "../types/json_text.ts";
import type { ArtifactOptions, Limits } from "../types/options.ts";
import { quotedUri } from "../types/quoted.ts";
import type { Reference } from "../types/reference.ts";
import type { Sources } from "../types/sources.ts";
import { findCredentials } from "./docker_credentials.ts";
import { log } from "./event.ts";
import { createHttpClient, type HttpClient, type HttpRequest, type HttpResponse } from "./http.ts";
import { askedAtBase, authorizationFor, type AuthSettings } from "./registry_auth.ts";
import { PassingError, retrying } from "./retry.ts";
import { environmentOf, limitsOf, sourcesOf } from "./settings.ts";
import { trustedRoots } from "./trusted_roots.ts";

export type Attempt = {
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

const MAX_ERROR_BYTES = 64 * 1024;
const MAX_ERROR_CHARACTERS = 1000;

/** Stands before every failure of a registry's (`spec/fetch-verify.md §2.4`). */
const REGISTRY_PREFIX = "Fail to interact with OCI registry: ";

/** A registry's failure as it is shown: with the reference, if the message does not hold it already. */
export function registryFailure(reference: Reference, error: unknown): ArtifactError {
  const message = messageOf(error);
  const about = message.includes(reference.repository) ? "" : ` (${formatReference(reference)})`;
  // `policies/x.wasm` is a good name of an image on Docker Hub, and hardly ever meant as one.
  const hint = reference.registry === "docker.io" && reference.repository.endsWith(".wasm")
    ? `: it was looked for on ${reference.registry}; a file is named with file://, e.g. file:///policies/x.wasm`
    : "";
  return new ArtifactError(codeOf(error) ?? "protocol", `${REGISTRY_PREFIX}${message}${about}${hint}`, error);
}

/** A registry, spoken to over one protocol for one operation. */
export type Registry = {
  readonly base: string;
  readonly limits: Limits;
  /** Sends with the repository's authorization. */
  readonly send: (repository: string, request: HttpRequest) => Promise<HttpResponse>;
  /** Sends as it is: for addresses that are not the registry's. */
  readonly sendAnonymously: (request: HttpRequest) => Promise<HttpResponse>;
  /** Repeats a step that has no effect on the registry. */
  readonly retry: <T>(step: () => Promise<T>) => Promise<T>;
  /** What to throw for an answer that is not what was asked for. Reads the body. */
  readonly refusal: (response: HttpResponse) => Promise<ArtifactError>;
};

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

/** A client whose trust is the configured one: private authorities for their own host only, no verification where listed. */
export function clientFor(options: ArtifactOptions, attempt: Attempt): HttpClient {
  const sources = sourcesOf(options);
  const env = environmentOf(options);
  const roots = trustedRoots(env);
  const insecure = insecureHosts(sources);
  return createHttpClient({
    tlsFor: (host) => ({
      ca: authoritiesFor(host, sources, roots),
      verify: attempt.verify || !insecure.https.has(host),
    }),
    plainAllowed: (host) => insecure.http.has(host),
    proxies: effectiveProxies(sources, env),
    limits: limitsOf(options),
    signal: options.signal,
  });
}

/** The three protocols for an insecure host, verified HTTPS alone for any other. */
function registryAttempts(hostAndPort: string, options: ArtifactOptions): readonly Attempt[] {
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
  operation: (attempt: Attempt, last: boolean) => Promise<T>,
): Promise<T> {
  const failures: string[] = [];
  for (const attempt of attempts) {
    try {
      return await operation(attempt, attempt === attempts.at(-1));
    } catch (error) {
      const code = codeOf(error);
      if (attempts.length === 1 || code === undefined || FINAL.includes(code)) throw error;
      log(options, "info", "operation failed", {
        err: messageOf(error),
        client_protocol: attempt.name,
        insecure_source: true,
        host: hostAndPort,
      });
      if (attempt === attempts.at(-1)) {
        throw new ArtifactError(code, `${messageOf(error)}; tried before: ${failures.join("; ")}`, error);
      }
      failures.push(`${attempt.name}: ${messageOf(error)}`);
    }
  }
  throw new ArtifactError("connect", `no protocol to reach ${hostAndPort}`);
}

function retryAfterMs(response: HttpResponse): number {
  const value = response.header("retry-after");
  if (value === undefined) return 0;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}

/** The start of a body that is only read for its message. */
async function excerpt(response: HttpResponse): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const piece of response.body) {
      pieces.push(piece);
      length += piece.length;
      if (length >= MAX_ERROR_BYTES) break;
    }
  } catch (error) {
    if (codeOf(error) === "aborted") throw error;
  }
  return Buffer.concat(pieces).toString("utf8");
}

function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  const line = text.replace(/[\x00-\x1f\x7f-\x9f]+/g, " ").trim();
  return line.length > MAX_ERROR_CHARACTERS ? `${line.slice(0, MAX_ERROR_CHARACTERS)}…` : line;
}

/** The messages of the registry's own error body, `undefined` if it has another shape. */
function apiErrors(body: string): string | undefined {
  try {
    const { errors } = parseJson(body, "the error") as { readonly errors?: unknown };
    if (!Array.isArray(errors) || errors.length === 0) return undefined;
    return errors.slice(0, 10).map((item) =>
      `OCI API error: ${printable(String(item?.message ?? item?.code ?? ""))}`
    )
      .join(", ");
  } catch {
    return undefined;
  }
}

/** What an answer other than the wanted one is called (`spec/fetch-verify.md §6.4`). */
export async function refusalOf(response: HttpResponse, explanation: string): Promise<ArtifactError> {
  const { status } = response;
  const url = quotedUri(response.url);
  const body = await excerpt(response);
  if (status === 401) return new ArtifactError("unauthorized", `Not authorized: url ${url} (${explanation})`);
  if (status >= 200 && status < 300) {
    return new ArtifactError(
      "protocol",
      `OCI distribution spec violation: Expected HTTP Status 200 OK, got ${status}: url ${url}`,
    );
  }
  const envelope = status < 500 ? apiErrors(body) : undefined;
  const message = envelope === undefined
    ? `Server error: url ${url}, code: ${status}, message: ${printable(body)}`
    : `Registry error: url ${url}, envelope: OCI API errors: [${envelope}]`;
  if (status === 429) return new PassingError("throttled", message, retryAfterMs(response));
  if ([500, 502, 503, 504].includes(status)) {
    return new PassingError("server", message, retryAfterMs(response));
  }
  return new ArtifactError(status === 404 ? "not_found" : status === 403 ? "forbidden" : "server", message);
}

/** How requests for a repository are authorized, once the registry has asked; before that nothing is sent. */
type Authorization = { readonly asked: boolean; readonly value: string | undefined };

const authorized = (request: HttpRequest, value: string | undefined): HttpRequest =>
  value === undefined ? request : { ...request, headers: { ...request.headers, authorization: value } };

/**
 * Runs an operation on the registry of a reference, over each protocol in turn.
 *
 * @throws {ArtifactError} what the operation throws
 */
export async function withRegistry<T>(
  reference: Reference,
  access: "pull" | "push",
  options: ArtifactOptions,
  operation: (registry: Registry) => Promise<T>,
): Promise<T> {
  const limits = limitsOf(options);
  const found = await findCredentials(reference, options);
  const attempts = registryAttempts(reference.registry, options);
  return await withProtocols(attempts, reference.registry, options, async (attempt, last) => {
    const http = clientFor(options, attempt);
    const base = `${attempt.scheme}://${registryHost(reference)}`;
    let explanation = found.explanation;
    const settings = {
      limits,
      signal: options.signal,
      onEvent: options.onEvent,
      // On an insecure host a refused connection most likely means that another protocol is spoken.
      retryConnect: last,
    };
    const retry = <R>(step: () => Promise<R>) => retrying(settings, step);
    const authSettings: AuthSettings = {
      base,
      http,
      credentials: found.credentials,
      access,
      plainAllowed: (host) => insecureHosts(sourcesOf(options)).http.has(host),
      onRefused: (reason) => {
        explanation = `${explanation}; ${reason}`;
        log(options, "warn", reason, { registry: reference.registry });
      },
    };
    const authorizations = new Map<string, Promise<Authorization>>();
    const authorization = (repository: string) => {
      let known = authorizations.get(repository);
      if (known === undefined) {
        known = retry(async () => {
          const asked = await askedAtBase(authSettings);
          return asked === undefined
            ? { asked: false, value: undefined }
            : { asked: true, value: await authorizationFor(authSettings, repository, asked) };
        });
        authorizations.set(repository, known);
      }
      return known;
    };
    try {
      return await operation({
        base,
        limits,
        send: async (repository, request) => {
          const { asked, value } = await authorization(repository);
          const response = await http.send(authorized(request, value));
          const header = response.header("www-authenticate");
          // Credentials are the registry's: who answers in its place, after a redirect, asks in vain.
          const own = new URL(response.url).origin === new URL(base).origin;
          if (asked || !own || response.status !== 401 || !header || request.body !== undefined) {
            return response;
          }
          // Where anybody may ask for something (Artifactory, Nexus), only the repositories that not everybody may read ask who it is.
          response.discard();
          const answered = retry(() => authorizationFor(authSettings, repository, header))
            .then((value) => ({ asked: true, value }));
          authorizations.set(repository, answered);
          return await http.send(authorized(request, (await answered).value));
        },
        sendAnonymously: http.send,
        retry,
        refusal: (response) => refusalOf(response, explanation),
      });
    } finally {
      await http.close();
    }
  });
}
