/** Functions on texts: CEL's own and those of its `strings` extension. */
import type { Functions, Library } from "./library.ts";
import type { Meter } from "./meter.ts";
import { doubleText } from "./standard.ts";
import { type CelMap, Duration, keysOf, lookUp, Uint } from "./values.ts";

/** Where a text is found in another, from `from` on, one after the other; nothing is found twice. */
function* occurrences(text: string, wanted: string): Generator<number> {
  if (wanted === "") {
    for (let at = 0; at <= text.length; at++) yield at;
    return;
  }
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) yield at;
}

/** `limit` parts at most; all of them when it is negative. */
function split(text: string, separator: string, limit: number, meter: Meter): string[] {
  meter.search(text.length, separator.length);
  if (limit === 0) return [];
  const parts: string[] = [];
  let start = 0;
  for (const at of occurrences(text, separator)) {
    if (limit > 0 && parts.length >= limit - 1) break;
    // Between every two characters is an empty text, but not at the ends.
    if (separator === "" && (at === 0 || at === text.length)) continue;
    meter.charge(1);
    parts.push(text.slice(start, at));
    start = at + separator.length;
  }
  if (separator === "" && text === "") return parts;
  parts.push(text.slice(start));
  return parts;
}

function replace(text: string, from: string, to: string, limit: number, meter: Meter): string {
  meter.search(text.length, from.length);
  const pieces: string[] = [];
  let start = 0;
  for (const at of occurrences(text, from)) {
    if (limit >= 0 && pieces.length >= limit) break;
    meter.charge(1);
    meter.text(to.length);
    pieces.push(text.slice(start, at));
    start = at + from.length;
  }
  pieces.push(text.slice(start));
  return pieces.join(to);
}

function join(list: readonly unknown[], separator: string, meter: Meter): string {
  meter.charge(list.length);
  for (const member of list) {
    if (typeof member !== "string") throw new Error("join needs a list of strings");
    meter.text(member.length + separator.length);
  }
  return list.join(separator);
}

function index(at: bigint, length: number): number {
  if (at >= 0n && at <= BigInt(length)) return Number(at);
  throw new Error(`index out of range: ${at}`);
}

function indexOf(text: string, wanted: string, from: number, meter: Meter): bigint {
  meter.search(text.length, wanted.length);
  return BigInt(text.indexOf(wanted, from));
}

function lastIndexOf(text: string, wanted: string, from: number, meter: Meter): bigint {
  meter.search(text.length, wanted.length);
  return BigInt(text.lastIndexOf(wanted, from));
}

function substring(text: string, start: bigint, end: bigint): string {
  if (end < start) throw new Error(`index out of range: ${end} is before ${start}`);
  return text.slice(index(start, text.length), index(end, text.length));
}

/** `%s` of a value, as CEL's `format` writes it; values may share parts, so the text may be much longer than they are. */
function shown(value: unknown, typeOf: Functions["typeOf"], meter: Meter): string {
  meter.charge(1);
  const all = (values: readonly unknown[]) => values.map((one) => shown(one, typeOf, meter));
  let text: string;
  const type = typeOf(value);
  if (type === "list") text = `[${all(value as readonly unknown[]).join(", ")}]`;
  else if (type === "map") {
    const map = value as CelMap;
    const keys = keysOf(map);
    meter.charge(keys.length);
    const names = all(keys);
    const entries = keys.map((key, at) => [names[at]!, key] as const).sort(([a], [b]) => a < b ? -1 : 1);
    text = `{${
      entries.map(([name, key]) => `${name}: ${shown(lookUp(map, key), typeOf, meter)}`).join(", ")
    }}`;
  } else if (value instanceof Uint) text = String(value.value);
  else if (value instanceof Date) text = value.toISOString().replace(/\.000Z$/, "Z");
  else if (value instanceof Duration) text = `${Number(value.nanos) / 1e9}s`;
  else if (typeof value === "number") text = doubleText(value);
  else if (value === null || typeof value !== "object") text = String(value);
  else throw new Error(`format cannot write a value of type ${type}`);
  meter.text(text.length);
  return text;
}

/** Digits after the point that are written at most. */
const MAX_DIGITS = 100;

