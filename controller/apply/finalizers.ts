/** The finalizers by which our resources wait for us when they are deleted. */
import { FINALIZER, LEGACY_FINALIZER } from "../../crd/types.ts";
import { isNotFound } from "../../kubernetes/apply/kube_client.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import type { Store } from "./store.ts";
import type { World } from "./world.ts";

const OURS: ReadonlySet<string> = new Set([FINALIZER, LEGACY_FINALIZER]);

/** The finalizers of an object that are not ours. */
export function foreignFinalizers({ metadata }: KubeObject): readonly string[] {
  return (metadata.finalizers ?? []).filter((name) => !OURS.has(name));
}

/** Whether an object waits for us. */
export function hasOurFinalizer(object: KubeObject): boolean {
  return foreignFinalizers(object).length < (object.metadata.finalizers ?? []).length;
}

/** Has an object wait for us, and returns it as it is then. */
export async function addFinalizer<T extends KubeObject>(
  world: World,
  resource: Resource,
  store: Store<T>,
  object: T,
): Promise<T> {
  const finalizers = object.metadata.finalizers ?? [];
  if (finalizers.includes(FINALIZER)) return object;
  return await setFinalizers(world, resource, store, object, [...finalizers, FINALIZER]);
}

/** Lets an object go; the finalizers of others stay. */
export async function removeFinalizers<T extends KubeObject>(
  world: World,
  resource: Resource,
  store: Store<T>,
  object: T,
): Promise<void> {
  if (!hasOurFinalizer(object)) return;
  await setFinalizers(world, resource, store, object, foreignFinalizers(object));
}

/** A version that others changed meanwhile is left to the next pass. */
async function setFinalizers<T extends KubeObject>(
  world: World,
  resource: Resource,
  store: Store<T>,
  object: T,
  finalizers: readonly string[],
): Promise<T> {
  const { name, namespace, resourceVersion } = object.metadata;
  try {
    const result = await world.client.patch<T>(resource, namespace, name, "merge", {
      metadata: { resourceVersion, finalizers },
    });
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
