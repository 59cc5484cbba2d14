/** One phase: the objects of a namespace, or the cluster-scoped ones (spec/audit.md §4.2, §4.3). */
import { createHash } from "node:crypto";
import type { KubeClient } from "../../kubernetes/apply/kube_client.ts";
import type { Judge } from "../apply/judge_object.ts";
import { isUnserved, type ReportStore, type StoredReport } from "../apply/report_store.ts";
import { basisOf, type Inputs, inputsText, parseInputs, policiesOf } from "../render/inputs.ts";
import { auditedOf } from "../render/list_page.ts";
import { errorText } from "../render/log_line.ts";
import { reportOf, resultOf } from "../render/report.ts";
import type { Audited } from "../types/judgement.ts";
import type { Log } from "../types/log.ts";
import type { Auditable, Plan, Subject } from "../types/policies.ts";
import type { Report, Result } from "../types/report.ts";
import type { AuditSettings } from "../types/settings.ts";
import { pages } from "./pages.ts";
import { createSlots } from "./slots.ts";
import type { Counter } from "./tallying.ts";

/** Hears how far a phase is. */
export type PhaseProgress = {
  /** So many more objects are known of. */
  expect(count: number): void;
  /** One is done. */
  done(): void;
};

export type PhaseContext = {
  readonly client: KubeClient;
  readonly judge: Judge;
  readonly store: ReportStore;
  readonly settings: AuditSettings;
  readonly runUid: string;
  readonly log: Log;
  readonly counter: Counter;
  /** Kinds of reports that turned out not to be served: said once. */
  readonly missing: Set<string>;
};

const digest = (text: string) => createHash("sha256").update(text).digest("base64url").slice(0, 22);

/** What a stored report says that a new one would say too. */
function reusable(stored: Report, object: Audited): ReadonlyMap<string, Result> {
  if (stored.scope?.resourceVersion !== object.resourceVersion) return new Map();
  return new Map((stored.results ?? []).map((result) => [result.policy, result]));
}

function stillHolds(result: Result | undefined, policy: Auditable): result is Result {
  return result !== undefined && result.result !== "error" && !policy.contextAware &&
    result.properties["policy-uid"] === policy.properties["policy-uid"] &&
    result.properties["policy-resource-version"] === policy.properties["policy-resource-version"];
}

/** Of results of the same policy in the same version. */
function saysTheSame(now: Result, before: Result | undefined): boolean {
  return now.result === before?.result && now.message === before.message;
}

