/**
 * What the controller knows of one kind of object: filled by a watch, and by the answers to our own writes, so that a
 * reconcile never works from something older than what it wrote itself.
 */
import type { KubeObject } from "../../kubernetes/types/object.ts";

export type StoreListener<T> = (now: T | undefined, before: T | undefined) => void;

export type Store<T extends KubeObject> = {
  get(name: string, namespace?: string): T | undefined;
  all(): Iterable<T>;
  readonly size: number;
  /** Grows with every change. */
  readonly changes: number;
  /** Takes an object from a watch or from a write's answer; one that is older than what is known is ignored. */
  put(object: T): void;
  /** Takes note of an object's end. */
  drop(object: T): void;
  /** Takes the whole truth, as a list gives it. */
  replace(objects: readonly T[]): void;
  listen(listener: StoreListener<T>): void;
};

export function storeKey(name: string, namespace: string | undefined): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

function version(object: KubeObject): number {
  return Number(object.metadata.resourceVersion ?? 0);
}

/** Ends that are remembered, so that events of before them, still on their way, do not bring the object back. */
const REMEMBERED_ENDS = 2000;

/** An empty store; `slim` leaves out what the controller never reads. */
export function createStore<T extends KubeObject>(slim: (object: T) => T = (object) => object): Store<T> {
  const objects = new Map<string, T>();
  const ended = new Map<string, number>();
  const listeners: StoreListener<T>[] = [];
  const keyOf = ({ metadata }: T) => storeKey(metadata.name, metadata.namespace);
  let changes = 0;
  const tell = (now: T | undefined, before: T | undefined) => {
    changes += 1;
    for (const listener of listeners) listener(now, before);
  };
  const end = (object: T) => {
    const { uid } = object.metadata;
    if (uid === undefined) return;
    ended.set(uid, version(object));
    if (ended.size > REMEMBERED_ENDS) ended.delete(ended.keys().next().value!);
  };
  const store: Store<T> = {
    get: (name, namespace) => objects.get(storeKey(name, namespace)),
    all: () => objects.values(),
    get size() {
      return objects.size;
    },
    get changes() {
      return changes;
    },
    put(object) {
      const key = keyOf(object);
      const before = objects.get(key);
      if (version(object) <= (ended.get(object.metadata.uid ?? "") ?? -1)) return;
      const same = before?.metadata.uid === object.metadata.uid;
      if (before !== undefined && same && version(object) <= version(before)) return;
      // A successor of the same name: the former is gone, whatever still arrives of it.
      if (before !== undefined && !same) {
        if (version(object) < version(before)) return;
        end(before);
      }
      const kept = slim(object);
      objects.set(key, kept);
      tell(kept, before);
    },
    drop(object) {
      end(object);
      const key = keyOf(object);
      const before = objects.get(key);
      if (before === undefined || before.metadata.uid !== object.metadata.uid) return;
      objects.delete(key);
      tell(undefined, before);
    },
    replace(list) {
      const seen = new Set(list.map(keyOf));
      for (const before of [...objects.values()]) if (!seen.has(keyOf(before))) store.drop(before);
      for (const object of list) store.put(object);
    },
    listen: (listener) => listeners.push(listener),
  };
  return store;
}
