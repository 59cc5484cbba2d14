/**
 * `values.schema.json` of the charts: what a value must be for anything to work. What depends on several values, or needs a
 * word on what to do, is checked by the templates (`*-checks.yaml`). Unknown keys are let through, as in Kubewarden's charts.
 */

/** A JSON Schema (draft 7, which every Helm 3 reads). */
export type JsonSchema = { readonly [key: string]: unknown };
type Properties = { readonly [name: string]: JsonSchema };

const type = (...types: readonly string[]) => ({ type: types.length === 1 ? types[0] : types });
const text = type("string");
const optionalText = type("string", "null");
const flag = type("boolean");
const map = type("object", "null");
const list = type("array", "null");
const described = (schema: JsonSchema, description: string) => ({ ...schema, description });
/** `required` are the keys without which a template would render nonsense: a null in someone's values takes a key away. */
const object = (properties: Properties, required: readonly string[] = []): JsonSchema => ({
  type: "object",
  ...(required.length === 0 ? {} : { required }),
  properties,
});
const names: JsonSchema = { type: ["array", "null"], items: { type: "string", minLength: 1 } };
/** Forms of installers post numbers as text. */
const PORT_TEXT = "^([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$";
const port: JsonSchema = {
  description: "a port: 1 to 65535",
  type: ["integer", "string"],
  minimum: 1,
  maximum: 65535,
  pattern: PORT_TEXT,
};
const optionalPort: JsonSchema = { ...port, type: ["integer", "string", "null"], minimum: 1 };
const count: JsonSchema = { type: "integer", minimum: 0 };
const kubernetesName: JsonSchema = {
  type: "string",
  maxLength: 253,
  pattern: "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$",
};
const someName = { ...kubernetesName, minLength: 1 };
const texts: JsonSchema = {
  description: "texts by name",
  type: ["object", "null"],
  additionalProperties: type("string", "number", "boolean"),
};
/** cpu and memory, as quantities or plain numbers. */
const quantities: JsonSchema = {
  type: ["object", "null"],
  additionalProperties: {
    description: "a quantity, e.g. 500m or 1Gi",
    type: ["string", "number"],
    pattern: "^[0-9]+(\\.[0-9]+)?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$",
  },
};
const resources: JsonSchema = {
  type: ["object", "null"],
  properties: { limits: quantities, requests: quantities },
};
const image = (pull: boolean): JsonSchema =>
  object({
    repository: { type: "string", minLength: 1 },
    tag: type("string", "number", "null"),
    runtime: { enum: ["node", "bun"] },
    ...(pull ? { pullPolicy: { enum: ["Always", "IfNotPresent", "Never"] } } : {}),
  }, ["repository"]);
const environment: JsonSchema = {
  type: ["array", "null"],
  items: {
    type: "object",
    required: ["name"],
    properties: {
      name: { type: "string", minLength: 1 },
      value: type("string", "number", "boolean", "null"),
    },
  },
};

export const METADATA: Properties = {
  nameOverride: kubernetesName,
  additionalLabels: texts,
  additionalAnnotations: texts,
};

export const GLOBAL: Properties = {
  global: object({
    cattle: object({
      systemDefaultRegistry: described(
        { type: ["string", "null"], not: { pattern: "://" } },
        "a registry without a scheme, e.g. ghcr.io",
      ),
    }),
    affinity: map,
    tolerations: list,
    priorityClassName: optionalText,
    skipNamespaces: names,
  }, ["cattle"]),
};
export const GLOBAL_REQUIRED = ["global"];

export const CONTROLLER_REQUIRED = [
  "image",
  "ports",
  "telemetry",
  "resources",
  "auditScanner",
  "logLevel",
  "replicas",
  "preDeleteHook",
  "preDeleteJob",
  "mTLS",
];
export const DEFAULTS_REQUIRED = ["crdVersion", "policyServer", "recommendedPolicies"];

export const CRDS: Properties = { installPolicyReportCRDs: flag, installOpenReportsCRDs: flag };

const pullSecrets: JsonSchema = {
  type: ["array", "null"],
  items: {
    anyOf: [someName, { type: "object", required: ["name"], properties: { name: someName } }],
  },
};

