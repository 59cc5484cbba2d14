/** Reports, from judgements (spec/audit.md §11, §12). */
import type { Audited, Judgement } from "../types/judgement.ts";
import type { Auditable, Plan } from "../types/policies.ts";
import type { Report, Result, Summary } from "../types/report.ts";
import type { ReportKind } from "../types/settings.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import { CATEGORY_ANNOTATION, severityOf } from "./classify.ts";

export const MANAGED_BY_LABEL = "app.kubernetes.io/managed-by";
export const MANAGED_BY = "kubewarden";
export const VERSION_LABEL = "kubewarden.io/policyreport-version";
export const RUN_LABEL = "kubewarden.io/audit-scanner-run-uid";
/** What a report was made from; `--incremental` keeps the reports for which it would be the same again. */
export const INPUTS_ANNOTATION = "kubewarden.io/audit-inputs";

/** The resources that reports are stored as. */
export function reportResource(reportKind: ReportKind, namespaced: boolean): Resource {
  if (reportKind === "openreports") {
    return namespaced
      ? { apiVersion: "openreports.io/v1alpha1", kind: "Report", plural: "reports", namespaced }
      : {
        apiVersion: "openreports.io/v1alpha1",
        kind: "ClusterReport",
        plural: "clusterreports",
        namespaced,
      };
  }
  const apiVersion = "wgpolicyk8s.io/v1alpha2";
  return namespaced
    ? { apiVersion, kind: "PolicyReport", plural: "policyreports", namespaced }
    : { apiVersion, kind: "ClusterPolicyReport", plural: "clusterpolicyreports", namespaced };
}

/** How the messages call the reports of a phase, whichever of the two APIs they belong to. */
export function reportsName(namespace: string | undefined): string {
  return namespace === undefined ? "ClusterPolicyReport" : "PolicyReport";
}

/** One result; `seconds` is the time at which it came in. */
export function resultOf(
  { id, policy, properties }: Auditable,
  judgement: Judgement,
  seconds: number,
): Result {
  const category = policy.metadata.annotations?.[CATEGORY_ANNOTATION] ?? "";
  const { severity } = severityOf(policy);
  return {
    source: "kubewarden",
    policy: id,
    ...(category === "" ? {} : { category }),
    ...(severity === undefined ? {} : { severity }),
    timestamp: { seconds, nanos: 0 },
    result: judgement.outcome,
    scored: true,
    resourceSelector: {},
    ...(judgement.message === undefined ? {} : { message: judgement.message }),
    properties,
  };
}

/** The five numbers; the phase's own skips and errors are in those of every report. */
export function summaryOf(results: readonly Result[], plan: Plan): Summary {
  const count = (outcome: Result["result"]) => results.filter(({ result }) => result === outcome).length;
  return {
    pass: count("pass"),
    fail: count("fail"),
    warn: 0,
    error: plan.errored.length + count("error"),
    skip: plan.skipped.length,
  };
}

/** The report of an object. */
export function reportOf(
  object: Audited,
  results: readonly Result[],
  plan: Plan,
  { reportKind, runUid, inputs }: {
    readonly reportKind: ReportKind;
    readonly runUid: string;
    readonly inputs: string;
  },
): Report {
  const { apiVersion, kind, name, namespace, uid, resourceVersion } = object;
  const resource = reportResource(reportKind, namespace !== undefined);
  return {
    apiVersion: resource.apiVersion,
    kind: resource.kind,
    metadata: {
      name: uid,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { [MANAGED_BY_LABEL]: MANAGED_BY, [VERSION_LABEL]: "v2", [RUN_LABEL]: runUid },
      annotations: { [INPUTS_ANNOTATION]: inputs },
      ownerReferences: [{ apiVersion, kind, name, uid }],
    },
    scope: {
      apiVersion,
      kind,
      ...(namespace === undefined ? {} : { namespace }),
      name,
      uid,
      resourceVersion,
    },
    summary: summaryOf(results, plan),
    results,
  };
}

/** A stored report as it was written: without what the API server added. */
export function withoutTraces({ apiVersion, kind, metadata, scope, summary, results }: Report): Report {
  const { name, namespace, labels, annotations, ownerReferences } = metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      labels,
      annotations,
      ownerReferences,
    },
    scope,
    summary,
    results,
  };
}
