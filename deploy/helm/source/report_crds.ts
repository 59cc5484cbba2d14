/** CRDs of the two report APIs, with what their schemas check of what the scanner writes (spec/audit.md §12.2). */

/** A CustomResourceDefinition of reports. */
export type ReportDefinition = {
  readonly apiVersion: "apiextensions.k8s.io/v1";
  readonly kind: "CustomResourceDefinition";
  readonly metadata: {
    readonly name: string;
    readonly annotations: { readonly [key: string]: string };
  };
  readonly spec: { readonly group: string; readonly [key: string]: unknown };
};

const text = { type: "string" };
const integer = { type: "integer" };
const texts = { type: "object", additionalProperties: text };
const COUNTS = ["pass", "fail", "warn", "error", "skip"] as const;

const reference = {
  type: "object",
  "x-kubernetes-map-type": "atomic",
  properties: Object.fromEntries(
    ["apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid"].map((
      name,
    ) => [name, text]),
  ),
};
const selector = {
  type: "object",
  "x-kubernetes-map-type": "atomic",
  properties: {
    matchLabels: texts,
    matchExpressions: {
      type: "array",
      items: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
    },
  },
};

const result = {
  type: "object",
  required: ["policy"],
  properties: {
    source: text,
    policy: text,
    rule: text,
    category: text,
    description: text,
    severity: { ...text, enum: ["critical", "high", "low", "medium", "info"] },
    timestamp: {
      type: "object",
      required: ["nanos", "seconds"],
      properties: { nanos: { ...integer, format: "int32" }, seconds: { ...integer, format: "int64" } },
    },
    result: { ...text, enum: COUNTS },
    scored: { type: "boolean" },
    resources: { type: "array", items: reference },
    resourceSelector: selector,
    message: text,
    properties: texts,
  },
};

const schema = {
  type: "object",
  properties: {
    apiVersion: text,
    kind: text,
    metadata: { type: "object" },
    configuration: {
      type: "object",
      properties: {
        limits: {
          type: "object",
          properties: {
            maxResults: integer,
            statusFilter: { type: "array", items: { ...text, enum: COUNTS } },
          },
        },
      },
    },
    source: text,
    scope: reference,
    scopeSelector: selector,
    summary: { type: "object", properties: Object.fromEntries(COUNTS.map((name) => [name, integer])) },
    results: { type: "array", items: result },
  },
};

const columns = [
  { name: "Kind", type: "string", jsonPath: ".scope.kind" },
  { name: "Name", type: "string", jsonPath: ".scope.name" },
  ...COUNTS.map((name) => ({
    name: `${name[0]!.toUpperCase()}${name.slice(1)}`,
    type: "integer",
    jsonPath: `.summary.${name}`,
  })),
  { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
];

function definition(
  group: string,
  names: readonly string[],
  kind: string,
  namespaced: boolean,
  short: string,
): ReportDefinition {
  const singular = kind.toLowerCase();
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      name: `${singular}s.${group}`,
      annotations: { "api-approved.kubernetes.io": "https://github.com/kubernetes/enhancements/pull/4447" },
    },
    spec: {
      group,
      scope: namespaced ? "Namespaced" : "Cluster",
      names: { kind, listKind: `${kind}List`, plural: `${singular}s`, singular, shortNames: [short] },
      // The last one is stored; there is no conversion.
      versions: names.map((name) => ({
        name,
        served: true,
        storage: name === names.at(-1),
        additionalPrinterColumns: columns,
        schema: { openAPIV3Schema: schema },
      })),
    },
  };
}

export const REPORT_CRDS: { readonly [K in "openreports" | "policyreport"]: readonly ReportDefinition[] } = {
  openreports: [
    definition("openreports.io", ["v1alpha1"], "Report", true, "reps"),
    definition("openreports.io", ["v1alpha1"], "ClusterReport", false, "creps"),
  ],
  policyreport: [
    definition("wgpolicyk8s.io", ["v1alpha2", "v1beta1"], "PolicyReport", true, "polr"),
    definition("wgpolicyk8s.io", ["v1alpha2", "v1beta1"], "ClusterPolicyReport", false, "cpolr"),
  ],
};
