/**
 * JSON schemas (drafts 4, 6 and 7, and the mixture of them that is meant when none is named), compiled as OPA's library does:
 * with its checks and its words. References are resolved within the document only; nothing is fetched.
 */
import type { RE2JS } from "../../../deps.ts";
import { BuiltinError, RegoNumber } from "../../types/rego.ts";
import { compiled as compiledPattern } from "../rego_builtins/regex.ts";
import { fractionOf, integerOf } from "../rego_number.ts";
import type { JsonTree } from "../rego_text.ts";
import { halt, work, workOn } from "../work.ts";
import { comparable, COUNTS, type Schema, SchemaError } from "./schema.ts";

const TYPES = ["array", "boolean", "integer", "number", "null", "object", "string"];
const DRAFTS: Readonly<Record<string, number>> = {
  "http://json-schema.org/draft-04/schema": 4,
  "http://json-schema.org/draft-06/schema": 6,
  "http://json-schema.org/draft-07/schema": 7,
};
/** When no draft is named, all of them at once. */
const HYBRID = 100;
const MAX_DEPTH = 200;
/** Every reference gets a schema of its own, so that a text of a few references could stand for very many schemas. */
const MAX_SCHEMAS = 100_000;
/** Each keeps a program, unlike those of the cache. */
const MAX_PATTERNS = 1_000;

const invalidType = (expected: string, given: string) =>
  new SchemaError(`Invalid type. Expected: ${expected}, given: ${given}`);

function isSchemaLike(node: JsonTree): boolean {
  return typeof node === "boolean" || node instanceof Map;
}

class Compiler {
  readonly #root: JsonTree;
  readonly #references = new Map<string, Schema>();
  readonly #ids = new Map<string, JsonTree>();
  #draft = HYBRID;
  #schemas = 0;
  #patterns = 0;

  constructor(root: JsonTree) {
    this.#root = root;
  }

  compile(): Schema {
    if (typeof this.#root !== "boolean" && !(this.#root instanceof Map)) {
      throw new SchemaError("schema is invalid");
    }
    if (this.#root instanceof Map) {
      const named = this.#root.get("$schema");
      if (named !== undefined) {
        if (typeof named !== "string") throw new SchemaError("$schema must be of type string");
        const draft = named.replace(/#$/, "");
        if (!Object.hasOwn(DRAFTS, draft)) {
          throw new SchemaError(`remote reference loading disabled: ${named}`);
        }
        this.#draft = DRAFTS[draft]!;
      }
    }
    this.#collectIds(this.#root, 0);
    return this.#schema(this.#root, 0);
  }

  #collectIds(node: JsonTree, depth: number): void {
    work();
    if (depth > MAX_DEPTH) throw new SchemaError("the schema is nested too deeply");
    if (node instanceof Map) {
      for (const key of ["$id", "id"]) {
        const id = node.get(key);
        if (typeof id === "string" && !this.#ids.has(id)) this.#ids.set(id, node);
      }
      for (const child of node.values()) this.#collectIds(child, depth + 1);
    } else if (Array.isArray(node)) { for (const child of node) this.#collectIds(child, depth + 1); }
  }

  #schema(node: JsonTree, depth: number): Schema {
    const schema: Schema = {
      types: [],
      properties: [],
      patternProperties: [],
      dependencies: new Map(),
      bounds: {},
      counts: {},
      required: [],
      oneOf: [],
      anyOf: [],
      allOf: [],
    };
    this.#fill(schema, node, depth);
    return schema;
  }

  #fill(schema: Schema, node: JsonTree, depth: number): void {
    work(10);
    if (++this.#schemas > MAX_SCHEMAS) halt(`a schema that stands for more than ${MAX_SCHEMAS} schemas`);
    if (depth > MAX_DEPTH) throw new SchemaError("the schema is nested too deeply");
    if (typeof node === "boolean" && this.#draft >= 6) {
      schema.pass = node;
      return;
    }
    if (!(node instanceof Map)) throw new SchemaError("Expected: Valid Schema, given: Invalid JSON");
    const child = (value: JsonTree) => this.#schema(value, depth + 1);
    text(node, this.#draft === 4 ? "id" : this.#draft === HYBRID && node.has("id") ? "id" : "$id");
    const definitions = node.get("definitions");
    if (definitions !== undefined) {
      if (!(definitions instanceof Map) || ![...definitions.values()].every(isSchemaLike)) {
        throw invalidType("Array Of Schemas", "definitions");
      }
      for (const definition of definitions.values()) child(definition);
    }
    text(node, "title");
    text(node, "description");
    const reference = text(node, "$ref");
    if (reference !== undefined) {
      schema.reference = this.#resolve(reference, depth);
      return;
    }
    this.#types(schema, node);
    this.#object(schema, node, child);
    this.#array(schema, node, child);
    this.#numbers(schema, node);
    this.#counts(schema, node);
    this.#values(schema, node);
    this.#combined(schema, node, child);
  }

  #resolve(reference: string, depth: number): Schema {
    const known = this.#references.get(reference);
    if (known) return known;
    const schema = this.#schema(new Map(), depth + 1);
    this.#references.set(reference, schema);
    const target = this.#target(reference);
    if (!isSchemaLike(target)) throw new SchemaError("schema must be of type object");
    this.#fill(schema, target, depth + 1);
    return schema;
  }

  #target(reference: string): JsonTree {
    const byId = this.#ids.get(reference);
    if (byId !== undefined) return byId;
    const hash = reference.indexOf("#");
    const base = hash < 0 ? reference : reference.slice(0, hash);
    const document = base === "" ? this.#root : this.#ids.get(base) ?? this.#ids.get(`${base}#`);
    if (document === undefined) throw new SchemaError(`remote reference loading disabled: ${reference}`);
    let found: JsonTree | undefined = document;
    const pointer = hash < 0 ? "" : reference.slice(hash + 1);
    workOn(pointer.length);
    if (pointer === "") return found;
    for (const part of pointer.replace(/^\//, "").split("/")) {
      work();
      let step = part;
      try {
        step = decodeURIComponent(part);
      } catch {
        // Taken as it is written.
      }
      step = step.replaceAll("~1", "/").replaceAll("~0", "~");
      found = found instanceof Map ? found.get(step) : Array.isArray(found) ? found[Number(step)] : undefined;
      if (found === undefined) throw new SchemaError(`Object has no key '${step}'`);
    }
    return found;
  }

  #types(schema: Schema, node: Map<string, JsonTree>): void {
    const type = node.get("type");
    if (type === undefined) return;
    for (const name of Array.isArray(type) ? type : [type]) {
      if (typeof name !== "string") throw invalidType("type", "string/Array Of Strings");
      if (!TYPES.includes(name)) {
        throw new SchemaError(
          `has a primitive type that is NOT VALID -- given: /${name}/ Expected valid values are:[${
            TYPES.join(" ")
          }]`,
        );
      }
      if (schema.types.includes(name)) throw new SchemaError(`${name} type is duplicated`);
      schema.types.push(name);
    }
  }

