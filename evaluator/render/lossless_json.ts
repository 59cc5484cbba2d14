/**
 * JSON values whose numbers keep what they are: the original tells `1` from `1.0` and has the whole range of 64-bit
 * integers, both of which a plain JavaScript number loses (`spec/evaluator.md §0 rule 2`).
 *
 * An integer that JavaScript holds exactly is a `number`; every other number is a raw JSON value in normal form: an
 * integer of up to 64 bits as it is written, else the nearest double in its shortest form with `.0` or an exponent.
 */

import { setOwn } from "../../program/types/own.ts";
import { work, workOn } from "./work.ts";

/** A raw JSON number, see `JSON.rawJSON`. */
export interface RawNumber {
  readonly rawJSON: string;
}

/** A value as {@link parseLossless} gives it. */
export type LosslessJson =
  | null
  | boolean
  | string
  | number
  | RawNumber
  | readonly LosslessJson[]
  | { readonly [key: string]: LosslessJson };

const json = JSON as typeof JSON & {
  rawJSON(text: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
};

const INTEGER = /^-?(0|[1-9][0-9]*)$/;
const MIN_I64 = -(2n ** 63n), MAX_U64 = 2n ** 64n - 1n;

/** The number that `source` spells. Throws RangeError for one that no double can hold. */
export function losslessNumber(source: string): number | RawNumber {
  const value = Number(source);
  if (INTEGER.test(source) && source !== "-0") {
    if (Number.isSafeInteger(value)) return value;
    const integer = BigInt(source);
    if (integer >= MIN_I64 && integer <= MAX_U64) return json.rawJSON(source);
  }
  if (!Number.isFinite(value)) throw new RangeError(`number out of range: ${source.slice(0, 40)}`);
  const shortest = Object.is(value, -0) ? "-0" : String(value);
  return json.rawJSON(/[.e]/.test(shortest) ? shortest : `${shortest}.0`);
}

/** Names that every object has already. */
const INHERITED: ReadonlySet<string> = new Set(Object.getOwnPropertyNames(Object.prototype));
// deno-lint-ignore no-control-regex
const STRING_STOP = /["\\\u0000-\u001f]/g;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y;

/**
 * Reads values one by one, so that the clock is looked at in between: `JSON.parse` builds a second tree to tell its reviver what
 * numbers are written like, and takes 0.2 s for 300,000 values before the first call.
 */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  #fail(): never {
    const found = this.#at < this.#text.length ? JSON.stringify(this.#text[this.#at]) : "the end of the text";
    throw new SyntaxError(`unexpected ${found} at character ${this.#at} of the JSON text`);
  }

  /** Passes over white space. Returns the unit behind it. */
  #next(): number {
    for (;; this.#at++) {
      const unit = this.#text.charCodeAt(this.#at);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return unit;
      if ((this.#at & 0xfff) === 0) work(0xfff >> 4);
    }
  }

  #string(): string {
    const start = this.#at;
    if (this.#text.charCodeAt(start) !== 0x22) return this.#fail();
    let escaped = false;
    for (let end = start + 1;; escaped = true) {
      STRING_STOP.lastIndex = end;
      const stop = STRING_STOP.exec(this.#text)?.index ?? this.#text.length;
      workOn(stop - end);
      if (this.#text[stop] === "\\") {
        end = stop + 2;
        continue;
      }
      this.#at = stop;
      if (this.#text[stop] !== '"') return this.#fail();
      this.#at = stop + 1;
      return escaped ? JSON.parse(this.#text.slice(start, stop + 1)) : this.#text.slice(start + 1, stop);
    }
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) return this.#fail();
    this.#at += word.length;
    return value;
  }

  #number(): number | RawNumber {
    NUMBER.lastIndex = this.#at;
    const found = NUMBER.exec(this.#text)?.[0];
    if (found === undefined) return this.#fail();
    this.#at += found.length;
    return losslessNumber(found);
  }

  #array(): LosslessJson[] {
    const list: LosslessJson[] = [];
    this.#at++;
    if (this.#next() === 0x5d) return this.#at++, list;
    for (;;) {
      list.push(this.value());
      const unit = this.#next();
      if (unit !== 0x2c && unit !== 0x5d) return this.#fail();
      this.#at++;
      if (unit === 0x5d) return list;
    }
  }

  #object(): { readonly [key: string]: LosslessJson } {
    const object: Record<string, LosslessJson> = {};
    this.#at++;
    if (this.#next() === 0x7d) return this.#at++, object;
    for (;;) {
      this.#next();
      const key = this.#string();
      if (this.#next() !== 0x3a) return this.#fail();
      this.#at++;
      const value = this.value();
      // An assignment is quicker, but would set the prototype, and fails where a prototype that has the name is frozen.
      if (!INHERITED.has(key) || Object.hasOwn(object, key)) object[key] = value;
      else setOwn(object, key, value);
      const unit = this.#next();
      if (unit !== 0x2c && unit !== 0x7d) return this.#fail();
      this.#at++;
      if (unit === 0x7d) return object;
    }
  }

  value(): LosslessJson {
    work(4);
    switch (this.#next()) {
      case 0x22:
        return this.#string();
      case 0x7b:
        return this.#object();
      case 0x5b:
        return this.#array();
      case 0x74:
        return this.#word("true", true);
      case 0x66:
        return this.#word("false", false);
      case 0x6e:
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  whole(): LosslessJson {
    const value = this.value();
    this.#next();
    return this.#at < this.#text.length ? this.#fail() : value;
  }
}

/** Parses JSON text. Throws SyntaxError for text that is not JSON and RangeError for a number out of range. */
export function parseLossless(text: string): LosslessJson {
  return new Reader(text).whole();
}

/** Whether a value is a raw number. */
export function isRawNumber(value: LosslessJson): value is RawNumber {
  return json.isRawJSON(value);
}

/** Whether two values are the same number of the same form; false when one of them is no number. */
export function equalNumbers(a: LosslessJson, b: LosslessJson): boolean {
  if (typeof a === "number" || typeof b === "number") return a === b;
  if (!isRawNumber(a) || !isRawNumber(b)) return false;
  if (a.rawJSON === b.rawJSON) return true;
  // Two doubles are equal by value (`-0.0` is `0.0`); two large integers only by their digits.
  const isDouble = (text: string) => /[.e]/.test(text);
  return isDouble(a.rawJSON) && isDouble(b.rawJSON) && Number(a.rawJSON) === Number(b.rawJSON);
}
