/** The resources that the controller reads and writes, and their places in the API. */
import type { Resource } from "../../kubernetes/types/resource.ts";
import type { WebhookKind } from "./objects.ts";

function resource(apiVersion: string, kind: string, plural: string, namespaced = true): Resource {
  return { apiVersion, kind, plural, namespaced };
}

export const CONFIG_MAPS = resource("v1", "ConfigMap", "configmaps");
export const SECRETS = resource("v1", "Secret", "secrets");
export const SERVICES = resource("v1", "Service", "services");
export const PODS = resource("v1", "Pod", "pods");
export const EVENTS = resource("v1", "Event", "events");
export const DEPLOYMENTS = resource("apps/v1", "Deployment", "deployments");
export const REPLICA_SETS = resource("apps/v1", "ReplicaSet", "replicasets");
export const BUDGETS = resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets");
export const LEASES = resource("coordination.k8s.io/v1", "Lease", "leases");
export const VALIDATING = resource(
  "admissionregistration.k8s.io/v1",
  "ValidatingWebhookConfiguration",
  "validatingwebhookconfigurations",
  false,
);
export const MUTATING = resource(
  "admissionregistration.k8s.io/v1",
  "MutatingWebhookConfiguration",
  "mutatingwebhookconfigurations",
  false,
);
/** The resource of each kind of webhook configuration that policies become. */
export const WEBHOOK_RESOURCES: { readonly [K in WebhookKind]: Resource } = {
  ValidatingWebhookConfiguration: VALIDATING,
  MutatingWebhookConfiguration: MUTATING,
};
export const WEBHOOK_KINDS = Object.keys(WEBHOOK_RESOURCES) as readonly WebhookKind[];
