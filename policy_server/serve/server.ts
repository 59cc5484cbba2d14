/** A policy server: builds its policies, listens, takes new policies and certificates while it serves, and ends in good order. */
import process from "node:process";
import {
  AT_ONCE,
  type Ending,
  type HttpListener,
  PROBE_LIMITS,
  STILL_ACCEPTING_MS,
  type TlsSettings,
} from "../../http/mod.ts";
import { findKubeconfig } from "../../kubernetes/apply/kubeconfig.ts";
import { EvaluatorPool } from "../../evaluator/apply/pool.ts";
import { workerUrl } from "../../evaluator/apply/worker_url.ts";
import type { ThreadMemory } from "../../evaluator/types/protocol.ts";
import { type Front, mainFront, open, SHARES_PORTS, threadedFront } from "./front.ts";
import { readinessHandler } from "./handler.ts";
import { watchPolicies } from "./policies_watch.ts";
import { SERVING_URL } from "./serving_url.ts";
import type { ServingThreads } from "./serving_threads.ts";
import { watchTlsMaterial } from "./tls_watch.ts";
import { allCapabilities } from "../apply/capabilities/all.ts";
import { regoInventory } from "../apply/capabilities/rego_inventory.ts";
import { environmentCluster } from "../apply/kubernetes/cluster.ts";
import type { Log, SharedLog } from "../apply/log.ts";
import { logClosed, logPolicyEntry } from "../apply/log_events.ts";
import { codeMemory } from "../apply/code_memory.ts";
import { memoryDemand } from "../apply/memory_limit.ts";
import { memoryPressure, NO_PRESSURE } from "../apply/memory_pressure.ts";
import { createMetrics } from "../apply/metrics.ts";
import { artifactOptions, moduleSource } from "../apply/module_source.ts";
import { loadPolicies } from "../apply/policies_file.ts";
import { buildPolicySet, openPolicySet, type PolicySetOptions } from "../apply/policy_set.ts";
import { sharedModules } from "../apply/shared_modules.ts";
import { startTelemetry } from "../apply/telemetry.ts";
import { trustRootSource } from "../apply/trust_root.ts";
import { loadTlsMaterial, type TlsMaterial } from "../apply/tls_material.ts";
import { affordableServing, memoryFields, memoryPlan, MIB, threadsExcess } from "../render/memory_plan.ts";
import type { ServerOptions } from "../types/options.ts";
import type { PolicyEntry, PolicyModule } from "../types/policies.ts";

/** A server that serves. */
export interface PolicyServer {
  /** Where reviews are answered. */
  readonly port: number;
  /** Where readiness and metrics are asked for. */
  readonly readinessPort: number;
  /** Builds the policies anew from the file and swaps them in; the old ones keep serving when that fails. Never rejects. */
  reload(): Promise<void>;
  /**
   * Says that it is not ready, and resolves when what was accepted has been answered, or after `graceMs`. New connections are
   * accepted for a while as the cluster learns of it; not so `atOnce`.
   */
  stop(graceMs: number, atOnce?: boolean): Promise<void>;
}

/** Nothing that asks for readiness or metrics has a body. */
const MAX_PROBE_BYTES = 64 * 1024;

/** The last push may take this long. */
const TELEMETRY_FLUSH_MS = 2_000;

function tlsSettings({ server, clientCas }: TlsMaterial): TlsSettings {
  return { cert: server.cert, key: server.key, clientCas: clientCas?.certificates };
}

/** Whether any policy reads objects of the cluster. */
function readsCluster(entries: ReadonlyMap<string, PolicyEntry>): boolean {
  const reads = ({ contextAwareResources }: PolicyModule) => contextAwareResources.length > 0;
  return [...entries.values()].some((entry) =>
    entry.kind === "policy" ? reads(entry) : [...entry.policies.values()].some(reads)
  );
}

