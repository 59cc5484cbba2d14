/**
 * A list that is kept equal to what the API server holds, for as long as somebody asks for it (`spec/evaluator.md §5.8`). Objects are
 * kept as the JSON text that policies get, which takes a fraction of the memory that object trees take.
 */
import { listAndWatch } from "../../../kubernetes/apply/list_watch.ts";
import { sleep } from "../../../program/apply/sleep.ts";
import {
  type ClusterObject,
  type ListPage,
  listText,
  type ObjectForm,
  readListPage,
  type ReadObject,
  readWatchEvent,
} from "../../render/kubernetes_object.ts";
import { ApiFailure, type ClusterApi, TooLargeError } from "./api.ts";
import { type ApiResource, objectPath } from "./discovery.ts";
import { sharedBytes } from "./shared_bytes.ts";

/** Which objects are listed. */
export interface Selection {
  readonly namespace: string | undefined;
  readonly labelSelector: string | undefined;
  readonly fieldSelector: string | undefined;
}

/** Counts what all lists of the process keep, in bytes. */
export interface Budget {
  used: number;
  readonly limit: number;
}

/** What a list is followed with. */
export interface FollowOptions {
  readonly api: ClusterApi;
  readonly resource: ApiResource;
  readonly selection: Selection;
  readonly form: ObjectForm;
  readonly budget: Budget;
  /** Hears when a watch broke or was refused; it is taken up again unless refused. */
  readonly onTrouble: (message: string, error: Error) => void;
  /** Called once, when the list is not followed any more: it was stopped, or reading it is refused. */
  readonly onEnd: () => void;
}

const PAGE = 500;
/** A page of large objects is asked for again in smaller ones. */
const PAGE_BYTES = 64 * 1024 * 1024;
const PAGE_LIMIT_MS = 30_000;
/** The first list must be there whole within this time; a policy's own deadline is shorter as a rule. */
const LIST_LIMIT_MS = 60_000;
/** How long the API server keeps a watch open; the original asks for as long. */
const WATCH_SECONDS = 290;
/** The API server sends a bookmark every minute: a connection that is silent for this long is dead. */
const SILENCE_MS = 150_000;
/** Who may list but not watch gets a list of this age, in milliseconds. */
const UNWATCHED_MS = 5_000;
/** What an object costs besides its text: the entry, its key, its place in the map. */
const ENTRY_BYTES = 200;

/** Raised when the lists of all policies together would take too much memory. */
export class BudgetError extends Error {
  override readonly name = "BudgetError";
}

/** The path and query of a list or watch. */
export function listPath(
  resource: ApiResource,
  { namespace, labelSelector, fieldSelector }: Selection,
  parameters: Readonly<Record<string, string | undefined>>,
): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ labelSelector, fieldSelector, ...parameters })) {
    if (value !== undefined) query.set(name, value);
  }
  return `${objectPath(resource, namespace)}?${query}`;
}

