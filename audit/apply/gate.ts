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
  /**
   * Does `work` once there is room for it; `alike` names works that should take about as long as each other. One of some
   * `weight` counts as so many, and begins as soon as there is room for one.
   */
  pass<T>(work: () => Promise<T>, alike?: string, weight?: number): Promise<T>;
};

/** How many at once. */
export type GateSize = {
  readonly first: number;
  /**
   * Grows up to here while works wait at the gate and what is done takes long by nature: longer than `slowMs`, though not
   * much longer than the quickest of its like. What takes long because too much is done at once only gets worse by more.
   */
  readonly most?: number;
  readonly slowMs?: number;
};

/** The first works of a kind tell little: connections are opened, programs warm up. */
const ENOUGH = 32;
/** Kinds of works that are known at a time. */
const MOST_KINDS = 1_000;

/** A gate. */
export function openGate({ first, most = first, slowMs = 50 }: GateSize): Gate {
  const waiting: { enter(): void; weight: number }[] = [];
  const kinds = new Map<string, { quickest: number; count: number }>();
  let limit = Math.min(first, most);
  let active = 0;
  return {
    async pass(work, alike = "", weight = 1) {
      if (active >= limit) await new Promise<void>((enter) => waiting.push({ enter, weight }));
      else active += weight;
      const began = performance.now();
      try {
        return await work();
      } finally {
        active -= weight;
        const took = performance.now() - began;
        let kind = kinds.get(alike);
        if (kind === undefined) {
          if (kinds.size >= MOST_KINDS) kinds.clear();
          kinds.set(alike, kind = { quickest: took, count: 0 });
        }
        kind.quickest = Math.min(kind.quickest, took);
        kind.count++;
        const byNature = kind.count > ENOUGH && took > slowMs && took < 2 * kind.quickest;
        if (waiting.length > 0 && byNature) limit = Math.min(limit + weight, most);
        while (active < limit && waiting.length > 0) {
          const next = waiting.shift()!;
          active += next.weight;
          next.enter();
        }
      }
    },
  };
}
