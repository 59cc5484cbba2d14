/**
 * The controller as a running thing: it follows the cluster, answers its webhooks, and while it is the leader brings everything
 * to what the resources say.
 */
import { customResource, POLICY_KINDS } from "../../crd/types.ts";
import type { MetricsPush } from "../../telemetry/apply/metrics_push.ts";
import type { ApiTransport } from "../../kubernetes/apply/api_transport.ts";
import { AT_ONCE, type Ending, type HttpListener } from "../../http/mod.ts";
import { missingAuthority } from "../apply/authority.ts";
import { type EventWriter, eventWriter } from "../apply/events.ts";
import { fencedTransport } from "../apply/fence.ts";
import { errorFields } from "../render/error_fields.ts";
import { FIELD_MANAGER } from "../render/names.ts";
import { type KubeClient, kubeClient } from "../../kubernetes/apply/kube_client.ts";
import type { Store } from "../apply/store.ts";
import { createStores, policyStore, type World } from "../apply/world.ts";
import { createMetrics, type Metrics, POLICY_TOTAL } from "../render/metrics.ts";
import { policyAttributes } from "../render/policy_attributes.ts";
import { startPolicyPush } from "../apply/policy_push.ts";
import { processMetrics } from "../apply/process_metrics.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import {
  BUDGETS,
  CONFIG_MAPS,
  DEPLOYMENTS,
  MUTATING,
  PODS,
  REPLICA_SETS,
  SECRETS,
  SERVICES,
  VALIDATING,
} from "../types/resources.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import type { ControllerSettings } from "../types/settings.ts";
import { becomeLeader, type ElectionOptions, type Leadership, LEASE_NAME } from "./leader_election.ts";
import { startMetrics, startProbes } from "./probes.ts";
import { type Reconcilers, startReconcilers } from "./reconcilers.ts";
import { follow } from "./reflector.ts";
import { createSyncProblems, type SyncProblems } from "./sync_problems.ts";
import { startWebhookServer, type WebhookServerOptions } from "./webhook_server.ts";

export type Log = World["log"];

type Election = Pick<ElectionOptions, "identity" | "leaseSeconds" | "renewSeconds" | "retrySeconds">;

export type ControllerOptions = {
  readonly settings: ControllerSettings;
  readonly transport: ApiTransport;
  log: Log;
  /** Absent: the process serves no webhooks. */
  readonly webhooks?: WebhookServerOptions;
  /** Addresses such as `:8081`; absent: not served. */
  readonly probeAddress?: string | undefined;
  readonly metricsAddress?: string | undefined;
  /** Absent: this controller writes without asking whether there are others. */
  readonly election?: Election;
  /** Milliseconds since the epoch; the real clock unless a test moves it. */
  now?(): number;
};

export type Controller = {
  readonly world: World;
  readonly metrics: Metrics;
  readonly ports: { readonly webhooks?: number; readonly probes?: number; readonly metrics?: number };
  /** Whether it is the leader. */
  leading(): boolean;
  /** Looks at everything again, as it does from time to time by itself. */
  resync(): void;
  /** Resolves when no work is being done or due. */
  idle(): Promise<void>;
  /** Aborted when leadership is lost: the process should end. */
  readonly lost: AbortSignal;
  /**
   * Ends everything; webhooks at once, with what is under way, unless `webhooks` says otherwise. Resolves to false when the last
   * metrics did not reach their collector.
   */
  stop(webhooks?: Ending): Promise<boolean>;
};

/** A last push may take so long. */
const PUSH_STOP_MS = 5_000;
/** How long webhooks that are under way may take at the end, in milliseconds. */
const STOP_MS = 1_000;

