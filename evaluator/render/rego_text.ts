/**
 * Rego values as text: the form in which they pass between guest and host (`opa_value_dump`, `opa_value_parse`), which is
 * JSON with sets (`{1, 2}`, `set()`) and any keys; the form that `sprintf` shows; and JSON as Go writes it.
 */
import { own } from "../../program/types/own.ts";
import { RegoNumber, RegoObject, RegoSet, type RegoValue } from "../types/rego.ts";
import { MAX_NESTING, MAX_TEXT } from "../types/rego_limits.ts";
import { isList, objectOf } from "./rego_value.ts";
import { BoundedText, chunks, halt, work } from "./work.ts";

export { parseJson, parseRego, RegoTextError } from "./rego_reader.ts";

/** Writes values one into the other; `write` is called for every part of them. */
class ValueWriter {
  readonly #text: BoundedText;
  #depth = 0;

  constructor(what: string) {
    this.#text = new BoundedText(MAX_TEXT, what);
  }

  add(text: string): void {
    this.#text.add(text);
  }

  /** Runs what writes a value's parts. */
  within(write: () => void): void {
    if (++this.#depth > MAX_NESTING) halt(`a value nested deeper than ${MAX_NESTING} levels`);
    write();
    this.#depth--;
  }

  /** Writes a list with something between its elements. */
  list<T>(
    open: string,
    between: string,
    close: string,
    list: Iterable<T>,
    write: (element: T) => void,
  ): void {
    this.within(() => {
      this.add(open);
      let first = true;
      for (const element of list) {
        if (!first) this.add(between);
        first = false;
        write(element);
      }
      this.add(close);
    });
  }

  toString(): string {
    return this.#text.toString();
  }
}

/** A string as JSON has it, piece by piece. */
function writeQuoted(writer: ValueWriter, text: string): void {
  writer.add('"');
  for (const piece of chunks(text)) writer.add(JSON.stringify(piece).slice(1, -1));
  writer.add('"');
}

/** A value as `opa_value_parse` takes it. Throws BuiltinHalt for one that is too large. */
export function regoText(value: RegoValue): string {
  const writer = new ValueWriter("the result");
  const write = (part: RegoValue): void => {
    if (part instanceof RegoNumber) writer.add(part.text);
    else if (typeof part === "string") writeQuoted(writer, part);
    else if (part instanceof RegoSet) {
      if (part.members.length === 0) writer.add("set()");
      else writer.list("{", ",", "}", part.members, write);
    } else if (part instanceof RegoObject) {
      writer.list("{", ",", "}", part.entries, ([key, content]) => {
        write(key);
        writer.add(":");
        write(content);
      });
    } else if (part !== null && typeof part !== "boolean" && isList(part)) {
      writer.list("[", ",", "]", part, write);
    } else writer.add(String(part));
  };
  write(value);
  return writer.toString();
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

/** Text that Go quotes as it is. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** A string in double quotes, as Go's `strconv.Quote` (or `QuoteToASCII`) writes it. */
export function quoted(text: string, asciiOnly = false): string {
  const result = new BoundedText(MAX_TEXT, "a quoted text");
  result.add('"');
  for (const piece of chunks(text, 4096)) {
    if (PLAIN.test(piece)) result.add(piece);
    else {
      work(piece.length);
      let escaped = "";
      for (const rune of piece) escaped += escapeRune(rune, asciiOnly);
      result.add(escaped);
    }
  }
  result.add('"');
  return result.toString();
}

/** A rune in single quotes, as Go's `strconv.QuoteRune` writes it. */
export function quotedRune(rune: string, asciiOnly = false): string {
  if (rune === "'") return "'\\''";
  return rune === '"' ? "'\"'" : `'${escapeRune(rune, asciiOnly)}'`;
}

/** A value as OPA shows it to people, e.g. for `%v` of `sprintf`. */
export function shownText(value: RegoValue): string {
  const writer = new ValueWriter("a value as text");
  const write = (part: RegoValue): void => {
    if (typeof part === "string") writer.add(quoted(part));
    else if (part instanceof RegoNumber) writer.add(part.text);
    else if (part instanceof RegoSet) {
      if (part.members.length === 0) writer.add("set()");
      else writer.list("{", ", ", "}", part.members, write);
    } else if (part instanceof RegoObject) {
      writer.list("{", ", ", "}", part.entries, ([key, content]) => {
        write(key);
        writer.add(": ");
        write(content);
      });
    } else if (part !== null && typeof part !== "boolean" && isList(part)) {
      writer.list("[", ", ", "]", part, write);
    } else writer.add(String(part));
  };
  write(value);
  return writer.toString();
}

/** What JSON can hold of a value: sets become arrays, keys that are no strings their JSON text. */
export type JsonTree = null | boolean | string | RegoNumber | readonly JsonTree[] | Map<string, JsonTree>;

/** The JSON of a value, keys in order. */
export function jsonTree(value: RegoValue): JsonTree {
  work();
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
  work();
  if (tree instanceof Map) {
    return objectOf([...tree].map(([key, content]) => [key, fromTree(content)] as const));
  }
  return isTreeList(tree) ? tree.map(fromTree) : tree;
}

function isTreeList(tree: JsonTree): tree is readonly JsonTree[] {
  return Array.isArray(tree);
}

/** A string as Go's encoding/json writes it: safe within HTML. */
function writeJsonString(writer: ValueWriter, text: string): void {
  writer.add('"');
  for (const piece of chunks(text)) {
    writer.add(
      JSON.stringify(piece).slice(1, -1).replace(
        /[<>&\u2028\u2029]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
      ),
    );
  }
  writer.add('"');
}

/** JSON as Go's `json.Marshal` writes it; with `indent`, as `json.MarshalIndent` does. Throws BuiltinHalt when it is too long. */
export function jsonText(
  tree: JsonTree,
  indent?: { readonly prefix: string; readonly indent: string },
): string {
  const writer = new ValueWriter("the JSON text");
  const line = (depth: number) => {
    if (!indent) return;
    writer.add(`\n${indent.prefix}`);
    for (let level = 0; level < depth; level++) writer.add(indent.indent);
  };
  const parts = <T>(
    open: string,
    close: string,
    list: Iterable<T>,
    depth: number,
    write: (part: T) => void,
  ) =>
    writer.within(() => {
      writer.add(open);
      let count = 0;
      for (const part of list) {
        if (count++ > 0) writer.add(",");
        line(depth + 1);
        write(part);
      }
      if (count > 0) line(depth);
      writer.add(close);
    });
  const write = (value: JsonTree, depth: number): void => {
    if (typeof value === "string") writeJsonString(writer, value);
    else if (value instanceof RegoNumber) writer.add(value.text);
    else if (value instanceof Map) {
      parts("{", "}", value, depth, ([key, content]) => {
        writeJsonString(writer, key);
        writer.add(indent ? ": " : ":");
        write(content, depth + 1);
      });
    } else if (isTreeList(value)) parts("[", "]", value, depth, (content) => write(content, depth + 1));
    else writer.add(String(value));
  };
  write(tree, 0);
  return writer.toString();
}
