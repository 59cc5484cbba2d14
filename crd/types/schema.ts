/**
 * A small vocabulary for describing API fields once: each description is the structural OpenAPI schema that goes into
 * the CRD manifest, and carries the TypeScript type of the values that it admits.
 *
 * @example
 * ```ts
 * const port = int32({ minimum: 1, maximum: 65535 });
 * const spec = object({ image: text(), webhookPort: port }, ["image"]);
 * type Spec = Infer<typeof spec>; // { readonly image: string; readonly webhookPort?: number }
 * ```
 */
import { own, setOwn } from "../../program/types/own.ts";

/** Any JSON value, as it travels through the API. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What a field may say besides its type; the names are those of OpenAPI and of Kubernetes' structural schemas. */
export type FieldOptions = {
  readonly description?: string;
  readonly default?: Json;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly nullable?: boolean;
  readonly atomic?: boolean;
  readonly listMapKeys?: readonly string[];
};

declare const shape: unique symbol;

/** A field's description: `json` is its OpenAPI form; `T` is what TypeScript knows of its values. */
export type Schema<T> = {
  readonly json: { readonly [key: string]: Json };
  readonly [shape]?: T;
};

/** The TypeScript type of the values that a description admits. */
export type Infer<S> = S extends Schema<infer T> ? T : never;

type Fields = { readonly [name: string]: Schema<unknown> };
type Shape<F extends Fields, R extends keyof F> =
  & { readonly [K in R]: Infer<F[K]> }
  & { readonly [K in Exclude<keyof F, R>]?: Infer<F[K]> };

function options(given: FieldOptions): { [key: string]: Json } {
  const { atomic, listMapKeys, ...plain } = given;
  return {
    ...plain,
    ...(listMapKeys === undefined
      ? {}
      : { "x-kubernetes-list-map-keys": listMapKeys, "x-kubernetes-list-type": "map" }),
    ...(atomic === true ? { "x-kubernetes-list-type": "atomic" } : {}),
  } as { [key: string]: Json };
}

/** A string. */
export function text<const O extends FieldOptions = Record<never, never>>(
  given: O = {} as O,
): Schema<O extends { enum: readonly (infer E)[] } ? E : string> {
  return { json: { ...options(given), type: "string" } };
}

/** A 32-bit integer. */
export function int32(given: FieldOptions = {}): Schema<number> {
  return { json: { format: "int32", ...options(given), type: "integer" } };
}

/** A 64-bit integer. */
export function int64(given: FieldOptions = {}): Schema<number> {
  return { json: { format: "int64", ...options(given), type: "integer" } };
}

/** true or false. */
export function bool(given: FieldOptions = {}): Schema<boolean> {
  return { json: { ...options(given), type: "boolean" } };
}

/** An integer or a string (a percentage, a port's name). */
export function intOrString(given: FieldOptions = {}): Schema<number | string> {
  return {
    json: {
      ...options(given),
      anyOf: [{ type: "integer" }, { type: "string" }],
      "x-kubernetes-int-or-string": true,
    },
  };
}

/** A list. */
export function list<T>(items: Schema<T>, given: FieldOptions = {}): Schema<readonly T[]> {
  return { json: { ...options(given), items: items.json, type: "array" } };
}

/** A map from any name to one kind of value. */
export function map<T>(values: Schema<T>, given: FieldOptions = {}): Schema<{ readonly [name: string]: T }> {
  return { json: { ...options(given), additionalProperties: values.json, type: "object" } };
}

/** An object whose content is the user's own; only the top level has to be an object or null. */
export function freeForm(given: FieldOptions = {}): Schema<{ readonly [name: string]: Json } | null> {
  return {
    json: { nullable: true, ...options(given), type: "object", "x-kubernetes-preserve-unknown-fields": true },
  };
}

/** An object with the given fields, of which those in `required` must be present. */
export function object<const F extends Fields, const R extends keyof F & string = never>(
  fields: F,
  required: readonly R[] = [],
  given: FieldOptions & { readonly atomicMap?: boolean } = {},
): Schema<Shape<F, R>> {
  const { atomicMap, ...plain } = given;
  const properties: { [name: string]: Json } = {};
  for (const name of Object.keys(fields).sort()) {
    setOwn(properties, name, (own(fields, name) as Schema<unknown>).json);
  }
  return {
    json: {
      ...options(plain),
      properties,
      ...(required.length > 0 ? { required: [...required].sort() } : {}),
      type: "object",
      ...(atomicMap === true ? { "x-kubernetes-map-type": "atomic" } : {}),
    },
  };
}
