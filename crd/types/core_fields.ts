/** The parts of Kubernetes' core API that appear inside our resources (spec/crds.md §5). */
import { bool, type Infer, int32, int64, intOrString, list, map, object, text } from "./schema.ts";

/** The pattern that a quantity's text must have, as the API server's own CRD generator writes it. */
export const QUANTITY_PATTERN =
  "^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$";

export const quantity = intOrString({ pattern: QUANTITY_PATTERN });
export const quantities = map(quantity);

const strings = list(text(), { atomic: true });

const requirement = object(
  { key: text(), operator: text(), values: strings },
  ["key", "operator"],
);

export const labelSelector = object(
  { matchExpressions: list(requirement, { atomic: true }), matchLabels: map(text()) },
  [],
  { atomicMap: true },
);
export type LabelSelector = Infer<typeof labelSelector>;

const keyReference = object(
  { key: text(), name: text({ default: "" }), optional: bool() },
  ["key"],
  { atomicMap: true },
);

export const envVar = object({
  name: text(),
  value: text(),
  valueFrom: object({
    configMapKeyRef: keyReference,
    fieldRef: object({ apiVersion: text(), fieldPath: text() }, ["fieldPath"], { atomicMap: true }),
    fileKeyRef: object(
      { key: text(), optional: bool({ default: false }), path: text(), volumeName: text() },
      ["key", "path", "volumeName"],
      { atomicMap: true },
    ),
    resourceFieldRef: object(
      { containerName: text(), divisor: quantity, resource: text() },
      ["resource"],
      { atomicMap: true },
    ),
    secretKeyRef: keyReference,
  }),
}, ["name"]);
export type EnvVar = Infer<typeof envVar>;

export const toleration = object({
  effect: text(),
  key: text(),
  operator: text(),
  tolerationSeconds: int64(),
  value: text(),
});

const seLinuxOptions = object({ level: text(), role: text(), type: text(), user: text() });
const seccompProfile = object({ localhostProfile: text(), type: text() }, ["type"]);
const appArmorProfile = object({ localhostProfile: text(), type: text() }, ["type"]);
const windowsOptions = object({
  gmsaCredentialSpec: text(),
  gmsaCredentialSpecName: text(),
  hostProcess: bool(),
  runAsUserName: text(),
});

export const containerSecurityContext = object({
  allowPrivilegeEscalation: bool(),
  appArmorProfile,
  capabilities: object({ add: strings, drop: strings }),
  privileged: bool(),
  procMount: text(),
  readOnlyRootFilesystem: bool(),
  runAsGroup: int64(),
  runAsNonRoot: bool(),
  runAsUser: int64(),
  seLinuxOptions,
  seccompProfile,
  windowsOptions,
});

export const podSecurityContext = object({
  appArmorProfile,
  fsGroup: int64(),
  fsGroupChangePolicy: text(),
  runAsGroup: int64(),
  runAsNonRoot: bool(),
  runAsUser: int64(),
  seLinuxChangePolicy: text(),
  seLinuxOptions,
  seccompProfile,
  supplementalGroups: list(int64(), { atomic: true }),
  supplementalGroupsPolicy: text(),
  sysctls: list(object({ name: text(), value: text() }, ["name", "value"]), { atomic: true }),
  windowsOptions,
});

const nodeSelectorTerm = object(
  {
    matchExpressions: list(requirement, { atomic: true }),
    matchFields: list(requirement, { atomic: true }),
  },
  [],
  { atomicMap: true },
);

const podAffinityTerm = object({
  labelSelector,
  matchLabelKeys: strings,
  mismatchLabelKeys: strings,
  namespaceSelector: labelSelector,
  namespaces: strings,
  topologyKey: text(),
}, ["topologyKey"]);
export type PodAffinityTerm = Infer<typeof podAffinityTerm>;

const podAffinity = object({
  preferredDuringSchedulingIgnoredDuringExecution: list(
    object({ podAffinityTerm, weight: int32() }, ["podAffinityTerm", "weight"]),
    { atomic: true },
  ),
  requiredDuringSchedulingIgnoredDuringExecution: list(podAffinityTerm, { atomic: true }),
});

export const affinity = object({
  nodeAffinity: object({
    preferredDuringSchedulingIgnoredDuringExecution: list(
      object({ preference: nodeSelectorTerm, weight: int32() }, ["preference", "weight"]),
      { atomic: true },
    ),
    requiredDuringSchedulingIgnoredDuringExecution: object(
      { nodeSelectorTerms: list(nodeSelectorTerm, { atomic: true }) },
      ["nodeSelectorTerms"],
      { atomicMap: true },
    ),
  }),
  podAffinity,
  podAntiAffinity: podAffinity,
});
export type Affinity = Infer<typeof affinity>;

/** `metav1.Condition`. */
export const condition = object({
  lastTransitionTime: text({ format: "date-time" }),
  message: text({ maxLength: 32768 }),
  observedGeneration: int64({ minimum: 0 }),
  reason: text({ maxLength: 1024, minLength: 1, pattern: "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$" }),
  status: text({ enum: ["True", "False", "Unknown"] }),
  type: text({
    maxLength: 316,
    pattern:
      "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
  }),
}, ["lastTransitionTime", "message", "reason", "status", "type"]);
export type Condition = Infer<typeof condition>;

export const conditions = list(condition, { listMapKeys: ["type"] });
