/** A policy server: builds its policies, listens, takes new policies and certificates while it serves, and ends in good order. */
import { AT_ONCE, type Ending, STILL_ACCEPTING_MS, type TlsSettings } from "../../http/types.ts";
import { findKubeconfig } from "../../kubernetes/apply/kubeconfig.ts";
import { listenAddress } from "../../program/render/listen_error.ts";
import { allCapabilities } from "../apply/capabilities/all.ts";
import { regoInventory } from "../apply/capabilities/rego_inventory.ts";
import { type ClusterSource, environmentCluster } from "../apply/kubernetes/cluster.ts";
import type { Log, SharedLog } from "../apply/log.ts";
import { type ModuleSources, moduleSources } from "../apply/module_source.ts";
import { type Observers, startObservers } from "../apply/observers.ts";
import { loadPolicies } from "../apply/policies_file.ts";
import { buildPolicySet, openPolicySet, type PolicySetOptions } from "../apply/policy_set.ts";
import { sharedModules } from "../apply/shared_modules.ts";
import { loadTlsMaterial, type TlsMaterial } from "../apply/tls_material.ts";
import type { ServerOptions } from "../types/options.ts";
import type { PolicyEntry, PolicyModule } from "../types/policies.ts";
import { openFront } from "./front.ts";
import { watchPolicies } from "./policies_watch.ts";
import { openReadiness } from "./readiness.ts";
import { policiesReload } from "./reload.ts";
import { type ServerThreads, startThreads } from "./threads.ts";
import { TlsWatch } from "./tls_watch.ts";

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
  // What was started last ends first: when a step below fails, or else when the server is stopped.
  await using lifetimes = new AsyncDisposableStack();
  let ending: Ending | undefined;
  const stopping = () => ending !== undefined;

  const entries = readPolicies(options, log);
  const observers = await startObservers(options, log, lifetimes);
  const sources = await moduleSources(options, log);
  await configured();
  const cluster = connectCluster(entries, log);
  lifetimes.defer(() => cluster.close());
  const threads = await startThreads(options, ownProcess, observers, lifetimes);
  logTimeoutProtection(options, log);
  const setOptions = policySetOptions(options, observers, sources, cluster.source, threads);
  const opened = await openPolicySet(entries, setOptions);

  const tls = options.tls && loadTlsMaterial(options.tls, log);
  // Opened last, but open until the reviews' listener has ended: meanwhile it says that the server is not ready.
  const probes = lifetimes.use(new AsyncDisposableStack());
  const front = await openFront(options, tls ? tlsSettings(tls) : undefined, opened.set, threads, observers);
  lifetimes.defer(() => front.end(ending ?? AT_ONCE));
  const readiness = await openReadiness(options, observers, front, stopping);
  probes.defer(() => readiness.end(AT_ONCE));

  const build = () => buildPolicySet(readPolicies(options, log), setOptions);
  const reload = policiesReload({ front, build, whole: opened.whole, stopping, log });
  if (options.watchPolicies) {
    lifetimes.adopt(watchPolicies(options.policiesPath, () => void reload()), (watch) => watch.close());
  }
  if (options.tls && tls) {
    const useTls = (next: TlsMaterial) => front.setTls(tlsSettings(next));
    lifetimes.adopt(new TlsWatch(options.tls, tls, useTls, { log }), (watch) => watch.close());
  }
  log.info("policy server is ready", {
    address: `${tls ? "https" : "http"}://${listenAddress(options.host, front.port)}`,
    policies: opened.set.policies.size,
  });

  const running = lifetimes.move();
  let stopped: Promise<void> | undefined;
  return {
    port: front.port,
    readinessPort: readiness.port,
    reload,
    stop(graceMs, atOnce = false) {
      ending ??= { stillAcceptingMs: atOnce ? 0 : STILL_ACCEPTING_MS, graceMs };
      return stopped ??= running.disposeAsync();
    },
  };
}

function readPolicies({ policiesPath }: ServerOptions, log: Log): ReadonlyMap<string, PolicyEntry> {
  return loadPolicies(policiesPath, (warning) => log.warn(warning));
}

/** The cluster that policies see, already connecting where one of them needs it. */
function connectCluster(
  entries: ReadonlyMap<string, PolicyEntry>,
  log: Log,
): ReturnType<typeof environmentCluster> {
  const cluster = environmentCluster(
    (message, error) => log.warn(message, { error: error.message }),
    (error) =>
      log.warn("no Kubernetes cluster is known: policies that ask it for something get an error", {
        error: error.message,
      }),
  );
  // Connecting takes most of a second, which the first request should not wait for.
  if (readsCluster(entries) || findKubeconfig() === undefined) void cluster.source();
  return cluster;
}

/** Whether any policy reads objects of the cluster. */
function readsCluster(entries: ReadonlyMap<string, PolicyEntry>): boolean {
  const reads = ({ contextAwareResources }: PolicyModule) => contextAwareResources.length > 0;
  return [...entries.values()].some((entry) =>
    entry.kind === "policy" ? reads(entry) : [...entry.policies.values()].some(reads)
  );
}

/** What policies are made ready with, at the start and whenever they are reloaded. */
function policySetOptions(
  { policyTimeoutSeconds, continueOnErrors }: ServerOptions,
  { log, tracing }: Observers,
  { artifact, trustRoot, loadModule, arrivedAt }: ModuleSources,
  cluster: ClusterSource,
  { forPolicies }: ServerThreads,
): PolicySetOptions {
  return {
    ...forPolicies,
    loadModule,
    arrivedAt,
    modules: sharedModules(),
    policyTimeoutSeconds,
    continueOnErrors,
    capabilities: allCapabilities({ artifact, trustRoot, cluster, log }),
    inventory: regoInventory(cluster),
    log,
    tracer: tracing?.tracer,
  };
}

function tlsSettings({ server, clientCas }: TlsMaterial): TlsSettings {
  return { cert: server.cert, key: server.key, clientCas: clientCas?.certificates };
}

function logTimeoutProtection({ policyTimeoutSeconds }: ServerOptions, log: Log): void {
  if (policyTimeoutSeconds === null) log.info("policy timeout protection is disabled");
  else log.info("policy timeout protection is enabled", { execution_limit_seconds: policyTimeoutSeconds });
}
