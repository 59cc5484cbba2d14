/**
 * The CustomResourceDefinitions, rendered from the descriptions in `crd/types/` (spec/crds.md §1, §12).
 *
 * @example
 * ```ts
 * import { customResourceDefinitions } from "./manifests.ts";
 * console.log(customResourceDefinitions().map((crd) => crd.metadata.name));
 * ```
 */
import { API_GROUP, type KindDescription, KINDS } from "../types/kinds.ts";
import type { Json, Schema } from "../types/schema.ts";

/** A CustomResourceDefinition as it is applied to the cluster. */
export type CustomResourceDefinition = {
  readonly apiVersion: "apiextensions.k8s.io/v1";
  readonly kind: "CustomResourceDefinition";
  readonly metadata: { readonly name: string; readonly annotations: { readonly [key: string]: string } };
  readonly spec: { readonly [key: string]: Json };
};

const DEPRECATION_WARNING = "This version is deprecated. Please, consider using v1";
/** Existing tools look for this annotation; its value is the one that 1.36 carries. */
const ANNOTATIONS = { "controller-gen.kubebuilder.io/version": "v0.18.0" } as const;

type Column = {
  readonly name: string;
  readonly type: string;
  readonly jsonPath: string;
  readonly description?: string;
  readonly priority?: number;
};

const column = (name: string, type: string, jsonPath: string, description?: string): Column => ({
  name,
  type,
  jsonPath,
  ...(description !== undefined && { description }),
});
/** A column of an annotation, shown by `kubectl get -o wide`. */
const annotated = (name: string): Column => ({
  ...column(name, "string", `.metadata.annotations['io\\.kubewarden\\.policy\\.${name.toLowerCase()}']`),
  priority: 1,
});

const POLICY_COLUMNS: readonly Column[] = [
  column("Policy Server", "string", ".spec.policyServer", "Bound to Policy Server"),
  column("Mutating", "boolean", ".spec.mutating", "Whether the policy is mutating"),
  column("BackgroundAudit", "boolean", ".spec.backgroundAudit", "Used in audits"),
  column("Mode", "string", ".spec.mode", "Policy deployment mode"),
  column(
    "Observed mode",
    "string",
    ".status.mode",
    "Policy deployment mode observed on the assigned Policy Server",
  ),
  column("Status", "string", ".status.policyStatus", "Status of the policy"),
  column("Age", "date", ".metadata.creationTimestamp"),
  annotated("Severity"),
  annotated("Category"),
];
const ALPHA_COLUMNS = ["Policy Server", "Mutating", "Mode", "Observed mode", "Status"];
const SERVER_COLUMNS: readonly Column[] = [
  column("Replicas", "string", ".spec.replicas", "Policy Server replicas"),
  column("Image", "string", ".spec.image", "Policy Server image"),
];

function openApi(kind: KindDescription, spec: Schema<unknown>, status: Schema<unknown>): Json {
  return {
    description: `${kind.kind} of ${API_GROUP}`,
    properties: {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { type: "object" },
      spec: spec.json,
      status: status.json,
    },
    type: "object",
  };
}

function versions(kind: KindDescription): Json[] {
  const alpha = kind.v1alpha2 === undefined ? [] : [{
    additionalPrinterColumns: kind.policy
      ? POLICY_COLUMNS.filter((column) => ALPHA_COLUMNS.includes(column.name))
      : SERVER_COLUMNS,
    deprecated: true,
    deprecationWarning: DEPRECATION_WARNING,
    name: "v1alpha2",
    schema: { openAPIV3Schema: openApi(kind, kind.v1alpha2.spec, kind.v1alpha2.status) },
    served: true,
    storage: false,
    subresources: { status: {} },
  }];
  return [...alpha, {
    additionalPrinterColumns: kind.policy ? POLICY_COLUMNS : SERVER_COLUMNS,
    name: "v1",
    schema: { openAPIV3Schema: openApi(kind, kind.v1.spec, kind.v1.status) },
    served: true,
    storage: true,
    subresources: { status: {} },
  }] as Json[];
}

/** The CRD of one kind. */
export function customResourceDefinition(kind: KindDescription): CustomResourceDefinition {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${kind.plural}.${API_GROUP}`, annotations: ANNOTATIONS },
    spec: {
      group: API_GROUP,
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        shortNames: [kind.short],
        singular: kind.kind.toLowerCase(),
      },
      scope: kind.namespaced ? "Namespaced" : "Cluster",
      versions: versions(kind),
    },
  };
}

/** All five CRDs, in the order of `KINDS`. */
export function customResourceDefinitions(): readonly CustomResourceDefinition[] {
  return KINDS.map(customResourceDefinition);
}
