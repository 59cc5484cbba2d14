/** Brings one object to what it should be, and writes nothing when it is that already. */
import { adoptionPatch, isOriginals } from "../render/adoption.ts";
import { needsApply, removeForeign } from "../render/differences.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import type { Store } from "./store.ts";
import { perWorld, type World } from "./world.ts";

export type Desired<T extends KubeObject> = {
  readonly resource: Resource;
  readonly store: Store<T>;
  readonly object: KubeObject;
  /** Paths below which the object is to hold what we say and nothing else. */
  readonly exact?: readonly (readonly string[])[];
};

/** What was applied last: an object that the API server stores in other words than ours is not applied for ever. */
type Applied = { readonly text: string; readonly resourceVersion: string | undefined };
const appliedBy = perWorld(() => new Map<string, Applied>());

/** Makes the object exist as desired and returns it as it is then. */
export async function ensure<T extends KubeObject>(world: World, desired: Desired<T>): Promise<T> {
  const { resource, store, object, exact = [] } = desired;
  const { client } = world;
  const { name, namespace } = object.metadata;
  let live = store.get(name, namespace);
  const key = `${resource.plural}/${namespace ?? ""}/${name}`;
  if (live !== undefined && isOriginals(live)) {
    const whole = await client.get<T>(resource, namespace, name);
    live = await client.patch<T>(resource, namespace, name, "json", adoptionPatch(whole));
    store.put(live);
  }
  live = await applyIfNeeded(world, desired, live, key);
  const foreign = removeForeign(live, object, exact);
  if (foreign === undefined) return live;
  world.log("info", "removing what others added", { object: key, patch: foreign });
  const result = await client.patch<T>(resource, namespace, name, "json", foreign);
  store.put(result);
  return result;
}

async function applyIfNeeded<T extends KubeObject>(
  world: World,
  { resource, store, object }: Desired<T>,
  live: T | undefined,
  key: string,
): Promise<T> {
  if (live !== undefined && !needsApply(live, object)) return live;
  const text = JSON.stringify(object);
  const last = appliedBy(world).get(key);
  if (live !== undefined && last?.text === text && last.resourceVersion === live.metadata.resourceVersion) {
    return live;
  }
  const { name, namespace } = object.metadata;
  const result = await world.client.patch<T>(resource, namespace, name, "apply", object);
  appliedBy(world).set(key, { text, resourceVersion: result.metadata.resourceVersion });
  store.put(result);
  return result;
}

/** Deletes an object that is known to exist; of another object of the same name it takes no notice. */
export async function ensureAbsent<T extends KubeObject>(
  world: World,
  resource: Resource,
  store: Store<T>,
  name: string,
  namespace?: string,
): Promise<void> {
  const live = store.get(name, namespace);
  if (live === undefined || live.metadata.deletionTimestamp !== undefined) return;
  const waiting = await world.client.remove(resource, namespace, name, live.metadata.uid);
  appliedBy(world).delete(`${resource.plural}/${namespace ?? ""}/${name}`);
  // Somebody else's finalizer keeps it: until the watch tells of its end it exists, and may still be called.
  if (waiting === undefined) store.drop(live);
  else store.put(waiting as T);
}
