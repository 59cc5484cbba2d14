/** Builtins on JSON schemas: `json.match_schema`, `json.verify_schema`. */
import { type RegoBuiltins, RegoObject, type RegoValue } from "../../types/rego.ts";
import { compileSchema } from "../json_schema/compile.ts";
import { SchemaError } from "../json_schema/schema.ts";
import { findings } from "../json_schema/validate.ts";
import { fail } from "../rego_operands.ts";
import { type JsonTree, jsonTree, parseJson, RegoTextError } from "../rego_text.ts";
import { isList, recordOf } from "../rego_value.ts";

/** A document given as JSON text, or as an object or array. */
function documentOf(value: RegoValue): JsonTree {
  if (typeof value !== "string") {
    if (value instanceof RegoObject || isList(value)) return jsonTree(value);
    throw new SchemaError("wrong type, expected string or object");
  }
  try {
    return jsonTree(parseJson(value));
  } catch (error) {
    if (error instanceof RegoTextError) throw new SchemaError("invalid JSON string");
    throw error;
  }
}

function orFail<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof SchemaError) return fail(error.message);
    throw error;
  }
}

export const SCHEMA_BUILTINS: RegoBuiltins = {
  "json.verify_schema": ([value = null]) => {
    try {
      compileSchema(documentOf(value));
      return [true, null];
    } catch (error) {
      if (error instanceof SchemaError) return [false, `jsonschema: ${error.message}`];
      throw error;
    }
  },
  "json.match_schema": ([document = null, schema = null]) => {
    const tree = orFail(() => documentOf(document));
    const compiled = orFail(() => compileSchema(documentOf(schema)));
    const found = findings(compiled, tree);
    const errors = found.map(({ type, field, description }) =>
      recordOf({ error: `${field}: ${description}`, type, field, desc: description })
    );
    return [found.length === 0, errors];
  },
};