/** Reads a whole list, page by page. `onPage` may throw to end it. */
export async function readList(
  { api, resource, selection, form }: Pick<FollowOptions, "api" | "resource" | "selection" | "form">,
  onPage: (page: ListPage) => void,
  signal?: AbortSignal,
): Promise<ListPage> {
  let next: string | undefined;
  let limit = PAGE;
  for (;;) {
    const path = listPath(resource, selection, { limit: String(limit), continue: next });
    let bytes: Uint8Array;
    try {
      bytes = await api.get(path, {
        maxBytes: PAGE_BYTES,
        limitMs: PAGE_LIMIT_MS,
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      if (!(error instanceof TooLargeError) || limit === 1) throw error;
      limit = Math.ceil(limit / 10);
      continue;
    }
    const page = readListPage(bytes, form);
    onPage(page);
    next = page.next;
    if (next === undefined) return page;
  }
}

/** Counts the changes of all lists, so that no two states of any list have the same number. */
let changes = 0;

const keyOf = ({ namespace, name }: ReadObject): string => `${namespace ?? ""}/${name ?? ""}`;
const sizeOf = (key: string, { json }: ClusterObject): number => ENTRY_BYTES + key.length + json.length;

/** A list that is followed. */
export class FollowedList {
  readonly resource: ApiResource;
  readonly #options: FollowOptions;
  readonly #stop = new AbortController();
  readonly #namespaces = new Map<string, string>();
  #objects = new Map<string, ClusterObject>();
  #size = 0;
  #answer: Uint8Array | undefined;
  #changes = 0;
  #changedAt = 0;
  #ended = false;
  /** Resolves when the list is complete for the first time; rejects when it can't be. */
  readonly filled: Promise<void>;
  /** When somebody last asked, in milliseconds of the process. */
  usedAt = performance.now();

  constructor(options: FollowOptions) {
    this.#options = options;
    this.resource = options.resource;
    this.filled = this.#start();
    this.filled.catch(() => {});
  }

  /** Another number after every change, which no other list ever has. */
  get changes(): number {
    return this.#changes;
  }

  /** The instant of the last change, in milliseconds since 1970. */
  get changedAt(): number {
    return this.#changedAt;
  }

  /** What it takes of the budget, in bytes. */
  get size(): number {
    return this.#size;
  }

  get objects(): ReadonlyMap<string, ClusterObject> {
    return this.#objects;
  }

  /**
   * The objects as policies get them. The bytes are not shared memory, though that would save a copy for each call: Node does
   * not count shared memory when it decides to collect garbage, and a list that changes often would fill the machine.
   */
  answer(): Uint8Array {
    const { apiVersion, kind } = this.resource;
    return this.#answer ??= sharedBytes(listText(apiVersion, kind, this.#objects.values()));
  }

  /** Lets go of what {@link answer} keeps; it is made again when needed. */
  forgetAnswer(): void {
    this.#answer = undefined;
  }

  /** Ends the watch and lets go of all objects. */
  stop(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stop.abort();
    this.#options.budget.used -= this.#size;
    this.#size = 0;
    this.#objects = new Map();
    this.#answer = undefined;
    this.#options.onEnd();
  }

  async #start(): Promise<void> {
    const limit = setTimeout(
      () => this.#stop.abort(new Error(`the list was not complete within ${LIST_LIMIT_MS / 1000} s`)),
      LIST_LIMIT_MS,
    );
    let version: string;
    try {
      version = await this.#list();
    } catch (error) {
      const reason = this.#ended ? error : this.#stop.signal.reason ?? error;
      this.stop();
      throw reason;
    } finally {
      clearTimeout(limit);
    }
    void this.#follow(version);
  }

  /** Fills the list anew. What was there is served until the new one is whole. */
  async #list(): Promise<string> {
    const { budget } = this.#options;
    const objects = new Map<string, ClusterObject>();
    let size = 0;
    try {
      const { resourceVersion } = await readList(this.#options, (page) => {
        for (const read of page.objects) {
          const key = keyOf(read);
          const object = this.#kept(read);
          objects.set(key, object);
          size += sizeOf(key, object);
        }
        this.#spend(size - this.#size);
      }, this.#stop.signal);
      if (this.#ended) throw new Error("the list is not followed any more");
      budget.used += size - this.#size;
      this.#size = size;
      this.#objects = objects;
      this.#changed();
      return resourceVersion;
    } catch (error) {
      if (error instanceof BudgetError) this.stop();
      throw error;
    }
  }

  #kept({ name, namespace, json }: ReadObject): ClusterObject {
    if (namespace === undefined) return { name, namespace, json };
    // Thousands of objects share a few namespaces.
    let shared = this.#namespaces.get(namespace);
    if (shared === undefined) this.#namespaces.set(namespace, shared = namespace);
    return { name, namespace: shared, json };
  }

  #spend(more: number): void {
    const { budget } = this.#options;
    if (budget.used + more <= budget.limit) return;
    const { apiVersion, kind } = this.resource;
    throw new BudgetError(
      `the objects of ${apiVersion}/${kind} do not fit in: the lists of all policies may take ${
        Math.round(budget.limit / 1024 / 1024)
      } MiB together; ask with field masks or selectors`,
    );
  }

  #changed(): void {
    this.#changes = ++changes;
    this.#changedAt = Date.now();
    this.#answer = undefined;
  }

  #apply(kind: "changed" | "deleted", read: ReadObject): void {
    const key = keyOf(read);
    const before = this.#objects.get(key);
    const object = kind === "changed" ? this.#kept(read) : undefined;
    const more = (object ? sizeOf(key, object) : 0) - (before ? sizeOf(key, before) : 0);
    if (more > 0) this.#spend(more);
    if (object) this.#objects.set(key, object);
    else this.#objects.delete(key);
    this.#size += more;
    this.#options.budget.used += more;
    this.#changed();
  }

  /** What a watch is asked. */
  #lines(resourceVersion: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { api, resource, selection } = this.#options;
    const path = listPath(resource, selection, {
      watch: "true",
      allowWatchBookmarks: "true",
      timeoutSeconds: String(WATCH_SECONDS),
      resourceVersion,
    });
    return api.lines(path, signal);
  }

  #take(line: Uint8Array): string | undefined {
    const event = readWatchEvent(line, this.#options.form);
    if (event.kind === "error") throw new ApiFailure(event.code, event.message);
    if (event.kind === "bookmark") return event.resourceVersion;
    this.#apply(event.kind, event.object);
    return event.object.resourceVersion;
  }

  async #follow(listed: string): Promise<void> {
    const { onTrouble, selection } = this.#options;
    const { apiVersion, kind } = this.resource;
    const listedAt = performance.now();
    const of = selection.namespace === undefined ? "" : ` of namespace ${selection.namespace}`;
    const { signal } = this.#stop;
    await listAndWatch({
      signal,
      silenceMs: SILENCE_MS,
      list: () => this.#list(),
      lines: (from, ending) => this.#lines(from, ending),
      take: (line) => this.#take(line),
      isAnswer: (error) => error instanceof ApiFailure || error instanceof BudgetError,
      failed: async (error) => {
        onTrouble(`cannot follow ${apiVersion}/${kind}${of}`, error as Error);
        const refused = error instanceof ApiFailure && error.refused;
        // What may not be read is not served either; the next call hears why.
        if (refused) await sleep(Math.max(0, listedAt + UNWATCHED_MS - performance.now()), signal);
        if (refused || error instanceof BudgetError) this.stop();
        return !this.#ended;
      },
    }, listed);
  }
}
