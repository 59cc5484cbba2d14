/** What a policy's module says of itself in its custom section (`spec/evaluator.md §9`). */
import { isObject } from "../../program/types/json_object.ts";
import { own } from "../../program/types/own.ts";

/** Name of the custom section that holds the metadata as JSON. */
export const METADATA_SECTION = "io.kubewarden.metadata";

/** How a policy's module is run (`spec/evaluator.md §1`). */
export type ExecutionMode = "kubewarden-wapc" | "wasi" | "opa" | "gatekeeper" | "extism";

const EXECUTION_MODES: readonly ExecutionMode[] = ["kubewarden-wapc", "wasi", "opa", "gatekeeper", "extism"];

/** Which resources and operations a policy is meant for. */
export interface PolicyRule {
  /** API groups; `*` for all, `""` for the core group. */
  readonly apiGroups: readonly string[];
  /** API versions; `*` for all. */
  readonly apiVersions: readonly string[];
  /** Plural resource names, `name/subresource`, or wildcards. */
  readonly resources: readonly string[];
  /** `CREATE`, `UPDATE`, `DELETE`, `CONNECT` or `*`. */
  readonly operations: readonly string[];
}

/** A kind of resource that a context-aware policy wants to read. */
export interface ContextAwareResource {
  /** `v1` or `group/version`. */
  readonly apiVersion: string;
  /** The kind in singular. */
  readonly kind: string;
}

/** A policy's metadata, defaults filled in. */
export interface PolicyMetadata {
  /** The version of the waPC protocol; null where the metadata has none. */
  readonly protocolVersion: "v1" | "Unknown" | null;
  /** What the policy is meant for. */
  readonly rules: readonly PolicyRule[];
  /** Title, author, description and the like, by their keys. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Whether the policy may change what it judges. */
  readonly mutating: boolean;
  /** Whether the audit scanner may run it. */
  readonly backgroundAudit: boolean;
  /** How the module is run. */
  readonly executionMode: ExecutionMode;
  /** Whether it judges AdmissionRequests or any JSON. */
  readonly policyType: "kubernetes" | "raw";
  /** Kinds that it wants to read from the cluster. */
  readonly contextAwareResources: readonly ContextAwareResource[];
  /** Host capabilities that it uses; undefined where the metadata does not say. */
  readonly hostCapabilities: readonly string[] | undefined;
  /** The oldest release of the original that can run it. */
  readonly minimumKubewardenVersion: string | undefined;
}

/** Raised for metadata that can't be read; the message names the member and what was expected. */
export class MetadataError extends Error {
  override readonly name = "MetadataError";
}

type Json = unknown;

function fail(path: string, expected: string): never {
  throw new MetadataError(`${path}: expected ${expected}`);
}

function strings(value: Json, path: string): readonly string[] {
  if (!Array.isArray(value) || !value.every((element) => typeof element === "string")) {
    fail(path, "a list of strings");
  }
  return value;
}

function choice<T extends string>(value: Json, path: string, choices: readonly T[], fallback: T): T {
  if (value === undefined) return fallback;
  return choices.find((candidate) => candidate === value) ?? fail(path, `one of ${choices.join(", ")}`);
}

function boolean(value: Json, path: string): boolean {
  return typeof value === "boolean" ? value : fail(path, "a boolean");
}

function rules(value: Json): readonly PolicyRule[] {
  if (!Array.isArray(value)) fail("rules", "a list");
  return value.map((rule: Json, index) => {
    if (!isObject(rule)) fail(`rules[${index}]`, "an object");
    const list = (name: string) => strings(own(rule, name), `rules[${index}].${name}`);
    return {
      apiGroups: list("apiGroups"),
      apiVersions: list("apiVersions"),
      resources: list("resources"),
      operations: list("operations"),
    };
  });
}

function annotations(value: Json): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) fail("annotations", "an object of strings");
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== "string") fail(`annotations.${name.slice(0, 100)}`, "a string");
  }
  return value as Record<string, string>;
}

function resources(value: Json): readonly ContextAwareResource[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) fail("contextAwareResources", "a list");
  return value.map((resource: Json, index) => {
    if (!isObject(resource)) fail(`contextAwareResources[${index}]`, "an object");
    const { apiVersion, kind } = resource;
    if (typeof apiVersion !== "string" || typeof kind !== "string") {
      fail(`contextAwareResources[${index}]`, "the strings apiVersion and kind");
    }
    return { apiVersion, kind };
  });
}

/** Reads metadata from the parsed JSON (or YAML) document. Throws {@link MetadataError}. */
export function parseMetadata(document: Json): PolicyMetadata {
  if (!isObject(document)) fail("the metadata", "an object");
  const version = document["minimumKubewardenVersion"];
  if (version !== undefined && version !== null && typeof version !== "string") {
    fail("minimumKubewardenVersion", "a string");
  }
  const protocol = document["protocolVersion"] ?? undefined;
  return {
    protocolVersion: protocol === undefined
      ? null
      : choice(protocol, "protocolVersion", ["v1", "Unknown"] as const, "Unknown"),
    rules: rules(document["rules"]),
    annotations: annotations(document["annotations"]),
    mutating: boolean(document["mutating"], "mutating"),
    backgroundAudit: document["backgroundAudit"] === undefined
      ? true
      : boolean(document["backgroundAudit"], "backgroundAudit"),
    executionMode: choice(document["executionMode"], "executionMode", EXECUTION_MODES, "kubewarden-wapc"),
    policyType: choice(document["policyType"], "policyType", ["kubernetes", "raw"] as const, "kubernetes"),
    contextAwareResources: resources(document["contextAwareResources"]),
    hostCapabilities: document["hostCapabilities"] === undefined || document["hostCapabilities"] === null
      ? undefined
      : strings(document["hostCapabilities"], "hostCapabilities"),
    minimumKubewardenVersion: version ?? undefined,
  };
}

/** What is assumed of a module without metadata: waPC without a protocol version, which a policy server refuses. */
export const NO_METADATA: PolicyMetadata = parseMetadata({ rules: [], mutating: false });
