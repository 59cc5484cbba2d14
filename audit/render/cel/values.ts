/**
 * Values as CEL works with them. `int` is a bigint, `double` a number, `list` an array, `bytes` a Uint8Array, a timestamp a Date;
 * a `map` is a parsed JSON object or, made by an expression, a Map. Everything else is of a class.
 */
import { own } from "../../../program/types/own.ts";
import { parseNumbers } from "../../../program/types/json_numbers.ts";

export class Uint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

export class Duration {
  /** In nanoseconds. */
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

export class Optional {
  readonly value: unknown;
  /** `undefined` stands for no value. */
  constructor(value: unknown) {
    this.value = value;
  }
}

export const NONE = new Optional(undefined);

/** The value of `int`, `type(x)` and the like. */
export class TypeValue {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** Stands for a namespace such as `sets` in an expression; its functions are methods of `type`. */
export class Namespace {
  readonly type: string;
  constructor(type: string) {
    this.type = type;
  }
}

export type JsonMap = { readonly [key: string]: unknown };
export type CelMap = ReadonlyMap<unknown, unknown> | JsonMap;

/** The key of a Map: `1`, `1u` and `1.0` are the same key. */
function keyOf(key: unknown): unknown {
  if (key instanceof Uint) return key.value;
  return typeof key === "number" && Number.isInteger(key) ? BigInt(key) : key;
}

/** The value of a key, or `undefined`. Only what the map itself holds is found: names come from tenants. */
export function lookUp(map: CelMap, key: unknown): unknown {
  if (map instanceof Map) return map.get(keyOf(key));
  return typeof key === "string" ? own(map as JsonMap, key) : undefined;
}

/**
 * Names of JSON objects that were asked for: listing those of a large one takes milliseconds, and an expression may ask for
 * them as often as its budget lasts.
 */
const names = new WeakMap<JsonMap, readonly string[]>();

function namesOf(map: JsonMap): readonly string[] {
  let found = names.get(map);
  if (found === undefined) names.set(map, found = Object.keys(map));
  return found;
}

export function keysOf(map: CelMap): readonly unknown[] {
  return map instanceof Map ? [...map.keys()] : namesOf(map as JsonMap);
}

export function sizeOf(map: CelMap): number {
  return map instanceof Map ? map.size : namesOf(map as JsonMap).length;
}

export function mapOf(entries: Iterable<readonly [unknown, unknown]>): ReadonlyMap<unknown, unknown> {
  const map = new Map<unknown, unknown>();
  for (const [key, value] of entries) {
    const known = keyOf(key);
    if (typeof known !== "string" && typeof known !== "bigint" && typeof known !== "boolean") {
      throw new Error("a map's key must be a string, a whole number or a boolean");
    }
    if (map.has(known)) throw new Error("a map literal has the same key twice");
    map.set(known, value);
  }
  return map;
}

export const MAX_INT = 2n ** 63n - 1n;
export const MIN_INT = -(2n ** 63n);
export const MAX_UINT = 2n ** 64n - 1n;

export function int(value: bigint): bigint {
  if (value > MAX_INT || value < MIN_INT) throw new Error("integer overflow");
  return value;
}

export function uint(value: bigint): Uint {
  if (value < 0n || value > MAX_UINT) throw new Error("unsigned integer overflow");
  return new Uint(value);
}

/** A prefix of a text for an error. */
export const quoted = (text: string) => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);

export type CelSource = { readonly value: unknown };

/** Deeper than any resource; evaluation goes into nested values by recursion. */
const MAX_OBJECT_DEPTH = 500;

/**
 * More than any resource has; each value becomes an object of tens of bytes, and to list the names of one that has so many takes 100 ms.
 */
const MAX_OBJECT_VALUES = 200_000;

function checkSize(text: string): void {
  let depth = 0;
  let values = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22: // A string: up to the next quote that isn't escaped.
        for (at++; at < text.length && text.charCodeAt(at) !== 0x22; at++) {
          if (text.charCodeAt(at) === 0x5c) at++;
        }
        break;
      case 0x5b:
      case 0x7b:
        if (++depth > MAX_OBJECT_DEPTH) {
          throw new Error(`the object is nested more than ${MAX_OBJECT_DEPTH} levels deep`);
        }
        values++;
        break;
      case 0x5d:
      case 0x7d:
        depth--;
        break;
      case 0x2c:
      case 0x3a:
        values++;
    }
  }
  if (values + 1 > MAX_OBJECT_VALUES) {
    throw new Error(`the object has more than ${MAX_OBJECT_VALUES} values and names`);
  }
}

const STEPS_BETWEEN_CHECKS = 2_048;

/**
 * Parses an object's text for CEL: whole numbers are `int`s, those beyond 64 bits and all others doubles. `checkTime` is called now
 * and then, and ends it by throwing.
 */
export function celSource(text: string, checkTime: () => void = () => {}): CelSource {
  checkSize(text);
  checkTime();
  let untilCheck = STEPS_BETWEEN_CHECKS;
  const step = () => {
    if (--untilCheck > 0) return;
    untilCheck = STEPS_BETWEEN_CHECKS;
    checkTime();
  };
  return { value: parseNumbers(text, celNumber, step) };
}

/** Longer ones may not be exact as a double. */
const EXACT_DIGITS = 15;

function celNumber(source: string): unknown {
  for (let at = source.charCodeAt(0) === 0x2d ? 1 : 0; at < source.length; at++) {
    const unit = source.charCodeAt(at);
    if (unit < 0x30 || unit > 0x39) return Number(source);
  }
  if (source.length <= EXACT_DIGITS) return BigInt(Number(source));
  if (source.length > 20) return Number(source);
  const whole = BigInt(source);
  return whole > MAX_INT || whole < MIN_INT ? Number(source) : whole;
}
