/**
 * One operation on one registry: how each request is authorized, what its refusals are called (`spec/fetch-verify.md §2.4`,
 * `§6`). What is asked for is in `registry_pull.ts` and `registry_push.ts`.
 */
import { formatReference, registryHost } from "../render/reference.ts";
import { ArtifactError, codeOf, messageOf } from "../types/error.ts";
import { parseJson } from "../types/json_text.ts";
import type { ArtifactOptions, Limits } from "../types/options.ts";
import { quotedUri } from "../types/quoted.ts";
import { parseImage, type Reference } from "../types/reference.ts";
import { checkArtifactOptions } from "./check_options.ts";
import { type Connection, plainAllowed, registryAttempts, withProtocols } from "./connection.ts";
import { type CredentialsFound, findCredentials } from "./docker_credentials.ts";
import { log } from "./event.ts";
import type { HttpRequest, HttpResponse } from "./http.ts";
import { askedAtBase, authorizationFor, type AuthSettings } from "./registry_auth.ts";
import { PassingError } from "./retry.ts";
import { limitsOf } from "./settings.ts";

const MAX_ERROR_BYTES = 64 * 1024;
const MAX_ERROR_CHARACTERS = 1000;

/** Stands before every failure of a registry's (`spec/fetch-verify.md §2.4`). */
const REGISTRY_PREFIX = "Fail to interact with OCI registry: ";

/** A registry's failure as it is shown: with the reference, if the message does not hold it already. */
export function registryFailure(reference: Reference, error: unknown): ArtifactError {
  // No registry was asked.
  if (error instanceof ArtifactError && error.code === "invalid_options") return error;
  const message = messageOf(error);
  const about = message.includes(reference.repository) ? "" : ` (${formatReference(reference)})`;
  // `policies/x.wasm` is a good name of an image on Docker Hub, and hardly ever meant as one.
  const hint = reference.registry === "docker.io" && reference.repository.endsWith(".wasm")
    ? `: it was looked for on ${reference.registry}; a file is named with file://, e.g. file:///policies/x.wasm`
    : "";
  return new ArtifactError(codeOf(error) ?? "protocol", `${REGISTRY_PREFIX}${message}${about}${hint}`, error);
}

/** A repository's registry, spoken to over one protocol for one operation. */
export type Registry = {
  readonly base: string;
  readonly repository: string;
  /** An address of the repository, such as that of `tags/list`. */
  readonly url: (path: string) => string;
  readonly limits: Limits;
  /** Sends with the repository's authorization. */
  readonly send: (request: HttpRequest) => Promise<HttpResponse>;
  /** Sends as it is: for addresses that are not the registry's. */
  readonly sendAnonymously: (request: HttpRequest) => Promise<HttpResponse>;
  /** Repeats a step that has no effect on the registry. */
  readonly retry: <T>(step: () => Promise<T>) => Promise<T>;
  /** What to throw for an answer that is not what was asked for. Reads the body. */
  readonly refusal: (response: HttpResponse) => Promise<ArtifactError>;
};

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

/** The registry of a reference over a connection. */
function registryOver(
  { scheme, http, retry }: Connection,
  reference: Reference,
  access: "pull" | "push",
  found: CredentialsFound,
  options: ArtifactOptions,
): Registry {
  let { explanation } = found;
  const base = `${scheme}://${registryHost(reference)}`;
  const settings: AuthSettings = {
    base,
    http,
    credentials: found.credentials,
    access,
    plainAllowed: (host) => plainAllowed(options, host),
    onRefused: (reason) => {
      explanation = `${explanation}; ${reason}`;
      log(options, "warn", reason, { registry: reference.registry });
    },
  };
  const { repository } = reference;
  let authorization: Promise<Authorization> | undefined;
  /** Answers what the registry asks of whoever wants this repository, or `undefined` where it asks nothing. */
  const authorize = (question: () => Promise<string | undefined>) =>
    authorization = retry(async () => {
      const asked = await question();
      return asked === undefined
        ? { asked: false, value: undefined }
        : { asked: true, value: await authorizationFor(settings, repository, asked) };
    });
  return {
    base,
    repository,
    url: (path) => `${base}/v2/${repository}/${path}`,
    limits: limitsOf(options),
    send: async (request) => {
      const { asked, value } = await (authorization ?? authorize(() => askedAtBase(settings)));
      const response = await http.send(authorized(request, value));
      const header = response.header("www-authenticate");
      // Credentials are the registry's: who answers in its place, after a redirect, asks in vain.
      const own = new URL(response.url).origin === new URL(base).origin;
      if (asked || !own || response.status !== 401 || !header || request.body !== undefined) return response;
      // Where anybody may ask for something (Artifactory, Nexus), only the repositories that not everybody may read ask who it is.
      response.discard();
      const answer = await authorize(() => Promise.resolve(header));
      return await http.send(authorized(request, answer.value));
    },
    sendAnonymously: http.send,
    retry,
    refusal: (response) => refusalOf(response, explanation),
  };
}

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
  checkArtifactOptions(options);
  const found = await findCredentials(reference, options);
  const attempts = registryAttempts(reference.registry, options);
  return await withProtocols(
    attempts,
    reference.registry,
    options,
    (connection) => operation(registryOver(connection, reference, access, found, options)),
  );
}

/**
 * Asks the registry of an image.
 *
 * @throws {ArtifactError} what `question` throws, with the image's name
 */
export async function askRegistry<T>(
  image: string,
  options: ArtifactOptions,
  question: (registry: Registry, reference: Reference) => Promise<T>,
): Promise<T> {
  const reference = parseImage(image);
  try {
    return await withRegistry(reference, "pull", options, (registry) => question(registry, reference));
  } catch (error) {
    throw registryFailure(reference, error);
  }
}
