/** Documents held against compiled JSON schemas, with the findings and the words of OPA's library. */
import { RegoNumber } from "../../types/rego.ts";
import { MAX_TEXT } from "../../types/rego_limits.ts";
import { floatText } from "../go_float.ts";
import { type Fraction, fractionOf } from "../rego_number.ts";
import type { JsonTree } from "../rego_text.ts";
import { matcherOf } from "../rego_builtins/regex.ts";
import { compareStrings } from "../rego_value.ts";
import { halt, runeCount, work, workOn } from "../work.ts";
import { isOfFormat } from "./formats.ts";
import { comparable, type Schema } from "./schema.ts";

/** What is wrong with a document, and where. */
export interface Finding {
  readonly type: string;
  readonly field: string;
  readonly description: string;
}

/** What all findings of one document may say together; alternatives that were tried count, too. */
const MAX_FINDINGS = 100_000;

/** Counts what was found. */
class Findings {
  #count = 0;
  #length = 0;

  add(field: string, description: string): void {
    work(4);
    this.#length += field.length + description.length;
    workOn(description.length);
    if (++this.#count > MAX_FINDINGS || this.#length > MAX_TEXT) {
      halt(`json.match_schema: more than ${MAX_FINDINGS} findings, or than ${MAX_TEXT} characters of them`);
    }
  }
}

/** Findings of one schema, and how well the document fitted: the best of several alternatives is told. */
class Result {
  readonly findings: Finding[] = [];
  readonly #counted: Findings;
  score = 0;

  constructor(counted: Findings) {
    this.#counted = counted;
  }

  add(context: string, type: string, description: string): void {
    const field = fieldOf(context);
    this.#counted.add(field, description);
    this.findings.push({ type, field, description });
    this.score -= 2;
  }

  merge(other: Result): void {
    work(1 + other.findings.length);
    for (const finding of other.findings) this.findings.push(finding);
    this.score += other.score;
  }

  get valid(): boolean {
    return this.findings.length === 0;
  }
}

const ROOT = "(Root)";
/** References can lead round in circles without looking at anything. */
const MAX_DEPTH = 400;

function fieldOf(context: string): string {
  return context.startsWith(`${ROOT}.`) ? context.slice(ROOT.length + 1) : context;
}

function isWhole(text: string): boolean {
  const value = fractionOf(text);
  return value !== undefined && value.numerator % value.denominator === 0n;
}

