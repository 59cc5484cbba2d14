/** The functions of Go's `text/template`, and how it shows values. */
import { own } from "../../../program/types/own.ts";
import { RegoNumber, RegoObject, RegoSet, type RegoValue } from "../../types/rego.ts";
import { type PrintfArgument, sprintf } from "../go_printf.ts";
import { MAX_TEXT } from "../../types/rego_limits.ts";
import { BoundedText, mapText, work, workOn } from "../work.ts";
import { compareStrings, isList, member } from "../rego_value.ts";
import { type Constant, TemplateError } from "./parse.ts";

/**
 * A value while a template is executed: data of the policy, whose numbers are texts to Go (`json.Number`), or what constants and
 * functions give. Undefined is what a map has under a key that it hasn't; null is Go's nil.
 */
export type Value = RegoValue | Constant | undefined;

/** Fails with a text. */
export function fail(message: string): never {
  throw new TemplateError(message);
}

export const isConstant = (value: Value): value is Constant =>
  typeof value === "object" && value !== null && "kind" in value &&
  !(value instanceof RegoObject || value instanceof RegoSet || value instanceof RegoNumber);

const int = (value: number): Constant => ({ kind: "int", value: BigInt(value) });

/** A text, or a number of the data, which is one to Go. */
function textOf(value: Value): string | undefined {
  return typeof value === "string" ? value : value instanceof RegoNumber ? value.text : undefined;
}

/** A value as `fmt.Sprint` shows it. */
export function shown(value: Value): string {
  const text = new BoundedText(MAX_TEXT, "a value as text");
  show(value, text);
  return text.toString();
}

function show(value: Value, result: BoundedText): void {
  if (value === undefined || value === null) return result.add("<nil>");
  if (typeof value === "boolean") return result.add(String(value));
  const text = textOf(value);
  if (text !== undefined) return result.add(text);
  if (isConstant(value)) {
    return result.add(
      value.kind === "int" ? String(value.value) : sprintf("%v", [{ type: "float64", value: value.value }]),
    );
  }
  const list = value instanceof RegoObject
    ? value.entries
    : value instanceof RegoSet
    ? value.members
    : value as readonly RegoValue[];
  result.add(value instanceof RegoObject ? "map[" : "[");
  for (const [at, element] of list.entries()) {
    if (at > 0) result.add(" ");
    if (value instanceof RegoObject) {
      const [key, content] = element as readonly [RegoValue, RegoValue];
      show(key, result);
      result.add(":");
      show(content, result);
    } else show(element as RegoValue, result);
  }
  result.add("]");
}

/** Whether a value is neither empty nor zero. */
export function isTrue(value: Value): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value === "boolean") return value;
  const text = textOf(value);
  if (text !== undefined) return text !== "";
  if (isConstant(value)) return Number(value.value) !== 0;
  if (value instanceof RegoObject) return value.entries.length > 0;
  return (value instanceof RegoSet ? value.members : value as readonly RegoValue[]).length > 0;
}

type Kind = "none" | "bool" | "int" | "float" | "string" | "other";

function kindOf(value: Value): Kind {
  if (value === undefined || value === null) return "none";
  if (typeof value === "boolean") return "bool";
  if (textOf(value) !== undefined) return "string";
  return isConstant(value) ? value.kind : "other";
}

function equal(first: Value, second: Value): boolean {
  const [a, b] = [kindOf(first), kindOf(second)];
  if (a === "none" || b === "none") return a === b;
  if (a !== b) return fail("incompatible types for comparison");
  if (a === "other") return fail("non-comparable types");
  workOn(textOf(first)?.length ?? 0);
  if (a === "string") return textOf(first) === textOf(second);
  if (a === "bool") return first === second;
  return (first as Constant).value === (second as Constant).value;
}

function less(first: Value, second: Value): boolean {
  const [a, b] = [kindOf(first), kindOf(second)];
  if (a === "none" || b === "none" || a === "other" || b === "other") {
    return fail("invalid type for comparison");
  }
  if (a !== b) return fail("incompatible types for comparison");
  if (a === "bool") return fail("invalid type for comparison");
  if (a === "string") return compareStrings(textOf(first)!, textOf(second)!) < 0;
  return (first as Constant).value < (second as Constant).value;
}

function indexOf(value: Value, length: number): number {
  if (!isConstant(value) || value.kind !== "int") return fail("cannot index slice/array with that type");
  const at = Number(value.value);
  return at < 0 || at > length ? fail(`index out of range: ${value.value}`) : at;
}

const listOf = (value: Value): readonly RegoValue[] | undefined =>
  value instanceof RegoSet
    ? value.members
    : value !== undefined && !isConstant(value) && isList(value)
    ? value
    : undefined;

function index(item: Value, ...path: readonly Value[]): Value {
  let found = item;
  if (found === undefined || found === null) return fail("index of untyped nil");
  for (const key of path) {
    if (found === undefined || found === null) return fail("index of nil pointer");
    if (found instanceof RegoObject) {
      if (typeof key !== "string") return fail("value has a type that is not that of keys");
      found = member(found, key) ?? null;
      continue;
    }
    const list = listOf(found);
    const text: string | undefined = textOf(found);
    workOn(text?.length ?? 0);
    const bytes: Uint8Array | undefined = text === undefined ? undefined : new TextEncoder().encode(text);
    if (!list && !bytes) return fail("can't index item of that type");
    const length = (list ?? bytes)!.length;
    const at = indexOf(key, length);
    if (at >= length) return fail(`index out of range: ${at}`);
    found = list ? list[at]! : int(bytes![at]!);
  }
  return found;
}

