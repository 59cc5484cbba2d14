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

function checkDepth(text: string): void {
  let depth = 0;
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
        break;
      case 0x5d:
      case 0x7d:
        depth--;
    }
  }
}

/** Parses an object's text for CEL: whole numbers are `int`s, those beyond 64 bits and all others doubles. */
export function celSource(text: string): CelSource {
  checkDepth(text);
  const number = (source: string): unknown => {
    if (!/^-?\d{1,19}$/.test(source)) return Number(source);
    const whole = BigInt(source);
    return whole > MAX_INT || whole < MIN_INT ? Number(source) : whole;
  };
  return { value: parseNumbers(text, number) };
}
