/** Calls to the Kubernetes API: what is sent, what comes back, and errors that say what was tried. */
import { sleep } from "../../program/apply/sleep.ts";
import { describeApiFailure } from "../render/api_failure.ts";
import { parseExactly } from "../render/exact_json.ts";
import { linesOf } from "../render/lines.ts";
import type { KubeObject } from "../types/object.ts";
import { type Resource, resourcePath } from "../types/resource.ts";
import type { ApiTransport } from "./api_transport.ts";

/** An answer of the API server that is no success. */
export class ApiError extends Error {
  readonly status: number;
  /** Kubernetes' word for it, such as `NotFound`, `Conflict`, `Invalid`. */
  readonly reason: string;
  readonly details: unknown;
  /** The API server's own sentence, without what we tried. */
  readonly answer: string;

  constructor(
    tried: string,
    status: number,
    reason: string,
    answer: string,
    details: unknown,
    message = `${tried}: ${answer}`,
  ) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.reason = reason;
    this.answer = answer;
    this.details = details;
  }
}

/** Raised when the API server could not be asked; the message says where it was looked for, why, and what to do. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409;
}

export type ListPage<T> = {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  readonly next: string | undefined;
};

export type Selection = { readonly labelSelector?: string; readonly fieldSelector?: string };

export type PatchType = "apply" | "merge" | "json";
export type WriteOptions = {
  readonly subresource?: string;
  /** Writes under another name than the client's. */
  readonly fieldManager?: string;
  readonly dryRun?: boolean;
  /** The API server does not look for unknown and doubled fields, which it warns of otherwise: it reads a body once less. */
  readonly trusted?: boolean;
};
/** Only while it is that very object, and only in that version. */
export type Preconditions = { readonly uid?: string; readonly resourceVersion?: string };

export type ListOptions = Selection & {
  readonly limit?: number;
  readonly next?: string | undefined;
  /** Of each object no more than its metadata. */
  readonly metadataOnly?: boolean;
};
export type WatchOptions = Selection & { readonly resourceVersion: string; readonly timeoutSeconds: number };

const CONTENT_TYPES: { readonly [T in PatchType]: string } = {
  apply: "application/apply-patch+yaml",
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
};
const METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const REQUEST_LIMIT_MS = 30_000;
/** How often a throttled request is sent again before its caller hears of it. */
const THROTTLE_RETRIES = 4;
const THROTTLE_WAIT_LIMIT_MS = 10_000;
/** A watch's line holds one object; etcd's limit is 1.5 MiB. */
const LINE_LIMIT = 8 * 1024 * 1024;

type Observe = (request: { readonly method: string; readonly code: number }) => void;

function problem(tried: string, status: number, text: string, { server, origin }: ApiTransport): ApiError {
  const plain = text.trim().slice(0, 300) || `HTTP status ${status}`;
  if (status === 401 || (status === 404 && plain === "404 page not found")) {
    const said = describeApiFailure({ status, message: `${tried}: ${plain}` }, server, origin);
    return new ApiError(tried, status, status === 401 ? "Unauthorized" : "", plain, undefined, said);
  }
  try {
    const body = JSON.parse(text) as { message?: string; reason?: string; details?: unknown };
    return new ApiError(
      tried,
      status,
      body.reason ?? "",
      body.message ?? `HTTP status ${status}`,
      body.details,
    );
  } catch {
    return new ApiError(tried, status, "", plain, undefined);
  }
}

function query(parameters: { readonly [name: string]: string | number | undefined }): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) search.set(name, String(value));
  }
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}

/**
 * A client over a transport that writes as `fieldManager`; `observe` is called with the HTTP status of every response, and with 0
 * when the connection failed.
 */
export function kubeClient(
  transport: ApiTransport,
  fieldManager: string,
  observe: Observe = () => {},
): KubeClient {
  return new KubeClient(transport, fieldManager, observe);
}

type Call = {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
};

/** Calls with these verbs; what the API server refuses is an {@link ApiError}, what it does not answer a {@link ConnectionError}. */
export class KubeClient {
  readonly #transport: ApiTransport;
  readonly #fieldManager: string;
  readonly #observe: Observe;

  constructor(transport: ApiTransport, fieldManager: string, observe: Observe) {
    this.#transport = transport;
    this.#fieldManager = fieldManager;
    this.#observe = observe;
  }

