/** Spec and status of PolicyServer, v1 and v1alpha2 (spec/crds.md §5, §6.2, §12). */
import {
  affinity,
  conditions,
  containerSecurityContext,
  envVar,
  podSecurityContext,
  quantities,
  toleration,
} from "./core_fields.ts";
import { type Infer, int32, intOrString, list, map, object, text } from "./schema.ts";

const port = { minimum: 1, maximum: 65535 } as const;

const since1alpha2 = {
  image: text({ description: "Container image of the policy server." }),
  replicas: int32({ description: "Number of pods." }),
  annotations: map(text(), { description: "Annotations for the Deployment and its pods." }),
  env: list(envVar, {
    description: "Environment variables; those that the controller sets cannot be overridden.",
  }),
  serviceAccountName: text({ description: "Service account of the pods, in the deployments namespace." }),
  imagePullSecret: text({
    description:
      "Secret of type kubernetes.io/dockerconfigjson in the deployments namespace, for fetching policies.",
  }),
  insecureSources: list(text(), { description: "Registries reached without TLS or without checking it." }),
  sourceAuthorities: map(list(text()), { description: "PEM certificates trusted per registry." }),
  verificationConfig: text({
    description:
      "ConfigMap in the deployments namespace, key verification-config: signatures that policies need.",
  }),
} as const;

const since1 = {
  minAvailable: intOrString({
    description: "Pods that must stay up during a disruption. Excludes maxUnavailable.",
  }),
  maxUnavailable: intOrString({
    description: "Pods that may be down during a disruption. Excludes minAvailable.",
  }),
  labels: map(text(), { description: "Labels for the Deployment and its pods." }),
  sigstoreTrustConfig: text({
    description:
      "ConfigMap in the deployments namespace, key sigstore-trust-config: another Sigstore's trust roots.",
  }),
  securityContexts: object({
    container: containerSecurityContext,
    pod: podSecurityContext,
  }),
  affinity,
  limits: quantities,
  requests: quantities,
  tolerations: list(toleration),
  priorityClassName: text(),
  namespacedPoliciesCapabilities: list(text(), {
    description:
      "Host capabilities of AdmissionPolicies and AdmissionPolicyGroups. Absent: all of them. Empty list: none.",
  }),
  webhookPort: int32({
    ...port,
    description: "Port on which the pod serves admission requests. Default 8443.",
  }),
  readinessProbePort: int32({
    ...port,
    description: "Port on which the pod answers its readiness probe. Default 8081.",
  }),
  metricsPort: int32({
    ...port,
    description: "Port of the Service for metrics. It does not move the port that the pod binds.",
  }),
} as const;

export const policyServerSpec = object({ ...since1alpha2, ...since1 }, ["image", "replicas"]);
export const alphaPolicyServerSpec = object(since1alpha2, ["image", "replicas"]);
export const policyServerStatus = object({ conditions }, ["conditions"]);

export type PolicyServerSpec = Infer<typeof policyServerSpec>;
export type AlphaPolicyServerSpec = Infer<typeof alphaPolicyServerSpec>;
export type PolicyServerStatus = Infer<typeof policyServerStatus>;
