/** Keeps a store equal to what the API server holds, for as long as the controller runs. */
import { ApiError, type KubeClient, type Selection } from "../../kubernetes/apply/kube_client.ts";
import { listAndWatch } from "../../kubernetes/apply/list_watch.ts";
import type { Store } from "../apply/store.ts";
import { parseExactly } from "../../kubernetes/render/exact_json.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import type { SyncProblems } from "./sync_problems.ts";
import { append } from "../../program/types/lists.ts";

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

/** Starts to follow a resource; resolves when the store has been filled for the first time. */
export function follow<T extends KubeObject>(options: ReflectorOptions<T>): Promise<void> {
  const { client, resource, namespace, selection, store, signal, problems } = options;
  return new Promise((filled) =>
    void listAndWatch<string>({
      signal,
      silenceMs: SILENCE_MS,
      async list() {
        const version = await list(options);
        filled();
        return version;
      },
      lines(resourceVersion, ending) {
        const timeoutSeconds = Math.round(WATCH_SECONDS * (1 + Math.random()));
        const asked = { ...selection, resourceVersion, timeoutSeconds };
        return client.watch(resource, namespace, asked, ending, () => problems.follows(resource.plural));
      },
      take(line) {
        const { type, object } = parseExactly(line) as WatchEvent;
        const { code, message = "no reason given" } = object;
        if (type === "ERROR" && code === 410) {
          throw new ApiError("watch", code, "Expired", message, undefined);
        }
        if (type === "ERROR") throw new Error(`the watch ended: ${message}`);
        if (type === "ADDED" || type === "MODIFIED") store.put(typed<T>(resource, object));
        else if (type === "DELETED") store.drop(typed<T>(resource, object));
        return object.metadata.resourceVersion;
      },
      isAnswer: (error) => error instanceof ApiError,
      failed(error) {
        problems.failed(resource.plural, error);
        return true;
      },
    })
  );
}
