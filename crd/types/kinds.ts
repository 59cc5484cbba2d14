/** The five kinds of `policies.kubewarden.io` (spec/crds.md §1) and the objects they describe. */
import {
  type AdmissionPolicyGroupSpec,
  admissionPolicyGroupSpec,
  type AdmissionPolicySpec,
  admissionPolicySpec,
  type AlphaAdmissionPolicySpec,
  alphaAdmissionPolicySpec,
  type AlphaClusterAdmissionPolicySpec,
  alphaClusterAdmissionPolicySpec,
  type ClusterAdmissionPolicyGroupSpec,
  clusterAdmissionPolicyGroupSpec,
  type ClusterAdmissionPolicySpec,
  clusterAdmissionPolicySpec,
  type PolicyStatus,
  policyStatus,
} from "./policy_fields.ts";
import {
  type AlphaPolicyServerSpec,
  alphaPolicyServerSpec,
  type PolicyServerSpec,
  policyServerSpec,
  type PolicyServerStatus,
  policyServerStatus,
} from "./policy_server_fields.ts";
import type { Schema } from "./schema.ts";

export const API_GROUP = "policies.kubewarden.io";
/** The finalizer that guards the deletion of every resource of the group. */
export const FINALIZER = "kubewarden.io/finalizer";
/** The finalizer used before 1.14: removed where found, never added. */
export const LEGACY_FINALIZER = "kubewarden";
/** The PolicyServer that serves policies which name none. */
export const DEFAULT_POLICY_SERVER = "default";

export type OwnerReference = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
};

export type ObjectMeta = {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: { readonly [key: string]: string };
  readonly annotations?: { readonly [key: string]: string };
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
  readonly managedFields?: readonly ManagedFields[];
};

export type ManagedFields = {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  readonly fieldsV1?: { readonly [key: string]: unknown };
};

type Resource<K extends string, S, T> = {
  readonly apiVersion: string;
  readonly kind: K;
  readonly metadata: ObjectMeta;
  readonly spec: S;
  readonly status?: T;
};

export type PolicyServer = Resource<"PolicyServer", PolicyServerSpec, PolicyServerStatus>;
export type AdmissionPolicy = Resource<"AdmissionPolicy", AdmissionPolicySpec, PolicyStatus>;
export type ClusterAdmissionPolicy = Resource<
  "ClusterAdmissionPolicy",
  ClusterAdmissionPolicySpec,
  PolicyStatus
>;
export type AdmissionPolicyGroup = Resource<"AdmissionPolicyGroup", AdmissionPolicyGroupSpec, PolicyStatus>;
export type ClusterAdmissionPolicyGroup = Resource<
  "ClusterAdmissionPolicyGroup",
  ClusterAdmissionPolicyGroupSpec,
  PolicyStatus
>;
export type Policy =
  | AdmissionPolicy
  | ClusterAdmissionPolicy
  | AdmissionPolicyGroup
  | ClusterAdmissionPolicyGroup;
export type PolicyKind = Policy["kind"];
export type Kind = PolicyKind | "PolicyServer";

/** The same kinds as served in the deprecated v1alpha2. Groups do not exist there. */
export type AlphaPolicyServer = Resource<"PolicyServer", AlphaPolicyServerSpec, PolicyServerStatus>;
export type AlphaAdmissionPolicy = Resource<"AdmissionPolicy", AlphaAdmissionPolicySpec, PolicyStatus>;
export type AlphaClusterAdmissionPolicy = Resource<
  "ClusterAdmissionPolicy",
  AlphaClusterAdmissionPolicySpec,
  PolicyStatus
>;

export type KindDescription = {
  readonly kind: Kind;
  readonly plural: string;
  readonly short: string;
  readonly namespaced: boolean;
  readonly policy: boolean;
  readonly group: boolean;
  readonly v1: { readonly spec: Schema<unknown>; readonly status: Schema<unknown> };
  readonly v1alpha2: { readonly spec: Schema<unknown>; readonly status: Schema<unknown> } | undefined;
};

type Version = KindDescription["v1"];

