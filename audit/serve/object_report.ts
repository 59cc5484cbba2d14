/** The report on one object: kept where nothing has changed, else judged and written (spec/audit.md §11–§13). */
import type { KubeClient } from "../../kubernetes/apply/kube_client.ts";
import type { Judge } from "../apply/judge_object.ts";
import { isUnserved, type ReportStore, type StoredReport } from "../apply/report_store.ts";
import { inputsText, parseInputs } from "../render/inputs.ts";
import { errorText } from "../render/log_line.ts";
import { reportOf, resultOf, withoutTraces } from "../render/report.ts";
import type { Audited } from "../types/judgement.ts";
import type { Log } from "../types/log.ts";
import type { Auditable, Plan, Subject } from "../types/policies.ts";
import type { Report, Result } from "../types/report.ts";
import type { AuditSettings } from "../types/settings.ts";
import type { Counter } from "./tallying.ts";

/** What all phases of a run share. */
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

/** How the messages call the reports of a phase, whichever of the two APIs they belong to. */
export function reportsName(namespace: string | undefined): string {
  return namespace === undefined ? "ClusterPolicyReport" : "PolicyReport";
}

/** An object and all that its report depends on besides it. */
export type ObjectAudit = {
  readonly object: Audited;
  readonly subject: Subject;
  /** The subject's policies in the order of results. */
  readonly policies: readonly Auditable[];
  readonly plan: Plan;
  /** Digest of what the report depends on besides the object (`render/inputs.ts`). */
  readonly basis: string;
  /** What is stored of it, as far as it was looked up. */
  readonly known: StoredReport | undefined;
};

/** Whether a stored result is what the policy would answer again. */
function stillHolds(result: Result | undefined, policy: Auditable): result is Result {
  return result !== undefined && result.result !== "error" && !policy.contextAware &&
    result.properties["policy-uid"] === policy.properties["policy-uid"] &&
    result.properties["policy-resource-version"] === policy.properties["policy-resource-version"];
}

/** Of results of the same policy in the same version. */
function saysTheSame(now: Result, before: Result | undefined): boolean {
  return now.result === before?.result && now.message === before.message;
}

function resultsOf(stored: Report | undefined, object: Audited): ReadonlyMap<string, Result> {
  const same = stored?.scope?.resourceVersion === object.resourceVersion;
  return new Map((same ? stored.results ?? [] : []).map((result) => [result.policy, result]));
}

/** Audits one object; says whether the report that is now stored is as it should be. */
export async function auditObject(
  { judge, store, settings, runUid, log, counter, missing }: PhaseContext,
  namespace: string | undefined,
  { object, subject, policies, plan, basis, known }: ObjectAudit,
): Promise<boolean> {
  const reports = reportsName(namespace);
  const parallel = namespace === undefined ? 1 : settings.parallelPolicies;
  log("info", namespace === undefined ? "audit clusterwide resource" : "audit resource", {
    resource: object.name,
    "policies-to-evaluate": policies.length,
    ...(namespace === undefined ? {} : { "parallel-policies-audit": parallel }),
  });

  const print = (report: Report) => {
    if (settings.outputScan) log("info", `${reports} summary`, { report: JSON.stringify(report) });
  };

  function failed(error: unknown, report: Report): void {
    counter.add("unwritten");
    if (!isUnserved(error)) {
      const message = namespace === undefined
        ? "error adding ClusterPolicyReport to store"
        : "error adding PolicyReport to store.";
      log("error", message, { error: errorText(error), resource: object.name });
    } else if (!missing.has(report.kind)) {
      missing.add(report.kind);
      log(
        "error",
        `no matches for kind "${report.kind}" in version "${report.apiVersion}": install its CRD`,
        { component: "policyreportstore", error: errorText(error) },
      );
    }
  }

  async function write(report: Report): Promise<boolean> {
    print(report);
    if (settings.disableStore) return true;
    try {
      const outcome = await store.write(report);
      counter.add("written");
      log("debug", `${reports} ${outcome}`, {
        component: "policyreportstore",
        "report-name": report.metadata.name,
        "resource-name": object.name,
        "resource-namespace": object.namespace ?? "",
        "resource-version": object.resourceVersion,
      });
      return true;
    } catch (error) {
      failed(error, report);
      return false;
    }
  }

  const before = known?.inputs === undefined ? undefined : parseInputs(known.inputs);
  const sameObject = before?.resourceVersion === object.resourceVersion;
  const sameInputs = sameObject && before.basis === basis && !before.outcomes.includes("error") &&
    before.outcomes.length === policies.length;
  const asks = !sameInputs || policies.some(({ contextAware }) => contextAware);
  const stored = sameObject && (asks || settings.outputScan)
    ? await store.get(namespace, object.uid)
    : undefined;
  if (!asks) {
    counter.add("kept");
    policies.forEach(({ id }, index) => {
      const outcome = before!.outcomes[index];
      if (outcome !== undefined) counter.judged(id, outcome);
    });
    if (stored !== undefined) print(withoutTraces(stored));
    return true;
  }

  const old = resultsOf(stored, object);
  const judged = await judge.judge(
    object,
    subject,
    parallel,
    (policy) => stillHolds(old.get(policy.id), policy),
  );
  const fresh = new Map(judged.map((one) => [one.policy, one]));
  const results: Result[] = [];
  const outcomes = policies.map((policy) => {
    const asked = fresh.get(policy);
    const kept = old.get(policy.id);
    const result = asked !== undefined
      ? resultOf(policy, asked.judgement, asked.seconds)
      : stillHolds(kept, policy)
      ? kept
      : undefined;
    if (result === undefined) return undefined;
    results.push(result);
    counter.judged(policy.id, result.result);
    return result.result;
  });
  const inputs = inputsText(object.resourceVersion, basis, outcomes);
  const unchanged = sameInputs && stored !== undefined && inputs === known!.inputs &&
    results.every((result) => saysTheSame(result, old.get(result.policy)));
  if (unchanged) {
    counter.add("kept");
    print(withoutTraces(stored));
    return true;
  }
  return await write(reportOf(object, results, plan, { reportKind: settings.reportKind, runUid, inputs }));
}
