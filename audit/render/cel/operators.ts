/** CEL's operators on values (github.com/google/cel-spec/blob/master/doc/langdef.md). */
import type { Functions } from "./library.ts";
import type { Meter } from "./meter.ts";
import {
  type CelMap,
  Duration,
  int,
  keysOf,
  lookUp,
  NONE,
  Optional,
  quoted,
  sizeOf,
  TypeValue,
  Uint,
  uint,
} from "./values.ts";

export type Binary = (left: unknown, right: unknown, meter: Meter) => unknown;

const isNumber = (value: unknown): value is bigint | number | Uint =>
  typeof value === "bigint" || typeof value === "number" || value instanceof Uint;
const plain = (value: bigint | number | Uint) => value instanceof Uint ? value.value : value;

export type Equality = (a: unknown, b: unknown, meter: Meter) => boolean;

/**
 * Equality as CEL has it: numbers by value, other values of different types are not equal. Values may share parts, so that
 * comparing takes more than their size in memory; every step is paid for.
 */
export function equalityOf(functions: Functions): Equality {
  const equal: Equality = (a, b, meter) => {
    meter.charge(1);
    if (a === b) return true;
    if (isNumber(a)) {
      // deno-lint-ignore eqeqeq
      return isNumber(b) && plain(a) == plain(b);
    }
    if (typeof a === "string") {
      if (typeof b !== "string" || a.length !== b.length) return false;
      meter.text(a.length);
      return a === b;
    }
    if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
    const type = functions.typeOf(a);
    if (type !== functions.typeOf(b)) return false;
    switch (type) {
      case "list": {
        const [left, right] = [a, b] as [unknown[], unknown[]];
        return left.length === right.length &&
          left.every((member, index) => equal(member, right[index], meter));
      }
      case "map": {
        const [left, right] = [a, b] as [CelMap, CelMap];
        meter.charge(sizeOf(left));
        return sizeOf(left) === sizeOf(right) && keysOf(left).every((key) => {
          const other = lookUp(right, key);
          return other !== undefined && equal(lookUp(left, key), other, meter);
        });
      }
      case "bytes": {
        const [left, right] = [a, b] as [Uint8Array, Uint8Array];
        meter.text(left.length);
        return left.length === right.length && left.every((byte, index) => byte === right[index]);
      }
      case "type":
        return (a as TypeValue).name === (b as TypeValue).name;
      case "google.protobuf.Timestamp":
        return (a as Date).getTime() === (b as Date).getTime();
      case "google.protobuf.Duration":
        return (a as Duration).nanos === (b as Duration).nanos;
      case "optional": {
        const [left, right] = [(a as Optional).value, (b as Optional).value];
        return left === undefined || right === undefined ? left === right : equal(left, right, meter);
      }
    }
    return functions.equality(type)?.(a as never, b as never) ?? false;
  };
  return equal;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    if (a[index] !== b[index]) return a[index]! - b[index]!;
  }
  return a.length - b.length;
}

const order = <T>(a: T, b: T) => a < b ? -1 : a > b ? 1 : 0;

/** How two values of one type are ordered: negative, 0 or positive; NaN of doubles that cannot be ordered. */
export function compare(a: unknown, b: unknown, meter: Meter): number {
  meter.charge(1);
  if (isNumber(a) && isNumber(b)) {
    const [left, right] = [plain(a), plain(b)];
    return Number.isNaN(left) || Number.isNaN(right) ? NaN : left < right ? -1 : left > right ? 1 : 0;
  }
  if (typeof a === "string" && typeof b === "string") {
    meter.text(Math.min(a.length, b.length));
    return order(a, b);
  }
  if (typeof a === "boolean" && typeof b === "boolean") return order(a, b);
  if (a instanceof Date && b instanceof Date) return a.getTime() - b.getTime();
  if (a instanceof Duration && b instanceof Duration) return order(a.nanos, b.nanos);
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    meter.text(Math.min(a.length, b.length));
    return compareBytes(a, b);
  }
  throw new Error("no such overload: values of these types cannot be ordered");
}

const MILLISECOND = 1_000_000n;
/** Years 1 to 9999, as in Go. */
const [FIRST, LAST] = [-62135596800000, 253402300799999];

export function timestamp(ms: number): Date {
  if (!(ms >= FIRST && ms <= LAST)) throw new Error("the timestamp is out of range");
  return new Date(ms);
}

export function duration(nanos: bigint): Duration {
  return new Duration(int(nanos));
}

const shifted = (time: Date, nanos: bigint) => timestamp(time.getTime() + Number(nanos / MILLISECOND));

