/** Calls to the Kubernetes API: what is sent, what comes back, and errors that say what was tried. */
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

export type KubeClient = {
  get<T extends KubeObject>(resource: Resource, namespace: string | undefined, name: string): Promise<T>;
  list<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    selection: Selection & {
      readonly limit?: number;
      readonly next?: string | undefined;
      /** Of each object no more than its metadata. */
      readonly metadataOnly?: boolean;
    },
  ): Promise<ListPage<T>>;
  /** The answer to a GET of any path, as it came. */
  text(path: string): Promise<string>;
  /** The lines of a watch; ends when the server or `signal` ends it. `opened` is called when the server has accepted it. */
  watch(
    resource: Resource,
    namespace: string | undefined,
    selection: Selection & { readonly resourceVersion: string; readonly timeoutSeconds: number },
    signal: AbortSignal,
    opened?: () => void,
  ): AsyncIterable<string>;
  create<T extends KubeObject>(resource: Resource, object: KubeObject, options?: WriteOptions): Promise<T>;
  /** `apply` is server-side apply with the client's field manager, taking over fields that others hold. */
  patch<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    type: PatchType,
    body: unknown,
    options?: WriteOptions,
  ): Promise<T>;
  replace<T extends KubeObject>(resource: Resource, object: KubeObject): Promise<T>;
  /** Deletes an object; with `only` (a uid, or more), only while it is that very object. A missing one is no error. Resolves to what is left of it while finalizers keep it. */
  remove(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    only?: string | Preconditions,
  ): Promise<KubeObject | undefined>;
  /** Deletes all objects of a collection that a selection names. */
  removeAll(resource: Resource, namespace: string | undefined, selection: Selection): Promise<void>;
};

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

/** A client over a transport that writes as `fieldManager`; `observe` hears of every answer (0: none came). */
export function kubeClient(
  transport: ApiTransport,
  fieldManager: string,
  observe: Observe = () => {},
): KubeClient {
  async function once(method: string, path: string, body: unknown, contentType: string, accept: string) {
    const signal = AbortSignal.timeout(REQUEST_LIMIT_MS);
    try {
      const answer = await transport.request({
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
      observe({ method, code: answer.status });
      return { status: answer.status, text, retryAfter: Number(answer.headers["retry-after"] ?? NaN) };
    } catch (error) {
      observe({ method, code: 0 });
      throw unreachable(error);
    }
  }

  /** What the connection failed with, in words for the operator. */
  function unreachable(error: unknown): ConnectionError {
    return new ConnectionError(describeApiFailure(error, transport.server, transport.origin), {
      cause: error,
    });
  }

  async function sendForText(
    method: string,
    path: string,
    body?: unknown,
    contentType = "application/json",
    accept = "application/json",
  ): Promise<string> {
    for (let attempt = 0;; attempt++) {
      const answer = await once(method, path, body, contentType, accept);
      if (answer.status >= 200 && answer.status < 300) return answer.text;
      const throttled = answer.status === 429 || (answer.status === 503 && !Number.isNaN(answer.retryAfter));
      if (!throttled || attempt >= THROTTLE_RETRIES) {
        throw problem(`${method} ${path.split("?")[0]}`, answer.status, answer.text, transport);
      }
      const wait = Math.min((answer.retryAfter || 1) * 1000, THROTTLE_WAIT_LIMIT_MS);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  async function send(...request: Parameters<typeof sendForText>): Promise<unknown> {
    return parseExactly(await sendForText(...request));
  }

  return {
    text: (path) => sendForText("GET", path),
    get: async (resource, namespace, name) =>
      await send("GET", resourcePath(resource, namespace, name)) as never,
    async list<T extends KubeObject>(
      resource: Resource,
      namespace: string | undefined,
      { limit, next, labelSelector, fieldSelector, metadataOnly }: Parameters<KubeClient["list"]>[2],
    ) {
      const path = resourcePath(resource, namespace) +
        query({ limit, continue: next, labelSelector, fieldSelector });
      const page =
        (metadataOnly === true
          ? JSON.parse(await sendForText("GET", path, undefined, undefined, METADATA_LIST))
          : await send("GET", path)) as {
            items?: readonly T[] | null;
            metadata: { resourceVersion: string; continue?: string };
          };
      return {
        items: page.items ?? [],
        resourceVersion: page.metadata.resourceVersion,
        next: page.metadata.continue === "" ? undefined : page.metadata.continue,
      };
    },
    async *watch(
      resource,
      namespace,
      { resourceVersion, timeoutSeconds, labelSelector, fieldSelector },
      signal,
      opened = () => {},
    ) {
      const path = resourcePath(resource, namespace) + query({
        watch: "true",
        allowWatchBookmarks: "true",
        resourceVersion,
        timeoutSeconds,
        labelSelector,
        fieldSelector,
      });
      const answer = await transport.request({ method: "GET", path, signal }).catch((error) => {
        throw signal.aborted ? error : unreachable(error);
      });
      observe({ method: "GET", code: answer.status });
      if (answer.status !== 200) {
        throw problem(`watch ${path.split("?")[0]}`, answer.status, await answer.text(), transport);
      }
      opened();
      yield* linesOf(answer.chunks(), LINE_LIMIT);
    },
    create: async (resource, object, { dryRun } = {}) =>
      await send(
        "POST",
        resourcePath(resource, object.metadata.namespace) +
          query({ fieldManager, dryRun: dryRun === true ? "All" : undefined }),
        object,
      ) as never,
    patch: async (resource, namespace, name, type, body, options = {}) => {
      const { subresource, dryRun, trusted, fieldManager: manager = fieldManager } = options;
      return await send(
        "PATCH",
        resourcePath(resource, namespace, name, subresource) + query({
          fieldManager: manager,
          force: type === "apply" ? "true" : undefined,
          dryRun: dryRun === true ? "All" : undefined,
          fieldValidation: trusted === true ? "Ignore" : undefined,
        }),
        body,
        CONTENT_TYPES[type],
      ) as never;
    },
    replace: async (resource, object) =>
      await send(
        "PUT",
        resourcePath(resource, object.metadata.namespace, object.metadata.name) +
          query({ fieldManager }),
        object,
      ) as never,
    async removeAll(resource, namespace, { labelSelector, fieldSelector }) {
      await sendForText(
        "DELETE",
        resourcePath(resource, namespace) + query({ labelSelector, fieldSelector }),
      );
    },
    async remove(resource, namespace, name, only) {
      const body = only === undefined
        ? undefined
        : { preconditions: typeof only === "string" ? { uid: only } : only };
      try {
        const answer = await send("DELETE", resourcePath(resource, namespace, name), body) as KubeObject;
        return (answer.metadata?.finalizers ?? []).length > 0 ? answer : undefined;
      } catch (error) {
        if (!isNotFound(error)) throw error;
        return undefined;
      }
    },
  };
}
