/** What compiled modules take of the process' memory, and the refusal of those that no longer fit: better at start than by the kernel. */
import { type MemoryDemand, memoryPlan, MIB, neededMib } from "../render/memory_plan.ts";

export type CodeMemory = {
  /** Makes room for a module of `bytes`. Throws an Error where there is none. */
  take(digest: string, bytes: number): void;
  release(digest: string): void;
  /** What all modules that were asked for, also those that were refused, need; undefined while they fit. */
  shortage(): string | undefined;
};

/** @param demand absent: the process has no limit */
export function codeMemory(demand: MemoryDemand | undefined): CodeMemory {
  const taken = new Map<string, number>();
  const refused = new Map<string, number>();
  const sum = (sizes: Iterable<number>) => [...sizes].reduce((total, size) => total + size, 0);
  return {
    take(digest, bytes) {
      refused.delete(digest);
      const all = sum(taken.values()) + bytes;
      if (demand !== undefined && all * demand.costs.moduleByte > memoryPlan(demand).code) {
        refused.set(digest, bytes);
        throw new Error("its module does not fit into the memory that the process may use");
      }
      taken.set(digest, bytes);
    },
    release(digest) {
      taken.delete(digest);
      refused.delete(digest);
    },
    shortage() {
      if (demand === undefined || refused.size === 0) return undefined;
      const all = sum(taken.values()) + sum(refused.values());
      return `not enough memory: ${taken.size + refused.size} modules of together ${
        (all / MIB).toFixed(1)
      } MiB need a ` +
        `limit of ${neededMib(demand, all)} MiB, the limit is ${Math.floor(demand.limit / MIB)} MiB ` +
        "(resources.limits.memory of the container, or --memory-limit-mib)";
    },
  };
}
