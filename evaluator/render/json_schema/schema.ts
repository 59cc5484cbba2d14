/** A compiled JSON schema, and how values compare in it. */
import type { RE2JS } from "../../../deps.ts";
import { RegoNumber } from "../../types/rego.ts";
import type { Fraction } from "../rego_number.ts";
import { jsonText, type JsonTree } from "../rego_text.ts";
import { compareStrings } from "../rego_value.ts";
import { halt, work } from "../work.ts";
import { jsonFloat } from "../yaml_scalar.ts";

/** Raised for a schema that is wrong; the message is OPA's. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
}

/** A compiled schema. */
export interface Schema {
  /** Of the schemas `true` and `false`. */
  pass?: boolean;
  reference?: Schema;
  types: string[];
  properties: (readonly [name: string, schema: Schema])[];
  additionalProperties?: boolean | Schema;
  patternProperties: (readonly [pattern: RE2JS, schema: Schema])[];
  propertyNames?: Schema;
  dependencies: Map<string, readonly string[] | Schema>;
  /** One for all items, or one each for the first. */
  items?: Schema | readonly Schema[];
  additionalItems?: boolean | Schema;
  contains?: Schema;
  bounds: Partial<Record<Bound, Fraction & { readonly text: string }>>;
  counts: Partial<Record<Count, bigint>>;
  pattern?: { readonly source: string; readonly regex: RE2JS };
  format?: string;
  required: string[];
  uniqueItems?: boolean;
  constant?: string;
  enumeration?: Set<string>;
  oneOf: Schema[];
  anyOf: Schema[];
  allOf: Schema[];
  not?: Schema;
  condition?: { readonly if: Schema; then?: Schema; else?: Schema };
}

type Bound = "multipleOf" | "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum";
export const COUNTS = [
  "minLength",
  "maxLength",
  "minProperties",
  "maxProperties",
  "minItems",
  "maxItems",
] as const;
type Count = typeof COUNTS[number];

/** JSON as it compares: numbers as doubles, so that `1.0` is `1`. */
export function comparable(tree: JsonTree): string {
  const plain = (value: JsonTree): JsonTree => {
    work(2);
    if (value instanceof RegoNumber) {
      const float = Number(value.text);
      return Number.isFinite(float) ? jsonFloat(float) : halt("json.match_schema: a number out of range");
    }
    if (value instanceof Map) {
      return new Map(
        [...value].sort((a, b) => compareStrings(a[0], b[0])).map(([key, child]) =>
          [key, plain(child)] as const
        ),
      );
    }
    return Array.isArray(value) ? value.map(plain) : value;
  };
  return jsonText(plain(tree));
}
