/** What policies ask of the Kubernetes API (`spec/evaluator.md §5.8`). */
import {
  asBoolean,
  asString,
  asStrings,
  fieldsOf,
  optional,
  type PayloadFields,
  readPayload,
  refuse,
  required,
} from "./payload.ts";

/** A list of one kind: of one namespace, or of the whole cluster. */
export interface ListRequest {
  readonly apiVersion: string;
  readonly kind: string;
  /** Undefined: all namespaces, or a kind that has none. */
  readonly namespace: string | undefined;
  readonly labelSelector: string | undefined;
  readonly fieldSelector: string | undefined;
  /** Sorted, without repeats; empty: whole objects. */
  readonly fieldMasks: readonly string[];
  /** One list from the API server instead of what a watch keeps. */
  readonly disableCache: boolean;
}

/** One object. */
export interface GetRequest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | undefined;
  readonly fieldMasks: readonly string[];
  readonly disableCache: boolean;
}

/** Whether somebody may do something. */
export interface CanIRequest {
  readonly review: {
    readonly user: string;
    readonly groups?: readonly string[];
    readonly resourceAttributes: Readonly<Record<string, string>>;
  };
  readonly disableCache: boolean;
}

const text = (fields: PayloadFields, name: string): string => asString(required(fields, name));

function optionalText(fields: PayloadFields, name: string): string | undefined {
  const value = optional(fields, name);
  return value && asString(value);
}

/** Bytes of all field masks of one question: each key of each becomes an object that is kept with the list. */
const MAX_MASKS = 64 * 1024;

/** Absent counts as false: what the authors of the SDKs expected (`spec/evaluator.md`, sharp edge 17). */
function flag(fields: PayloadFields, name: string): boolean {
  const value = optional(fields, name);
  return value !== undefined && asBoolean(value);
}

function masks(fields: PayloadFields): readonly string[] {
  const value = optional(fields, "field_masks");
  if (!value) return [];
  if (value.end - value.start > MAX_MASKS) refuse(value, `field masks of more than ${MAX_MASKS} bytes`);
  return [...new Set(asStrings(value))].sort();
}

/** Reads `list_resources_all`, or `list_resources_by_namespace`. Throws HostCallError. */
export function readListRequest(payload: Uint8Array, byNamespace: boolean): ListRequest {
  const name = byNamespace ? "ListResourcesByNamespaceRequest" : "ListAllResourcesRequest";
  const fields = fieldsOf(readPayload(payload), `struct ${name}`);
  return {
    apiVersion: text(fields, "api_version"),
    kind: text(fields, "kind"),
    namespace: byNamespace ? text(fields, "namespace") : undefined,
    labelSelector: optionalText(fields, "label_selector"),
    fieldSelector: optionalText(fields, "field_selector"),
    fieldMasks: masks(fields),
    disableCache: flag(fields, "disable_cache"),
  };
}

/** Reads `get_resource`. Throws HostCallError. */
export function readGetRequest(payload: Uint8Array): GetRequest {
  const fields = fieldsOf(readPayload(payload), "struct GetResourceRequest");
  return {
    apiVersion: text(fields, "api_version"),
    kind: text(fields, "kind"),
    name: text(fields, "name"),
    namespace: optionalText(fields, "namespace"),
    fieldMasks: masks(fields),
    disableCache: flag(fields, "disable_cache"),
  };
}

const ATTRIBUTES = ["resource", "verb", "group", "name", "namespace", "subresource", "version"] as const;

/** Reads `can_i`. Throws HostCallError. */
export function readCanIRequest(payload: Uint8Array): CanIRequest {
  const fields = fieldsOf(readPayload(payload), "struct CanIRequest");
  const review = fieldsOf(required(fields, "subject_access_review"), "struct SubjectAccessReview");
  // The Go SDK sends camel case (`spec/evaluator.md §5.11`).
  const spelt = review.has("resourceAttributes") ? "resourceAttributes" : "resource_attributes";
  const both = review.has("resource_attributes") && spelt === "resourceAttributes";
  if (both) refuse(review.of, "duplicate field `resource_attributes`");
  const attributes = fieldsOf(required(review, spelt), "struct ResourceAttributes");
  const resourceAttributes: Record<string, string> = {};
  for (const name of ATTRIBUTES) {
    const value = name === "resource" || name === "verb"
      ? text(attributes, name)
      : optionalText(attributes, name);
    if (value !== undefined) resourceAttributes[name] = value;
  }
  const groups = optional(review, "groups");
  return {
    review: {
      user: text(review, "user"),
      ...(groups ? { groups: asStrings(groups) } : {}),
      resourceAttributes,
    },
    disableCache: flag(fields, "disable_cache"),
  };
}
