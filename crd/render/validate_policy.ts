/** Admission rules of the four policy kinds (spec/crds.md §8.4, V1 to V9). */
import { OBJECT, type OptionRules, requireOptions, ruled } from "../../program/types/option_rules.ts";
import { isGroup, isNamespaced, type Policy, policyId } from "../types/kinds.ts";
import type { AdmissionPolicyGroup, ClusterAdmissionPolicyGroup } from "../types/kinds.ts";
import type { Rule } from "../types/policy_fields.ts";
import { type FieldError, forbidden, invalid, required } from "./field_error.ts";
import { checkGroupExpression } from "./group_expression.ts";
import { isReport, namesReport, REPORT_RESOURCES } from "./report_resources.ts";
import { checkSettings } from "./settings_limits.ts";

const VALUE_NEEDED = "a value must be specified";
const NON_EMPTY = "must be non-empty";
/** Longest time, in seconds, that Kubernetes grants a webhook. */
const WEBHOOK_LIMIT_SECONDS = 30;
/** Longest name of a webhook entry; the suffix is `.kubewarden.admission`. */
const WEBHOOK_NAME_LIMIT = 253;
export const WEBHOOK_NAME_SUFFIX = ".kubewarden.admission";

const MEMBER_NAME = /^[_a-zA-Z][_a-zA-Z0-9]*$/;
const CEL_RESERVED = new Set(
  ("true false null in as break const continue else for function if import let loop package namespace return var " +
    "void while").split(" "),
);
/** Names that policy servers of the field cannot call (spec/crds.md §11), so a new group may not use them. */
const SERVER_RESERVED = new Set(
  ("fn switch do until throw try catch export private static shared goto match case public protected new use with " +
    "module super spawn thread go sync async await yield default is this nil").split(" "),
);

function checkEmptyItems(path: string, items: readonly string[]): FieldError[] {
  return items.flatMap((item, index) => item === "" ? [required(`${path}[${index}]`, NON_EMPTY)] : []);
}

function checkRule(rule: Rule): FieldError[] {
  if ((rule.operations ?? []).length === 0) return [required("spec.rules.operations", VALUE_NEEDED)];
  if ((rule.apiVersions ?? []).length === 0 || (rule.resources ?? []).length === 0) {
    return [required("spec.rules", "apiVersions and resources must have specified values")];
  }
  return [
    ...checkEmptyItems("spec.rules.operations", rule.operations!),
    ...checkEmptyItems("spec.rules.rule.apiVersions", rule.apiVersions!),
    ...checkEmptyItems("spec.rules.rule.resources", rule.resources!),
  ];
}

const isEverything = (resource: string) => resource === "*" || resource === "*/*";
const reportsRefused = (group: string, plural: string) =>
  forbidden(
    "spec.rules",
    `{APIGroup: ${group}, Resource: ${plural}} resources cannot be targeted by AdmissionPolicy or AdmissionPolicyGroup`,
  );

/**
 * Rules that reach the audit's reports. The original knows only the first group, and reads `apiVersions` where `apiGroups` is
 * meant: for that group both lists are checked, so that nothing that it refuses passes.
 */
function checkReports({ apiGroups, apiVersions, resources }: Rule): FieldError[] {
  const groups = apiGroups ?? [];
  const names = resources ?? [];
  const refused = REPORT_RESOURCES.filter(({ group, plurals }, index) => {
    const searched = index === 0 ? [...groups, ...apiVersions ?? []] : groups;
    if (searched.includes(group)) return names.some((name) => namesReport(name, plurals));
    return searched.includes("*") && names.some((name) => isEverything(name) || isReport(name, plurals));
  });
  // A rule that reaches both by wildcards alone gets one error.
  const named = refused.filter(({ group, plurals }) =>
    groups.includes(group) || names.some((name) => isReport(name, plurals))
  );
  return (named.length > 0 ? named : refused.slice(0, 1))
    .map(({ group, plurals: [plural] }) => reportsRefused(group, plural));
}

