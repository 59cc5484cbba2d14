/** Specs and status of the four policy kinds, v1 and v1alpha2 (spec/crds.md §2, §3, §6.1, §12). */
import { conditions, labelSelector } from "./core_fields.ts";
import { bool, freeForm, type Infer, int32, list, map, object, text } from "./schema.ts";

const strings = list(text(), { atomic: true });

const rule = object({
  apiGroups: strings,
  apiVersions: strings,
  operations: strings,
  resources: strings,
  scope: text(),
});
/** Which requests a policy sees: the shape of `admissionregistration.k8s.io/v1 RuleWithOperations`. */
export type Rule = Infer<typeof rule>;

const matchCondition = object({ expression: text(), name: text() }, ["expression", "name"]);
export type MatchCondition = Infer<typeof matchCondition>;

const contextAwareResource = object({ apiVersion: text(), kind: text() }, ["apiVersion", "kind"]);
export type ContextAwareResource = Infer<typeof contextAwareResource>;

const timeoutEvalSeconds = int32({
  description: "Longest time, in seconds, that one evaluation of the policy may take.",
  minimum: 2,
  maximum: 30,
});
const module = text({
  description:
    "Where the policy's Wasm module is: file://, http://, https:// or registry://; without a scheme, registry://.",
});
const settings = freeForm({ description: "The policy's own settings." });

/** Fields that every policy and policy group has, in v1. */
const binding = {
  policyServer: text({
    default: "default",
    description: "Name of the PolicyServer that serves the policy. Cannot be changed.",
  }),
  mode: text({
    default: "protect",
    enum: ["protect", "monitor"],
    description:
      "protect: requests that the policy refuses are refused. monitor: refusals are logged and counted only.",
  }),
  rules: list(rule, { description: "The operations and resources that the policy evaluates." }),
  failurePolicy: text({
    description:
      "What the API server does when the policy server cannot be asked: Ignore or Fail (the default).",
  }),
  matchPolicy: text({ description: "Exact or Equivalent (the default)." }),
  objectSelector: labelSelector,
  sideEffects: text({
    description: "Side effects of the policy: None (the default), NoneOnDryRun, Some or Unknown.",
  }),
} as const;

const sinceV1 = {
  backgroundAudit: bool({
    default: true,
    description: "Whether the audit scanner evaluates the policy too.",
  }),
  matchConditions: list(matchCondition, {
    description: "CEL conditions that must all be true for a request to reach the policy.",
  }),
  timeoutSeconds: int32({
    default: 10,
    minimum: 2,
    maximum: 30,
    description: "Time, in seconds, that the API server waits for the policy server.",
  }),
} as const;

const single = {
  module,
  settings,
  mutating: bool({ description: "Whether the policy changes requests." }),
} as const;

const clusterWide = {
  namespaceSelector: labelSelector,
  allowInsideAdmissionControllerNamespace: bool({
    description:
      "Whether the policy also evaluates requests inside the admission controller's own namespace.",
  }),
} as const;

const contextAwareResources = list(contextAwareResource, {
  description: "Kubernetes resources that the policy may read.",
});

const message = text({
  description: "Rejection message shown instead of the policy's own, which is then listed under causes.",
});

const admissionPolicyFields = { ...binding, ...sinceV1, ...single, timeoutEvalSeconds, message } as const;

export const admissionPolicySpec = object(admissionPolicyFields, ["module", "mutating", "rules"]);
export const clusterAdmissionPolicySpec = object(
  { ...admissionPolicyFields, ...clusterWide, contextAwareResources },
  ["module", "mutating", "rules"],
);

const memberFields = { module, settings, timeoutEvalSeconds } as const;
const groupFields = {
  ...binding,
  ...sinceV1,
  expression: text({ description: "Boolean expression over the members, such as `a() && (b() || c())`." }),
  message: text({ description: "Rejection message of the whole group." }),
} as const;
const groupRequired = ["expression", "message", "policies", "rules"] as const;

export const admissionPolicyGroupSpec = object(
  { ...groupFields, policies: map(object(memberFields, ["module"])) },
  groupRequired,
);
export const clusterAdmissionPolicyGroupSpec = object(
  {
    ...groupFields,
    ...clusterWide,
    policies: map(object({ ...memberFields, contextAwareResources }, ["module"])),
  },
  groupRequired,
);

const alphaFields = {
  ...binding,
  ...single,
  timeoutSeconds: int32({ default: 10 }),
} as const;
export const alphaAdmissionPolicySpec = object(alphaFields, ["module", "mutating", "rules"]);
export const alphaClusterAdmissionPolicySpec = object(
  { ...alphaFields, namespaceSelector: labelSelector },
  ["module", "mutating", "rules"],
);

export const policyStatus = object({
  conditions,
  mode: text({
    enum: ["protect", "monitor", "unknown"],
    description: "Mode in which the policy server runs it.",
  }),
  policyStatus: text({
    enum: ["unscheduled", "scheduled", "pending", "active", "rejected"],
    description:
      "Where the policy stands; rejected: it targets resources that policies of a namespace may not target.",
  }),
}, ["policyStatus"]);

export type AdmissionPolicySpec = Infer<typeof admissionPolicySpec>;
export type ClusterAdmissionPolicySpec = Infer<typeof clusterAdmissionPolicySpec>;
export type AdmissionPolicyGroupSpec = Infer<typeof admissionPolicyGroupSpec>;
export type ClusterAdmissionPolicyGroupSpec = Infer<typeof clusterAdmissionPolicyGroupSpec>;
export type AlphaAdmissionPolicySpec = Infer<typeof alphaAdmissionPolicySpec>;
export type AlphaClusterAdmissionPolicySpec = Infer<typeof alphaClusterAdmissionPolicySpec>;
export type PolicyStatus = Infer<typeof policyStatus>;
