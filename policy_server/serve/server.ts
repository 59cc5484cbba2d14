/** A policy server: builds its policies, listens, takes new policies and certificates while it serves, and ends in good order. */
import process from "node:process";
import { findKubeconfig } from "../../kubernetes/apply/kubeconfig.ts";
import { EvaluatorPool } from "../../evaluator/apply/pool.ts";
import { WORKER_URL } from "../../evaluator/apply/worker_url.ts";
import type { HandlerContext } from "./handler.ts";
import { policyHandler, readinessHandler } from "./handler.ts";
import { listenBun } from "./bun_serve.ts";
import { listenNode } from "./node_https.ts";
import { watchPolicies } from "./policies_watch.ts";
import { watchTlsMaterial } from "./tls_watch.ts";
import { allCapabilities } from "../apply/capabilities/all.ts";
import { regoInventory } from "../apply/capabilities/rego_inventory.ts";
import { environmentCluster } from "../apply/kubernetes/cluster.ts";
import type { Log } from "../apply/log.ts";
import { createMetrics } from "../apply/metrics.ts";
import { artifactOptions, moduleSource } from "../apply/module_source.ts";
import { loadPolicies } from "../apply/policies_file.ts";
import { buildPolicySet, type PolicySet, type PolicySetOptions } from "../apply/policy_set.ts";
import { startTelemetry } from "../apply/telemetry.ts";
import { trustRootSource } from "../apply/trust_root.ts";
import { loadTlsMaterial, type TlsMaterial } from "../apply/tls_material.ts";
import type { HttpListener, Listen, ListenOptions, TlsSettings } from "../types/http.ts";
import { listenError } from "../../program/render/listen_error.ts";
import type { ServerOptions } from "../types/options.ts";
import type { PolicyEntry, PolicyModule } from "../types/policies.ts";

/** A server that serves. */
export interface PolicyServer {
  readonly port: number;
  readonly readinessPort: number;
  /** Builds the policies anew from the file and swaps them in; the old ones keep serving when that fails. Never rejects. */
  reload(): Promise<void>;
  /** Stops accepting and resolves when what was accepted has been answered, or after `graceMs`. */
  stop(graceMs: number): Promise<void>;
}

/** A request must arrive whole within this time; the API server itself waits at most 30 s for an answer. */
const REQUEST_TIMEOUT_MS = 30_000;

/** The last push may take this long. */
const TELEMETRY_FLUSH_MS = 2_000;

function tlsSettings({ server, clientCas }: TlsMaterial): TlsSettings {
  return { cert: server.cert, key: server.key, clientCas: clientCas?.certificates };
}

function chooseAdapter(options: ServerOptions): Listen {
  const onBun = "bun" in process.versions;
  if (options.httpAdapter === "bun-serve" && !onBun) throw new Error("--http-adapter bun-serve needs Bun");
  return onBun && options.httpAdapter !== "node-https" ? listenBun : listenNode;
}

/** Opens one of the server's two listeners. Rejects with a ListenError that says which, where, why, and what to do. */
async function open(
  listen: Listen,
  options: ListenOptions,
  names: { readonly what: string; readonly portOption: string },
): Promise<HttpListener> {
  const { host, port } = options;
  try {
    return await listen(options);
  } catch (error) {
    throw listenError(
      { ...names, host, port, hostOption: "--addr (variable KUBEWARDEN_BIND_ADDRESS)" },
      error,
    );
  }
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
 * once everything that the options name has been read.
 */
export async function startServer(
  options: ServerOptions,
  log: Log,
  configured: () => Promise<void> = () => Promise.resolve(),
): Promise<PolicyServer> {
  const listen = chooseAdapter(options);
  const entries = loadPolicies(options.policiesPath);
  const metrics = createMetrics({
    onOverflow: (attribute) =>
      log.warn("too many values of a metric's label, further ones count as `other`", { attribute }),
  });
  const telemetry = await startTelemetry(options, process.env, metrics, log);
  const { tracing } = telemetry;
  const profiler = options.enablePprof
    ? await (await import("../apply/profiler.ts")).startProfiler()
    : undefined;
  const artifact = await artifactOptions(options, log);
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
  const pool = new EvaluatorPool({
    worker: WORKER_URL,
    threads: options.workers,
    ownProcess: true,
    onLog: (policy, entry, request) => {
      const { level, message, data } = entry;
      log[level](message, { policy_id: policy, data }, { target: "policy_log" });
      if (log.enabled(level)) tracing?.policyLog(policy, entry, request);
    },
    onThreadError: (message) => log.error(message),
  });
  const setOptions: PolicySetOptions = {
    pool,
    loadModule,
    limits: { memoryMib: options.policyMemoryLimitMib },
    policyTimeoutSeconds: options.policyTimeoutSeconds,
    continueOnErrors: options.continueOnErrors,
    capabilities: allCapabilities({ artifact, trustRoot, cluster: cluster.source, log }),
    inventory: regoInventory(cluster.source),
    log,
    tracer: tracing?.tracer,
  };
  const listeners: HttpListener[] = [];
  try {
    logTimeoutProtection(options, log);
    let set: PolicySet = await buildPolicySet(entries, setOptions);
    const tls = options.tls && loadTlsMaterial(options.tls, log);
    const context: HandlerContext = {
      pool,
      metrics,
      log,
      alwaysAcceptNamespace: options.alwaysAcceptNamespace,
      policySet: () => set,
      tracing,
      profiler,
    };
    const common: Omit<ListenOptions, "port" | "tls" | "handler"> = {
      host: options.host,
      maxBodyBytes: options.maxBodyBytes,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
    };
    const main = await open(listen, {
      ...common,
      port: options.port,
      tls: tls ? tlsSettings(tls) : undefined,
      handler: policyHandler(context),
    }, { what: "admission requests", portOption: "--port (variable KUBEWARDEN_PORT)" });
    listeners.push(main);
    const readiness = await open(listen, {
      ...common,
      port: options.readinessProbePort,
      tls: undefined,
      handler: readinessHandler(context),
    }, {
      what: "readiness probes and metrics",
      portOption: "--readiness-probe-port (variable KUBEWARDEN_READINESS_PROBE_PORT)",
    });
    listeners.push(readiness);

    let reloading = Promise.resolve();
    const rebuild = async () => {
      try {
        const next = await buildPolicySet(loadPolicies(options.policiesPath), setOptions);
        const old = set;
        set = next;
        old.dispose();
        log.info("policies were reloaded", { policies_count: next.policies.size });
      } catch (error) {
        log.error("policies could not be reloaded, the previous ones keep serving", {
          error: (error as Error).message,
        });
      }
    };
    const reload = () => reloading = reloading.then(rebuild);
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
      stop: async (graceMs) => {
        for (const watch of watches) watch.close();
        await main.drain(graceMs);
        await readiness.drain(0);
        await pool.close();
        await telemetry.stop(TELEMETRY_FLUSH_MS);
        profiler?.close();
        cluster.close();
      },
    };
  } catch (error) {
    for (const listener of listeners) await listener.drain(0);
    await pool.close();
    await telemetry.stop(TELEMETRY_FLUSH_MS);
    cluster.close();
    throw error;
  }
}

function logTimeoutProtection({ policyTimeoutSeconds }: ServerOptions, log: Log): void {
  if (policyTimeoutSeconds === null) log.info("policy timeout protection is disabled");
  else log.info("policy timeout protection is enabled", { execution_limit_seconds: policyTimeoutSeconds });
}
