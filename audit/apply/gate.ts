/**
 * Lets a bounded number of things happen at once.
 *
 * @example
 * ```ts
 * const gate = openGate({ first: 16, most: 500, slowMs: 50 });
 * await Promise.all(urls.map((url) => gate.pass(() => fetch(url))));
 * ```
 */

export type Gate = {
  /** Does `work` once there is room for it. */
  pass<T>(work: () => Promise<T>): Promise<T>;
};

/** How many at once. */
export type GateSize = {
  readonly first: number;
  /** Grows up to here while things wait at the gate although others are slow: what waits on somebody else costs nothing. */
  readonly most?: number;
  /** What takes longer, in milliseconds, is slow. */
  readonly slowMs?: number;
};

/** A gate. */
export function openGate({ first, most = first, slowMs = 200 }: GateSize): Gate {
  const waiting: (() => void)[] = [];
  let limit = Math.min(first, most);
  let active = 0;
  return {
    async pass(work) {
      if (active >= limit) await new Promise<void>((enter) => waiting.push(enter));
      else active++;
      const began = performance.now();
      try {
        return await work();
      } finally {
        active--;
        if (waiting.length > 0 && limit < most && performance.now() - began > slowMs) limit++;
        while (active < limit && waiting.length > 0) {
          active++;
          waiting.shift()!();
        }
      }
    },
  };
}
