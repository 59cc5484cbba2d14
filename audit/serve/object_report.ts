/** The report on one object: kept where nothing has changed, else made anew and written (spec/audit.md §11–§13). */
import { isUnserved } from "../apply/report_store.ts";
import { inputsText, parseInputs } from "../render/inputs.ts";
import { errorText } from "../render/log_line.ts";
import { reportOf, reportsName, withoutTraces } from "../render/report.ts";
import { currentResults, resultsOf, saysTheSame, stillHolds } from "../render/stored_results.ts";
import type { Audited } from "../types/judgement.ts";
import type { Auditable, Subject } from "../types/policies.ts";
import type { Report } from "../types/report.ts";
import type { Phase } from "./run.ts";

/** A subject and what the reports on its objects depend on besides them. */
export type SubjectAudit = {
  readonly subject: Subject;
  /** The subject's policies in the order of results. */
  readonly policies: readonly Auditable[];
  /** Digest of what the reports depend on besides the objects (`render/inputs.ts`). */
  readonly basis: string;
};

/** Audits one object; says whether the report that is now stored is as it should be. */
export async function auditObject(
  phase: Phase,
  { subject, policies, basis }: SubjectAudit,
  object: Audited,
): Promise<boolean> {
  const { run: { evaluator, store, settings, uid: runUid, log, counter }, namespace, plan } = phase;
  const parallel = namespace === undefined ? 1 : settings.parallelPolicies;
  log("info", namespace === undefined ? "audit clusterwide resource" : "audit resource", {
    resource: object.name,
    "policies-to-evaluate": policies.length,
    ...(namespace === undefined ? {} : { "parallel-policies-audit": parallel }),
  });

  const known = phase.before?.get(object.uid)?.inputs;
  const before = known === undefined ? undefined : parseInputs(known);
  const sameObject = before?.resourceVersion === object.resourceVersion;
  const sameInputs = sameObject && before.basis === basis && !before.outcomes.includes("error") &&
    before.outcomes.length === policies.length;
  if (sameInputs && !policies.some(({ contextAware }) => contextAware)) {
    for (const [index, { id }] of policies.entries()) counter.judged(id, before.outcomes[index]);
    return keepReport(phase, settings.outputScan ? await store.get(namespace, object.uid) : undefined);
  }

  const stored = sameObject ? await store.get(namespace, object.uid) : undefined;
  const old = resultsOf(stored, object);
  const holds = (policy: Auditable) => stillHolds(old.get(policy.id), policy);
  const evaluations = await evaluator.evaluate(object, subject, parallel, holds);
  const byPolicy = currentResults(policies, evaluations, old);
  for (const [index, { id }] of policies.entries()) counter.judged(id, byPolicy[index]?.result);

  const inputs = inputsText(object.resourceVersion, basis, byPolicy.map((result) => result?.result));
  const results = byPolicy.filter((result) => result !== undefined);
  const unchanged = sameInputs && stored !== undefined && inputs === known &&
    results.every((result) => saysTheSame(result, old.get(result.policy)));
  if (unchanged) return keepReport(phase, stored);
  const { reportKind } = settings;
  return await writeReport(phase, object, reportOf(object, results, plan, { reportKind, runUid, inputs }));
}

/** Leaves the stored report as it is. */
function keepReport(phase: Phase, stored: Report | undefined): true {
  phase.run.counter.add("kept");
  if (stored !== undefined) printReport(phase, withoutTraces(stored));
  return true;
}

/** Stores a report; says whether that could be done. */
async function writeReport(phase: Phase, object: Audited, report: Report): Promise<boolean> {
  const { run: { store, settings, log, counter }, namespace } = phase;
  printReport(phase, report);
  if (settings.disableStore) return true;
  try {
    const outcome = await store.write(report);
    counter.add("written");
    log("debug", `${reportsName(namespace)} ${outcome}`, {
      component: "policyreportstore",
      "report-name": report.metadata.name,
      "resource-name": object.name,
      "resource-namespace": object.namespace ?? "",
      "resource-version": object.resourceVersion,
    });
    return true;
  } catch (error) {
    counter.add("unwritten");
    logUnwritten(phase, object, report, error);
    return false;
  }
}

function logUnwritten({ run, namespace }: Phase, object: Audited, report: Report, error: unknown): void {
  const { log, unserved } = run;
  if (!isUnserved(error)) {
    const message = namespace === undefined
      ? "error adding ClusterPolicyReport to store"
      : "error adding PolicyReport to store.";
    log("error", message, { error: errorText(error), resource: object.name });
  } else if (!unserved.has(report.kind)) {
    unserved.add(report.kind);
    log("error", `no matches for kind "${report.kind}" in version "${report.apiVersion}": install its CRD`, {
      component: "policyreportstore",
      error: errorText(error),
    });
  }
}

function printReport({ run: { settings, log }, namespace }: Phase, report: Report): void {
  if (!settings.outputScan) return;
  log("info", `${reportsName(namespace)} summary`, { report: JSON.stringify(report) });
}
