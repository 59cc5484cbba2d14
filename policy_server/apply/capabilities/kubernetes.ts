/** The namespace `kubernetes` (`spec/evaluator.md §5.8`). */
import type { Caller, Capabilities, Capability } from "../../../evaluator/apply/host_calls.ts";
import { HostCallError } from "../../../evaluator/types/evaluation.ts";
import { type ClusterObject, listText, readObject } from "../../render/kubernetes_object.ts";
import {
  type GetRequest,
  type ListRequest,
  readCanIRequest,
  readGetRequest,
  readListRequest,
} from "../../render/kubernetes_request.ts";
import { ApiFailure } from "../kubernetes/api.ts";
import type { Cluster, ClusterSource } from "../kubernetes/cluster.ts";
import { objectPath } from "../kubernetes/discovery.ts";
import { readList } from "../kubernetes/followed_list.ts";
import { checkScope, formOf } from "../kubernetes/followed_lists.ts";
import { answerCache } from "./answer_cache.ts";

/** `spec/evaluator.md §5.9`. */
const CACHE = { ttlMs: 5_000, maxEntries: 2_000, maxBytes: 32 * 1024 * 1024 };
const LIMIT_MS = 10_000;
const OBJECT_BYTES = 16 * 1024 * 1024;
const REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

const encoder = new TextEncoder();

/** The gate of `spec/evaluator.md §5.1` rule 5. Throws HostCallError. */
export function requireGrant(
  { contextAwareResources }: Caller,
  { apiVersion, kind }: { readonly apiVersion: string; readonly kind: string },
): void {
  const granted = contextAwareResources.some((one) => one.apiVersion === apiVersion && one.kind === kind);
  if (granted) return;
  throw new HostCallError(
    `Policy has not been granted access to Kubernetes ${apiVersion}/${kind} resources. The violation has been reported.`,
  );
}

async function listNow(cluster: Cluster, request: ListRequest): Promise<Uint8Array> {
  const { apiVersion, kind, namespace } = request;
  const resource = await cluster.discovery(apiVersion, kind);
  checkScope(resource, namespace);
  const objects: ClusterObject[] = [];
  let size = 0;
  const { metadata } = await readList(
    { api: cluster.api, resource, selection: request, form: formOf(request, true) },
    (page) => {
      for (const { name, namespace, json } of page.objects) {
        objects.push({ name, namespace, json });
        size += json.length;
      }
      if (size > LIST_BYTES) {
        throw new Error(`the list of ${apiVersion}/${kind} has more than ${LIST_BYTES} bytes`);
      }
    },
  );
  return encoder.encode(listText(apiVersion, kind, objects, metadata));
}

/** A list that no watch keeps may have as many bytes; a guest has no room for more anyway. */
const LIST_BYTES = 128 * 1024 * 1024;

/** The object as the API server has it, or an error that names it. */
async function getNow(cluster: Cluster, request: GetRequest): Promise<Uint8Array> {
  const { apiVersion, kind, name, namespace } = request;
  const resource = await cluster.discovery(apiVersion, kind);
  if (resource.namespaced && namespace === undefined) {
    throw new Error(`Resource ${apiVersion}/${kind} is namespaced, but no namespace was provided`);
  }
  try {
    const path = objectPath(resource, namespace, name);
    return await cluster.api.get(path, { maxBytes: OBJECT_BYTES, limitMs: LIMIT_MS });
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.status !== 404) throw error;
    const within = namespace === undefined ? "None" : `Some(${JSON.stringify(namespace)})`;
    throw new Error(`Cannot find ${apiVersion}/${kind} named '${name}' inside of namespace '${within}'`, {
      cause: error,
    });
  }
}

async function reviewNow(cluster: Cluster, spec: unknown): Promise<Uint8Array> {
  const body = JSON.stringify({
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    metadata: {},
    spec,
  });
  const answer = await cluster.api.post(REVIEWS, body, { maxBytes: OBJECT_BYTES, limitMs: LIMIT_MS });
  const { status } = JSON.parse(new TextDecoder().decode(answer)) as {
    readonly status?: {
      readonly allowed?: boolean;
      readonly denied?: boolean;
      readonly evaluationError?: string;
      readonly reason?: string;
    } | null;
  };
  if (!status) throw new Error("SubjectAccessReview did not return a response");
  const { allowed, denied, evaluationError, reason } = status;
  return encoder.encode(JSON.stringify({ allowed: allowed === true, denied, evaluationError, reason }));
}

/** The namespace's capabilities, for the cluster that `source` gives. */
export function kubernetesCapabilities(source: ClusterSource): Capabilities {
  const objects = answerCache(CACHE);
  const reviews = answerCache(CACHE);

  async function connected(): Promise<Cluster> {
    const cluster = await source();
    if (!cluster) throw new Error("kube::Client was not initialized properly");
    return cluster;
  }

  const list = (byNamespace: boolean): Capability => async (payload, caller) => {
    const request = readListRequest(payload, byNamespace);
    requireGrant(caller, request);
    const cluster = await connected();
    if (request.disableCache) return await listNow(cluster, request);
    return (await cluster.lists.get(request)).answer();
  };

  return {
    "kubernetes/list_resources_all": list(false),
    "kubernetes/list_resources_by_namespace": list(true),
    "kubernetes/get_resource": async (payload, caller) => {
      const request = readGetRequest(payload);
      requireGrant(caller, request);
      const { apiVersion, kind, name, namespace } = request;
      const cluster = await connected();
      const ask = () => getNow(cluster, request);
      const key = JSON.stringify([apiVersion, kind, name, namespace]);
      const bytes = request.disableCache ? await ask() : await objects(key, ask);
      // The cache holds whole objects: masks come after it.
      return encoder.encode(readObject(bytes, 0, formOf(request, false)).json);
    },
    "kubernetes/can_i": async (payload) => {
      const { review, disableCache } = readCanIRequest(payload);
      const cluster = await connected();
      const ask = () => reviewNow(cluster, review);
      return disableCache ? await ask() : await reviews(JSON.stringify(review), ask);
    },
  };
}
