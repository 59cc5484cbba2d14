/** What policies log, for any number of readers. */
import type { PolicyLog } from "../types/options.ts";

/** Entries that wait for a reader; of more, the oldest are dropped. */
const MAX_WAITING = 1_000;

/** Hands entries to a callback at once and to readers when they ask. */
export class LogStream {
  readonly #onLog: ((entry: PolicyLog) => void) | undefined;
  readonly #readers = new Set<(entry: PolicyLog | undefined) => void>();
  #closed = false;

  constructor(onLog: ((entry: PolicyLog) => void) | undefined) {
    this.#onLog = onLog;
  }

  /** Takes an entry. */
  add(entry: PolicyLog): void {
    this.#onLog?.(entry);
    for (const reader of this.#readers) reader(entry);
  }

  /** Ends all readers, once they have read what waits for them. */
  close(): void {
    this.#closed = true;
    for (const reader of this.#readers) reader(undefined);
  }

  /** The entries from now on. Where some were dropped, an entry says how many. */
  read(): AsyncIterableIterator<PolicyLog> {
    let waiting: PolicyLog[] = [];
    let dropped = 0;
    let ended = this.#closed;
    let wake: (() => void) | undefined;
    const reader = (entry: PolicyLog | undefined) => {
      if (entry === undefined) ended = true;
      else {
        waiting.push(entry);
        // In one go, so that a flood is not moved about entry by entry.
        if (waiting.length >= 2 * MAX_WAITING) {
          dropped += MAX_WAITING;
          waiting = waiting.slice(MAX_WAITING);
        }
      }
      wake?.();
    };
    if (!ended) this.#readers.add(reader);
    const end = (): IteratorResult<PolicyLog> => {
      this.#readers.delete(reader);
      ended = true;
      waiting = [];
      wake?.();
      return { done: true, value: undefined };
    };
    let at = 0;
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      async next() {
        for (;;) {
          if (dropped > 0) {
            const message = `${dropped} log entries were dropped: they were not read in time`;
            dropped = 0;
            at = 0;
            return { done: false, value: { policy: "", level: "warn", message, data: undefined } };
          }
          if (at < waiting.length) return { done: false, value: waiting[at++]! };
          waiting = [];
          at = 0;
          if (ended) return end();
          await new Promise<void>((resolve) => wake = resolve);
        }
      },
      return: () => Promise.resolve(end()),
    };
  }
}
