/** Regular expressions in RE2's syntax and linear time, and the string functions that the CEL library lacks. */
import type { RE2JS } from "../../../deps.ts";
import type { Library } from "./library.ts";

/** Patterns are short; compiled ones are kept. */
const KEPT_PATTERNS = 500;

/** `%s` of a value, as CEL's `format` writes it. */
function shown(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null) return "null";
  if (Array.isArray(value)) return `[${value.map(shown).join(", ")}]`;
  if (typeof value === "object") {
    return `{${
      Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map(([k, v]) => `${k}: ${shown(v)}`).join(", ")
    }}`;
  }
  return String(value);
}

/** Digits after the point that are asked for at most. */
const MOST_DIGITS = 100;

function formatted(text: string, values: readonly unknown[]): string {
  let next = 0;
  return text.replace(
    /%(?:%|(?:\.(\d+))?([a-zA-Z]))/g,
    (whole, digits: string | undefined, verb: string | undefined) => {
      if (whole === "%%") return "%";
      if (next >= values.length) throw new Error("format has too few values");
      const value = values[next++];
      const precision = digits === undefined ? 6 : Math.min(Number(digits), MOST_DIGITS);
      const whole64 = () => {
        if (typeof value !== "bigint") throw new Error(`%${verb} needs a whole number`);
        return value;
      };
      switch (verb) {
        case "s":
          return shown(value);
        case "d":
          return String(whole64());
        case "f":
          return Number(value).toFixed(precision);
        case "e":
          return Number(value).toExponential(precision).replace(/e([+-])(\d)$/, "e$10$2");
        case "b":
          return typeof value === "boolean" ? (value ? "1" : "0") : whole64().toString(2);
        case "o":
          return whole64().toString(8);
        case "x":
        case "X": {
          const hex = typeof value === "string"
            ? [...new TextEncoder().encode(value)].map((byte) => byte.toString(16).padStart(2, "0")).join("")
            : whole64().toString(16);
          return verb === "X" ? hex.toUpperCase() : hex;
        }
        default:
          throw new Error(`format does not know %${verb}`);
      }
    },
  );
}

/** The library; `compile` is RE2's. */
export function stringLibrary(compile: (pattern: string) => RE2JS): Library {
  const patterns = new Map<string, RE2JS>();
  const patternOf = (text: string): RE2JS => {
    let pattern = patterns.get(text);
    if (pattern === undefined) {
      if (patterns.size >= KEPT_PATTERNS) patterns.clear();
      patterns.set(text, pattern = compile(text));
    }
    return pattern;
  };
  const findAll = (text: string, pattern: string, most: number): string[] => {
    const matcher = patternOf(pattern).matcher(text);
    const found: string[] = [];
    while (found.length < most && matcher.find()) found.push(matcher.group() ?? "");
    return found;
  };
  const replaced = (text: string, from: string, to: string, times: number): string => {
    let result = "";
    let rest = text;
    for (let count = 0; count < times; count++) {
      const at = rest.indexOf(from, from === "" && count > 0 ? 1 : 0);
      if (at < 0) break;
      result += rest.slice(0, at) + to;
      rest = rest.slice(at + from.length);
      if (from === "" && rest === "") break;
    }
    return result + rest;
  };
  return {
    functions: {
      // Stands in for `matches`, which the CEL library does with JavaScript's own expressions.
      "string.re2Matches(string): bool": (text: string, pattern: string) =>
        patternOf(pattern).matcher(text).find(),
      "re2Matches(string, string): bool": (text: string, pattern: string) =>
        patternOf(pattern).matcher(text).find(),
      "string.find(string): string": (text: string, pattern: string) => findAll(text, pattern, 1)[0] ?? "",
      "string.findAll(string): list<string>": (text: string, pattern: string) =>
        findAll(text, pattern, Infinity),
      "string.findAll(string, int): list<string>": (text: string, pattern: string, most: bigint) =>
        findAll(text, pattern, most < 0n ? Infinity : Number(most)),
      "string.charAt(int): string": (text: string, at: bigint) => {
        const characters = [...text];
        if (at < 0n || at > BigInt(characters.length)) throw new Error(`index out of range: ${at}`);
        return characters[Number(at)] ?? "";
      },
      "string.replace(string, string): string": (text: string, from: string, to: string) =>
        text.split(from).join(to),
      "string.replace(string, string, int): string": (
        text: string,
        from: string,
        to: string,
        times: bigint,
      ) => times < 0n ? text.split(from).join(to) : replaced(text, from, to, Number(times)),
      "string.format(list): string": (text: string, values: readonly unknown[]) => formatted(text, values),
      "string.reverse(): string": (text: string) => [...text].reverse().join(""),
    },
  };
}
