/**
 * JSON values whose numbers keep what they are: the original tells `1` from `1.0` and has the whole range of 64-bit
 * integers, both of which a plain JavaScript number loses (`spec/evaluator.md §0.2`).
 *
 * An integer that JavaScript holds exactly is a `number`; every other number is a raw JSON value in normal form: an
 * integer of up to 64 bits as it is written, else the nearest double in its shortest form with `.0` or an exponent.
 */

import { work } from "./work.ts";

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

/** Parses JSON text. Throws SyntaxError for text that is not JSON and RangeError for a number out of range. */
export function parseLossless(text: string): LosslessJson {
  return JSON.parse(text, function (_key, value, context?: { source?: string }) {
    work(8);
    return typeof value === "number" ? losslessNumber(context?.source ?? String(value)) : value;
  });
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
