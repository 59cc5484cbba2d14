/**
 * The controller as a running thing: it follows the cluster, answers its webhooks, and while it is the leader brings everything
 * to what the resources say.
 */
import type { ApiTransport } from "../../kubernetes/apply/api_transport.ts";
import { type PolicyKind } from "../../crd/types.ts";
import { AT_ONCE, type Ending, type HttpListener } from "../../http/mod.ts";
import { missingAuthority } from "../apply/authority.ts";
import { eventWriter } from "../apply/events.ts";
import { fencedTransport } from "../apply/fence.ts";
import { errorFields } from "../render/error_fields.ts";
import { FIELD_MANAGER } from "../render/names.ts";
import { kubeClient } from "../../kubernetes/apply/kube_client.ts";
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
  customResource,
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
import { becomeLeader, type Leadership, LEASE_NAME } from "./leader_election.ts";
import { startMetrics, startProbes } from "./probes.ts";
import { follow } from "./reflector.ts";
import { createSyncProblems, type SyncProblems } from "./sync_problems.ts";
import { METRIC_NAMES, type Queues, type StartedQueues, startQueues, triggersInto } from "./queues.ts";
import { connectTriggers, triggerAll, type Triggers } from "./triggers.ts";
import { startWebhookServer, type WebhookServerOptions } from "./webhook_server.ts";

export type Log = World["log"];

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
  readonly election?: {
    readonly identity: string;
    readonly leaseSeconds?: number;
    readonly renewSeconds?: number;
    readonly retrySeconds?: number;
  };
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

const RESYNC_MS = 10 * 3_600_000;
const CERTIFICATES_MS = 12 * 3_600_000;
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
    ...(Object.keys(METRIC_NAMES) as PolicyKind[]).map((kind) =>
      one(customResource(kind), policyStore(stores, kind))
    ),
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
  for (const kind of Object.keys(METRIC_NAMES) as PolicyKind[]) {
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

/** Starts the controller; resolves when it serves, which may be before it leads. */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const { settings, transport, log, election } = options;
  const now = options.now ?? Date.now;
  const ending = new AbortController();
  const lost = new AbortController();
  const metrics = createMetrics();
  const host = new URL(transport.server).host;
  const counted = (through: ApiTransport) =>
    kubeClient(
      through,
      FIELD_MANAGER,
      ({ method, code }) => metrics.add("rest_client_requests_total", { method, code: String(code), host }),
    );
  let leadership: Leadership | undefined;
  const mayWrite = () => election === undefined || leadership?.holds() === true;
  const client = counted(fencedTransport(transport, { mayWrite, lost: lost.signal }));
  const push = settings.metrics ? await startPolicyPush(settings, metrics, log) : undefined;
  const events = eventWriter(client, now, log);
  const world: World = {
    settings,
    client,
    stores: createStores(),
    now,
    log,
    note: events.note,
    ...(settings.metrics &&
      { reconciled: (policy) => metrics.add(POLICY_TOTAL, policyAttributes(policy)) }),
  };

  let queues: Queues | undefined;
  let refreshMetrics = () => {};
  let webhookServer: HttpListener | undefined;
  let synced = false;
  let stopping = false;
  const problems = createSyncProblems({
    log,
    signal: ending.signal,
  });
  let certificateProblem: StartedQueues["certificateProblem"] = () => undefined;
  const problem = () => {
    if (stopping) return "the controller is shutting down";
    if (options.webhooks !== undefined && webhookServer === undefined) {
      return "the webhook server does not listen yet";
    }
    if (!synced) {
      const why = problems.current();
      return `the cluster's objects are not known yet${why === undefined ? "" : `: ${why}`}`;
    }
    const missing = missingAuthority(world, now());
    if (missing === undefined) return undefined;
    const why = certificateProblem();
    return `no certificate authority: ${missing}${why === undefined ? "" : `; making one failed: ${why}`}`;
  };
  const plain: HttpListener[] = [];
  const probes = options.probeAddress === undefined
    ? undefined
    : await startProbes(options.probeAddress, log, problem);
  const render = () => {
    for (const [name, value] of processMetrics()) metrics.set(name, {}, value);
    refreshMetrics();
    countPolicies(world, metrics);
    return metrics.text();
  };
  const metricsServer = options.metricsAddress === undefined
    ? undefined
    : await startMetrics(options.metricsAddress, log, render);
  for (const server of [probes, metricsServer]) if (server !== undefined) plain.push(server);
  if (options.webhooks !== undefined) {
    webhookServer = await startWebhookServer(world, metrics, options.webhooks);
  }

  let triggers: Triggers | undefined;
  const timers: ReturnType<typeof setInterval>[] = [];
  const status = (value: number) => metrics.set("leader_election_master_status", { name: LEASE_NAME }, value);
  status(0);

  /** Leads until stopped or the Lease is lost. */
  const lead = () => {
    if (ending.signal.aborted) return;
    status(1);
    ({ queues, refreshMetrics, certificateProblem } = startQueues(world, metrics));
    triggers = triggersInto(queues);
    connectTriggers(world, triggers);
    triggerAll(world, triggers);
    timers.push(
      setInterval(() => triggerAll(world, triggers!), RESYNC_MS),
      setInterval(() => triggers!.certificates(), CERTIFICATES_MS),
    );
  };
  const ready = followAll(world, problems, ending.signal).then(async () => {
    synced = true;
    log("info", "the cluster's objects are known");
    if (election === undefined) return lead();
    leadership = await becomeLeader({
      ...election,
      // Not the fenced one: the Lease is how one comes to be allowed to write.
      client: counted(transport),
      namespace: settings.namespace,
      signal: ending.signal,
      log,
    });
    leadership.lost.addEventListener("abort", () => {
      status(0);
      void queues?.policies.stop();
      void queues?.servers.stop();
      void queues?.certificates.stop();
      void queues?.orphans.stop();
      void queues?.defaults.stop();
      lost.abort();
    });
    lead();
  });
  ready.catch((error) => {
    if (!ending.signal.aborted) log("error", "cannot lead", errorFields(error));
  });

  const all = () => queues === undefined ? [] : Object.values(queues);
  return {
    world,
    metrics,
    ports: {
      ...(webhookServer === undefined ? {} : { webhooks: webhookServer.port }),
      ...(probes === undefined ? {} : { probes: probes.port }),
      ...(metricsServer === undefined ? {} : { metrics: metricsServer.port }),
    },
    leading: () => queues !== undefined && mayWrite(),
    resync: () => triggers !== undefined && triggerAll(world, triggers),
    async idle() {
      for (let round = 0; round < 2; round++) for (const queue of all()) await queue.idle();
      await events.idle();
    },
    lost: lost.signal,
    async stop(webhooks = { stillAcceptingMs: 0, graceMs: STOP_MS }) {
      stopping = true;
      for (const timer of timers) clearInterval(timer);
      // Webhooks answer on meanwhile: the API server finds the next controller by and by.
      const webhooksEnded = webhookServer?.end(webhooks);
      await Promise.all(all().map((queue) => queue.stop()));
      await leadership?.release();
      await webhooksEnded;
      ending.abort();
      await Promise.all(plain.map((server) => server.end(AT_ONCE)));
      return await push?.stop(PUSH_STOP_MS) ?? true;
    },
  };
}
