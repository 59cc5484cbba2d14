/**
 * A queue of keys: each is worked on by one worker at a time, a key that is added while it waits is worked on once, and one whose
 * work fails comes again after a growing pause (spec/controller.md §1.4).
 */

export type WorkQueue = {
  /** Adds a key, at once or after a pause in milliseconds; the earlier of two wishes counts. */
  add(key: string, afterMs?: number): void;
  /** Resolves when nothing is being worked on or due now; keys with a pause before them do not count. */
  idle(): Promise<void>;
  /** Lets no further work begin and waits for what is being done. */
  stop(): Promise<void>;
  readonly depth: number;
};

export type QueueOptions = {
  readonly workers: number;
  /** Does the work; resolves to a pause in milliseconds after which to do it again, or to nothing. */
  work(key: string): Promise<number | undefined>;
  /** Hears of every key that has become due. */
  added?(key: string): void;
  /** Hears of every piece of work that begins, and how long its key was due. */
  began?(key: string, waitedSeconds: number): void;
  /** Hears of every piece of work that ended. */
  done?(key: string, outcome: "success" | "error" | "requeue_after", seconds: number, error?: unknown): void;
};

const FIRST_RETRY_MS = 5;
/** The original's limit is 1000 s; half a minute is bearable for whoever repaired the cause and watches. */
const LAST_RETRY_MS = 30_000;

/** A queue that begins to work at once. */
export function createQueue({ workers, work, added, began, done }: QueueOptions): WorkQueue {
  const due: string[] = [];
  const dueSince = new Map<string, number>();
  const working = new Set<string>();
  const again = new Set<string>();
  const timers = new Map<string, { readonly at: number; readonly timer: ReturnType<typeof setTimeout> }>();
  const failures = new Map<string, number>();
  let waiters: (() => void)[] = [];
  let stopped = false;

  const settle = () => {
    if (working.size > 0 || (due.length > 0 && !stopped)) return;
    const ready = waiters;
    waiters = [];
    for (const resolve of ready) resolve();
  };
  const enqueue = (key: string) => {
    if (stopped) return;
    if (working.has(key)) again.add(key);
    else if (!dueSince.has(key)) {
      dueSince.set(key, performance.now());
      due.push(key);
      added?.(key);
      pump();
    }
  };
  const later = (key: string, afterMs: number) => {
    if (stopped) return;
    const at = performance.now() + afterMs;
    const known = timers.get(key);
    if (known !== undefined) {
      if (known.at <= at) return;
      clearTimeout(known.timer);
    }
    const timer = setTimeout(() => {
      timers.delete(key);
      enqueue(key);
    }, afterMs);
    timers.set(key, { at, timer });
  };
  const run = async (key: string) => {
    const started = performance.now();
    try {
      const pause = await work(key);
      failures.delete(key);
      done?.(key, pause === undefined ? "success" : "requeue_after", (performance.now() - started) / 1000);
      if (pause !== undefined) later(key, pause);
    } catch (error) {
      const count = failures.get(key) ?? 0;
      failures.set(key, count + 1);
      done?.(key, "error", (performance.now() - started) / 1000, error);
      later(key, Math.min(FIRST_RETRY_MS * 2 ** Math.min(count, 20), LAST_RETRY_MS));
    }
    working.delete(key);
    if (again.delete(key)) enqueue(key);
    pump();
    settle();
  };
  const pump = () => {
    while (!stopped && working.size < workers && due.length > 0) {
      const key = due.shift()!;
      began?.(key, (performance.now() - dueSince.get(key)!) / 1000);
      dueSince.delete(key);
      working.add(key);
      void run(key);
    }
  };

  return {
    add: (key, afterMs = 0) => afterMs > 0 ? later(key, afterMs) : enqueue(key),
    idle: () =>
      new Promise((resolve) => {
        waiters.push(resolve);
        settle();
      }),
    async stop() {
      stopped = true;
      for (const { timer } of timers.values()) clearTimeout(timer);
      timers.clear();
      due.length = 0;
      dueSince.clear();
      if (working.size === 0) return;
      await new Promise<void>((resolve) => {
        waiters.push(resolve);
        settle();
      });
    },
    get depth() {
      return due.length;
    },
  };
}
