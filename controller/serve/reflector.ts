/**
 * Keeps a store equal to what the API server holds: a list, then a watch from there, and again from the start when the watch is
 * too old (410 Gone), for as long as the controller runs.
 */
import { ApiError, type KubeClient, type Selection } from "../../kubernetes/apply/kube_client.ts";
import type { Store } from "../apply/store.ts";
import { parseExactly } from "../../kubernetes/render/exact_json.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import type { SyncProblems } from "./sync_problems.ts";
import { append } from "../../program/types/lists.ts";
import { sleep } from "../../program/apply/sleep.ts";

export type ReflectorOptions<T extends KubeObject> = {
  readonly client: KubeClient;
  readonly resource: Resource;
  readonly namespace?: string | undefined;
  readonly selection?: Selection;
  readonly store: Store<T>;
  readonly signal: AbortSignal;
  /** Called with every failed attempt, and when a watch is open. */
  readonly problems: SyncProblems;
};

const PAGE = 500;
/** A watch is renewed after five to ten minutes, not all of them at once. */
const WATCH_SECONDS = 300;
/** Without even a bookmark for so long, in milliseconds, a connection is taken for dead. */
const SILENCE_MS = 5 * 60_000;
/** Between two watches, so that a server which ends them at once is not pressed, in milliseconds. */
const RENEWAL_PAUSE_MS = 50;
const FIRST_PAUSE_MS = 200;
const LAST_PAUSE_MS = 15_000;

/** Lists and watches leave out of each object what its resource says. */
function typed<T extends KubeObject>({ apiVersion, kind }: Resource, object: KubeObject): T {
  return { ...object, apiVersion, kind } as unknown as T;
}

type WatchEvent = {
  readonly type: string;
  readonly object: KubeObject & { readonly code?: number; readonly message?: string };
};

/** Lists everything into the store; returns the version to watch from. */
async function list<T extends KubeObject>(options: ReflectorOptions<T>): Promise<string> {
  const { client, resource, namespace, selection, store } = options;
  const items: T[] = [];
  let next: string | undefined;
  for (;;) {
    const page = await client.list<T>(resource, namespace, { ...selection, limit: PAGE, next });
    append(items, page.items.map((item) => typed<T>(resource, item)));
    next = page.next;
    if (next === undefined) {
      store.replace(items);
      return page.resourceVersion;
    }
  }
}

/** Watches from a version; returns the version to go on from, or `undefined` when a new list is needed. */
async function watch<T extends KubeObject>(
  { client, resource, namespace, selection, store, signal, problems }: ReflectorOptions<T>,
  from: string,
): Promise<string | undefined> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  let version = from;
  try {
    const timeoutSeconds = Math.round(WATCH_SECONDS * (1 + Math.random()));
    const lines = client.watch(
      resource,
      namespace,
      { ...selection, resourceVersion: from, timeoutSeconds },
      AbortSignal.any([signal, silence.signal]),
      () => problems.follows(resource.plural),
    );
    for await (const line of lines) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      const { type, object } = parseExactly(line) as WatchEvent;
      if (type === "ERROR") {
        if (object.code === 410) return undefined;
        throw new Error(`the watch ended: ${object.message ?? "no reason given"}`);
      }
      version = object.metadata.resourceVersion ?? version;
      if (type === "ADDED" || type === "MODIFIED") store.put(typed<T>(resource, object));
      else if (type === "DELETED") store.drop(typed<T>(resource, object));
    }
    return version;
  } catch (error) {
    if (error instanceof ApiError && error.status === 410) return undefined;
    // A broken connection: what was seen so far was seen.
    if (!(error instanceof ApiError) && version !== from) return version;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Lists and watches until the signal ends it; `filled` is called after every list. */
async function listAndWatch<T extends KubeObject>(
  options: ReflectorOptions<T>,
  filled: () => void,
): Promise<void> {
  const { resource, signal, problems } = options;
  let version: string | undefined;
  let wait = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      if (version === undefined) {
        version = await list(options);
        filled();
      }
      version = await watch(options, version);
      wait = FIRST_PAUSE_MS;
      await sleep(RENEWAL_PAUSE_MS, signal);
    } catch (error) {
      if (signal.aborted) return;
      problems.failed(resource.plural, error);
      await sleep(wait, signal);
      wait = Math.min(wait * 2, LAST_PAUSE_MS);
    }
  }
}

/** Starts to follow a resource; resolves when the store has been filled for the first time. */
export function follow<T extends KubeObject>(options: ReflectorOptions<T>): Promise<void> {
  return new Promise((filled) => void listAndWatch(options, filled));
}