/** What namespaced policies may not target (V2). As for reports, the original reads `apiVersions` for `apiGroups`. */
function checkNamespacedRule(rule: Rule): FieldError[] {
  const errors: FieldError[] = [];
  const resources = rule.resources ?? [];
  const groups = [...(rule.apiGroups ?? []).entries()];
  const versions = [...(rule.apiVersions ?? []).entries()];
  const wildcard = [...groups, ...versions].find(([, value]) => value === "*");
  const everything = resources.findIndex(isEverything);
  const detail = (what: string) =>
    `${what} cannot use wildcards when using AdmissionPolicy or AdmissionPolicyGroup`;
  if (wildcard !== undefined && everything >= 0) {
    errors.push(
      forbidden(`spec.rules.apiGroups[${wildcard[0]}]`, detail("apiGroups")),
      forbidden(`spec.rules.resources[${everything}]`, detail("resources")),
    );
  }
  return [...errors, ...checkReports(rule)];
}

function checkRules(policy: Policy): FieldError[] {
  const rules = policy.spec.rules ?? [];
  if (rules.length === 0) return [required("spec.rules", VALUE_NEEDED)];
  const namespaced = isNamespaced(policy);
  return rules.flatMap((rule) => {
    // `null` is a legal item of a stored list without required fields.
    const given = rule ?? {};
    return [...checkRule(given), ...(namespaced ? checkNamespacedRule(given) : [])];
  });
}

function checkTimeouts(policy: Policy): FieldError[] {
  if (isGroup(policy)) return [];
  const { timeoutSeconds, timeoutEvalSeconds } = policy.spec;
  if (timeoutSeconds === undefined || timeoutEvalSeconds === undefined) return [];
  return timeoutEvalSeconds > timeoutSeconds
    ? [
      invalid(
        "spec.timeoutEvalSeconds",
        timeoutEvalSeconds,
        "timeoutEvalSeconds cannot be greater than timeoutSeconds",
      ),
    ]
    : [];
}

function checkTransition(policy: Policy, old: Policy): FieldError[] {
  const errors: FieldError[] = [];
  if ((policy.spec.policyServer ?? "") !== (old.spec.policyServer ?? "")) {
    errors.push(forbidden("spec.policyServer", "the field is immutable"));
  }
  if (old.spec.mode === "protect" && policy.spec.mode === "monitor") {
    errors.push(forbidden("spec.mode", "field cannot transition from protect to monitor. Recreate instead."));
  }
  return errors;
}

/** Characters of a member's name in the path of an error. */
const MAX_NAME = 100;

type Group = AdmissionPolicyGroup | ClusterAdmissionPolicyGroup;

function members(
  group: Group,
): (readonly [name: string, member: NonNullable<Group["spec"]["policies"][string]>])[] {
  return Object.entries(group.spec.policies ?? {}).sort(([a], [b]) => a < b ? -1 : 1);
}

function checkMembers(group: Group, old: Group | undefined): FieldError[] {
  const names = members(group).map(([name]) => name);
  if (names.length === 0) {
    return [required("spec.policies", "policy groups must have at least one policy member")];
  }
  const known = new Set(Object.keys(old?.spec.policies ?? {}));
  return names.flatMap((name) => {
    const unusable = !known.has(name) && (SERVER_RESERVED.has(name) || !/^_*[a-zA-Z]/.test(name));
    return !MEMBER_NAME.test(name) || CEL_RESERVED.has(name) || unusable
      ? [invalid("spec.policies", name, "policy group member name is invalid")]
      : [];
  });
}