  async get<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
  ): Promise<T> {
    return await this.#send({ method: "GET", path: resourcePath(resource, namespace, name) }) as T;
  }

  /** The answer to a GET of any path, as it came. */
  text(path: string): Promise<string> {
    return this.#sendForText({ method: "GET", path });
  }

  async list<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    { limit, next, labelSelector, fieldSelector, metadataOnly }: ListOptions,
  ): Promise<ListPage<T>> {
    const path = resourcePath(resource, namespace) +
      query({ limit, continue: next, labelSelector, fieldSelector });
    const page =
      (metadataOnly === true
        ? JSON.parse(await this.#sendForText({ method: "GET", path, accept: METADATA_LIST }))
        : await this.#send({ method: "GET", path })) as {
          items?: readonly T[] | null;
          metadata: { resourceVersion: string; continue?: string };
        };
    return {
      items: page.items ?? [],
      resourceVersion: page.metadata.resourceVersion,
      next: page.metadata.continue === "" ? undefined : page.metadata.continue,
    };
  }

  /** The lines of a watch; ends when the server or `signal` ends it. `opened` is called when the server has accepted it. */
  async *watch(
    resource: Resource,
    namespace: string | undefined,
    { resourceVersion, timeoutSeconds, labelSelector, fieldSelector }: WatchOptions,
    signal: AbortSignal,
    opened: () => void = () => {},
  ): AsyncGenerator<string> {
    const path = resourcePath(resource, namespace) + query({
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion,
      timeoutSeconds,
      labelSelector,
      fieldSelector,
    });
    const answer = await this.#transport.request({ method: "GET", path, signal }).catch((error) => {
      throw signal.aborted ? error : this.#unreachable(error);
    });
    this.#observe({ method: "GET", code: answer.status });
    if (answer.status !== 200) {
      throw problem(`watch ${path.split("?")[0]}`, answer.status, await answer.text(), this.#transport);
    }
    opened();
    yield* linesOf(answer.chunks(), LINE_LIMIT);
  }

  async create<T extends KubeObject>(
    resource: Resource,
    object: KubeObject,
    { dryRun }: WriteOptions = {},
  ): Promise<T> {
    const path = resourcePath(resource, object.metadata.namespace) +
      query({ fieldManager: this.#fieldManager, dryRun: dryRun === true ? "All" : undefined });
    return await this.#send({ method: "POST", path, body: object }) as T;
  }

  /** `apply` is server-side apply with the client's field manager, taking over fields that others hold. */
  async patch<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    type: PatchType,
    body: unknown,
    { subresource, dryRun, trusted, fieldManager = this.#fieldManager }: WriteOptions = {},
  ): Promise<T> {
    const path = resourcePath(resource, namespace, name, subresource) + query({
      fieldManager,
      force: type === "apply" ? "true" : undefined,
      dryRun: dryRun === true ? "All" : undefined,
      fieldValidation: trusted === true ? "Ignore" : undefined,
    });
    return await this.#send({ method: "PATCH", path, body, contentType: CONTENT_TYPES[type] }) as T;
  }

  async replace<T extends KubeObject>(resource: Resource, object: KubeObject): Promise<T> {
    const { namespace, name } = object.metadata;
    const path = resourcePath(resource, namespace, name) + query({ fieldManager: this.#fieldManager });
    return await this.#send({ method: "PUT", path, body: object }) as T;
  }

  /**
   * Deletes an object; with `only` (a uid, or more), only while it is that very object. A missing one is no error. Resolves to
   * what is left of it while finalizers keep it.
   */
  async remove(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    only?: string | Preconditions,
  ): Promise<KubeObject | undefined> {
    const path = resourcePath(resource, namespace, name);
    const body = only === undefined
      ? undefined
      : { preconditions: typeof only === "string" ? { uid: only } : only };
    try {
      const answer = await this.#send({ method: "DELETE", path, body }) as KubeObject;
      return (answer.metadata?.finalizers ?? []).length > 0 ? answer : undefined;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return undefined;
    }
  }

  /** Deletes all objects of a collection that a selection names. */
  async removeAll(
    resource: Resource,
    namespace: string | undefined,
    { labelSelector, fieldSelector }: Selection,
  ): Promise<void> {
    const path = resourcePath(resource, namespace) + query({ labelSelector, fieldSelector });
    await this.#sendForText({ method: "DELETE", path });
  }

  async #send(call: Call): Promise<unknown> {
    return parseExactly(await this.#sendForText(call));
  }

  /** Sends a throttled request again, a few times. */
  async #sendForText(call: Call): Promise<string> {
    for (let attempt = 0;; attempt++) {
      const { status, text, retryAfter } = await this.#once(call);
      if (status >= 200 && status < 300) return text;
      const throttled = status === 429 || (status === 503 && !Number.isNaN(retryAfter));
      if (!throttled || attempt >= THROTTLE_RETRIES) {
        throw problem(`${call.method} ${call.path.split("?")[0]}`, status, text, this.#transport);
      }
      await sleep(Math.min((retryAfter || 1) * 1000, THROTTLE_WAIT_LIMIT_MS));
    }
  }

  async #once({ method, path, body, contentType = "application/json", accept = "application/json" }: Call) {
    const signal = AbortSignal.timeout(REQUEST_LIMIT_MS);
    try {
      const answer = await this.#transport.request({
        method,
        path,
        signal,
        headers: {
          accept,
          ...(body === undefined ? {} : { "content-type": contentType }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      this.#observe({ method, code: answer.status });
      return { status: answer.status, text, retryAfter: Number(answer.headers["retry-after"] ?? NaN) };
    } catch (error) {
      this.#observe({ method, code: 0 });
      throw this.#unreachable(error);
    }
  }

  /** What the connection failed with, in words for the operator. */
  #unreachable(error: unknown): ConnectionError {
    const { server, origin } = this.#transport;
    return new ConnectionError(describeApiFailure(error, server, origin), { cause: error });
  }
}
