/**
 * Defaults (spec/crds.md §8.3): what the mutating webhook adds to an object, as an RFC 6902 patch that touches nothing else,
 * and the schema defaults for tools that read manifests without an API server.
 */
import { DEFAULT_POLICY_SERVER, FINALIZER, type Kind, kindDescription } from "../types/kinds.ts";
import type { Json } from "../types/schema.ts";

export type PatchOperation =
  | { readonly op: "add"; readonly path: string; readonly value: Json }
  | { readonly op: "replace"; readonly path: string; readonly value: Json };

type Fields = { readonly [name: string]: Json | undefined };

function fields(value: Json | undefined): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value as Fields : undefined;
}

/**
 * The patch that completes an object of the given kind. Whatever has an unexpected JSON type is left alone, so that the API
 * server's schema, which names the field, refuses it.
 */
export function defaultingPatch(kind: Kind, object: Json): PatchOperation[] {
  const root = fields(object);
  const metadata = fields(root?.["metadata"]);
  const spec = fields(root?.["spec"]);
  if (metadata === undefined) return [];
  const patch: PatchOperation[] = [];
  if (spec !== undefined && kind !== "PolicyServer") {
    const server = spec["policyServer"];
    if (server === undefined || server === "") {
      patch.push({
        op: server === undefined ? "add" : "replace",
        path: "/spec/policyServer",
        value: DEFAULT_POLICY_SERVER,
      });
    }
    // Left empty they are refused with the text that says so; absent, the schema would say less.
    for (const name of kindDescription(kind).group ? ["expression", "message"] : []) {
      if (spec[name] === undefined) patch.push({ op: "add", path: `/spec/${name}`, value: "" });
    }
    // Manifests without `mutating` are in the field: the original stores them as not mutating (§15, 4).
    if (!kindDescription(kind).group && spec["mutating"] === undefined) {
      patch.push({ op: "add", path: "/spec/mutating", value: false });
    }
  }
  if (metadata["deletionTimestamp"] === undefined) {
    const finalizers = metadata["finalizers"];
    if (!Array.isArray(finalizers) || finalizers.length === 0) {
      patch.push({ op: "add", path: "/metadata/finalizers", value: [FINALIZER] });
    } else if (!finalizers.includes(FINALIZER)) {
      patch.push({ op: "add", path: "/metadata/finalizers/-", value: FINALIZER });
    }
  }
  return patch;
}

function withSchemaDefaults(schema: Fields, value: Json): Json {
  const properties = fields(schema["properties"]);
  const object = fields(value);
  if (object === undefined) {
    const items = fields(schema["items"]);
    return Array.isArray(value) && items !== undefined
      ? value.map((item) => withSchemaDefaults(items, item))
      : value;
  }
  const additional = fields(schema["additionalProperties"]);
  const known = properties ?? {};
  const result = new Map<string, Json>();
  for (const [name, item] of Object.entries(object)) {
    const described = (Object.hasOwn(known, name) ? fields(known[name]) : undefined) ?? additional;
    result.set(name, described === undefined ? item! : withSchemaDefaults(described, item!));
  }
  for (const [name, described] of Object.entries(known)) {
    const preset = fields(described)?.["default"];
    if (preset !== undefined && !result.has(name)) result.set(name, preset);
  }
  return Object.fromEntries(result);
}

/** A v1 spec with the defaults that the API server's schema adds; the given value is not changed. */
export function withDefaults(kind: Kind, spec: Json): Json {
  return withSchemaDefaults(kindDescription(kind).v1.spec.json as Fields, spec);
}