/** Audits a phase. Trouble with single kinds, objects and reports is logged; the phase goes on. */
export async function auditPhase(
  context: PhaseContext,
  namespace: string | undefined,
  plan: Plan,
  progress: PhaseProgress,
): Promise<void> {
  const { client, judge, store, settings, runUid, log, counter, missing } = context;
  const slots = createSlots(settings.parallelResources);
  const parallel = namespace === undefined ? 1 : settings.parallelPolicies;
  /** Names of the reports that are as they should be. */
  const current = new Set<string>();
  const kinds = namespace === undefined ? "ClusterPolicyReport" : "PolicyReport";
  const stores = { component: "policyreportstore" };

  let known: ReadonlyMap<string, StoredReport> | undefined;

  async function storedReports(): Promise<ReadonlyMap<string, StoredReport>> {
    const found = new Map<string, StoredReport>();
    if (settings.disableStore) return found;
    for await (const report of store.list(namespace)) found.set(report.name, report);
    return found;
  }

  async function write(report: Report, object: Audited): Promise<void> {
    if (settings.outputScan) log("info", `${kinds} summary`, { report: JSON.stringify(report) });
    if (settings.disableStore) return;
    try {
      const outcome = await store.write(report);
      current.add(report.metadata.name);
      counter.add("written");
      log("debug", `${kinds} ${outcome}`, {
        ...stores,
        "report-name": report.metadata.name,
        "resource-name": object.name,
        "resource-namespace": object.namespace ?? "",
        "resource-version": object.resourceVersion,
      });
    } catch (error) {
      counter.add("unwritten");
      if (isUnserved(error)) {
        if (missing.has(report.kind)) return;
        missing.add(report.kind);
        log(
          "error",
          `no matches for kind "${report.kind}" in version "${report.apiVersion}": install its CRD`,
          {
            ...stores,
            error: errorText(error),
          },
        );
        return;
      }
      const message = namespace === undefined
        ? "error adding ClusterPolicyReport to store"
        : "error adding PolicyReport to store.";
      log("error", message, { error: errorText(error), resource: object.name });
    }
  }

  async function audit(
    object: Audited,
    subject: Subject,
    basis: string,
    policies: readonly Auditable[],
    known: StoredReport | undefined,
  ): Promise<void> {
    log("info", namespace === undefined ? "audit clusterwide resource" : "audit resource", {
      resource: object.name,
      "policies-to-evaluate": policies.length,
      ...(namespace === undefined ? {} : { "parallel-policies-audit": parallel }),
    });
    const before: Inputs | undefined = known?.inputs === undefined ? undefined : parseInputs(known.inputs);
    const sameObject = before?.resourceVersion === object.resourceVersion;
    const same = sameObject && before.basis === basis && !before.outcomes.includes("error");
    if (
      same && before.outcomes.length === policies.length && !policies.some(({ contextAware }) => contextAware)
    ) {
      current.add(object.uid);
      counter.add("kept");
      policies.forEach(({ id }, index) => {
        const outcome = before.outcomes[index];
        if (outcome !== undefined) counter.judged(id, outcome);
      });
      if (!settings.outputScan) return;
      const stored = await store.get(namespace, object.uid);
      if (stored !== undefined) log("info", `${kinds} summary`, { report: JSON.stringify(stored) });
      return;
    }
    const stored = sameObject ? await store.get(namespace, object.uid) : undefined;
    const kept = stored === undefined ? new Map<string, Result>() : reusable(stored, object);
    const judged = await judge.judge(
      object,
      subject,
      parallel,
      (policy) => stillHolds(kept.get(policy.id), policy),
    );
    const fresh = new Map(judged.map((one) => [one.policy, one]));
    const results: Result[] = [];
    const outcomes = policies.map((policy) => {
      const asked = fresh.get(policy);
      const old = kept.get(policy.id);
      const result = asked !== undefined
        ? resultOf(policy, asked.judgement, asked.seconds)
        : stillHolds(old, policy)
        ? old
        : undefined;
      if (result === undefined) return undefined;
      results.push(result);
      counter.judged(policy.id, result.result);
      return result.result;
    });
    const inputs = inputsText(object.resourceVersion, basis, outcomes);
    if (
      same && inputs === known!.inputs &&
      results.every((result) => saysTheSame(result, kept.get(result.policy)))
    ) {
      current.add(object.uid);
      counter.add("kept");
      return;
    }
    await write(reportOf(object, results, plan, { reportKind: settings.reportKind, runUid, inputs }), object);
  }

  async function auditSubject(subject: Subject, known: ReadonlyMap<string, StoredReport>): Promise<void> {
    const { served } = subject.primary;
    const policies = policiesOf(subject);
    const basis = digest(basisOf(subject, plan));
    let first = true;
    try {
      for await (const page of pages(client, served, namespace, settings.pageSize)) {
        progress.expect(first ? page.items.length + page.remaining : 0);
        first = false;
        for (const text of page.items) {
          await slots.begin(async () => {
            let object: Audited | undefined;
            try {
              object = auditedOf(text, served);
              counter.add("resources");
              if (object.uid === "") {
                log("warning", "the object has no uid, so that no report can be written on it, skipping", {
                  resource: object.name,
                  kind: object.kind,
                });
                return;
              }
              await audit(object, subject, basis, policies, known.get(object.uid));
            } catch (error) {
              log("error", "error auditing resource", {
                error: errorText(error),
                RunUID: runUid,
                resource: object?.name ?? "",
              });
            } finally {
              progress.done();
            }
          });
        }
      }
    } catch (error) {
      counter.add("unlisted");
      const { group, version, plural: resource } = served;
      log("warning", "Failed to list resources", {
        component: "k8sclient",
        error: errorText(error),
        "resource-GVK": `${group}/${version}, Resource=${resource}`,
        ...(namespace === undefined ? {} : { ns: namespace }),
      });
    }
  }

  /** Reports that this run neither wrote nor kept are of objects that are no longer judged (spec/audit.md §13.3). */
  async function collect(): Promise<void> {
    if (settings.disableStore) return;
    const failed = (error: unknown, name?: string) =>
      log("error", `error deleting old ${namespace === undefined ? "ClusterReports" : "reports"}`, {
        error: errorText(error),
        RunUID: runUid,
        ...(name === undefined ? {} : { "report-name": name }),
      });
    try {
      const stored = settings.incremental && known !== undefined ? known : await storedReports();
      for (const report of stored.values()) {
        if (current.has(report.name)) continue;
        log("debug", `Deleting old ${kinds}s`, { ...stores, "report-name": report.name });
        await store.remove(namespace, report).then(
          () => counter.add("removed"),
          (error) => failed(error, report.name),
        );
      }
    } catch (error) {
      // Where the kind is not served there is nothing to remove.
      if (!isUnserved(error)) failed(error);
    }
  }

  if (settings.incremental) {
    try {
      known = await storedReports();
    } catch (error) {
      log("warning", "the stored reports cannot be listed, so that everything is judged anew", {
        error: errorText(error),
      });
    }
  }
  for (const subject of plan.subjects) await auditSubject(subject, known ?? new Map());
  await slots.drained();
  await collect();
}
