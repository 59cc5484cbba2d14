/** Names, labels and annotations of everything that the controller makes (spec/controller.md §3). */
import { API_GROUP, type OwnerReference, type PolicyServer } from "../../crd/types.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import { own } from "../../program/types/own.ts";

/** Field manager under which everything is applied. */
export const FIELD_MANAGER = "portreeve-controller";

export const CA_SECRET = "kubewarden-ca";
export const WEBHOOK_SERVER_SECRET = "kubewarden-webhook-server-cert";
export const AUDIT_SCANNER_SECRET = "kubewarden-audit-scanner-client-cert";

export const POLICY_SERVER_LABEL = "kubewarden/policy-server";
export const CONFIG_VERSION = "kubewarden/config-version";
export const PART_OF = { "app.kubernetes.io/part-of": "kubewarden" } as const;
export const CERT_FORMAT_ANNOTATION = "kubewarden.io/cert-format-version";
export const CERT_FORMAT = "1";
export const MANAGED_ANNOTATIONS = "kubewarden.io/managed-annotation-keys";
export const MANAGED_LABELS = "kubewarden.io/managed-label-keys";
/** The `spec.replicas` that was applied last: tells a manual scale or an autoscaler from a changed PolicyServer. */
export const APPLIED_REPLICAS = "kubewarden.io/applied-replicas";
/** Digest of the objects that a policy server reads only when it starts; a change of them has to roll it. */
export const INPUTS_DIGEST = "kubewarden.io/inputs-digest";
export const POLICY_NAME_ANNOTATION = "kubewardenPolicyName";
export const POLICY_NAMESPACE_ANNOTATION = "kubewardenPolicyNamespace";

/** Name of the Deployment, Service, ConfigMap, Secret, PodDisruptionBudget and container of a PolicyServer. */
export function serverObjectName(policyServer: string): string {
  return `policy-server-${policyServer}`;
}

/** The DNS name under which the API server calls a policy server or the controller. */
export function serviceHost(service: string, namespace: string): string {
  return `${service}.${namespace}.svc`;
}

export function commonLabels(policyServer: string): { readonly [key: string]: string } {
  return {
    "app.kubernetes.io/component": "policy-server",
    "app.kubernetes.io/instance": serverObjectName(policyServer),
    "app.kubernetes.io/managed-by": "kubewarden-controller",
    ...PART_OF,
  };
}

/** Whether an object has all of these labels, with these values. */
export function hasLabels({ metadata }: KubeObject, labels: { readonly [name: string]: string }): boolean {
  return Object.entries(labels).every(([label, value]) => own(metadata.labels, label) === value);
}

export function ownerReference(server: PolicyServer): OwnerReference {
  return {
    apiVersion: `${API_GROUP}/v1`,
    kind: "PolicyServer",
    name: server.metadata.name,
    uid: server.metadata.uid ?? "",
  };
}

/** Metadata of an object that belongs to a PolicyServer. */
export function ownedMetadata(server: PolicyServer, namespace: string): {
  readonly name: string;
  readonly namespace: string;
  readonly ownerReferences: readonly OwnerReference[];
} {
  return {
    name: serverObjectName(server.metadata.name),
    namespace,
    ownerReferences: [ownerReference(server)],
  };
}
