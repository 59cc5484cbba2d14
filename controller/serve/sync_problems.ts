/**
 * Says which resources can't be followed and why, in one line for all of them: a dozen watches that fail for one reason are
 * one piece of news, and it is repeated ever less often while nothing changes.
 */

/** What {@link createSyncProblems} needs. */
export type SyncProblemsOptions = {
  log(level: "info" | "error", message: string, fields: { readonly [name: string]: unknown }): void;
  /** Aborted when the controller ends. */
  readonly signal: AbortSignal;
};

export type SyncProblems = {
  /** A resource could not be listed or watched. */
  failed(resource: string, error: unknown): void;
  /** A resource is being followed. */
  follows(resource: string): void;
  /** All reasons in one line; undefined while everything is followed. */
  current(): string | undefined;
};

/** What fails together is gathered for this long before it is said, in milliseconds. */
const GATHER_MS = 300;
const FIRST_REPEAT_MS = 5_000;
const LAST_REPEAT_MS = 300_000;
const MAX_REASONS = 3;

/** Nothing has failed yet. */
export function createSyncProblems({ log, signal }: SyncProblemsOptions): SyncProblems {
  const reasons = new Map<string, string>();
  let said = "";
  let repeatMs = FIRST_REPEAT_MS;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let due = Infinity;

  const distinct = () => [...new Set(reasons.values())].sort();
  const text = () => {
    const all = distinct();
    const more = all.length > MAX_REASONS ? `; and ${all.length - MAX_REASONS} more` : "";
    return all.slice(0, MAX_REASONS).join("; ") + more;
  };
  const cancel = () => {
    clearTimeout(timer);
    timer = undefined;
    due = Infinity;
  };
  const sayIn = (ms: number) => {
    const at = performance.now() + ms;
    if (signal.aborted || at >= due) return;
    cancel();
    due = at;
    timer = setTimeout(say, ms);
  };
  const say = () => {
    cancel();
    if (reasons.size === 0 || signal.aborted) return;
    const now = text();
    repeatMs = now === said ? Math.min(repeatMs * 2, LAST_REPEAT_MS) : FIRST_REPEAT_MS;
    said = now;
    log("error", "cannot follow the cluster, trying again", {
      error: now,
      resources: [...reasons.keys()].sort(),
    });
    sayIn(repeatMs);
  };
  signal.addEventListener("abort", cancel, { once: true });

  return {
    failed(resource, error) {
      reasons.set(resource, error instanceof Error ? error.message : String(error));
      // A reason that is new is said soon, one that is known when its time comes.
      if (text() !== said) sayIn(GATHER_MS);
    },
    follows(resource) {
      if (!reasons.delete(resource) || reasons.size > 0) return;
      cancel();
      if (said !== "") log("info", "the cluster can be followed again", {});
      said = "";
      repeatMs = FIRST_REPEAT_MS;
    },
    current: () => reasons.size === 0 ? undefined : text(),
  };
}
