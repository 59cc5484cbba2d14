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

/** The lists that are followed; none at first. */
export class FollowedLists {
  readonly #api: ClusterApi;
  readonly #discovery: Discovery;
  readonly #onTrouble: ListNotices;
  readonly #limits: ListLimits;
  readonly #lists = new Map<string, FollowedList>();
  readonly #starting = new Map<string, Promise<FollowedList>>();
  readonly #budget: Budget;
  readonly #sweeping: NodeJS.Timeout;
  #closed = false;

  constructor(
    api: ClusterApi,
    discovery: Discovery,
    onTrouble: ListNotices,
    limits: ListLimits = DEFAULT_LIST_LIMITS,
  ) {
    this.#api = api;
    this.#discovery = discovery;
    this.#onTrouble = onTrouble;
    this.#limits = limits;
    this.#budget = { used: 0, limit: limits.maxBytes };
    this.#sweeping = setInterval(() => this.#sweep(), Math.min(SWEEP_MS, limits.idleMs)).unref();
  }

  /** How many are followed. */
  get count(): number {
    return this.#lists.size;
  }

  /** Bytes that all objects take. */
  get bytes(): number {
    return this.#budget.used;
  }

  /** A complete list. Rejects when it can't be had; the next call tries anew. */
  async get(identity: ListIdentity): Promise<FollowedList> {
    const { apiVersion, kind, namespace, labelSelector, fieldSelector, fieldMasks } = identity;
    const key = JSON.stringify([apiVersion, kind, namespace, labelSelector, fieldSelector, fieldMasks]);
    // Looked up and begun in one turn: two who ask at once share one list.
    const starting = this.#starting.get(key);
    const list = starting ? await starting : this.#lists.get(key) ?? await this.#begin(key, identity);
    list.usedAt = performance.now();
    return list;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#sweeping);
    for (const list of [...this.#lists.values()]) list.stop();
  }

  /** Starts a list, for all who ask for it meanwhile. */
  #begin(key: string, identity: ListIdentity): Promise<FollowedList> {
    const begun = this.#start(key, identity);
    this.#starting.set(key, begun);
    const done = () => this.#starting.delete(key);
    begun.then(done, done);
    return begun;
  }

  async #start(key: string, identity: ListIdentity): Promise<FollowedList> {
    const resource = await this.#discovery(identity.apiVersion, identity.kind);
    checkScope(resource, identity.namespace);
    if (this.#closed) throw new Error("the server is stopping");
    this.#makeRoom();
    const list = new FollowedList({
      api: this.#api,
      resource,
      selection: identity,
      form: formOf(identity, true),
      budget: this.#budget,
      onTrouble: this.#onTrouble,
      onEnd: () => {
        if (this.#lists.get(key) === list) this.#lists.delete(key);
      },
    });
    this.#lists.set(key, list);
    await list.filled;
    return list;
  }

  #makeRoom(): void {
    while (this.#lists.size >= this.#limits.maxLists) {
      const [oldest] = [...this.#lists.values()].sort((a, b) => a.usedAt - b.usedAt);
      oldest!.stop();
    }
  }

  #sweep(): void {
    const now = performance.now();
    for (const list of [...this.#lists.values()]) {
      if (now - list.usedAt > this.#limits.idleMs) list.stop();
      else if (now - list.usedAt > SWEEP_MS) list.forgetAnswer();
    }
  }
}