const describe = (
  kind: Kind,
  plural: string,
  short: string,
  v1: Version,
  v1alpha2?: Version,
): KindDescription => ({
  kind,
  plural,
  short,
  namespaced: kind.startsWith("Admission"),
  policy: kind !== "PolicyServer",
  group: kind.endsWith("Group"),
  v1,
  v1alpha2,
});
const server = (spec: Schema<unknown>): Version => ({ spec, status: policyServerStatus });
const policy = (spec: Schema<unknown>): Version => ({ spec, status: policyStatus });

export const KINDS: readonly KindDescription[] = [
  describe("PolicyServer", "policyservers", "ps", server(policyServerSpec), server(alphaPolicyServerSpec)),
  describe(
    "AdmissionPolicy",
    "admissionpolicies",
    "ap",
    policy(admissionPolicySpec),
    policy(alphaAdmissionPolicySpec),
  ),
  describe(
    "ClusterAdmissionPolicy",
    "clusteradmissionpolicies",
    "cap",
    policy(clusterAdmissionPolicySpec),
    policy(alphaClusterAdmissionPolicySpec),
  ),
  describe("AdmissionPolicyGroup", "admissionpolicygroups", "apg", policy(admissionPolicyGroupSpec)),
  describe(
    "ClusterAdmissionPolicyGroup",
    "clusteradmissionpolicygroups",
    "capg",
    policy(clusterAdmissionPolicyGroupSpec),
  ),
];

/** The kinds that are policies. */
export const POLICY_KINDS: readonly PolicyKind[] = KINDS.flatMap(({ kind }) =>
  kind === "PolicyServer" ? [] : [kind]
);

/** The description of a kind. */
export function kindDescription(kind: Kind): KindDescription {
  return KINDS.find((entry) => entry.kind === kind)!;
}

/** A kind's place in the API, in v1. */
export function customResource(
  kind: Kind,
): Pick<KindDescription, "kind" | "plural" | "namespaced"> & { readonly apiVersion: string } {
  const { plural, namespaced } = kindDescription(kind);
  return { apiVersion: `${API_GROUP}/v1`, kind, plural, namespaced };
}

/** Whether the policy is a group of policies. */
export function isGroup(policy: Policy): policy is AdmissionPolicyGroup | ClusterAdmissionPolicyGroup {
  return policy.kind === "AdmissionPolicyGroup" || policy.kind === "ClusterAdmissionPolicyGroup";
}

/** Whether the policy lives in a namespace and evaluates only requests of that namespace. */
export function isNamespaced(policy: Policy): policy is AdmissionPolicy | AdmissionPolicyGroup {
  return policy.kind === "AdmissionPolicy" || policy.kind === "AdmissionPolicyGroup";
}

const ID_PREFIX: { readonly [K in PolicyKind]: string } = {
  AdmissionPolicy: "kw.ap",
  AdmissionPolicyGroup: "kw.apg",
  ClusterAdmissionPolicy: "kw.cap",
  ClusterAdmissionPolicyGroup: "kw.capg",
};
const LEGACY_ID_PREFIX: { readonly [K in PolicyKind]: string } = {
  AdmissionPolicy: "namespaced",
  AdmissionPolicyGroup: "namespaced-group",
  ClusterAdmissionPolicy: "clusterwide",
  ClusterAdmissionPolicyGroup: "clusterwide-group",
};

/** What identifies a policy besides its spec. */
export type PolicyReference = {
  readonly kind: PolicyKind;
  readonly metadata: { readonly name: string; readonly namespace?: string | undefined };
};

function qualifier(policy: PolicyReference): string | undefined {
  return policy.kind === "AdmissionPolicy" || policy.kind === "AdmissionPolicyGroup"
    ? policy.metadata.namespace ?? ""
    : undefined;
}

/**
 * The id of a policy: its entry in `policies.yml`, its webhook configuration, its URL (spec/decisions.md §3). No two policies
 * share one, since a namespace's name has no dot.
 */
export function policyId(policy: PolicyReference): string {
  const namespace = qualifier(policy);
  return `${ID_PREFIX[policy.kind]}.${namespace === undefined ? "" : `${namespace}.`}${policy.metadata.name}`;
}

/** The id that releases up to 1.36 gave to a policy; two policies may share one. Only for finding what they left. */
export function legacyPolicyId(policy: PolicyReference): string {
  const namespace = qualifier(policy);
  return `${LEGACY_ID_PREFIX[policy.kind]}-${
    namespace === undefined ? "" : `${namespace}-`
  }${policy.metadata.name}`;
}