function slice(item: Value, ...bounds: readonly Value[]): Value {
  if (item === undefined || item === null) return fail("slice of untyped nil");
  if (bounds.length > 3) return fail("too many slice indexes");
  const list = listOf(item);
  const text = textOf(item);
  if (!list && text === undefined) return fail("can't slice item of that type");
  workOn(text?.length ?? list?.length ?? 0);
  const bytes = text === undefined ? undefined : new TextEncoder().encode(text);
  if (bytes && bounds.length === 3) return fail("cannot 3-index slice a string");
  const length = (list ?? bytes)!.length;
  const numbers = bounds.map((bound) => indexOf(bound, length));
  const [from = 0, to = length, limit = length] = numbers;
  if (from > to || to > limit) return fail(`invalid slice index: ${from} > ${to}`);
  if (list) return list.slice(from, to);
  // Half a character can't be shown here.
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes!.subarray(from, to));
}

function print(values: readonly Value[], line: boolean): string {
  const text = new BoundedText(MAX_TEXT, "the text");
  values.forEach((value, at) => {
    const strings = textOf(value) !== undefined || at > 0 && textOf(values[at - 1]) !== undefined;
    if (at > 0 && (line || !strings)) text.add(" ");
    show(value, text);
  });
  if (line) text.add("\n");
  return text.toString();
}

function printfArgument(value: Value): PrintfArgument {
  if (isConstant(value)) {
    return value.kind === "int"
      ? { type: "int64", value: value.value }
      : { type: "float64", value: value.value };
  }
  return { type: "string", value: shown(value) };
}

/** What may be shown with one of these verbs; others need types that are not kept here. */
const DIRECTIVE = /%(?:%|[-+# 0]*\d*(?:\.\d*)?([vsqdxXcbofeEgG]))?/g;

function printf(format: Value, ...values: readonly Value[]): string {
  const text = textOf(format);
  if (text === undefined) return fail("wrong type for value; expected string");
  const verbs: string[] = [];
  let plain = true;
  workOn(text.length);
  for (const [whole, verb] of text.matchAll(DIRECTIVE)) {
    work();
    if (verb !== undefined) verbs.push(verb);
    else if (whole !== "%%") plain = false;
  }
  const typed = values.some((value, at) => {
    const isText = kindOf(value) === "string";
    const verb = verbs[at] ?? "v";
    return isText ? !"vsqxX".includes(verb) : !isConstant(value) && verb !== "v";
  });
  if (!plain || typed || verbs.length !== values.length) {
    return fail("printf: a verb that is not supported here");
  }
  return sprintf(text, values.map(printfArgument));
}

const HTML: Readonly<Record<string, string>> = {
  ...{ "\0": "\uFFFD", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;" },
};

function javascript(text: string): string {
  return mapText(text, MAX_TEXT, escapedForScript);
}

function escapedForScript(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\\'"<>&=\u0000-\u001f]|[^\u0000-\u007f]/gu, (rune) => {
    if (rune === "\\" || rune === "'" || rune === '"') return `\\${rune}`;
    const code = rune.codePointAt(0)!;
    if (code >= 0x80 && /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(rune)) return rune;
    return `\\u${code.toString(16).toUpperCase().padStart(4, "0")}`;
  });
}

const query = (text: string): string => mapText(text, MAX_TEXT, escapedForQuery);

const escapedForQuery = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (unit) => `%${unit.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");

const evaluated = (values: readonly Value[]): string =>
  values.length === 1 && textOf(values[0]) !== undefined ? textOf(values[0])! : print(values, false);

type TemplateFunction = {
  readonly least: number;
  readonly most: number;
  readonly call: (...values: Value[]) => Value;
};

const any = Infinity;

/** The functions, with how many operands they take. */
export const FUNCTIONS: Readonly<Record<string, TemplateFunction>> = {
  eq: {
    least: 1,
    most: any,
    call: (first, ...others) => {
      if (others.length === 0) return fail("missing argument for comparison");
      work(others.length);
      for (const other of others) if (equal(first, other)) return true;
      return false;
    },
  },
  ne: { least: 2, most: 2, call: (a, b) => !equal(a, b) },
  lt: { least: 2, most: 2, call: less },
  le: { least: 2, most: 2, call: (a, b) => less(a, b) || equal(a, b) },
  gt: { least: 2, most: 2, call: (a, b) => !(less(a, b) || equal(a, b)) },
  ge: { least: 2, most: 2, call: (a, b) => !less(a, b) },
  not: { least: 1, most: 1, call: (value) => !isTrue(value) },
  len: {
    least: 1,
    most: 1,
    call: (value) => {
      const text = textOf(value);
      workOn(text?.length ?? 0);
      if (text !== undefined) return int(new TextEncoder().encode(text).length);
      if (value instanceof RegoObject) return int(value.entries.length);
      const list = listOf(value);
      return list ? int(list.length) : fail("len of a value that has none");
    },
  },
  index: { least: 1, most: any, call: index },
  slice: { least: 1, most: any, call: slice },
  print: { least: 0, most: any, call: (...values) => print(values, false) },
  println: { least: 0, most: any, call: (...values) => print(values, true) },
  printf: { least: 1, most: any, call: printf },
  html: {
    least: 0,
    most: any,
    call: (...values) =>
      mapText(evaluated(values), MAX_TEXT, (text) => text.replace(/[\0"'&<>]/g, (unit) => own(HTML, unit)!)),
  },
  js: { least: 0, most: any, call: (...values) => javascript(evaluated(values)) },
  urlquery: { least: 0, most: any, call: (...values) => query(evaluated(values)) },
};
