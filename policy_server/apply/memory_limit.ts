/** What the process may use of the machine's memory. */
import { totalmem } from "node:os";
import process from "node:process";
import { COSTS, type MemoryDemand, MIB } from "../render/memory_plan.ts";
import type { ServerOptions } from "../types/options.ts";

/** Calls after which a function is compiled, so that few are. */
const LATE = 5_000;

/** The limit of this process' cgroup, version 1 or 2, in bytes; undefined where it has none. */
export function containerMemory(): number | undefined {
  const limit = process.constrainedMemory();
  // Runtimes say 0, the machine's memory or 2^64 where there is no limit.
  return limit > 0 && limit < totalmem() ? limit : undefined;
}

function runtime(): keyof typeof COSTS {
  if (!("bun" in process.versions)) return "node";
  return Number(process.env["BUN_JSC_thresholdForBBQOptimizeAfterWarmUp"] ?? 0) >= LATE
    ? "bun"
    : "bun that compiles early";
}

/** What a server with so many serving threads asks of its memory; undefined where that has no limit. */
export function memoryDemand(
  options: Pick<ServerOptions, "memoryLimitMib" | "policyMemoryLimitMib" | "workers">,
  serving: number,
  container: number | undefined = containerMemory(),
): MemoryDemand | undefined {
  const limit = options.memoryLimitMib === null ? container : options.memoryLimitMib * MIB;
  return limit === undefined ? undefined : {
    limit,
    costs: COSTS[runtime()],
    // One more than evaluate slow policies (`evaluator/apply/pool.ts`).
    threads: options.workers + 1,
    serving,
    guest: options.policyMemoryLimitMib * MIB,
  };
}
