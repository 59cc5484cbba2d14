/**
 * How a server divides the memory that it may use: what it needs whatever happens, what compiled modules take, and what is left for
 * requests and guests (docs/memory.md has the measurements).
 */

export const MIB = 1024 * 1024;

/** What a runtime needs, in bytes: the process with nothing to serve, each of its threads, and each byte of a module. */
export type RuntimeCosts = { readonly process: number; readonly thread: number; readonly moduleByte: number };

/**
 * Measured with 44 modules of 1.8 MB on average that are in use. Bun compiles much of what was called a few hundred times unless the
 * images' variables (`deploy/images/components.ts`) keep it from that.
 */
export const COSTS = {
  node: { process: 75 * MIB, thread: 14 * MIB, moduleByte: 2.5 },
  bun: { process: 75 * MIB, thread: 14 * MIB, moduleByte: 3.1 },
  "bun that compiles early": { process: 75 * MIB, thread: 14 * MIB, moduleByte: 6 },
} as const satisfies Readonly<Record<string, RuntimeCosts>>;

/** What is asked for. */
export type MemoryDemand = {
  /** What the process may use, in bytes. */
  readonly limit: number;
  readonly costs: RuntimeCosts;
  /** Threads that evaluate, each for as long as a policy may take. */
  readonly threads: number;
  /** Threads that serve, and evaluate what is quick. */
  readonly serving: number;
  /** What one evaluation may use, by the server's flag, in bytes. */
  readonly guest: number;
};

/** What may be used for what, in bytes. */
export type MemoryPlan = {
  /** All modules' code. */
  readonly code: number;
  /** One evaluation. */
  readonly guest: number;
  /** Guests of one thread that wait for their next request. */
  readonly kept: number;
  /** What one thread has thrown away and not yet given back. */
  readonly abandoned: number;
  /** Requests that wait. */
  readonly waiting: number;
  /** So many connections fit what clients may make the server hold without asking anything. A number, not bytes. */
  readonly connections: number;
  /** With more than this in use, requests are refused. */
  readonly pressure: number;
};

/** Where the memory is ample, there is no need for more than this. */
const ENOUGH: Pick<MemoryPlan, "kept" | "abandoned" | "waiting"> = {
  kept: 128 * MIB,
  abandoned: 128 * MIB,
  waiting: 256 * MIB,
};
/** A TLS connection in its handshake on Node, which keeps it for the next ones; Bun takes a third (docs/memory.md). */
const CONNECTION_BYTES = 80 * 1024;
/** No policy does with less. */
const LEAST_GUEST = 16 * MIB;
/** The share of the limit at which requests are refused, and what must be free there at most. */
const PRESSURE = 0.9;
const MAX_FREE = 128 * MIB;

/** The plan for a limit. */
export function memoryPlan({ limit, costs, threads, serving, guest }: MemoryDemand): MemoryPlan {
  const all = threads + serving;
  const kept = Math.min(ENOUGH.kept, limit / 16 / all);
  const abandoned = Math.min(ENOUGH.abandoned, limit / 16 / all);
  const waiting = Math.min(ENOUGH.waiting, limit / 16);
  const one = Math.min(guest, Math.max(LEAST_GUEST, limit / 4 / threads));
  const fixed = costs.process + all * (costs.thread + kept + abandoned) + waiting;
  return {
    // Not all threads run the largest guest that there may be, at the same time: when they do, requests are refused.
    code: limit - fixed - one,
    guest: one,
    kept,
    abandoned,
    waiting,
    connections: Math.floor(limit / 8 / CONNECTION_BYTES),
    pressure: Math.max(limit * PRESSURE, limit - MAX_FREE),
  };
}

/** The least limit, in MiB and a round number, under which modules of so many bytes fit. */
export function neededMib(demand: Omit<MemoryDemand, "limit">, moduleBytes: number): number {
  const wanted = moduleBytes * demand.costs.moduleByte;
  for (let mib = 64;; mib += 64) {
    if (memoryPlan({ ...demand, limit: mib * MIB }).code >= wanted) return mib;
  }
}

/** The part of the memory of modules that threads which nobody asked for leave to them. */
const LEFT_TO_MODULES = 0.75;

/** How many of the threads that serve memory is ample for; 0 instead of one, which would have no other to share with. */
export function affordableServing(demand: MemoryDemand): number {
  const code = (serving: number) => memoryPlan({ ...demand, serving }).code;
  const least = LEFT_TO_MODULES * Math.max(0, code(0));
  for (let serving = demand.serving; serving > 1; serving--) if (code(serving) >= least) return serving;
  return 0;
}

/** Why so many threads can't be started, whatever the policies: they leave nothing for one. Undefined where they do. */
export function threadsExcess(demand: MemoryDemand): string | undefined {
  if (memoryPlan(demand).code > 0) return undefined;
  const { limit, threads, serving } = demand;
  return `not enough memory: ${threads} threads that evaluate and ${serving} that serve need a limit of ` +
    `${neededMib(demand, 1)} MiB without any policy, the limit is ${Math.floor(limit / MIB)} MiB ` +
    "(--workers and --serving-threads; resources.limits.memory of the container, or --memory-limit-mib)";
}

/** The plan as a log line shows it. */
export function memoryFields({ limit }: MemoryDemand, plan: MemoryPlan): Readonly<Record<string, number>> {
  const mib = (bytes: number) => Math.floor(bytes / MIB);
  return {
    limit_mib: mib(limit),
    modules_mib: mib(plan.code),
    evaluation_mib: mib(plan.guest),
    refusing_from_mib: mib(plan.pressure),
  };
}
