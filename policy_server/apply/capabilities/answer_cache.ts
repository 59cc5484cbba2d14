/**
 * Answers that stay good for a while (`spec/evaluator.md §5.9`): successes only, each computed once however many ask for it at
 * the same time, bounded in number and size.
 */

/** Bounds of a cache. */
export interface CacheLimits {
  /** How long an answer is good, in milliseconds from when it was there. */
  readonly ttlMs: number;
  readonly maxEntries: number;
  /** Bytes of all answers and their keys. */
  readonly maxBytes: number;
}

/** Gives the answer for a key, from the cache or from `compute`. */
export type AnswerCache = (key: string, compute: () => Promise<Uint8Array>) => Promise<Uint8Array>;

interface Entry {
  readonly answer: Uint8Array;
  readonly until: number;
  readonly size: number;
}

/** An empty cache. `now` is a clock in milliseconds. */
export function answerCache(limits: CacheLimits, now: () => number = () => performance.now()): AnswerCache {
  // In the order of insertion, which is the order in which they expire.
  const entries = new Map<string, Entry>();
  const computing = new Map<string, Promise<Uint8Array>>();
  let bytes = 0;

  function drop(key: string, entry: Entry): void {
    entries.delete(key);
    bytes -= entry.size;
  }

  function keep(key: string, answer: Uint8Array): void {
    const entry = { answer, until: now() + limits.ttlMs, size: answer.length + 2 * key.length };
    if (entry.size > limits.maxBytes) return;
    entries.set(key, entry);
    bytes += entry.size;
    for (const [oldKey, old] of entries) {
      const full = entries.size > limits.maxEntries || bytes > limits.maxBytes;
      if (!full && old.until > now()) break;
      drop(oldKey, old);
    }
  }

  return (key, compute) => {
    const entry = entries.get(key);
    if (entry) {
      if (entry.until > now()) return Promise.resolve(entry.answer);
      drop(key, entry);
    }
    let answer = computing.get(key);
    if (!answer) {
      computing.set(key, answer = compute());
      answer.then((value) => keep(key, value), () => {}).finally(() => computing.delete(key));
    }
    return answer;
  };
}
