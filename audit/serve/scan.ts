/** One run: the phases that the flags ask for, in their order (spec/audit.md §4). */
import { createDiscovery } from "../apply/discovery.ts";
import { openGate } from "../apply/gate.ts";
import { objectJudge } from "../apply/judge_object.ts";
import { removeLegacyReports } from "../apply/legacy_reports.ts";
import type { Conditions } from "../apply/match_conditions.ts";
import { policySource } from "../apply/policies.ts";
import type { Tls } from "../apply/exchange.ts";
import { policyServerClient } from "../apply/policy_server_client.ts";
import { reportStore } from "../apply/report_store.ts";
import type { KubeClient } from "../../kubernetes/apply/kube_client.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import { policiesOf } from "../render/inputs.ts";
import { errorText } from "../render/log_line.ts";
import type { Log } from "../types/log.ts";
import type { Plan } from "../types/policies.ts";
import type { AuditSettings } from "../types/settings.ts";
import type { Tally } from "../types/tally.ts";
import type { PhaseContext } from "./object_report.ts";
import { auditPhase, type Collect, type PhaseProgress } from "./phase.ts";
import { createCounter } from "./tallying.ts";

const NAMESPACES: Resource = { kind: "Namespace", apiVersion: "v1", plural: "namespaces", namespaced: false };
/** Requests on the way to one policy server, whatever the flags say: each is a connection. */
const MOST_REQUESTS = 1024;

/** Shows people how far a run is. */
export type Progress = {
  /** A phase begins: a namespace, or `undefined` for the cluster-scoped objects; `of` namespaces are in the run. */
  begin(namespace: string | undefined, of: number): PhaseProgress & { end(): void };
};

export type ScanParts = {
  readonly client: KubeClient;
  readonly tls: Tls;
  readonly conditions: Conditions;
  readonly settings: AuditSettings;
  readonly log: Log;
  readonly progress: Progress;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** A new UUID. */
  readonly uuid: () => string;
};

/** What a run came to; `error` is why it failed, if it did. */
export type ScanOutcome = {
  readonly runUid: string;
  readonly tally: Tally;
  readonly error: string | undefined;
};