function hexOf(text: string, meter: Meter): string {
  meter.charge(text.length);
  return [...new TextEncoder().encode(text)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function formatted(
  text: string,
  values: readonly unknown[],
  typeOf: Functions["typeOf"],
  meter: Meter,
): string {
  let next = 0;
  return text.replace(
    /%(?:%|(?:\.(\d+))?([a-zA-Z]))/g,
    (part, digits: string | undefined, verb: string | undefined) => {
      meter.charge(1);
      if (part === "%%") return "%";
      if (next >= values.length) throw new Error("format has too few values");
      const value = values[next++];
      const precision = digits === undefined ? 6 : Math.min(Number(digits), MAX_DIGITS);
      const whole = () => {
        if (typeof value === "bigint") return value;
        if (value instanceof Uint) return value.value;
        throw new Error(`%${verb} needs a whole number`);
      };
      const number = () => {
        if (typeof value === "number") return value;
        return Number(whole());
      };
      meter.text(precision);
      switch (verb) {
        case "s":
          return shown(value, typeOf, meter);
        case "d":
          return String(whole());
        case "f":
          return number().toFixed(precision);
        case "e":
          return number().toExponential(precision).replace(/e([+-])(\d)$/, "e$10$2");
        case "b":
          return typeof value === "boolean" ? (value ? "1" : "0") : whole().toString(2);
        case "o":
          return whole().toString(8);
        case "x":
        case "X": {
          const hex = typeof value === "string" ? hexOf(value, meter) : whole().toString(16);
          return verb === "X" ? hex.toUpperCase() : hex;
        }
        default:
          throw new Error(`format does not know %${verb}`);
      }
    },
  );
}

/** The functions; `typeOf` names a value's type. */
export function stringLibrary(typeOf: Functions["typeOf"]): Library {
  return {
    functions: {
      "string.startsWith(string): bool": (text: string, start: string) => text.startsWith(start),
      "string.endsWith(string): bool": (text: string, end: string) => text.endsWith(end),
      "string.contains(string): bool": (text: string, wanted: string, meter: Meter) =>
        indexOf(text, wanted, 0, meter) >= 0n,
      "string.lowerAscii(): string": (text: string) => text.replace(/[A-Z]+/g, (part) => part.toLowerCase()),
      "string.upperAscii(): string": (text: string) => text.replace(/[a-z]+/g, (part) => part.toUpperCase()),
      "string.trim(): string": (text: string) => text.trim(),
      "string.indexOf(string): int": (text: string, wanted: string, meter: Meter) =>
        indexOf(text, wanted, 0, meter),
      "string.indexOf(string, int): int": (text: string, wanted: string, from: bigint, meter: Meter) =>
        indexOf(text, wanted, index(from, text.length), meter),
      "string.lastIndexOf(string): int": (text: string, wanted: string, meter: Meter) =>
        lastIndexOf(text, wanted, Infinity, meter),
      "string.lastIndexOf(string, int): int": (text: string, wanted: string, from: bigint, meter: Meter) =>
        lastIndexOf(text, wanted, index(from, text.length), meter),
      "string.substring(int): string": (text: string, start: bigint) => text.slice(index(start, text.length)),
      "string.substring(int, int): string": substring,
      "string.charAt(int): string": (text: string, at: bigint, meter: Meter) => {
        meter.charge(text.length);
        const characters = [...text];
        return characters[index(at, characters.length)] ?? "";
      },
      "string.split(string): list": (text: string, separator: string, meter: Meter) =>
        split(text, separator, -1, meter),
      "string.split(string, int): list": (text: string, separator: string, limit: bigint, meter: Meter) =>
        split(text, separator, Number(limit), meter),
      "list.join(): string": (list: readonly unknown[], meter: Meter) => join(list, "", meter),
      "list.join(string): string": join,
      "string.replace(string, string): string": (text: string, from: string, to: string, meter: Meter) =>
        replace(text, from, to, -1, meter),
      "string.replace(string, string, int): string": (
        text: string,
        from: string,
        to: string,
        times: bigint,
        meter: Meter,
      ) => replace(text, from, to, Number(times), meter),
      "string.format(list): string": (text: string, values: readonly unknown[], meter: Meter) =>
        formatted(text, values, typeOf, meter),
      "string.reverse(): string": (text: string, meter: Meter) => {
        meter.charge(text.length);
        return [...text].reverse().join("");
      },
    },
  };
}
