/** CEL's standard functions: conversions, sizes, optionals. Those on texts and times are beside it. */
import type { Functions, Library } from "./library.ts";
import { type CelMap, int, NONE, Optional, quoted, sizeOf, TypeValue, Uint, uint } from "./values.ts";

const SPACE_AROUND = /^\s|\s$/;
const WHOLE = /^[+-]?\d{1,20}$/;
const DOUBLE = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
/** Longer texts are no numbers that anybody writes; reading digits costs more than their number. */
const MAX_NUMBER_TEXT = 400;

const TRUE = new Set(["1", "t", "true", "TRUE", "True"]);
const FALSE = new Set(["0", "f", "false", "FALSE", "False"]);

function boolOf(text: string): boolean {
  if (TRUE.has(text)) return true;
  if (FALSE.has(text)) return false;
  throw new Error(`${quoted(text)} is no bool`);
}

function wholeOf(text: string): bigint {
  if (WHOLE.test(text)) return BigInt(text.replace(/^\+/, ""));
  throw new Error(`${quoted(text)} is no whole number`);
}

function truncated(value: number): bigint {
  if (Math.abs(value) < 2 ** 64) return BigInt(Math.trunc(value));
  throw new Error("the double is no 64-bit integer");
}

function doubleOf(text: string): number {
  const named = /^([+-]?)(?:inf|infinity)$/i.exec(text);
  if (named !== null) return named[1] === "-" ? -Infinity : Infinity;
  if (/^nan$/i.test(text)) return NaN;
  if (text.length <= MAX_NUMBER_TEXT && !SPACE_AROUND.test(text) && DOUBLE.test(text)) return Number(text);
  throw new Error(`${quoted(text)} is no double`);
}

export function doubleText(value: number): string {
  return value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value);
}

/** Characters are code points, as in Go. */
export function lengthOf(text: string): number {
  let length = text.length;
  for (let at = 0; at < text.length; at++) {
    if (text.charCodeAt(at) >= 0xd800 && text.codePointAt(at)! > 0xffff) {
      length--;
      at++;
    }
  }
  return length;
}

const count = (size: (value: never) => number) => (value: never) => BigInt(size(value));
const SIZES = {
  string: count(lengthOf),
  bytes: count((value: Uint8Array) => value.length),
  list: count((value: readonly unknown[]) => value.length),
  map: count(sizeOf),
};

const identity = (value: unknown) => value;
const encoder = new TextEncoder();
const OPTIONALS = "cel.Optionals";

const isZero = (value: unknown) =>
  value === null || value === "" || value === 0 || value === 0n || value === false ||
  value instanceof Uint && value.value === 0n ||
  (Array.isArray(value) || value instanceof Uint8Array) && value.length === 0;

/** `typeOf` names a value's type. */
export function standardLibrary(typeOf: Functions["typeOf"]): Library {
  return {
    namespaces: { optional: OPTIONALS },
    functions: {
      "dyn(dyn): dyn": identity,
      "type(dyn): type": (value: unknown) => new TypeValue(typeOf(value)),
      ...Object.fromEntries(
        Object.entries(SIZES).flatMap(([type, size]) => [
          [`size(${type}): int`, size],
          [`${type}.size(): int`, size],
        ]),
      ),
      "bool(bool): bool": identity,
      "bool(string): bool": boolOf,
      "int(int): int": identity,
      "int(uint): int": ({ value }: Uint) => int(value),
      "int(double): int": (value: number) => int(truncated(value)),
      "int(string): int": (text: string) => int(wholeOf(text)),
      "int(google.protobuf.Timestamp): int": (time: Date) => BigInt(Math.floor(time.getTime() / 1000)),
      "uint(uint): uint": identity,
      "uint(int): uint": uint,
      "uint(double): uint": (value: number) => uint(truncated(value)),
      "uint(string): uint": (text: string) => uint(wholeOf(text)),
      "double(double): double": identity,
      "double(int): double": Number,
      "double(uint): double": ({ value }: Uint) => Number(value),
      "double(string): double": doubleOf,
      "string(string): string": identity,
      "string(bool): string": String,
      "string(int): string": String,
      "string(uint): string": ({ value }: Uint) => String(value),
      "string(double): string": doubleText,
      "string(bytes): string": (bytes: Uint8Array) => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
      "bytes(bytes): bytes": identity,
      "bytes(string): bytes": (text: string) => encoder.encode(text),
      [`${OPTIONALS}.none(): optional`]: () => NONE,
      [`${OPTIONALS}.of(dyn): optional`]: (_: unknown, value: unknown) => new Optional(value),
      [`${OPTIONALS}.ofNonZeroValue(dyn): optional`]: (_: unknown, value: unknown) =>
        isZero(value) || typeOf(value) === "map" && sizeOf(value as CelMap) === 0
          ? NONE
          : new Optional(value),
      "optional.hasValue(): bool": ({ value }: Optional) => value !== undefined,
      "optional.value(): dyn": ({ value }: Optional) => {
        if (value === undefined) throw new Error("the optional has no value");
        return value;
      },
    },
  };
}