/** Runs once. */
export async function scan(parts: ScanParts): Promise<ScanOutcome> {
  const { client, settings, log, progress } = parts;
  const runUid = parts.uuid();
  const counter = createCounter();
  const discovery = createDiscovery(
    client,
    (groupVersion, error) =>
      log("error", "failed to ask the API server what it serves", { groupVersion, error: errorText(error) }),
  );
  const policies = policySource(client, discovery, settings, log);
  const inFlight = settings.parallelNamespaces * settings.parallelResources * settings.parallelPolicies;
  const servers = await policyServerClient(parts.tls, Math.min(inFlight, MOST_REQUESTS));
  const context: PhaseContext = {
    client,
    judge: objectJudge({ client, servers, conditions: parts.conditions, log, now: parts.now }),
    store: reportStore(client, settings.reportKind),
    settings,
    runUid,
    log,
    counter,
    missing: new Set(),
  };
  const counts = ({ evaluated, skipped, errored }: Plan) => ({
    "policies-to-evaluate": evaluated.length,
    "policies-skipped": skipped.length,
    "policies-errored": errored.length,
  });
  const scanner = { component: "scanner" };

  async function run(namespace: string | undefined, plan: Plan, of: number): Promise<Collect> {
    for (const id of plan.evaluated) counter.policy(id);
    await parts.conditions.prepare(plan.subjects.flatMap(policiesOf));
    const shown = progress.begin(namespace, of);
    try {
      return await auditPhase(context, namespace, plan, shown);
    } finally {
      shown.end();
    }
  }

  async function clusterWide(): Promise<void> {
    log("info", "clusterwide resources scan started", { ...scanner, RunUID: runUid });
    const plan = await policies.plan(undefined);
    log("info", "cluster admission policies count", {
      ...scanner,
      ...counts(plan),
      "parallel-resources-audits": settings.parallelResources,
    });
    const collect = await run(undefined, plan, 0);
    await collect();
    log("info", "Cluster-wide resources scan finished", scanner);
  }

  /** What is audited in a namespace; read while the one before is still being audited. */
  async function prepare(name: string): Promise<Plan> {
    let namespace: KubeObject;
    try {
      namespace = await client.get<KubeObject>(NAMESPACES, undefined, name);
    } catch (error) {
      throw new Error(`failed to get namespace ${name}: can't get namespace ${name}: ${errorText(error)}`);
    }
    try {
      return await policies.plan({ namespace: name, labels: namespace.metadata.labels });
    } catch (error) {
      throw new Error(`failed to obtain auditable policies for namespace ${name}: ${errorText(error)}`);
    }
  }

  /** Audits a namespace; resolves to what finishes it, which may be done while the next one is audited. */
  async function oneNamespace(name: string, of: number, prepared = prepare(name)): Promise<Collect> {
    log("info", "namespace scan started", {
      ...scanner,
      namespace: name,
      RunUID: runUid,
      "parallel-resources-audits": settings.parallelResources,
    });
    const plan = await prepared;
    log("info", "policy count", { ...scanner, namespace: name, ...counts(plan) });
    const collect = await run(name, plan, of);
    return async () => {
      await collect();
      counter.add("namespaces");
      log("info", "Namespaced resources scan finished", { ...scanner, namespace: name });
    };
  }

  async function allNamespaces(): Promise<void> {
    const parallel = settings.parallelNamespaces;
    log("info", "all-namespaces scan started", {
      ...scanner,
      dict: { "parallel-namespaces-audits": parallel },
    });
    const skipped = [...settings.ignoreNamespaces, settings.kubewardenNamespace];
    for (const ns of skipped) log("debug", "skipping ns", { ...scanner, ns });
    let names: readonly string[];
    try {
      const fieldSelector = skipped.map((name) => `metadata.name!=${name}`).join(",");
      const { items } = await client.list(NAMESPACES, undefined, { fieldSelector, metadataOnly: true });
      names = items.map(({ metadata }) => metadata.name);
    } catch (error) {
      throw new Error(`error scanning all namespaces: ${errorText(error)}`);
    }
    const failures: string[] = [];
    const gate = openGate({ first: parallel });
    const prepared = new Map<string, Promise<Plan>>();
    const planOf = (name: string | undefined): Promise<Plan> | undefined => {
      if (name === undefined) return undefined;
      let plan = prepared.get(name);
      if (plan === undefined) {
        prepared.set(name, plan = prepare(name));
        // Its failure is met when its turn comes.
        plan.catch(() => {});
      }
      return plan;
    };
    const ends: Promise<void>[] = [];
    const audit = async (name: string, index: number) => {
      // No more of them than this wait to be finished.
      await ends[index - 2 * parallel];
      const plan = planOf(name);
      prepared.delete(name);
      void planOf(names[index + parallel]);
      return await oneNamespace(name, names.length, plan);
    };
    const finishing = openGate({ first: parallel });
    for (const [index, name] of names.entries()) {
      const end = gate.pass(() => audit(name, index)).then((finish) => finishing.pass(finish));
      ends.push(end.catch((error) => {
        counter.add("failedNamespaces");
        failures.push(errorText(error));
        log("error", "error scanning namespace", { ...scanner, error: errorText(error), ns: name });
      }));
    }
    await Promise.all(ends);
    if (failures.length > 0) throw new Error(`error scanning all namespaces: ${failures.join("\n")}`);
    log("info", "all-namespaces scan finished", scanner);
  }

  let error: string | undefined;
  try {
    if (settings.reportKind === "openreports" && !settings.disableStore) {
      await removeLegacyReports(client, parts.uuid(), log);
    }
    if (settings.namespace !== undefined) {
      const finish = await oneNamespace(settings.namespace, 1);
      await finish();
    } else {
      await clusterWide();
      if (!settings.clusterOnly) await allNamespaces();
    }
  } catch (failure) {
    error = errorText(failure);
  } finally {
    await servers.close();
  }
  return { runUid, tally: counter.tally(), error };
}
