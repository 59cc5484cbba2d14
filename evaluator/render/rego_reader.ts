/** Reads Rego values from text: JSON with sets (`{1, 2}`, `set()`) and any keys, or JSON alone. */
import { RegoNumber, RegoObject, RegoSet, type RegoValue } from "../types/rego.ts";
import { MAX_NESTING, MAX_VALUES } from "../types/rego_limits.ts";
import { objectOf, setOf } from "./rego_value.ts";
import { halt, work, workOn } from "./work.ts";

/** Raised for text that holds no value. */
export class RegoTextError extends Error {
  override readonly name = "RegoTextError";
}

/** Escape sequences of a string are read in pieces of this length, so that the clock is looked at in between. */
const PIECE = 65_536;
const STRING_STOP = /["\\]/g;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

class TextReader {
  readonly #text: string;
  readonly #json: boolean;
  #at = 0;
  #values = 0;

  constructor(text: string, json: boolean) {
    this.#text = text;
    this.#json = json;
  }

  #fail(expected: string): never {
    throw new RegoTextError(`expected ${expected} at character ${this.#at}`);
  }

  #space(): void {
    for (;; this.#at++) {
      const unit = this.#text.charCodeAt(this.#at);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return;
      if ((this.#at & 0xfff) === 0) work(0xfff >> 4);
    }
  }

  #take(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #string(): string {
    const text = this.#text;
    const pieces: string[] = [];
    let start = this.#at + 1;
    // What is before `end` is whole: no escape sequence is cut.
    for (let end = start;;) {
      STRING_STOP.lastIndex = end;
      const stop = STRING_STOP.exec(text)?.index;
      if (stop === undefined) return this.#fail("a string");
      workOn(stop - end);
      const escapes = text.charCodeAt(stop) === 0x5c;
      end = escapes ? stop + (text[stop + 1] === "u" ? 6 : 2) : stop;
      if (escapes && end - start < PIECE) continue;
      try {
        pieces.push(JSON.parse(`"${text.slice(start, end)}"`));
      } catch {
        return this.#fail("a string");
      }
      start = end;
      if (escapes) continue;
      this.#at = stop + 1;
      return pieces.length === 1 ? pieces[0]! : pieces.join("");
    }
  }

  #number(): RegoNumber {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (!match) return this.#fail("a value");
    this.#at = NUMBER.lastIndex;
    workOn(match[0].length);
    return new RegoNumber(match[0]);
  }

  #list(end: string, depth: number, some = false): RegoValue[] {
    const values: RegoValue[] = [];
    this.#space();
    if (!some && this.#take(end)) return values;
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
    const first = this.#key(depth);
    if (this.#json) {
      if (!this.#take(":")) this.#fail('":"');
    } else if (!this.#take(":")) {
      if (this.#take("}")) return setOf([first]);
      if (!this.#take(",")) this.#fail('"," or "}"');
      return setOf([first, ...this.#list("}", depth, true)]);
    }
    const entries: [RegoValue, RegoValue][] = [[first, this.value(depth)]];
    while (!this.#take("}")) {
      if (!this.#take(",")) this.#fail('"," or "}"');
      const key = this.#key(depth);
      if (!this.#take(":")) this.#fail('":"');
      entries.push([key, this.value(depth)]);
    }
    return objectOf(entries);
  }

  /** JSON has strings for keys; Rego has any values. */
  #key(depth: number): RegoValue {
    this.#space();
    if (this.#json && this.#text[this.#at] !== '"') return this.#fail("a key");
    return this.value(depth);
  }

  /** Reads a value and the space around it. */
  value(depth: number): RegoValue {
    work(2);
    if (depth > MAX_NESTING) halt(`a value nested deeper than ${MAX_NESTING} levels`);
    if (++this.#values > MAX_VALUES) halt(`a text of more than ${MAX_VALUES} values`);
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
    if (!this.#json && this.#take("set()")) return new RegoSet([]);
    return this.#number();
  }

  whole(): RegoValue {
    const value = this.value(0);
    if (this.#at < this.#text.length) this.#fail("the end of the text");
    return value;
  }
}

/** Reads a value, or a JSON text. Throws {@link RegoTextError}, and BuiltinHalt for one that is too large. */
export function parseRego(text: string): RegoValue {
  return new TextReader(text, false).whole();
}

/** Reads a JSON text. Throws {@link RegoTextError} for any other, and BuiltinHalt for one that is too large. */
export function parseJson(text: string): RegoValue {
  return new TextReader(text, true).whole();
}