/** Starts to follow everything; resolves when all of it is known once. */
async function followAll(world: World, problems: SyncProblems, signal: AbortSignal): Promise<void> {
  const { stores, client, settings: { namespace } } = world;
  const one = <T extends KubeObject>(resource: Resource, store: Store<T>, fieldSelector?: string) =>
    follow({
      client,
      resource,
      store,
      signal,
      problems,
      ...(fieldSelector === undefined ? {} : { selection: { fieldSelector } }),
      namespace: resource.namespaced && !resource.apiVersion.startsWith("policies.") ? namespace : undefined,
    });
  await Promise.all([
    one(customResource("PolicyServer"), stores.policyServers),
    ...POLICY_KINDS.map((kind) => one(customResource(kind), policyStore(stores, kind))),
    one(VALIDATING, stores.webhooks.ValidatingWebhookConfiguration),
    one(MUTATING, stores.webhooks.MutatingWebhookConfiguration),
    one(CONFIG_MAPS, stores.configMaps),
    // Helm keeps whole releases in Secrets, a megabyte each.
    one(SECRETS, stores.secrets, "type!=helm.sh/release.v1"),
    one(SERVICES, stores.services),
    one(DEPLOYMENTS, stores.deployments),
    one(BUDGETS, stores.budgets),
    one(REPLICA_SETS, stores.replicaSets),
    one(PODS, stores.pods),
  ]);
}

