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
export function createQueue(options: QueueOptions): WorkQueue {
  return new KeyQueue(options);
}

class KeyQueue implements WorkQueue {
  readonly #options: QueueOptions;
  readonly #due: string[] = [];
  readonly #dueSince = new Map<string, number>();
  readonly #working = new Set<string>();
  /** Keys that were added while they were being worked on. */
  readonly #again = new Set<string>();
  readonly #timers = new Map<
    string,
    { readonly at: number; readonly timer: ReturnType<typeof setTimeout> }
  >();
  readonly #failures = new Map<string, number>();
  #waiters: (() => void)[] = [];
  #stopped = false;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  get depth(): number {
    return this.#due.length;
  }

  add(key: string, afterMs = 0): void {
    if (afterMs > 0) this.#addLater(key, afterMs);
    else this.#addNow(key);
  }

  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
      this.#settle();
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#due.length = 0;
    this.#dueSince.clear();
    if (this.#working.size > 0) await this.idle();
  }

  #addNow(key: string): void {
    if (this.#stopped) return;
    if (this.#working.has(key)) this.#again.add(key);
    else if (!this.#dueSince.has(key)) {
      this.#dueSince.set(key, performance.now());
      this.#due.push(key);
      this.#options.added?.(key);
      this.#pump();
    }
  }

  #addLater(key: string, afterMs: number): void {
    if (this.#stopped) return;
    const at = performance.now() + afterMs;
    const known = this.#timers.get(key);
    if (known !== undefined) {
      if (known.at <= at) return;
      clearTimeout(known.timer);
    }
    const timer = setTimeout(() => {
      this.#timers.delete(key);
      this.#addNow(key);
    }, afterMs);
    this.#timers.set(key, { at, timer });
  }

  /** Begins what is due, as far as there are workers. */
  #pump(): void {
    while (!this.#stopped && this.#working.size < this.#options.workers && this.#due.length > 0) {
      const key = this.#due.shift()!;
      this.#options.began?.(key, (performance.now() - this.#dueSince.get(key)!) / 1000);
      this.#dueSince.delete(key);
      this.#working.add(key);
      void this.#run(key);
    }
  }

  async #run(key: string): Promise<void> {
    const { work, done } = this.#options;
    const started = performance.now();
    try {
      const pause = await work(key);
      this.#failures.delete(key);
      done?.(key, pause === undefined ? "success" : "requeue_after", (performance.now() - started) / 1000);
      if (pause !== undefined) this.#addLater(key, pause);
    } catch (error) {
      const count = this.#failures.get(key) ?? 0;
      this.#failures.set(key, count + 1);
      done?.(key, "error", (performance.now() - started) / 1000, error);
      this.#addLater(key, Math.min(FIRST_RETRY_MS * 2 ** Math.min(count, 20), LAST_RETRY_MS));
    }
    this.#working.delete(key);
    if (this.#again.delete(key)) this.#addNow(key);
    this.#pump();
    this.#settle();
  }

  #settle(): void {
    if (this.#working.size > 0 || (this.#due.length > 0 && !this.#stopped)) return;
    const ready = this.#waiters;
    this.#waiters = [];
    for (const resolve of ready) resolve();
  }
}
