/** The threads of a server: those that evaluate, those that serve, and the memory that is planned for them. */
import process from "node:process";
import { EvaluatorPool } from "../../evaluator/apply/pool.ts";
import { workerUrl } from "../../evaluator/apply/worker_url.ts";
import { AT_ONCE, type ConnectionLimits, LIMITS } from "../../http/types.ts";
import { codeMemory } from "../apply/code_memory.ts";
import type { Log } from "../apply/log.ts";
import { logPolicyEntry } from "../apply/log_events.ts";
import { memoryDemand } from "../apply/memory_limit.ts";
import { memoryPressure, NO_PRESSURE } from "../apply/memory_pressure.ts";
import type { Observers } from "../apply/observers.ts";
import type { PolicySetOptions } from "../apply/policy_set.ts";
import type { ServingSettings } from "../apply/serving_messages.ts";
import { affordableServing, memoryFields, memoryPlan, MIB, threadsExcess } from "../render/memory_plan.ts";
import type { ServerOptions } from "../types/options.ts";
import type { ServingThreads } from "./serving_threads.ts";
import { SERVING_URL } from "./serving_url.ts";

/** Whether this system deals connections out to those who share a port. */
const SHARES_PORTS = process.platform === "linux";

/** The threads that run. */
export interface ServerThreads {
  /** Evaluates what takes long, or all where the main thread serves. */
  readonly pool: EvaluatorPool;
  /** Undefined: the main thread serves. */
  readonly serving: ServingThreads | undefined;
  /** Whether new requests are to be refused. */
  readonly memoryIsShort: () => boolean;
  /** Of the connections of whoever listens. */
  readonly limits: ConnectionLimits;
  /** What policy sets are built with, for these threads to evaluate. */
  readonly forPolicies: Pick<PolicySetOptions, "pool" | "codeMemory" | "limits">;
}

/**
 * Starts them for as long as `lifetimes` last. Rejects when there is too little memory for them.
 *
 * @param ownProcess whether nothing else runs in this process (`pool.ts`)
 */
export async function startThreads(
  options: ServerOptions,
  ownProcess: boolean,
  { log, metrics, tracing, profiler }: Observers,
  lifetimes: AsyncDisposableStack,
): Promise<ServerThreads> {
  const inOneThread = tracing !== undefined || profiler !== undefined;
  const count = ownProcess ? servingThreads(options, inOneThread, log) : 0;
  const demand = memoryDemand(options, count);
  const plan = demand && memoryPlan(demand);
  if (plan) log.info("memory is limited", memoryFields(demand, plan));
  // The threads would take the memory before a policy is found not to fit, and the kernel would end the process without a word.
  const excess = demand && count > 0 ? threadsExcess(demand) : undefined;
  if (excess !== undefined) throw new Error(excess);

  const limits = plan
    ? { ...LIMITS, maxConnections: Math.min(LIMITS.maxConnections, plan.connections) }
    : LIMITS;
  const pool = new EvaluatorPool({
    ...(plan && { memory: plan, maxBytes: plan.waiting }),
    worker: await workerUrl(),
    threads: options.workers,
    ownProcess,
    onLog: (policy, entry, request) => {
      logPolicyEntry(log, policy, entry);
      if (log.enabled(entry.level)) tracing?.policyLog(policy, entry, request);
    },
    onThreadError: (message) => log.error(message),
  });
  lifetimes.defer(() => pool.close());
  const serving = count > 0
    ? await startServing(options, count, { pool, log, metrics, memory: plan, limits })
    : undefined;
  // Those that listen have been ended by then, with the time that their requests had.
  lifetimes.defer(() => serving?.end(AT_ONCE));
  const shrink = () => {
    pool.shrink();
    serving?.shrink();
  };
  const shortage = (short: boolean) => serving?.setMemoryIsShort(short);
  const pressure = plan ? memoryPressure(plan.pressure, shrink, log, undefined, shortage) : NO_PRESSURE;
  lifetimes.defer(() => pressure.close());
  return {
    pool,
    serving,
    memoryIsShort: pressure.high,
    limits,
    forPolicies: {
      pool: serving?.evaluators ?? pool,
      codeMemory: codeMemory(demand),
      limits: { memoryMib: plan ? Math.floor(plan.guest / MIB) : options.policyMemoryLimitMib },
    },
  };
}

/** How many threads are to serve. */
function servingThreads(options: ServerOptions, inOneThread: boolean, log: Log): number {
  const { servingThreads } = options;
  if (servingThreads === 0) return 0;
  if (inOneThread) {
    log.info("requests are read by the main thread alone: spans and profiles are made of what it does");
    return 0;
  }
  if (!SHARES_PORTS) {
    log.info("requests are read by the main thread alone: this system lets threads share no port");
    return 0;
  }
  const demand = options.servingThreadsGiven ? undefined : memoryDemand(options, servingThreads);
  const threads = demand === undefined ? servingThreads : affordableServing(demand);
  if (threads < servingThreads) {
    log.info("fewer threads serve than there are workers, for want of memory", { serving_threads: threads });
  }
  return threads;
}

/** Starts the threads that serve; they load their code while policies are made ready. */
async function startServing(
  { host, maxBodyBytes, logLevel, logFormat, alwaysAcceptNamespace }: ServerOptions,
  threads: number,
  { memory, limits, ...owned }:
    & Pick<ConstructorParameters<typeof ServingThreads>[0], "pool" | "log" | "metrics">
    & Pick<ServingSettings, "memory" | "limits">,
): Promise<ServingThreads> {
  const { ServingThreads } = await import("./serving_threads.ts");
  return new ServingThreads({
    ...owned,
    worker: SERVING_URL,
    settings: {
      host,
      maxBodyBytes,
      threads,
      logLevel,
      logFormat: logFormat === "json" ? "json" : "text",
      alwaysAcceptNamespace,
      limits,
      memory,
    },
  });
}
