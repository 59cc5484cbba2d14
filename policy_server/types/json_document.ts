/** Reads JSON into the tree of {@link DocumentValue}, with positions and without losing the form of a number. */
import {
  type DocumentEntry,
  DocumentError,
  type DocumentValue,
  listOf,
  mapOf,
  MAX_DEPTH,
} from "./document.ts";

const SPACE = /[ \t\r\n]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
// deno-lint-ignore no-control-regex
const CHARACTERS = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const WORDS = { true: true, false: false } as const;

/** What the text holds, or `undefined` where it is not JSON. Throws {@link DocumentError} when nested too deeply. */
export function readJson(text: string): DocumentValue | undefined {
  return new JsonReader(text).read();
}

/** Reads from where it stands on; what is not as it expects makes it return `undefined`. */
class JsonReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): DocumentValue | undefined {
    const root = this.#value(0);
    this.#take(SPACE);
    return root !== undefined && this.#at === this.#text.length ? root : undefined;
  }

  #value(depth: number): DocumentValue | undefined {
    this.#take(SPACE);
    const start = this.#at;
    const char = this.#text[start];
    if (char !== "{" && char !== "[") return this.#scalar(start);
    if (depth >= MAX_DEPTH) throw new DocumentError(`nested more than ${MAX_DEPTH} levels deep`, start);
    this.#at++;
    return char === "[" ? this.#list(start, depth + 1) : this.#map(start, depth + 1);
  }

  #list(start: number, depth: number): DocumentValue | undefined {
    const items: DocumentValue[] = [];
    if (this.#next("]")) return listOf(items, start);
    do {
      const item = this.#value(depth);
      if (item === undefined) return undefined;
      items.push(item);
    } while (this.#next(","));
    return this.#next("]") ? listOf(items, start) : undefined;
  }

  #map(start: number, depth: number): DocumentValue | undefined {
    const entries: DocumentEntry[] = [];
    if (this.#next("}")) return mapOf(entries, start);
    do {
      this.#take(SPACE);
      const keyAt = this.#at;
      const key = this.#string();
      if (key === undefined || !this.#next(":")) return undefined;
      const value = this.#value(depth);
      if (value === undefined) return undefined;
      entries.push({ key, keyKind: "string", keyAt, value });
    } while (this.#next(","));
    return this.#next("}") ? mapOf(entries, start) : undefined;
  }

  #scalar(start: number): DocumentValue | undefined {
    if (this.#text[start] === '"') {
      const value = this.#string();
      return value === undefined ? undefined : { kind: "string", at: start, weight: this.#at - start, value };
    }
    if (this.#text.startsWith("null", start)) {
      this.#at += 4;
      return { kind: "null", at: start, weight: 4 };
    }
    for (const [word, value] of Object.entries(WORDS)) {
      if (!this.#text.startsWith(word, start)) continue;
      this.#at += word.length;
      return { kind: "boolean", at: start, weight: word.length, value };
    }
    const number = this.#take(NUMBER);
    if (number === undefined || !Number.isFinite(Number(number[0]))) return undefined;
    const integer = number[1] === undefined && number[2] === undefined;
    // `-0` would be a float to the readers of guests; as an integer it is 0.
    const json = number[0] === "-0" ? "0" : number[0];
    return { kind: "number", at: start, weight: json.length, json, integer };
  }

  #string(): string | undefined {
    const start = this.#at;
    if (this.#text[start] !== '"') return undefined;
    this.#at++;
    do this.#take(CHARACTERS); while (this.#take(ESCAPE) !== undefined);
    if (this.#text[this.#at] !== '"') return undefined;
    this.#at++;
    const raw = this.#text.slice(start, this.#at);
    return raw.includes("\\") ? JSON.parse(raw) as string : raw.slice(1, -1);
  }

  /** Moves past `char`, when it is next after white space. */
  #next(char: string): boolean {
    this.#take(SPACE);
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  /** Moves past what the pattern matches here. */
  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at = pattern.lastIndex;
    return match;
  }
}
