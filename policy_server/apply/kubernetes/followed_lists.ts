/**
 * All lists that policies asked for: one watch for each identity, shared by all policies, started on first need, dropped when
 * nobody has asked for a while (`spec/evaluator.md §5.8`, sharp edges 12 to 14).
 */
import { maskTree } from "../../render/field_masks.ts";
import type { ObjectForm } from "../../render/kubernetes_object.ts";
import type { ClusterApi } from "./api.ts";
import type { Discovery } from "./discovery.ts";
import { type Budget, FollowedList, type Selection } from "./followed_list.ts";

/** What makes two lists the same. */
export interface ListIdentity extends Selection {
  readonly apiVersion: string;
  readonly kind: string;
  /** Sorted, without repeats. */
  readonly fieldMasks: readonly string[];
}

/** Bounds on the lists of a process. */
export interface ListLimits {
  /** Bytes that all objects may take together. */
  readonly maxBytes: number;
  /** How many lists are followed at once; beyond, the one not used for longest goes. */
  readonly maxLists: number;
  /** A list that nobody asked for in this many milliseconds is dropped. */
  readonly idleMs: number;
}

export const DEFAULT_LIST_LIMITS: ListLimits = {
  maxBytes: 512 * 1024 * 1024,
  maxLists: 500,
  idleMs: 10 * 60_000,
};

const SWEEP_MS = 30_000;

/** The lists that are followed. */
export interface FollowedLists {
  /** A complete list. Rejects when it can't be had; the next call tries anew. */
  get(identity: ListIdentity): Promise<FollowedList>;
  /** How many are followed. */
  readonly count: number;
  /** Bytes that all objects take. */
  readonly bytes: number;
  close(): void;
}

/** How a kind's objects are kept or shown. */
export function formOf(
  { apiVersion, kind, fieldMasks }: Pick<ListIdentity, "apiVersion" | "kind" | "fieldMasks">,
  trimmed: boolean,
): ObjectForm {
  return { apiVersion, kind, masks: maskTree(fieldMasks), trimmed };
}

/** Throws Error for a list that can't be. */
export function checkScope(
  { apiVersion, kind, namespaced }: { apiVersion: string; kind: string; namespaced: boolean },
  namespace: string | undefined,
): void {
  if (namespaced || namespace === undefined) return;
  throw new Error(
    `resource ${apiVersion}/${kind} is cluster wide. Cannot search for it inside of a namespace`,
  );
}

/** What the lists tell of themselves. */
export type ListNotices = (message: string, error: Error) => void;

/** No lists yet. */
export function followedLists(
  api: ClusterApi,
  discovery: Discovery,
  onTrouble: ListNotices,
  limits: ListLimits = DEFAULT_LIST_LIMITS,
): FollowedLists {
  const lists = new Map<string, FollowedList>();
  const starting = new Map<string, Promise<FollowedList>>();
  const budget: Budget = { used: 0, limit: limits.maxBytes };
  let closed = false;

  const sweep = setInterval(() => {
    const now = performance.now();
    for (const list of [...lists.values()]) {
      if (now - list.usedAt > limits.idleMs) list.stop();
      else if (now - list.usedAt > SWEEP_MS) list.forgetAnswer();
    }
  }, Math.min(SWEEP_MS, limits.idleMs));
  sweep.unref();

  function makeRoom(): void {
    while (lists.size >= limits.maxLists) {
      const [oldest] = [...lists.values()].sort((a, b) => a.usedAt - b.usedAt);
      oldest!.stop();
    }
  }

  async function start(key: string, identity: ListIdentity): Promise<FollowedList> {
    const resource = await discovery(identity.apiVersion, identity.kind);
    checkScope(resource, identity.namespace);
    if (closed) throw new Error("the server is stopping");
    makeRoom();
    const list = new FollowedList({
      api,
      resource,
      selection: identity,
      form: formOf(identity, true),
      budget,
      onTrouble,
      onEnd: () => {
        if (lists.get(key) === list) lists.delete(key);
      },
    });
    lists.set(key, list);
    await list.filled;
    return list;
  }

  return {
    async get(identity) {
      const { apiVersion, kind, namespace, labelSelector, fieldSelector, fieldMasks } = identity;
      const key = JSON.stringify([apiVersion, kind, namespace, labelSelector, fieldSelector, fieldMasks]);
      let list = starting.has(key) ? undefined : lists.get(key);
      if (!list) {
        let begun = starting.get(key);
        if (!begun) {
          starting.set(key, begun = start(key, identity));
          const done = () => starting.delete(key);
          begun.then(done, done);
        }
        list = await begun;
      }
      list.usedAt = performance.now();
      return list;
    },
    get count() {
      return lists.size;
    },
    get bytes() {
      return budget.used;
    },
    close() {
      closed = true;
      clearInterval(sweep);
      for (const list of [...lists.values()]) list.stop();
    },
  };
}
