/**
 * The shape that a review's members must have: strings, objects of strings (a group, version and kind), users. Each function passes over
 * a value and throws {@link ReviewShapeError} for one of another shape.
 */
import { PortreeveError } from "../../program/types/error.ts";
import {
  decodeText,
  position,
  scanArray,
  scanObject,
  skipString,
  skipValue,
  stringValue,
} from "./json_scan.ts";

/** Raised for valid JSON of the wrong shape. The message names the member and what was expected. */
export class ReviewShapeError extends PortreeveError {
  /** Always this one. */
  override readonly code = "invalid_review";
  /** The name of the error. */
  override readonly name = "ReviewShapeError";
}

/** A member's name, also as the bytes that it is compared by. */
export interface Key {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const encoder = new TextEncoder();
export const key = (name: string): Key => ({ name, bytes: encoder.encode(name) });

/** An object with required string members. */
export interface Strings {
  readonly kind: "object";
  /** What it is called in errors. */
  readonly name: string;
  readonly strings: readonly Key[];
}

export const USER_KEYS: readonly Key[] = ["username", "uid", "groups", "extra"].map(key);

export const OPEN_BRACE = 0x7b, QUOTE = 0x22, NULL = 0x6e;
const OPEN_BRACKET = 0x5b;

/** The index in `keys` of the key whose quotes are at `start` and `end - 1`, -1 if it is none of them. */
export function keyIndex(keys: readonly Key[], bytes: Uint8Array, start: number, end: number): number {
  const length = end - start - 2;
  candidates: for (let index = 0; index < keys.length; index++) {
    const name = keys[index]!.bytes;
    if (name.length !== length) continue;
    for (let at = 0; at < length; at++) if (bytes[start + 1 + at] !== name[at]) continue candidates;
    return index;
  }
  if (bytes.subarray(start, end).includes(0x5c)) {
    const name = stringValue(bytes, start, end);
    return keys.findIndex((candidate) => candidate.name === name);
  }
  return -1;
}

function found(bytes: Uint8Array, at: number): string {
  switch (bytes[at]) {
    case OPEN_BRACE:
      return "an object";
    case OPEN_BRACKET:
      return "an array";
    case QUOTE: {
      const text = decodeText(bytes, at, skipString(bytes, at));
      return `the string ${text.length > 40 ? `${text.slice(0, 40)}…"` : text}`;
    }
    case NULL:
      return "null";
    case 0x74:
    case 0x66:
      return "a boolean";
    default:
      return "a number";
  }
}

export function shapeError(bytes: Uint8Array, path: string, expected: string, at: number): ReviewShapeError {
  // As in the original, the first fault from the left is the one that counts: a scalar must be valid JSON to be called wrong.
  if (bytes[at] !== OPEN_BRACE && bytes[at] !== OPEN_BRACKET) skipValue(bytes, at, 1);
  const where = path === "" ? "" : `${path}: `;
  return new ReviewShapeError(
    `${where}expected ${expected}, found ${found(bytes, at)} at ${position(bytes, at)}`,
  );
}

/** Passes over a string; `name` is its member's below `path`. */
export function scanString(bytes: Uint8Array, at: number, path: string, name: string): number {
  if (bytes[at] !== QUOTE) throw shapeError(bytes, path === "" ? name : `${path}.${name}`, "a string", at);
  return skipString(bytes, at);
}

/** What a member's value was found to be. */
export interface Scanned {
  readonly end: number;
  /** False when it holds members that the guest must not see. */
  readonly clean: boolean;
  /** The range of the last of {@link Strings}: the kind or the resource. */
  readonly last?: readonly [start: number, end: number];
}

/** Passes over an object with required string members (a GroupVersionKind or the like). */
export function scanStrings(
  bytes: Uint8Array,
  at: number,
  path: string,
  shape: Strings,
): Scanned {
  if (bytes[at] !== OPEN_BRACE) throw shapeError(bytes, path, `an object (${shape.name})`, at);
  const keys = shape.strings;
  let seen = 0;
  let clean = true;
  let last: readonly [number, number] = [at, at];
  const end = scanObject(bytes, at, (keyStart, keyEnd, valueStart) => {
    const index = keyIndex(keys, bytes, keyStart, keyEnd);
    if (index < 0) {
      clean = false;
      return skipValue(bytes, valueStart, Infinity);
    }
    const { name } = keys[index]!;
    if (seen & (1 << index)) throw duplicate(path, name, bytes, keyStart);
    seen |= 1 << index;
    const valueEnd = scanString(bytes, valueStart, path, name);
    if (index === keys.length - 1) last = [valueStart, valueEnd];
    return valueEnd;
  });
  if (seen !== (1 << keys.length) - 1) {
    const missing = keys.find((_, index) => !(seen & (1 << index)))!;
    throw missingField(path, missing.name, bytes, at);
  }
  return { end, clean, last };
}

function scanStringList(bytes: Uint8Array, at: number, path: string, name: string): number {
  if (bytes[at] !== OPEN_BRACKET) throw shapeError(bytes, `${path}.${name}`, "an array of strings", at);
  return scanArray(bytes, at, (element) => scanString(bytes, element, path, `${name}[]`));
}

/** Passes over the user of a request: every member is optional and may be null, and of repeated ones the last counts. */
export function scanUser(bytes: Uint8Array, at: number, path: string): Scanned {
  if (bytes[at] !== OPEN_BRACE) throw shapeError(bytes, path, "an object (the user)", at);
  let clean = true;
  let seen = 0;
  const unclean = (valueStart: number): number => {
    clean = false;
    return skipValue(bytes, valueStart, Infinity);
  };
  const scanExtra = (start: number) => {
    const names = new Set<string>();
    return scanObject(bytes, start, (keyStart, keyEnd, value) => {
      const name = stringValue(bytes, keyStart, keyEnd);
      if (names.has(name)) clean = false;
      names.add(name);
      return bytes[value] === NULL ? unclean(value) : scanStringList(bytes, value, path, "extra.*");
    });
  };
  const end = scanObject(bytes, at, (keyStart, keyEnd, valueStart) => {
    const index = keyIndex(USER_KEYS, bytes, keyStart, keyEnd);
    const known = USER_KEYS[index];
    if (known && seen & (1 << index)) clean = false;
    seen |= 1 << index;
    if (!known || bytes[valueStart] === NULL) return unclean(valueStart);
    switch (known.name) {
      case "groups":
        return scanStringList(bytes, valueStart, path, "groups");
      case "extra":
        if (bytes[valueStart] !== OPEN_BRACE) {
          throw shapeError(bytes, `${path}.extra`, "an object of string arrays", valueStart);
        }
        return scanExtra(valueStart);
      default:
        return scanString(bytes, valueStart, path, known.name);
    }
  });
  return { end, clean };
}

export function duplicate(path: string, name: string, bytes: Uint8Array, at: number): ReviewShapeError {
  const where = path === "" ? "" : `${path}: `;
  return new ReviewShapeError(`${where}duplicate field \`${name}\` at ${position(bytes, at)}`);
}

export function missingField(path: string, name: string, bytes: Uint8Array, at: number): ReviewShapeError {
  const where = path === "" ? "" : `${path}: `;
  return new ReviewShapeError(`${where}missing field \`${name}\` in the object at ${position(bytes, at)}`);
}