function compareFractions(a: Fraction, b: Fraction): number {
  const difference = a.numerator * b.denominator - b.numerator * a.denominator;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

function typeOf(node: JsonTree): string {
  if (node === null) return "null";
  if (node instanceof RegoNumber) return isWhole(node.text) ? "integer" : "number";
  if (node instanceof Map) return "object";
  return Array.isArray(node) ? "array" : typeof node;
}

function typesText(types: readonly string[]): string {
  return types.length > 1 ? `[${types.join(",")}]` : types[0]!;
}

const boundText = (text: string) => floatText(Number(text), "g", -1);

class Validator {
  readonly #counted = new Findings();
  #depth = 0;

  alone(schema: Schema, node: JsonTree, context: string): Result {
    const result = new Result(this.#counted);
    this.validate(schema, node, result, context);
    return result;
  }

  validate(schema: Schema, node: JsonTree, result: Result, context: string): void {
    work(10);
    if (++this.#depth > MAX_DEPTH) halt("json.match_schema: schemas are nested too deeply");
    try {
      this.#validate(schema, node, result, context);
    } finally {
      this.#depth--;
    }
  }

  #validate(schema: Schema, node: JsonTree, result: Result, context: string): void {
    if (schema.pass !== undefined) {
      if (!schema.pass) result.add(context, "false", "False always fails validation");
      return;
    }
    if (schema.reference) return this.validate(schema.reference, node, result, context);
    const type = typeOf(node);
    const { types } = schema;
    const fits = types.length === 0 || types.includes(type) ||
      (type === "integer" && types.includes("number"));
    if (!fits) {
      result.add(context, "invalid_type", `Invalid type. Expected: ${typesText(types)}, given: ${type}`);
      return;
    }
    this.#combined(schema, node, result, context);
    if (Array.isArray(node)) {
      this.#array(schema, node, result, context);
      this.#common(schema, node, result, context);
    } else if (node instanceof Map) {
      this.#object(schema, node, result, context);
      this.#common(schema, node, result, context);
      for (const [name, property] of schema.properties) {
        work();
        const value = node.get(name);
        if (value !== undefined) this.validate(property, value, result, `${context}.${name}`);
      }
    } else {
      if (node instanceof RegoNumber) this.#number(schema, node.text, result, context);
      this.#common(schema, node, result, context);
      if (typeof node === "string") this.#string(schema, node, result, context);
    }
    result.score++;
  }

  #combined(schema: Schema, node: JsonTree, result: Result, context: string): void {
    const best = (results: readonly Result[]) =>
      results.reduce<Result | undefined>(
        (found, next) => !found || next.score > found.score ? next : found,
        undefined,
      );
    if (schema.anyOf.length > 0) {
      const failed: Result[] = [];
      const fits = schema.anyOf.some((choice) => {
        const found = this.alone(choice, node, context);
        failed.push(found);
        return found.valid;
      });
      if (!fits) {
        result.add(context, "number_any_of", "Must validate at least one schema (anyOf)");
        result.merge(best(failed)!);
      }
    }
    if (schema.oneOf.length > 0) {
      const results = schema.oneOf.map((choice) => this.alone(choice, node, context));
      const count = results.filter(({ valid }) => valid).length;
      if (count !== 1) result.add(context, "number_one_of", "Must validate one and only one schema (oneOf)");
      if (count === 0) result.merge(best(results)!);
    }
    if (schema.allOf.length > 0) {
      const results = schema.allOf.map((part) => this.alone(part, node, context));
      for (const part of results) result.merge(part);
      if (!results.every(({ valid }) => valid)) {
        result.add(context, "number_all_of", "Must validate all the schemas (allOf)");
      }
    }
    if (schema.not && this.alone(schema.not, node, context).valid) {
      result.add(context, "number_not", "Must not validate the schema (not)");
    }
    if (node instanceof Map) this.#dependencies(schema, node, result, context);
    if (schema.condition) {
      const { if: condition, then, else: otherwise } = schema.condition;
      const holds = this.alone(condition, node, context).valid;
      const branch = holds ? then : otherwise;
      const found = branch && this.alone(branch, node, context);
      if (found && !found.valid) {
        if (holds) result.add(context, "condition_then", 'Must validate "then" as "if" was valid');
        else result.add(context, "condition_else", 'Must validate "else" as "if" was not valid');
        result.merge(found);
      }
    }
    result.score++;
  }

  #dependencies(schema: Schema, node: Map<string, JsonTree>, result: Result, context: string): void {
    for (const [name, dependency] of schema.dependencies) {
      work();
      if (!node.has(name)) continue;
      if (!Array.isArray(dependency)) {
        this.validate(dependency as Schema, node, result, context);
        continue;
      }
      for (const other of dependency as readonly string[]) {
        work();
        if (!node.has(other)) result.add(context, "missing_dependency", `Has a dependency on ${other}`);
      }
    }
  }

  #common(schema: Schema, node: JsonTree, result: Result, context: string): void {
    const field = fieldOf(context);
    if (schema.constant !== undefined && comparable(node) !== schema.constant) {
      result.add(context, "const", `${field} does not match: ${schema.constant}`);
    }
    if (schema.enumeration && !schema.enumeration.has(comparable(node))) {
      const values = [...schema.enumeration];
      workOn(values.reduce((sum, value) => sum + 16 + value.length, 0));
      result.add(context, "enum", `${field} must be one of the following: ${values.join(", ")}`);
    }
    if (schema.format !== undefined && typeof node === "string" && !isOfFormat(schema.format, node)) {
      result.add(context, "format", `Does not match format '${schema.format}'`);
    }
    result.score++;
  }

  #array(schema: Schema, node: readonly JsonTree[], result: Result, context: string): void {
    const at = (index: number) => `${context}.${index}`;
    const { items, additionalItems, counts } = schema;
    const tuple = Array.isArray(items) ? items as readonly Schema[] : undefined;
    if (items && !tuple) {
      for (const [index, item] of node.entries()) result.merge(this.alone(items as Schema, item, at(index)));
    } else if (tuple && tuple.length > 0) {
      for (let index = 0; index < Math.min(tuple.length, node.length); index++) {
        result.merge(this.alone(tuple[index]!, node[index]!, at(index)));
      }
      if (tuple.length < node.length && additionalItems !== undefined) {
        if (additionalItems === false) {
          result.add(context, "array_no_additional_items", "No additional items allowed on array");
        } else if (additionalItems !== true) {
          for (let index = tuple.length; index < node.length; index++) {
            result.merge(this.alone(additionalItems, node[index]!, at(index)));
          }
        }
      }
    }
    if (counts.minItems !== undefined && BigInt(node.length) < counts.minItems) {
      result.add(context, "array_min_items", `Array must have at least ${counts.minItems} items`);
    }
    if (counts.maxItems !== undefined && BigInt(node.length) > counts.maxItems) {
      result.add(context, "array_max_items", `Array must have at most ${counts.maxItems} items`);
    }
    if (schema.uniqueItems) {
      const seen = new Map<string, number>();
      for (const [index, item] of node.entries()) {
        const key = comparable(item);
        const first = seen.get(key);
        if (first !== undefined) {
          result.add(context, "unique", `array items[${first},${index}] must be unique`);
        }
        seen.set(key, index);
      }
    }
    if (schema.contains) this.#contains(schema.contains, node, result, context);
    result.score++;
  }

  #contains(wanted: Schema, node: readonly JsonTree[], result: Result, context: string): void {
    let best: Result | undefined;
    for (const [index, item] of node.entries()) {
      const found = this.alone(wanted, item, `${context}.${index}`);
      if (found.valid) return;
      if (!best || found.score > best.score) best = found;
    }
    result.add(context, "contains", "At least one of the items must match");
    if (best) result.merge(best);
  }

  #object(schema: Schema, node: Map<string, JsonTree>, result: Result, context: string): void {
    const { minProperties, maxProperties } = schema.counts;
    if (minProperties !== undefined && BigInt(node.size) < minProperties) {
      result.add(context, "array_min_properties", `Must have at least ${minProperties} properties`);
    }
    if (maxProperties !== undefined && BigInt(node.size) > maxProperties) {
      result.add(context, "array_max_properties", `Must have at most ${maxProperties} properties`);
    }
    for (const name of schema.required) {
      work();
      if (node.has(name)) result.score++;
      else result.add(context, "required", `${name} is required`);
    }
    const names = [...node.keys()].sort(compareStrings);
    work(schema.properties.length);
    const described = new Set(schema.properties.map(([name]) => name));
    for (const name of names) {
      work();
      const value = node.get(name)!;
      let matched = false;
      for (const [pattern, property] of schema.patternProperties) {
        if (!matcherOf(pattern, name).find()) continue;
        matched = true;
        result.merge(this.alone(property, value, `${context}.${name}`));
      }
      if (matched) result.score++;
      const additional = schema.additionalProperties;
      if (matched || described.has(name) || additional === undefined || additional === true) continue;
      if (additional === false) {
        result.add(context, "additional_property_not_allowed", `Additional property ${name} is not allowed`);
      } else result.merge(this.alone(additional, value, `${context}.${name}`));
    }
    if (schema.propertyNames) {
      for (const name of names) {
        const found = this.alone(schema.propertyNames, name, context);
        if (found.valid) continue;
        result.add(context, "invalid_property_name", `Property name of "${name}" does not match`);
        result.merge(found);
      }
    }
    result.score++;
  }

  #string(schema: Schema, text: string, result: Result, context: string): void {
    const { minLength, maxLength } = schema.counts;
    const length = minLength === undefined && maxLength === undefined ? 0n : BigInt(runeCount(text));
    if (minLength !== undefined && length < minLength) {
      result.add(context, "string_gte", `String length must be greater than or equal to ${minLength}`);
    }
    if (maxLength !== undefined && length > maxLength) {
      result.add(context, "string_lte", `String length must be less than or equal to ${maxLength}`);
    }
    if (schema.pattern && !matcherOf(schema.pattern.regex, text).find()) {
      result.add(context, "pattern", `Does not match pattern '${schema.pattern.source}'`);
    }
    result.score++;
  }

  #number({ bounds }: Schema, text: string, result: Result, context: string): void {
    const value = fractionOf(text);
    if (!value) return halt("json.match_schema: a number out of range");
    const { multipleOf, minimum, exclusiveMinimum, maximum, exclusiveMaximum } = bounds;
    if (multipleOf) {
      const whole =
        (value.numerator * multipleOf.denominator) % (value.denominator * multipleOf.numerator) === 0n;
      if (!whole) result.add(context, "multiple_of", `Must be a multiple of ${boundText(multipleOf.text)}`);
    }
    if (maximum && compareFractions(value, maximum) > 0) {
      result.add(context, "number_lte", `Must be less than or equal to ${boundText(maximum.text)}`);
    }
    if (exclusiveMaximum && compareFractions(value, exclusiveMaximum) >= 0) {
      result.add(context, "number_lt", `Must be less than ${boundText(exclusiveMaximum.text)}`);
    }
    if (minimum && compareFractions(value, minimum) < 0) {
      result.add(context, "number_gte", `Must be greater than or equal to ${boundText(minimum.text)}`);
    }
    if (exclusiveMinimum && compareFractions(value, exclusiveMinimum) <= 0) {
      result.add(context, "number_gt", `Must be greater than ${boundText(exclusiveMinimum.text)}`);
    }
    result.score++;
  }
}

/** What is wrong with a document. Throws BuiltinHalt for too much of it. */
export function findings(schema: Schema, document: JsonTree): readonly Finding[] {
  return new Validator().alone(schema, document, ROOT).findings;
}