/**
 * Starts a server. Rejects with an Error whose message is for the user when it can't. `configured` is called, and waited for,
 * once everything that the options name has been read. `ownProcess`: whether nothing else runs in this process (`pool.ts`).
 */
export async function startServer(
  options: ServerOptions,
  log: SharedLog,
  configured: () => Promise<void> = () => Promise.resolve(),
  ownProcess = true,
): Promise<PolicyServer> {
  const entries = loadPolicies(options.policiesPath, (warning) => log.warn(warning));
  const metrics = createMetrics({
    onOverflow: (attribute) =>
      log.warn("too many values of a metric's label, further ones count as `other`", { attribute }),
  });
  const telemetry = await startTelemetry(options, process.env, metrics, log);
  const { tracing } = telemetry;
  const profiler = options.enablePprof
    ? await (await import("../apply/profiler.ts")).startProfiler()
    : undefined;
  let arrivedAt = -Infinity;
  const artifact = await artifactOptions(options, log, () => arrivedAt = performance.now());
  const trustRoot = trustRootSource(options, artifact, log);
  const loadModule = await moduleSource(options, artifact, trustRoot, log);
  await configured();
  const cluster = environmentCluster(
    (message, error) => log.warn(message, { error: error.message }),
    (error) =>
      log.warn("no Kubernetes cluster is known: policies that ask it for something get an error", {
        error: error.message,
      }),
  );
  // Connecting takes most of a second, which the first request should not wait for.
  if (readsCluster(entries) || findKubeconfig() === undefined) void cluster.source();
  let pool: EvaluatorPool | undefined;
  let threads: ServingThreads | undefined;
  let front: Front | undefined;
  let readiness: HttpListener | undefined;
  let pressure = NO_PRESSURE;
  /** Gives back all that there is by then, requests first. */
  const release = async (ending: Ending) => {
    await (front ?? threads)?.end(ending);
    await readiness?.end(AT_ONCE);
    await pool?.close();
    await telemetry.stop(TELEMETRY_FLUSH_MS);
    profiler?.close();
    cluster.close();
    pressure.close();
  };
  try {
    const serving = servingThreads(options, ownProcess, tracing !== undefined || profiler !== undefined, log);
    const demand = memoryDemand(options, serving);
    const plan = demand && memoryPlan(demand);
    if (plan) log.info("memory is limited", memoryFields(demand, plan));
    // The threads would take the memory before a policy is found not to fit, and the kernel would end the process without a word.
    const excess = demand && serving > 0 ? threadsExcess(demand) : undefined;
    if (excess !== undefined) throw new Error(excess);
    const evaluating = pool = new EvaluatorPool({
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
    if (serving > 0) {
      threads = await startServing(options, serving, { pool: evaluating, log, metrics, memory: plan });
    }
    const setOptions: PolicySetOptions = {
      pool: threads?.evaluators ?? evaluating,
      loadModule,
      modules: sharedModules(),
      codeMemory: codeMemory(demand),
      limits: { memoryMib: plan ? Math.floor(plan.guest / MIB) : options.policyMemoryLimitMib },
      policyTimeoutSeconds: options.policyTimeoutSeconds,
      continueOnErrors: options.continueOnErrors,
      capabilities: allCapabilities({ artifact, trustRoot, cluster: cluster.source, log }),
      inventory: regoInventory(cluster.source),
      log,
      tracer: tracing?.tracer,
      arrivedAt: () => arrivedAt,
    };
    const shrink = () => {
      evaluating.shrink();
      threads?.shrink();
    };
    const shortage = (short: boolean) => threads?.setMemoryIsShort(short);
    if (plan) pressure = memoryPressure(plan.pressure, shrink, log, undefined, shortage);
    logTimeoutProtection(options, log);
    const opened = await openPolicySet(entries, setOptions);
    const { set } = opened;
    const tls = options.tls && loadTlsMaterial(options.tls, log);
    const frontOptions = {
      host: options.host,
      port: options.port,
      tls: tls ? tlsSettings(tls) : undefined,
      set,
      log,
    };
    front = threads && await threadedFront(frontOptions, threads);
    if (front === undefined) {
      await threads?.end(AT_ONCE);
      const { alwaysAcceptNamespace, maxBodyBytes } = options;
      front = await mainFront(frontOptions, {
        pool: evaluating,
        metrics,
        log,
        alwaysAcceptNamespace,
        tracing,
        profiler,
        memoryIsShort: pressure.high,
      }, maxBodyBytes);
    }
    const main = front;
    let stopping = false;
    readiness = await open({
      host: options.host,
      port: options.readinessProbePort,
      tls: undefined,
      handler: readinessHandler({
        metrics,
        log,
        stopping: () => stopping,
        counted: () => main.counted(),
      }),
      maxBodyBytes: MAX_PROBE_BYTES,
      limits: PROBE_LIMITS,
      onClosed: logClosed(log, "readiness"),
    }, {
      what: "readiness probes and metrics",
      portOption: "--readiness-probe-port (variable KUBEWARDEN_READINESS_PROBE_PORT)",
    });

    // The first set may still wait for a registry; the next one takes the place of the whole of it.
    const whole = Promise.resolve(opened.whole).then((found) => {
      if (found) return main.serve(found);
    });
    const rebuild = async () => {
      await whole;
      try {
        const next = await buildPolicySet(
          loadPolicies(options.policiesPath, (warning) => log.warn(warning)),
          setOptions,
        );
        await main.serve(next);
        log.info("policies were reloaded", { policies_count: next.policies.size });
      } catch (error) {
        if (stopping) return log.info("a reload of the policies was given up: the server is shutting down");
        log.error("policies could not be reloaded, the previous ones keep serving", {
          error: (error as Error).message,
        });
      }
    };
    const reload = merged(() => stopping ? Promise.resolve() : rebuild());
    const watches: { close(): void }[] = [];
    if (options.watchPolicies) watches.push(watchPolicies(options.policiesPath, () => void reload()));
    if (options.tls && tls) {
      watches.push(
        watchTlsMaterial(options.tls, tls, (material) => main.setTls(tlsSettings(material)), { log }),
      );
    }
    log.info("policy server is ready", {
      address: `${tls ? "https" : "http"}://${
        options.host.includes(":") ? `[${options.host}]` : options.host
      }:${main.port}`,
      policies: set.policies.size,
    });
    return {
      port: main.port,
      readinessPort: readiness.port,
      reload,
      stop: async (graceMs, atOnce = false) => {
        stopping = true;
        for (const watch of watches) watch.close();
        await release({ stillAcceptingMs: atOnce ? 0 : STILL_ACCEPTING_MS, graceMs });
      },
    };
  } catch (error) {
    await release(AT_ONCE);
    throw error;
  }
}

/** How many threads are to serve. */
function servingThreads(
  options: ServerOptions,
  ownProcess: boolean,
  inOneThread: boolean,
  log: Log,
): number {
  const { servingThreads } = options;
  if (servingThreads === 0 || !ownProcess) return 0;
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
  { memory, ...owned }: Pick<ConstructorParameters<typeof ServingThreads>[0], "pool" | "log" | "metrics"> & {
    readonly memory: ThreadMemory | undefined;
  },
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
      memory,
    },
  });
}

/** `work`, once more after the run that is under way, however often it is asked for meanwhile. */
function merged(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const run = () => {
    running = work().finally(() => running = undefined);
    return running;
  };
  return () => {
    if (running === undefined) return run();
    return next ??= running.then(() => {
      next = undefined;
      return run();
    });
  };
}

function logTimeoutProtection({ policyTimeoutSeconds }: ServerOptions, log: Log): void {
  if (policyTimeoutSeconds === null) log.info("policy timeout protection is disabled");
  else log.info("policy timeout protection is enabled", { execution_limit_seconds: policyTimeoutSeconds });
}
