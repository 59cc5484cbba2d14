/**
 * Rego values as text: the form in which they pass between guest and host (`opa_value_dump`, `opa_value_parse`), which is
 * JSON with sets (`{1, 2}`, `set()`) and any keys; the form that `sprintf` shows; and JSON as Go writes it.
 */
import { own } from "../../program/types/own.ts";
import { RegoNumber, RegoObject, RegoSet, type RegoValue } from "../types/rego.ts";
import { isList, objectOf, setOf } from "./rego_value.ts";

/** Raised for text that holds no value. */
export class RegoTextError extends Error {
  override readonly name = "RegoTextError";
}

/** Far deeper than any request may be nested, far shallower than the call stack. */
const MAX_DEPTH = 500;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

class TextReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  #fail(expected: string): never {
    throw new RegoTextError(`expected ${expected} at character ${this.#at}`);
  }

  #space(): void {
    for (;;) {
      const unit = this.#text.charCodeAt(this.#at);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return;
      this.#at++;
    }
  }

  #take(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #string(): string {
    let end = this.#at + 1;
    while (end < this.#text.length && this.#text[end] !== '"') end += this.#text[end] === "\\" ? 2 : 1;
    const source = this.#text.slice(this.#at, end + 1);
    try {
      const value: string = JSON.parse(source);
      this.#at = end + 1;
      return value;
    } catch {
      return this.#fail("a string");
    }
  }

  #number(): RegoNumber {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (!match) return this.#fail("a value");
    this.#at = NUMBER.lastIndex;
    return new RegoNumber(match[0]);
  }

  #list(end: string, depth: number): RegoValue[] {
    const values: RegoValue[] = [];
    this.#space();
    if (this.#take(end)) return values;
    for (;;) {
      values.push(this.value(depth));
      if (this.#take(end)) return values;
      if (!this.#take(",")) this.#fail(`"," or "${end}"`);
    }
  }

  /** `{}` is an object; else what follows the first value tells an object from a set. */
  #braces(depth: number): RegoValue {
    this.#space();
    if (this.#take("}")) return new RegoObject([]);
    const first = this.value(depth);
    if (!this.#take(":")) {
      if (this.#take("}")) return setOf([first]);
      if (!this.#take(",")) this.#fail('"," or "}"');
      return setOf([first, ...this.#list("}", depth)]);
    }
    const entries: [RegoValue, RegoValue][] = [[first, this.value(depth)]];
    while (!this.#take("}")) {
      if (!this.#take(",")) this.#fail('"," or "}"');
      const key = this.value(depth);
      if (!this.#take(":")) this.#fail('":"');
      entries.push([key, this.value(depth)]);
    }
    return objectOf(entries);
  }

  /** Reads a value and the space around it. */
  value(depth: number): RegoValue {
    if (depth > MAX_DEPTH) throw new RegoTextError(`nested deeper than ${MAX_DEPTH} levels`);
    this.#space();
    const value = this.#bare(depth + 1);
    this.#space();
    return value;
  }

  #bare(depth: number): RegoValue {
    if (this.#text[this.#at] === '"') return this.#string();
    if (this.#take("{")) return this.#braces(depth);
    if (this.#take("[")) return this.#list("]", depth);
    if (this.#take("true")) return true;
    if (this.#take("false")) return false;
    if (this.#take("null")) return null;
    if (this.#take("set()")) return new RegoSet([]);
    return this.#number();
  }

  whole(): RegoValue {
    const value = this.value(0);
    if (this.#at < this.#text.length) this.#fail("the end of the text");
    return value;
  }
}

/** Reads a value, or a JSON text. Throws {@link RegoTextError}. */
export function parseRego(text: string): RegoValue {
  return new TextReader(text).whole();
}

/** A value as `opa_value_parse` takes it. */
export function regoText(value: RegoValue): string {
  if (value instanceof RegoNumber) return value.text;
  if (value instanceof RegoSet) {
    return value.members.length === 0 ? "set()" : `{${value.members.map(regoText).join(",")}}`;
  }
  if (value instanceof RegoObject) {
    return `{${value.entries.map(([key, content]) => `${regoText(key)}:${regoText(content)}`).join(",")}}`;
  }
  return isList(value) ? `[${value.map(regoText).join(",")}]` : JSON.stringify(value);
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  "\u0007": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
};
/** Letters, marks, numbers, punctuation and symbols are printable to Go, and of the spaces only the plain one. */
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

function escapeRune(rune: string, asciiOnly: boolean): string {
  const short = own(SHORT_ESCAPES, rune);
  if (short !== undefined) return short;
  const code = rune.codePointAt(0)!;
  if (code < 0x80 ? code >= 0x20 && code < 0x7f : !asciiOnly && PRINTABLE.test(rune)) return rune;
  const hex = code.toString(16);
  if (code < 0x20 || code === 0x7f) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

/** A string in double quotes, as Go's `strconv.Quote` (or `QuoteToASCII`) writes it. */
export function quoted(text: string, asciiOnly = false): string {
  let result = '"';
  for (const rune of text) result += escapeRune(rune, asciiOnly);
  return `${result}"`;
}

/** A rune in single quotes, as Go's `strconv.QuoteRune` writes it. */
export function quotedRune(rune: string, asciiOnly = false): string {
  if (rune === "'") return "'\\''";
  return rune === '"' ? "'\"'" : `'${escapeRune(rune, asciiOnly)}'`;
}

/** A value as OPA shows it to people, e.g. for `%v` of `sprintf`. */
export function shownText(value: RegoValue): string {
  if (typeof value === "string") return quoted(value);
  if (value instanceof RegoNumber) return value.text;
  if (value instanceof RegoSet) {
    return value.members.length === 0 ? "set()" : `{${value.members.map(shownText).join(", ")}}`;
  }
  if (value instanceof RegoObject) {
    return `{${
      value.entries.map(([key, content]) => `${shownText(key)}: ${shownText(content)}`).join(", ")
    }}`;
  }
  return isList(value) ? `[${value.map(shownText).join(", ")}]` : String(value);
}

/** What JSON can hold of a value: sets become arrays, keys that are no strings their JSON text. */
export type JsonTree = null | boolean | string | RegoNumber | readonly JsonTree[] | Map<string, JsonTree>;

/** The JSON of a value, keys in order. */
export function jsonTree(value: RegoValue): JsonTree {
  if (value instanceof RegoSet) return value.members.map(jsonTree);
  if (value instanceof RegoObject) {
    return new Map(
      value.entries.map(([key, content]) =>
        [typeof key === "string" ? key : jsonText(jsonTree(key)), jsonTree(content)] as const
      ),
    );
  }
  return isList(value) ? value.map(jsonTree) : value;
}

/** The value that a JSON tree holds. */
export function fromTree(tree: JsonTree): RegoValue {
  if (tree instanceof Map) {
    return objectOf([...tree].map(([key, content]) => [key, fromTree(content)] as const));
  }
  return isTreeList(tree) ? tree.map(fromTree) : tree;
}

function isTreeList(tree: JsonTree): tree is readonly JsonTree[] {
  return Array.isArray(tree);
}

/** A string as Go's encoding/json writes it: safe within HTML. */
export function jsonString(text: string): string {
  return JSON.stringify(text).replace(
    /[<>&\u2028\u2029]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** JSON as Go's `json.Marshal` writes it; with `indent`, as `json.MarshalIndent` does. */
export function jsonText(
  tree: JsonTree,
  indent?: { readonly prefix: string; readonly indent: string },
): string {
  const write = (value: JsonTree, depth: number): string => {
    if (typeof value === "string") return jsonString(value);
    if (value instanceof RegoNumber) return value.text;
    const parts = value instanceof Map
      ? [...value].map(([key, content]) =>
        `${jsonString(key)}:${indent ? " " : ""}${write(content, depth + 1)}`
      )
      : isTreeList(value)
      ? value.map((content) => write(content, depth + 1))
      : undefined;
    if (parts === undefined) return String(value);
    const [open, close] = value instanceof Map ? "{}" : "[]";
    if (parts.length === 0 || !indent) return `${open}${parts.join(",")}${close}`;
    const line = (level: number) => `\n${indent.prefix}${indent.indent.repeat(level)}`;
    return `${open}${parts.map((part) => line(depth + 1) + part).join(",")}${line(depth)}${close}`;
  };
  return write(tree, 0);
}