function countPolicies({ stores }: World, metrics: Metrics): void {
  const counts = new Map<string, number>();
  for (const kind of POLICY_KINDS) {
    for (const { spec, status } of policyStore(stores, kind).all()) {
      const key = JSON.stringify([kind, spec.policyServer ?? "", status?.policyStatus ?? "unscheduled"]);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  metrics.clear("kubewarden_policies");
  for (const [key, count] of counts) {
    const [kind, policy_server, policy_status] = JSON.parse(key) as [string, string, string];
    metrics.set("kubewarden_policies", { kind, policy_server, policy_status }, count);
  }
}

/** A client whose requests are counted. */
function countedClient(transport: ApiTransport, metrics: Metrics): KubeClient {
  const { host } = new URL(transport.server);
  return kubeClient(
    transport,
    FIELD_MANAGER,
    ({ method, code }) => metrics.add("rest_client_requests_total", { method, code: String(code), host }),
  );
}

/** Starts the controller; resolves when it serves, which may be before it leads. */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const controller = new RunningController(options);
  await controller.serve();
  void controller.lead();
  return controller;
}

class RunningController implements Controller {
  readonly world: World;
  readonly metrics = createMetrics();
  readonly #options: ControllerOptions;
  readonly #ending = new AbortController();
  /** Aborted as soon as it is to stop: it serves on for a while then, and must not begin to lead. */
  readonly #candidacy = new AbortController();
  readonly #lost = new AbortController();
  readonly #events: EventWriter;
  readonly #syncProblems: SyncProblems;
  #push: MetricsPush | undefined;
  #probeServer: HttpListener | undefined;
  #metricsServer: HttpListener | undefined;
  #webhookServer: HttpListener | undefined;
  #synced = false;
  /** Settles when it leads, or will not, and then holds no Lease. */
  #candidature: Promise<void> | undefined;
  #leadership: Leadership | undefined;
  #reconcilers: Reconcilers | undefined;

  constructor(options: ControllerOptions) {
    const { settings, transport, log, now = Date.now } = options;
    this.#options = options;
    const fence = { mayWrite: () => this.#mayWrite(), lost: this.lost };
    const client = countedClient(fencedTransport(transport, fence), this.metrics);
    this.#events = eventWriter(client, now, log);
    this.#syncProblems = createSyncProblems({ log, signal: this.#ending.signal });
    this.world = {
      settings,
      client,
      stores: createStores(),
      now,
      log,
      note: this.#events.note,
      ...(settings.metrics &&
        { reconciled: (policy) => this.metrics.add(POLICY_TOTAL, policyAttributes(policy)) }),
    };
  }

  get ports(): Controller["ports"] {
    return {
      ...(this.#webhookServer === undefined ? {} : { webhooks: this.#webhookServer.port }),
      ...(this.#probeServer === undefined ? {} : { probes: this.#probeServer.port }),
      ...(this.#metricsServer === undefined ? {} : { metrics: this.#metricsServer.port }),
    };
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Begins to push metrics, and to answer probes, whoever collects metrics, and the API server. */
  async serve(): Promise<void> {
    const { settings, log, probeAddress, metricsAddress, webhooks } = this.#options;
    if (settings.metrics) this.#push = await startPolicyPush(settings, this.metrics, log);
    if (probeAddress !== undefined) {
      this.#probeServer = await startProbes(probeAddress, log, () => this.#unreadiness());
    }
    if (metricsAddress !== undefined) {
      this.#metricsServer = await startMetrics(metricsAddress, log, () => this.#metricsText());
    }
    if (webhooks !== undefined) {
      this.#webhookServer = await startWebhookServer(this.world, this.metrics, webhooks);
    }
    this.#showLeadership(0);
  }

  /** Follows the cluster, becomes the leader, and reconciles until stopped or the Lease is lost. */
  async lead(): Promise<void> {
    const { log, election } = this.#options;
    try {
      await followAll(this.world, this.#syncProblems, this.#ending.signal);
      this.#synced = true;
      log("info", "the cluster's objects are known");
      if (election !== undefined) await (this.#candidature = this.#becomeLeader(election));
      if (this.#candidacy.signal.aborted) return;
      this.#showLeadership(1);
      this.#reconcilers = startReconcilers(this.world, this.metrics);
    } catch (error) {
      if (!this.#candidacy.signal.aborted) log("error", "cannot lead", errorFields(error));
    }
  }

  leading(): boolean {
    return this.#reconcilers !== undefined && this.#mayWrite();
  }

  resync(): void {
    this.#reconcilers?.resync();
  }

  async idle(): Promise<void> {
    await this.#reconcilers?.idle();
    await this.#events.idle();
  }

  async stop(webhooks: Ending = { stillAcceptingMs: 0, graceMs: STOP_MS }): Promise<boolean> {
    this.#candidacy.abort();
    // Webhooks answer on meanwhile: the API server finds the next controller by and by.
    const webhooksEnded = this.#webhookServer?.end(webhooks);
    await this.#reconcilers?.stop();
    await this.#candidature?.catch(() => {});
    await this.#leadership?.release();
    await webhooksEnded;
    this.#ending.abort();
    await Promise.all([this.#probeServer?.end(AT_ONCE), this.#metricsServer?.end(AT_ONCE)]);
    return await this.#push?.stop(PUSH_STOP_MS) ?? true;
  }

  #mayWrite(): boolean {
    return this.#options.election === undefined || this.#leadership?.holds() === true;
  }

  async #becomeLeader(election: Election): Promise<void> {
    const { settings: { namespace }, transport, log } = this.#options;
    // Not the fenced one: the Lease is how one comes to be allowed to write.
    const client = countedClient(transport, this.metrics);
    this.#leadership = await becomeLeader({
      ...election,
      client,
      namespace,
      signal: this.#candidacy.signal,
      log,
    });
    this.#leadership.lost.addEventListener("abort", () => {
      this.#showLeadership(0);
      void this.#reconcilers?.stop();
      this.#lost.abort();
    });
  }

  #showLeadership(status: 0 | 1): void {
    this.metrics.set("leader_election_master_status", { name: LEASE_NAME }, status);
  }

  #metricsText(): string {
    for (const [name, value] of processMetrics()) this.metrics.set(name, {}, value);
    this.#reconcilers?.refreshMetrics();
    countPolicies(this.world, this.metrics);
    return this.metrics.text();
  }

  /** Why the controller is not ready; undefined when it is. */
  #unreadiness(): string | undefined {
    if (this.#candidacy.signal.aborted) return "the controller is shutting down";
    if (this.#options.webhooks !== undefined && this.#webhookServer === undefined) {
      return "the webhook server does not listen yet";
    }
    if (!this.#synced) {
      const why = this.#syncProblems.current();
      return `the cluster's objects are not known yet${why === undefined ? "" : `: ${why}`}`;
    }
    const missing = missingAuthority(this.world, this.world.now());
    if (missing === undefined) return undefined;
    const why = this.#reconcilers?.certificateProblem();
    return `no certificate authority: ${missing}${why === undefined ? "" : `; making one failed: ${why}`}`;
  }
}