function add(a: unknown, b: unknown, meter: Meter): unknown {
  if (typeof a === "bigint" && typeof b === "bigint") return int(a + b);
  if (typeof a === "number" && typeof b === "number") return a + b;
  if (a instanceof Uint && b instanceof Uint) return uint(a.value + b.value);
  if (typeof a === "string" && typeof b === "string") {
    meter.text(a.length + b.length);
    return a + b;
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    meter.charge(a.length + b.length);
    return a.concat(b);
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    meter.text(a.length + b.length);
    const both = new Uint8Array(a.length + b.length);
    both.set(a);
    both.set(b, a.length);
    return both;
  }
  if (a instanceof Duration && b instanceof Duration) return duration(a.nanos + b.nanos);
  if (a instanceof Date && b instanceof Duration) return shifted(a, b.nanos);
  if (a instanceof Duration && b instanceof Date) return shifted(b, a.nanos);
  return undefined;
}

function subtract(a: unknown, b: unknown): unknown {
  if (typeof a === "bigint" && typeof b === "bigint") return int(a - b);
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (a instanceof Uint && b instanceof Uint) return uint(a.value - b.value);
  if (a instanceof Duration && b instanceof Duration) return duration(a.nanos - b.nanos);
  if (a instanceof Date && b instanceof Duration) return shifted(a, -b.nanos);
  if (a instanceof Date && b instanceof Date) {
    return duration(BigInt(a.getTime() - b.getTime()) * MILLISECOND);
  }
  return undefined;
}

const arithmetic =
  (whole: (a: bigint, b: bigint) => bigint, double?: (a: number, b: number) => number): Binary => (a, b) => {
    if (typeof a === "bigint" && typeof b === "bigint") return int(whole(a, b));
    if (a instanceof Uint && b instanceof Uint) return uint(whole(a.value, b.value));
    if (double !== undefined && typeof a === "number" && typeof b === "number") return double(a, b);
    return undefined;
  };

function nonZero(value: bigint, operator: string): bigint {
  if (value === 0n) throw new Error(`${operator} by zero`);
  return value;
}

/** All binary operators but `&&` and `||`, by their signs. */
export function binaryOperators(functions: Functions): ReadonlyMap<string, Binary> {
  const equal = equalityOf(functions);
  const checked = (sign: string, operator: Binary): [string, Binary] => [sign, (a, b, meter) => {
    meter.charge(1);
    const result = operator(a, b, meter);
    if (result !== undefined) return result;
    throw new Error(`no such overload: ${functions.typeOf(a)} ${sign} ${functions.typeOf(b)}`);
  }];
  return new Map<string, Binary>([
    ["==", equal],
    ["!=", (a, b, meter) => !equal(a, b, meter)],
    ["<", (a, b, meter) => compare(a, b, meter) < 0],
    ["<=", (a, b, meter) => compare(a, b, meter) <= 0],
    [">", (a, b, meter) => compare(a, b, meter) > 0],
    [">=", (a, b, meter) => compare(a, b, meter) >= 0],
    checked("+", add),
    checked("-", subtract),
    checked("*", arithmetic((a, b) => a * b, (a, b) => a * b)),
    checked("/", arithmetic((a, b) => a / nonZero(b, "division"), (a, b) => a / b)),
    checked("%", arithmetic((a, b) => a % nonZero(b, "modulus"))),
    checked("in", (a, b, meter) => {
      if (Array.isArray(b)) return b.some((member) => equal(a, member, meter));
      return functions.typeOf(b) === "map" ? lookUp(b as CelMap, a) !== undefined : undefined;
    }),
  ]);
}

/** `-x`. */
export function negated(value: unknown): unknown {
  if (typeof value === "bigint") return int(-value);
  if (typeof value === "number") return -value;
  throw new Error("no such overload: - needs an int or a double");
}

/** `a.b` and `a[b]`; an `optional` selection finds an optional, and nothing in what has no such member. */
export function select(functions: Functions, value: unknown, key: unknown, optional: boolean): unknown {
  if (value instanceof Optional) {
    return value.value === undefined ? NONE : select(functions, value.value, key, true);
  }
  const type = functions.typeOf(value);
  let found: unknown;
  if (type === "map") found = lookUp(value as CelMap, key);
  else if (type === "list") {
    const index = typeof key === "number" && Number.isInteger(key) || typeof key === "bigint"
      ? Number(key)
      : NaN;
    if (Number.isNaN(index)) throw new Error("no such overload: a list's index must be a whole number");
    found = index >= 0 ? (value as readonly unknown[])[index] : undefined;
  } else if (!(optional && type === "null_type")) {
    throw new Error(`no such overload: ${type} has no fields or members`);
  }
  if (optional) return found === undefined ? NONE : new Optional(found);
  if (found !== undefined) return found;
  throw new Error(
    type === "list"
      ? `index out of bounds: ${key}`
      : `no such key: ${typeof key === "string" ? quoted(key) : key}`,
  );
}