function checkMemberTimeouts(group: Group): FieldError[] {
  const { timeoutSeconds } = group.spec;
  const errors: FieldError[] = [];
  let sum = 0;
  for (const [name, { timeoutEvalSeconds }] of members(group)) {
    if (timeoutEvalSeconds === undefined) continue;
    sum += timeoutEvalSeconds;
    const path = `spec.policies[${name.slice(0, MAX_NAME)}].timeoutEvalSeconds`;
    if (timeoutEvalSeconds > WEBHOOK_LIMIT_SECONDS) {
      errors.push(invalid(
        path,
        timeoutEvalSeconds,
        `timeoutEvalSeconds cannot be greater than ${WEBHOOK_LIMIT_SECONDS} (Kubernetes webhook max timeout)`,
      ));
    }
    if (timeoutSeconds !== undefined && timeoutEvalSeconds > timeoutSeconds) {
      errors.push(invalid(
        path,
        timeoutEvalSeconds,
        `timeoutEvalSeconds cannot be greater than group timeoutSeconds (${timeoutSeconds})`,
      ));
    }
  }
  const total = "the sum of all members' timeoutEvalSeconds cannot be greater than";
  if (timeoutSeconds !== undefined && sum > timeoutSeconds) {
    errors.push(invalid("spec.policies", sum, `${total} group timeoutSeconds (${timeoutSeconds})`));
  }
  if (sum > WEBHOOK_LIMIT_SECONDS) {
    errors.push(
      invalid("spec.policies", sum, `${total} ${WEBHOOK_LIMIT_SECONDS} (Kubernetes webhook max timeout)`),
    );
  }
  return errors;
}

function checkExpression(group: Group): FieldError[] {
  const expression = group.spec.expression ?? "";
  if (expression === "") return [required("spec.expression", NON_EMPTY)];
  // A name that is refused as a member is no function either: the expression is checked against the valid ones.
  const usable = members(group).map(([name]) => name).filter((name) => MEMBER_NAME.test(name));
  const problem = checkGroupExpression(expression, usable);
  if (problem === undefined) return [];
  return [invalid(
    "spec.expression",
    expression,
    problem.kind === "not-bool" ? "must evaluate to bool" : `compilation failed: ${problem.text}`,
  )];
}

/** Kubernetes limits a webhook's name, in which the policy's id is (spec/crds.md §15, 14). */
function checkIdentity(policy: Policy): FieldError[] {
  const { length } = policyId(policy) + WEBHOOK_NAME_SUFFIX;
  if (length <= WEBHOOK_NAME_LIMIT) return [];
  const { name } = policy.metadata;
  return [invalid(
    "metadata.name",
    name,
    "the policy name combined with its namespace and kind produces an identity that is too long " +
      `(${length} characters, max ${WEBHOOK_NAME_LIMIT}); the name must be at most ` +
      `${name.length - (length - WEBHOOK_NAME_LIMIT)} characters long`,
  )];
}

/** Everything that validation needs besides the object. */
export type PolicyValidation = {
  /** The stored object, on UPDATE. */
  readonly old?: Policy | undefined;
  /** What the API server's CEL compiler says of `spec.matchConditions`: it is the one that will run them. */
  readonly matchConditionErrors?: readonly FieldError[];
};

const GIVEN: OptionRules<PolicyValidation> = {
  old: OBJECT,
  matchConditionErrors: ruled("a list", Array.isArray),
};

/**
 * The errors of a policy, in the order in which they are reported.
 *
 * @throws {TypeError} when something is given that there is no name for
 */
export function validatePolicy(policy: Policy, given: PolicyValidation = {}): FieldError[] {
  requireOptions(given, GIVEN);
  const { old, matchConditionErrors = [] } = given;
  // A policy that is being deleted must be able to lose its finalizer, whatever it holds (spec/crds.md §15, 1 and 2).
  if (policy.metadata.deletionTimestamp !== undefined) return [];
  const errors = [
    ...(old === undefined ? checkIdentity(policy) : []),
    ...checkRules(policy),
    ...matchConditionErrors,
    ...checkSettings(policy),
    ...checkTimeouts(policy),
    ...(old === undefined ? [] : checkTransition(policy, old)),
  ];
  if (!isGroup(policy)) return errors;
  const oldGroup = old !== undefined && isGroup(old) ? old : undefined;
  return [
    ...errors,
    ...checkMembers(policy, oldGroup),
    ...checkMemberTimeouts(policy),
    ...checkExpression(policy),
    ...((policy.spec.message ?? "") === "" ? [required("spec.message", NON_EMPTY)] : []),
  ];
}
