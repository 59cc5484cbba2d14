/** What is written to our own resources: their status, and the finalizers by which they wait for us when they are deleted. */
import {
  customResource,
  FINALIZER,
  type Kind,
  LEGACY_FINALIZER,
  type Policy,
  type PolicyServer,
} from "../../crd/types.ts";
import { isNotFound } from "../../kubernetes/apply/kube_client.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import type { Store } from "./store.ts";
import { policyStore, type World } from "./world.ts";

const OURS: ReadonlySet<string> = new Set([FINALIZER, LEGACY_FINALIZER]);

function storeOf<T extends Policy | PolicyServer>({ stores }: World, object: T): Store<T> {
  const kind: Kind = object.kind;
  return (kind === "PolicyServer" ? stores.policyServers : policyStore(stores, kind)) as unknown as Store<T>;
}

/** Writes the given fields of a status, as a merge patch. */
export async function writeStatus<T extends Policy | PolicyServer>(
  world: World,
  object: T,
  status: { readonly [field: string]: unknown },
): Promise<void> {
  const { kind, metadata: { name, namespace } } = object;
  const body = { status };
  const options = { subresource: "status" };
  storeOf(world, object).put(
    await world.client.patch<T>(customResource(kind), namespace, name, "merge", body, options),
  );
}

/** The finalizers of an object that are not ours. */
export function foreignFinalizers({ metadata }: KubeObject): readonly string[] {
  return (metadata.finalizers ?? []).filter((name) => !OURS.has(name));
}

/** Whether an object waits for us. */
export function hasOurFinalizer(object: KubeObject): boolean {
  return foreignFinalizers(object).length < (object.metadata.finalizers ?? []).length;
}

/** Has an object wait for us, and returns it as it is then. */
export async function addFinalizer<T extends Policy | PolicyServer>(world: World, object: T): Promise<T> {
  const finalizers = object.metadata.finalizers ?? [];
  return finalizers.includes(FINALIZER)
    ? object
    : await setFinalizers(world, object, [...finalizers, FINALIZER]);
}

/** Lets an object go; the finalizers of others stay. */
export async function removeFinalizers(world: World, object: Policy | PolicyServer): Promise<void> {
  if (hasOurFinalizer(object)) await setFinalizers(world, object, foreignFinalizers(object));
}

/** A version that others changed meanwhile is left to the next pass. */
async function setFinalizers<T extends Policy | PolicyServer>(
  world: World,
  object: T,
  finalizers: readonly string[],
): Promise<T> {
  const { kind, metadata: { name, namespace, resourceVersion } } = object;
  const store = storeOf(world, object);
  try {
    const body = { metadata: { resourceVersion, finalizers } };
    const result = await world.client.patch<T>(customResource(kind), namespace, name, "merge", body);
    if (result.metadata.deletionTimestamp !== undefined && finalizers.length === 0) store.drop(object);
    else store.put(result);
    return result;
  } catch (error) {
    // Already gone: somebody else removed the last finalizer.
    if (!isNotFound(error)) throw error;
    store.drop(object);
    return object;
  }
}