export const CONTROLLER: Properties = {
  fullnameOverride: kubernetesName,
  imagePullSecrets: pullSecrets,
  containerSecurityContext: map,
  podSecurityContext: map,
  preDeleteHook: object({ containerSecurityContext: map, podSecurityContext: map }),
  alwaysAcceptAdmissionReviewsOnDeploymentsNamespace: flag,
  affinity: map,
  hostNetwork: flag,
  ports: object({ webhook: port, healthProbe: port, metrics: port, metricsAddress: text }, [
    "webhook",
    "healthProbe",
    "metrics",
  ]),
  logLevel: described(
    { type: ["string", "integer"], pattern: "^(debug|info|error|panic|[1-9][0-9]*)$", minimum: 1 },
    "debug, info, error, panic or a positive number",
  ),
  telemetry: object({
    mode: { enum: ["sidecar", "custom"] },
    metrics: flag,
    tracing: flag,
    custom: object({
      endpoint: described(
        { type: "string", pattern: "^(https?://.+)?$" },
        "the collector's URL, https://host:port",
      ),
      insecure: flag,
      otelCollectorCertificateSecret: kubernetesName,
      otelCollectorClientCertificateSecret: kubernetesName,
    }),
    sidecar: object({
      metrics: object({ port: { ...port, minimum: 0, pattern: `^0$|${PORT_TEXT}` } }),
      tracing: object({
        jaeger: {
          type: ["object", "null"],
          properties: {
            endpoint: text,
            tls: { type: ["object", "null"], properties: { insecure: type("boolean", "string") } },
          },
        },
      }),
    }),
  }, ["mode"]),
  image: image(true),
  preDeleteJob: object({
    image: object({ repository: optionalText, tag: type("string", "number", "null") }),
  }),
  podAnnotations: texts,
  nodeSelector: map,
  additionalEnvironmentVariables: environment,
  resources: object({
    controller: resources,
    auditScanner: resources,
    preDeleteJob: resources,
    postInstallJob: resources,
  }),
  certificates: object({ create: flag }),
  mTLS: object({ enable: flag, configMapName: kubernetesName }),
  replicas: count,
  auditScanner: object({
    enable: flag,
    policyReporter: flag,
    serviceAccountName: someName,
    image: image(true),
    cronJob: object({
      schedule: described(
        { type: "string", pattern: "^(@\\w+|\\S+( +\\S+){4})$" },
        "five fields of a cron schedule, e.g. 0 * * * *",
      ),
      failedJobsHistoryLimit: count,
      successfulJobsHistoryLimit: count,
    }, ["schedule", "failedJobsHistoryLimit", "successfulJobsHistoryLimit"]),
    containerRestartPolicy: { enum: ["Never", "OnFailure"] },
    reportCRDsKind: { enum: ["openreports", "policyreport", "", null] },
    skipAdditionalNamespaces: names,
    logLevel: { enum: ["trace", "debug", "info", "warn", "warning", "error", "fatal"] },
    outputScan: flag,
    disableStore: flag,
    parallelNamespaces: type("integer"),
    parallelResources: type("integer"),
    parallelPolicies: type("integer"),
    pageSize: type("integer"),
  }, ["serviceAccountName", "image", "cronJob", "containerRestartPolicy", "logLevel"]),
  helmTest: object({ module: text, namespace: someName }),
};

export const CONTROLLER_UNIFIED: Properties = {
  namespacedPoliciesAllowedResources: {
    type: ["array", "null"],
    items: {
      type: "object",
      required: ["resources"],
      properties: {
        apiGroups: { type: "array", items: text },
        resources: { type: "array", minItems: 1, items: text },
      },
    },
  },
};

const share: JsonSchema = {
  description: "a number of pods, or a percentage such as 50%",
  type: ["integer", "string", "null"],
  minimum: 0,
  minLength: 1,
  pattern: "^[0-9]+%?$",
};
const policy: JsonSchema = {
  type: ["object", "null"],
  properties: {
    name: someName,
    module: object(
      { repository: { type: "string", minLength: 1 }, tag: type("string", "number") },
      ["repository", "tag"],
    ),
    settings: map,
  },
  required: ["name", "module"],
};
const authorities: JsonSchema = {
  anyOf: [
    { type: "null" },
    {
      type: "array",
      items: {
        type: "object",
        required: ["uri"],
        properties: {
          uri: { type: "string", minLength: 1 },
          certs: { type: ["array", "null"], items: text },
        },
      },
    },
    { type: "object", additionalProperties: { type: ["array", "null"], items: text } },
  ],
};

export const DEFAULTS: Properties = {
  crdVersion: described(
    { type: "string", pattern: "^policies\\.kubewarden\\.io/v[a-z0-9]+$" },
    "policies.kubewarden.io/v1",
  ),
  policyServer: object({
    enabled: flag,
    replicaCount: { type: ["integer", "null"], minimum: 0 },
    minAvailable: share,
    maxUnavailable: share,
    image: image(false),
    serviceAccountName: someName,
    verificationConfig: optionalText,
    sigstoreTrustConfig: optionalText,
    permissions: {
      type: ["array", "null"],
      items: {
        type: "object",
        required: ["resources"],
        properties: {
          apiGroup: text,
          resources: { type: "array", minItems: 1, items: text },
          verbs: { type: ["array", "null"], items: text },
        },
      },
    },
    env: environment,
    annotations: texts,
    securityContexts: map,
    imagePullSecret: optionalText,
    insecureSources: names,
    sourceAuthorities: authorities,
    namespacedPoliciesCapabilities: {
      type: ["array", "null"],
      items: {
        description: "*, category/*, or a capability such as oci/v1/verify",
        type: "string",
        minLength: 1,
        pattern: "^(\\*|[a-z0-9_-]+(/[a-z0-9_-]+)*/\\*|[a-z0-9_-]+(/[a-z0-9_-]+)+)$",
      },
    },
    limits: quantities,
    requests: quantities,
    webhookPort: optionalPort,
    readinessProbePort: optionalPort,
    metricsPort: optionalPort,
    affinity: map,
  }, ["image", "serviceAccountName"]),
  recommendedPolicies: object({
    enabled: flag,
    defaultPoliciesRegistry: optionalText,
    skipAdditionalNamespaces: names,
    defaultPolicyMode: { enum: ["monitor", "protect"] },
    allowPrivilegeEscalationPolicy: policy,
    hostNamespacePolicy: policy,
    podPrivilegedPolicy: policy,
    userGroupPolicy: policy,
    hostPathsPolicy: policy,
    capabilitiesPolicy: policy,
  }, ["defaultPolicyMode"]),
};

/** The schema of a chart with these values. */
export function valuesSchema(parts: readonly Properties[], required: readonly string[] = []): JsonSchema {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    type: "object",
    ...(required.length === 0 ? {} : { required }),
    properties: Object.assign({}, ...parts),
  };
}
