/** Lets so many things be done at once, in the order in which they were asked for. */

/** What waits for its turn. */
export type Semaphore = { run<T>(work: () => Promise<T>): Promise<T> };

/** For `count` at once. Work that takes longer than `maxHoldMs` goes on, but lets the next one begin: it may never end. */
export function semaphore(count: number, maxHoldMs = Infinity): Semaphore {
  const waiting: (() => void)[] = [];
  let free = count;
  return {
    async run(work) {
      if (free > 0) free--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      let held = true;
      const release = () => {
        if (!held) return;
        held = false;
        const next = waiting.shift();
        if (next) next();
        else free++;
      };
      const timer = Number.isFinite(maxHoldMs) ? setTimeout(release, maxHoldMs) : undefined;
      try {
        return await work();
      } finally {
        clearTimeout(timer);
        release();
      }
    },
  };
}
