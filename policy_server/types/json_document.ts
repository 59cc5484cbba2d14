/** Reads JSON into the tree of {@link DocumentValue}, with positions and without losing the form of a number. */
import {
  type DocumentEntry,
  DocumentError,
  type DocumentValue,
  listOf,
  mapOf,
  MAX_DEPTH,
} from "./document.ts";
import { kubectlNumber } from "./kubectl_yaml.ts";
import type { YamlReading } from "./yaml_document.ts";

const SPACE = /[ \t\r\n]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
// deno-lint-ignore no-control-regex
const CHARACTERS = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const WORDS = { true: true, false: false } as const;

/** What the text holds, or `undefined` where it is not JSON. Throws {@link DocumentError} when nested too deeply. */
// In one piece: the grammar of JSON, a function for each rule, which all move one position.
export function readJson(text: string, reading: YamlReading = "core"): DocumentValue | undefined {
  let at = 0;

  function take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match === null) return undefined;
    at = pattern.lastIndex;
    return match;
  }

  /** Moves past `char`, when it is next after white space. */
  function next(char: string): boolean {
    take(SPACE);
    if (text[at] !== char) return false;
    at++;
    return true;
  }

  function stringAt(): string | undefined {
    const start = at;
    if (text[at] !== '"') return undefined;
    at++;
    do take(CHARACTERS); while (take(ESCAPE) !== undefined);
    if (text[at] !== '"') return undefined;
    at++;
    const raw = text.slice(start, at);
    const value = raw.includes("\\") ? JSON.parse(raw) as string : raw.slice(1, -1);
    if (reading === "core" || value.isWellFormed()) return value;
    throw new DocumentError("half of a character (a surrogate alone)", start);
  }

  function scalar(start: number): DocumentValue | undefined {
    const char = text[start];
    if (char === '"') {
      const value = stringAt();
      return value === undefined ? undefined : { kind: "string", at: start, weight: at - start, value };
    }
    if (text.startsWith("null", start)) {
      at += 4;
      return { kind: "null", at: start, weight: 4 };
    }
    for (const [word, value] of Object.entries(WORDS)) {
      if (!text.startsWith(word, start)) continue;
      at += word.length;
      return { kind: "boolean", at: start, weight: word.length, value };
    }
    const number = take(NUMBER);
    if (number === undefined) return undefined;
    if (!Number.isFinite(Number(number[0]))) {
      // YAML has its own answer, which is a text to kubectl; in JSON it is refused there.
      if (reading === "core") return undefined;
      throw new DocumentError(`number ${number[0]} is out of range`, start);
    }
    const integer = number[1] === undefined && number[2] === undefined;
    // `-0` would be a float to the readers of guests; as an integer it is 0.
    const json = reading === "kubectl" ? kubectlNumber(number[0]) : number[0] === "-0" ? "0" : number[0];
    return { kind: "number", at: start, weight: json.length, json, integer };
  }

  function list(start: number, depth: number): DocumentValue | undefined {
    const items: DocumentValue[] = [];
    if (next("]")) return listOf(items, start);
    do {
      const item = value(depth);
      if (item === undefined) return undefined;
      items.push(item);
    } while (next(","));
    return next("]") ? listOf(items, start) : undefined;
  }

  function map(start: number, depth: number): DocumentValue | undefined {
    const entries: DocumentEntry[] = [];
    if (next("}")) return mapOf(entries, start);
    do {
      take(SPACE);
      const keyAt = at;
      const key = stringAt();
      if (key === undefined || !next(":")) return undefined;
      const held = value(depth);
      if (held === undefined) return undefined;
      entries.push({ key, keyKind: "string", keyAt, value: held });
    } while (next(","));
    return next("}") ? mapOf(entries, start) : undefined;
  }

  function value(depth: number): DocumentValue | undefined {
    take(SPACE);
    const start = at;
    if (text[start] !== "{" && text[start] !== "[") return scalar(start);
    if (depth >= MAX_DEPTH) throw new DocumentError(`nested more than ${MAX_DEPTH} levels deep`, start);
    at++;
    return text[start] === "[" ? list(start, depth + 1) : map(start, depth + 1);
  }

  const root = value(0);
  take(SPACE);
  return root !== undefined && at === text.length ? root : undefined;
}
