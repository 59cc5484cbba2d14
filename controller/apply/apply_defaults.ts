/**
 * Applies the default resources of the unified chart and deletes those that it no longer names. One run compares everything, so
 * it may be cut off after any step.
 */
import { customResource, type Kind, KINDS } from "../../crd/types.ts";
import { isNotFound } from "../../kubernetes/apply/kube_client.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import { type DefaultResource, DEFAULTS_LABEL, readDefaults } from "../render/read_defaults.ts";
import type { ConfigMap } from "../types/objects.ts";
import { CONFIG_MAPS } from "../types/resources.ts";
import type { World } from "./world.ts";

/** What Helm wrote on a resource that its release made; with these left, a later release would take the resource back. */
const HELM_ANNOTATIONS = [
  "helm.sh/resource-policy",
  "meta.helm.sh/release-name",
  "meta.helm.sh/release-namespace",
] as const;
const MANAGED_BY = "app.kubernetes.io/managed-by";
const FIELD_MANAGER = "kubewarden-controller-defaults";

const [labelName, labelValue] = Object.entries(DEFAULTS_LABEL)[0]!;
const keyOf = (kind: Kind, { metadata: { name, namespace } }: KubeObject) =>
  `${kind}/${namespace ?? ""}/${name}`;

/** Takes a resource over from the Helm release that made it. */
async function adopt({ client }: World, { kind, object }: DefaultResource): Promise<void> {
  if (object.metadata.labels?.[MANAGED_BY] !== "kubewarden-controller") return;
  const { name, namespace } = object.metadata;
  let live: KubeObject;
  try {
    live = await client.get<KubeObject>(customResource(kind), namespace, name);
  } catch (error) {
    if (isNotFound(error)) return;
    throw error;
  }
  if (live.metadata.labels?.[MANAGED_BY] !== "Helm") return;
  const annotations = Object.fromEntries(HELM_ANNOTATIONS.map((annotation) => [annotation, null]));
  await client.patch(customResource(kind), namespace, name, "merge", { metadata: { annotations } });
}

async function removeOthers({ client, log }: World, wanted: ReadonlySet<string>): Promise<void> {
  for (const { kind } of KINDS) {
    const { items } = await client.list<KubeObject>(customResource(kind), undefined, {
      labelSelector: `${labelName}=${labelValue}`,
      metadataOnly: true,
    });
    for (const item of items) {
      if (wanted.has(keyOf(kind, item)) || item.metadata.deletionTimestamp !== undefined) continue;
      const { name, namespace, uid } = item.metadata;
      log("info", "deleting a default resource that is no longer wanted", { kind, name, namespace });
      await client.remove(customResource(kind), namespace, name, uid);
    }
  }
}

/**
 * One run. A resource that can't be applied keeps no other one from it: the run rejects at its end with all of them. While an
 * entry can't be read nothing is deleted, since nobody knows which resource it was.
 */
export async function applyDefaults(world: World): Promise<void> {
  const { client, log, settings: { namespace, defaultsConfigMap } } = world;
  let data: { readonly [key: string]: string } = {};
  try {
    data = (await client.get<ConfigMap>(CONFIG_MAPS, namespace, defaultsConfigMap)).data ?? {};
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  const { resources, problems } = readDefaults(data);
  for (const problem of problems) {
    log("error", "a default resource cannot be read, leaving it out", {
      configMap: `${namespace}/${defaultsConfigMap}`,
      error: problem,
    });
  }
  const failures: unknown[] = [];
  for (const resource of resources) {
    const { kind, object } = resource;
    try {
      await adopt(world, resource);
      await client.patch(
        { ...customResource(kind), apiVersion: object.apiVersion },
        object.metadata.namespace,
        object.metadata.name,
        "apply",
        object,
        { fieldManager: FIELD_MANAGER },
      );
    } catch (error) {
      failures.push(error);
    }
  }
  if (problems.length === 0) {
    await removeOthers(world, new Set(resources.map(({ kind, object }) => keyOf(kind, object))));
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) {
    throw new AggregateError(failures, failures.map((failure) => (failure as Error).message).join("; "));
  }
}