  #object(schema: Schema, node: Map<string, JsonTree>, child: (node: JsonTree) => Schema): void {
    const properties = node.get("properties");
    if (properties !== undefined) {
      if (!(properties instanceof Map)) throw new SchemaError("Properties must be of type object");
      for (const [name, property] of properties) schema.properties.push([name, child(property)]);
    }
    const additional = node.get("additionalProperties");
    if (additional !== undefined) {
      if (!isSchemaLike(additional)) throw invalidType("boolean/Valid Schema", "additionalProperties");
      schema.additionalProperties = typeof additional === "boolean" ? additional : child(additional);
    }
    const patterns = node.get("patternProperties");
    if (patterns !== undefined) {
      if (!(patterns instanceof Map)) throw invalidType("Valid Schema", "patternProperties");
      for (const [pattern, property] of patterns) {
        schema.patternProperties.push([
          this.#regex(pattern, `Invalid regex pattern '${pattern}'`),
          child(property),
        ]);
      }
    }
    const names = node.get("propertyNames");
    if (names !== undefined && this.#draft >= 6) {
      if (!isSchemaLike(names)) throw invalidType("Valid Schema", "patternProperties");
      schema.propertyNames = child(names);
    }
    const dependencies = node.get("dependencies");
    if (dependencies === undefined) return;
    if (!(dependencies instanceof Map)) throw new SchemaError("dependencies must be of type object");
    for (const [name, dependency] of dependencies) {
      const strings = Array.isArray(dependency) && dependency.every((key) => typeof key === "string");
      if (!strings && !isSchemaLike(dependency)) {
        throw new SchemaError("Dependency must be of type Schema Or Array Of Strings");
      }
      if (strings && dependency.length === 0) continue;
      schema.dependencies.set(name, strings ? dependency as readonly string[] : child(dependency));
    }
  }

  #array(schema: Schema, node: Map<string, JsonTree>, child: (node: JsonTree) => Schema): void {
    const items = node.get("items");
    if (items !== undefined) {
      const valid = Array.isArray(items) ? items.every(isSchemaLike) : isSchemaLike(items);
      if (!valid) throw invalidType("Valid Schema/Array Of Schemas", "items");
      schema.items = Array.isArray(items) ? items.map(child) : child(items);
    }
    const additional = node.get("additionalItems");
    if (additional !== undefined) {
      if (!isSchemaLike(additional)) throw invalidType("boolean/Valid Schema", "additionalItems");
      schema.additionalItems = typeof additional === "boolean" ? additional : child(additional);
    }
    const contains = node.get("contains");
    if (contains !== undefined && this.#draft >= 6) schema.contains = child(contains);
    const unique = node.get("uniqueItems");
    if (unique === undefined) return;
    if (typeof unique !== "boolean") throw new SchemaError("uniqueItems must be of a boolean");
    schema.uniqueItems = unique;
  }

  #numbers(schema: Schema, node: Map<string, JsonTree>): void {
    const { bounds } = schema;
    const numeric = (value: JsonTree) => {
      const fraction = value instanceof RegoNumber ? fractionOf(value.text) : undefined;
      return fraction && value instanceof RegoNumber ? { ...fraction, text: value.text } : undefined;
    };
    const multiple = node.get("multipleOf");
    if (multiple !== undefined) {
      const value = numeric(multiple);
      if (!value) throw invalidType("Number", "multipleOf");
      if (value.numerator <= 0n) throw new SchemaError("multipleOf must be strictly greater than 0");
      bounds.multipleOf = value;
    }
    for (
      const [plain, exclusive] of [["minimum", "exclusiveMinimum"], ["maximum", "exclusiveMaximum"]] as const
    ) {
      const limit = node.get(plain);
      if (limit !== undefined) {
        const value = numeric(limit);
        if (!value) throw new SchemaError(`${plain} must be of a Number`);
        bounds[plain] = value;
      }
      const strict = node.get(exclusive);
      if (strict === undefined) continue;
      const value = numeric(strict);
      if (typeof strict === "boolean" && (this.#draft === 4 || this.#draft === HYBRID)) {
        if (!bounds[plain]) throw new SchemaError(`${exclusive} cannot be used without ${plain}`);
        if (strict) {
          bounds[exclusive] = bounds[plain];
          delete bounds[plain];
        }
      } else if (value && this.#draft !== 4) bounds[exclusive] = value;
      else {
        const expected = this.#draft === 4 ? "boolean" : this.#draft === HYBRID ? "boolean/number" : "number";
        throw invalidType(expected, exclusive);
      }
    }
  }

  #regex(source: string, message: string): RE2JS {
    if (++this.#patterns > MAX_PATTERNS) halt(`a schema of more than ${MAX_PATTERNS} patterns`);
    return regexOf(source, message);
  }

  #counts({ counts }: Schema, node: Map<string, JsonTree>): void {
    for (const name of COUNTS) {
      const given = node.get(name);
      if (given === undefined) continue;
      const value = given instanceof RegoNumber && /^-?\d+$/.test(given.text)
        ? integerOf(given.text)
        : undefined;
      if (value === undefined) throw new SchemaError(`${name} must be of an integer`);
      if (value < 0n) throw new SchemaError(`${name} must be greater than or equal to 0`);
      counts[name] = value;
    }
    for (const what of ["Length", "Properties"] as const) {
      const [least, most] = [counts[`min${what}`], counts[`max${what}`]];
      if (least !== undefined && most !== undefined && least > most) {
        throw new SchemaError(`min${what} cannot be greater than max${what}`);
      }
    }
  }

  #values(schema: Schema, node: Map<string, JsonTree>): void {
    const source = text(node, "pattern");
    if (source !== undefined) {
      schema.pattern = { source, regex: this.#regex(source, "pattern must be a valid regex") };
    }
    const format = text(node, "format");
    if (format !== undefined) schema.format = format;
    const required = new Set<string>();
    for (const name of list(node, "required")) {
      work();
      if (typeof name !== "string") throw invalidType("string", "required");
      if (required.has(name)) throw new SchemaError("required items must be unique");
      required.add(name);
    }
    schema.required = [...required];
    const constant = node.get("const");
    if (constant !== undefined && this.#draft >= 6) schema.constant = comparable(constant);
    if (!node.has("enum")) return;
    schema.enumeration = new Set();
    for (const value of list(node, "enum").map(comparable)) {
      if (schema.enumeration.has(value)) throw new SchemaError("enum items must be unique");
      schema.enumeration.add(value);
    }
  }

  #combined(schema: Schema, node: Map<string, JsonTree>, child: (node: JsonTree) => Schema): void {
    schema.oneOf = list(node, "oneOf").map(child);
    schema.anyOf = list(node, "anyOf").map(child);
    schema.allOf = list(node, "allOf").map(child);
    const single = (name: string): Schema | undefined => {
      const value = node.get(name);
      if (value === undefined) return undefined;
      if (!isSchemaLike(value)) throw new SchemaError(`${name} must be of an object`);
      return child(value);
    };
    const not = single("not");
    if (not) schema.not = not;
    if (this.#draft < 7) return;
    const [condition, then, otherwise] = [single("if"), single("then"), single("else")];
    if (condition) {
      schema.condition = { if: condition, ...(then && { then }), ...(otherwise && { else: otherwise }) };
    }
  }
}

function text(node: Map<string, JsonTree>, name: string): string | undefined {
  const value = node.get(name);
  if (value === undefined || typeof value === "string") return value;
  throw invalidType("string", name);
}

function list(node: Map<string, JsonTree>, name: string): readonly JsonTree[] {
  const value = node.get(name);
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  throw new SchemaError(`${name} must be of an array`);
}

function regexOf(source: string, message: string): RE2JS {
  try {
    return compiledPattern(source);
  } catch (error) {
    if (error instanceof BuiltinError) throw new SchemaError(message);
    throw error;
  }
}

/** Compiles a schema. Throws {@link SchemaError}. */
export function compileSchema(root: JsonTree): Schema {
  return new Compiler(root).compile();
}
