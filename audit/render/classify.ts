/** Which policies are audited, and on what (spec/audit.md §5, §6). */
import { reachesReports } from "../../crd/render/report_resources.ts";
import { own } from "../../program/types/own.ts";
import { isGroup, isNamespaced, type Policy, policyId, type Rule } from "../../crd/types.ts";
import type { Auditable, Bucket, Plan, Served, Subject, Target } from "../types/policies.ts";
import type { Severity } from "../types/report.ts";

export const CATEGORY_ANNOTATION = "io.kubewarden.policy.category";
export const SEVERITY_ANNOTATION = "io.kubewarden.policy.severity";
const SEVERITIES: readonly string[] = ["critical", "high", "medium", "low", "info"] satisfies Severity[];

/** What the API server serves. */
export type Lookup = (target: Target) => Served | undefined;

export type Classified =
  | { readonly kind: "skipped"; readonly why: string }
  | { readonly kind: "errored"; readonly unknown: readonly Target[] }
  /** Not for this phase: counted nowhere. */
  | { readonly kind: "ignored" }
  | { readonly kind: "candidate"; readonly served: readonly Served[]; readonly unknown: readonly Target[] };

export const SKIPPED_WILDCARD = "the policy targets only wildcard resources, skipping...";
export const SKIPPED_OPERATION = "the policy does not have rules with a CREATE operation, skipping...";
export const SKIPPED_BACKGROUND = "the policy has backgroundAudit set to false, skipping...";
export const SKIPPED_INACTIVE = "the policy is not active, skipping...";

export const SKIPPED_REPORTS =
  "the policy targets only reports, which policies of a namespace may not see, skipping...";

function explicit({ apiGroups = [], apiVersions = [], resources = [] }: Rule): boolean {
  return ![apiGroups, apiVersions, resources].some((names) => names.includes("*"));
}

/** The combinations of the rules, each once, in the rules' order. */
function targets(rules: readonly Rule[]): readonly Target[] {
  const found = new Map<string, Target>();
  for (const { apiGroups = [], apiVersions = [], resources = [] } of rules) {
    for (const resource of resources) {
      for (const version of apiVersions) {
        for (const group of apiGroups) {
          found.set(JSON.stringify([group, version, resource]), { group, version, resource });
        }
      }
    }
  }
  return [...found.values()];
}

/** What becomes of a policy in the phase of namespaced or of cluster-scoped resources; the first match of spec/audit.md §5.2 wins. */
export function classify(policy: Policy, namespaced: boolean, lookup: Lookup): Classified {
  // Nothing in the API requires `spec`: old objects may lack it.
  const spec: Partial<Policy["spec"]> = policy.spec ?? {};
  const named = (spec.rules ?? []).filter((rule) => rule !== null && explicit(rule));
  if (named.length === 0) return { kind: "skipped", why: SKIPPED_WILDCARD };
  const creating = named.filter(({ operations = [] }) => operations.includes("CREATE"));
  if (creating.length === 0) return { kind: "skipped", why: SKIPPED_OPERATION };
  const unknown: Target[] = [];
  const served = new Set<Served>();
  const all = targets(creating);
  // Admission shows no reports to policies of a namespace, whatever their rules say.
  const shown = all.filter(({ group, resource }) =>
    !isNamespaced(policy) || !reachesReports({ apiGroups: [group], resources: [resource] })
  );
  if (all.length > 0 && shown.length === 0) return { kind: "skipped", why: SKIPPED_REPORTS };
  for (const target of shown) {
    const found = lookup(target);
    if (found === undefined) unknown.push(target);
    else served.add(found);
  }
  // One unknown combination of several does not lose the policy (spec/audit.md, sharp edge 5).
  if (served.size === 0) return { kind: "errored", unknown };
  const scoped = [...served].filter((one) => one.namespaced === namespaced);
  if (scoped.length === 0) return { kind: "ignored" };
  if (spec.backgroundAudit === false) return { kind: "skipped", why: SKIPPED_BACKGROUND };
  if (policy.status?.policyStatus !== "active") return { kind: "skipped", why: SKIPPED_INACTIVE };
  return { kind: "candidate", served: scoped, unknown };
}

/** Whether the policy may read other resources, so that its verdict may change while the object stays. */
export function contextAware(policy: Policy): boolean {
  if (isNamespaced(policy)) return false;
  const readers = isGroup(policy) ? Object.values(policy.spec.policies) : [policy.spec];
  return readers.some(({ contextAwareResources = [] }) => contextAwareResources.length > 0);
}

/** The severity of a policy's results; `invalid` is an annotation that is none and would make the API server refuse the report. */
export function severityOf(policy: Policy): { readonly severity?: Severity; readonly invalid?: string } {
  if (policy.spec.mode === "monitor") return { severity: "info" };
  const written = policy.metadata.annotations?.[SEVERITY_ANNOTATION] ?? "";
  if (written === "") return {};
  return SEVERITIES.includes(written) ? { severity: written as Severity } : { invalid: written };
}

/** The `properties` of a policy's results (spec/audit.md §11). */
function propertiesOf(policy: Policy): Auditable["properties"] {
  const { name, namespace, uid = "", resourceVersion = "" } = policy.metadata;
  const mutating = !isGroup(policy) && policy.spec.mutating === true;
  return {
    [mutating ? "mutating" : "validating"]: "true",
    ...(contextAware(policy) ? { "context-aware": "true" } : {}),
    "policy-resource-version": resourceVersion,
    "policy-uid": uid,
    "policy-name": name,
    ...(namespace === undefined || namespace === "" ? {} : { "policy-namespace": namespace }),
  };
}

/** A policy made ready to be asked. */
export function auditable(policy: Policy, url: string, order: number): Auditable {
  return {
    policy,
    id: policyId(policy),
    url,
    order,
    contextAware: contextAware(policy),
    conditions: policy.spec.matchConditions ?? [],
    properties: propertiesOf(policy),
  };
}

/** Served under two groups, stored once. */
const SAME_OBJECTS: { readonly [groupAndPlural: string]: string } = { "events.k8s.io/events": "/events" };

/** Puts policies and what they look at together: one subject for all versions of a kind (spec/audit.md, sharp edge 6). */
export function planOf(
  chosen: readonly { readonly auditable: Auditable; readonly served: readonly Served[] }[],
  skipped: readonly string[],
  errored: readonly string[],
): Plan {
  const buckets = new Map<Served, Auditable[]>();
  for (const { auditable, served } of chosen) {
    for (const one of served) buckets.set(one, [...buckets.get(one) ?? [], auditable]);
  }
  const kinds = new Map<string, Bucket[]>();
  for (const [served, policies] of buckets) {
    const name = `${served.group}/${served.plural}`;
    const key = own(SAME_OBJECTS, name) ?? name;
    kinds.set(key, [...kinds.get(key) ?? [], { served, policies }]);
  }
  const subjects = [...kinds.values()].map((versions): Subject => {
    const [primary, ...others] = versions.sort((a, b) => a.served.rank - b.served.rank);
    return { primary: primary!, others };
  });
  const unique = (ids: readonly string[]) => [...new Set(ids)];
  return {
    subjects,
    evaluated: unique(chosen.map(({ auditable }) => auditable.id)),
    skipped: unique(skipped),
    errored: unique(errored),
  };
}

/** The numbers of a plan's policies, as fields of a log line. */
export function policyCounts({ evaluated, skipped, errored }: Plan): { readonly [field: string]: number } {
  return {
    "policies-to-evaluate": evaluated.length,
    "policies-skipped": skipped.length,
    "policies-errored": errored.length,
  };
}
