/**
 * Resources in which the audit tells what it found. A policy of a namespace must not see them: one that changes them would hide
 * findings, one that refuses them would keep them from being written (spec/crds.md §8.4, V2).
 */
import type { Rule } from "../types/policy_fields.ts";

/** The API groups of reports, with the plurals of those that live in a namespace first. */
export const REPORT_RESOURCES: readonly {
  readonly group: string;
  readonly plurals: readonly [namespaced: string, clusterWide: string];
}[] = [
  { group: "wgpolicyk8s.io", plurals: ["policyreports", "clusterpolicyreports"] },
  { group: "openreports.io", plurals: ["reports", "clusterreports"] },
];

const pluralOf = (resource: string) => resource.split("/", 1)[0]!;

/** Whether a rule's resource names one of these plurals or a subresource of it. */
export function isReport(resource: string, plurals: readonly string[]): boolean {
  return plurals.includes(pluralOf(resource));
}

/** Whether a rule's resource takes in one of these plurals or a subresource, by its name or by a wildcard. */
export function namesReport(resource: string, plurals: readonly string[]): boolean {
  return pluralOf(resource) === "*" || isReport(resource, plurals);
}

/** Whether a rule takes in reports, by their names or by wildcards. */
export function reachesReports({ apiGroups, resources }: Rule): boolean {
  const groups = apiGroups ?? [];
  return REPORT_RESOURCES.some(({ group, plurals }) =>
    (groups.includes(group) || groups.includes("*")) &&
    (resources ?? []).some((resource) => namesReport(resource, plurals))
  );
}
