/** Kubernetes' own resources that belong to no namespace. */
import type { PolicyRule } from "../../evaluator/types/metadata.ts";

const CLUSTER_SCOPED: ReadonlyMap<string, readonly string[]> = new Map(Object.entries({
  "": ["namespaces", "nodes", "persistentvolumes", "componentstatuses"],
  "admissionregistration.k8s.io": [
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
  ],
  "apiextensions.k8s.io": ["customresourcedefinitions"],
  "apiregistration.k8s.io": ["apiservices"],
  "certificates.k8s.io": ["certificatesigningrequests"],
  "networking.k8s.io": ["ingressclasses", "ipaddresses", "servicecidrs"],
  "node.k8s.io": ["runtimeclasses"],
  "rbac.authorization.k8s.io": ["clusterroles", "clusterrolebindings"],
  "scheduling.k8s.io": ["priorityclasses"],
  "storage.k8s.io": ["csidrivers", "csinodes", "storageclasses", "volumeattachments"],
}));

/** Whether a resource is known to belong to no namespace. */
export function ownsNoNamespace(group: string, resource: string): boolean {
  return CLUSTER_SCOPED.get(group)?.includes(resource) ?? false;
}

/** Whether rules name nothing but resources that are known to belong to no namespace. */
export function isClusterScoped(rules: readonly PolicyRule[]): boolean {
  return rules.some(({ apiGroups, resources }) =>
    apiGroups.some((group) => resources.some((resource) => ownsNoNamespace(group, resource.split("/")[0]!)))
  );
}
