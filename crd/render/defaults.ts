/**
 * Defaults (spec/crds.md §8.3): what the mutating webhook adds to an object, as an RFC 6902 patch that touches nothing else,
 * and the schema defaults for tools that read manifests without an API server.
 */
import { isObject } from "../../program/types/json_object.ts";
import { BOOLEAN, type OptionRules, requireOptions } from "../../program/types/option_rules.ts";
import { own } from "../../program/types/own.ts";
import { DEFAULT_POLICY_SERVER, FINALIZER, type Kind, kindDescription } from "../types/kinds.ts";
import type { Json } from "../types/schema.ts";

export type PatchOperation =
  | { readonly op: "add"; readonly path: string; readonly value: Json }
  | { readonly op: "replace"; readonly path: string; readonly value: Json };

type Fields = { readonly [name: string]: Json | undefined };

function fields(value: Json | undefined): Fields | undefined {
  return isObject(value) ? value as Fields : undefined;
}

/** What the defaults depend on besides the object. */
export interface DefaultingOptions {
  /** Whether the object gets our finalizer; true where it is not said. */
  readonly finalizer?: boolean;
}

const OPTIONS: OptionRules<DefaultingOptions> = { finalizer: BOOLEAN };

/**
 * The patch that completes an object of the given kind. Whatever has an unexpected JSON type is left alone, so that the API
 * server's schema, which names the field, refuses it.
 *
 * @throws {TypeError} for options that there are none of
 */
export function defaultingPatch(
  kind: Kind,
  object: Json,
  options: DefaultingOptions = {},
): PatchOperation[] {
  requireOptions(options, OPTIONS);
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
      if (own(spec, name) === undefined) patch.push({ op: "add", path: `/spec/${name}`, value: "" });
    }
    // Manifests without `mutating` are in the field: the original stores them as not mutating (spec/crds.md §15, 4).
    if (!kindDescription(kind).group && spec["mutating"] === undefined) {
      patch.push({ op: "add", path: "/spec/mutating", value: false });
    }
  }
  if (metadata["deletionTimestamp"] === undefined && options.finalizer !== false) {
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
  // Names are the user's own: they meet neither a prototype's members nor its setter.
  const result = Object.entries(object).map(([name, item]): [string, Json] => {
    const described = properties !== undefined && Object.hasOwn(properties, name)
      ? fields(properties[name])
      : additional;
    return [name, described === undefined ? item! : withSchemaDefaults(described, item!)];
  });
  const presets = Object.entries(properties ?? {}).flatMap(([name, described]): [string, Json][] => {
    const preset = fields(described)?.["default"];
    return preset === undefined || Object.hasOwn(object, name) ? [] : [[name, preset]];
  });
  return Object.fromEntries([...result, ...presets]);
}

/** A v1 spec with the defaults that the API server's schema adds; the given value is not changed. */
export function withDefaults(kind: Kind, spec: Json): Json {
  return withSchemaDefaults(kindDescription(kind).v1.spec.json as Fields, spec);
}
