/**
 * One argument as text, as the verbs of Go's `fmt.Sprintf` have it.
 *
 * Source: https://pkg.go.dev/fmt (verbs, flags).
 */
import { own } from "../../program/types/own.ts";
import { type FloatForm, floatText } from "./go_float.ts";
import { MAX_TEXT } from "../types/rego_limits.ts";
import { quoted, quotedRune } from "./rego_text.ts";
import { BoundedText, runeCount, work, workOn } from "./work.ts";

/** An argument as Go would hold it. */
export type PrintfArgument =
  | { readonly type: "int64" | "*big.Int"; readonly value: bigint }
  | { readonly type: "float64"; readonly value: number }
  | { readonly type: "string"; readonly value: string };

const encoder = new TextEncoder();

/** What stands between the percent sign and the verb. */
export class State {
  minus = false;
  plus = false;
  sharp = false;
  space = false;
  zero = false;
  plusV = false;
  sharpV = false;
  width: number | undefined;
  precision: number | undefined;
}

function pad(text: string, state: State): string {
  if (state.width === undefined) return text;
  const missing = state.width - runeCount(text);
  if (missing <= 0) return text;
  if (state.minus) return text + " ".repeat(missing);
  return (state.zero ? "0" : " ").repeat(missing) + text;
}

function withoutZero(state: State): State {
  return Object.assign(new State(), state, { zero: false });
}

function integer(value: bigint, base: 2 | 8 | 10 | 16, verb: string, state: State): string {
  const negative = value < 0n;
  let precision = 0;
  if (state.precision !== undefined) {
    precision = state.precision;
    if (precision === 0 && value === 0n) return " ".repeat(state.width ?? 0);
  } else if (state.zero && !state.minus && state.width !== undefined) {
    precision = state.width - (negative || state.plus || state.space ? 1 : 0);
  }
  let text = (negative ? -value : value).toString(base).padStart(precision, "0");
  if (verb === "X") text = text.toUpperCase();
  if (state.sharp) {
    if (base === 2) text = `0b${text}`;
    else if (base === 8 && !text.startsWith("0")) text = `0${text}`;
    else if (base === 16) text = `0${verb}${text}`;
  }
  if (verb === "O") text = `0o${text}`;
  const sign = negative ? "-" : state.plus ? "+" : state.space ? " " : "";
  return pad(sign + text, withoutZero(state));
}

function runeOf(value: bigint): string {
  const valid = value >= 0n && value <= 0x10ffffn && !(value >= 0xd800n && value <= 0xdfffn);
  return valid ? String.fromCodePoint(Number(value)) : "\ufffd";
}

function unicode(value: bigint, state: State): string {
  const digits = Math.max(state.precision ?? 4, 4);
  const code = BigInt.asUintN(64, value);
  let text = `U+${code.toString(16).toUpperCase().padStart(digits, "0")}`;
  if (state.sharp && code <= 0x10ffffn) {
    const rune = runeOf(code);
    if (!quotedRune(rune).startsWith("'\\") || rune === "\\" || rune === "'") text += ` '${rune}'`;
  }
  return pad(text, withoutZero(state));
}

function bigInteger(value: bigint, verb: string, state: State): string {
  const bases: Readonly<Record<string, 2 | 8 | 10 | 16>> = {
    b: 2,
    o: 8,
    O: 8,
    d: 10,
    s: 10,
    v: 10,
    x: 16,
    X: 16,
  };
  const base = own(bases, verb);
  if (base === undefined) return `%!${verb}(big.Int=${value})`;
  const negative = value < 0n;
  const sign = negative ? "-" : state.plus || state.plusV ? "+" : state.space ? " " : "";
  let prefix = verb === "O" ? "0o" : "";
  if (state.sharp || state.sharpV) {
    prefix = own({ b: "0b", o: "0", x: "0x", X: "0X" } as Record<string, string>, verb) ?? prefix;
  }
  let digits = (negative ? -value : value).toString(base);
  if (verb === "X") digits = digits.toUpperCase();
  digits = digits.padStart(state.precision ?? 0, "0");
  const missing = (state.width ?? 0) - sign.length - prefix.length - digits.length;
  if (missing <= 0) return sign + prefix + digits;
  if (state.minus) return sign + prefix + digits + " ".repeat(missing);
  if (state.zero && state.precision === undefined) return sign + prefix + "0".repeat(missing) + digits;
  return " ".repeat(missing) + sign + prefix + digits;
}

/** What the flag `#` does to a float: a point always, and for %g the zeros up to the precision. */
function sharpen(text: string, verb: string, precision: number): string {
  let digits = 0;
  if (verb === "g" || verb === "G") digits = precision < 0 ? 6 : precision;
  else if (verb === "x" || verb === "X") digits = precision < 0 ? 6 : precision;
  let tail = "";
  let sawDot = false;
  let sawDigit = false;
  let body = text;
  for (let at = 1; at < text.length; at++) {
    if ((at & 0xfff) === 0) work(0xfff >> 3);
    const unit = text[at]!;
    if (unit === ".") sawDot = true;
    else if (
      unit === "p" || unit === "P" || ((unit === "e" || unit === "E") && verb !== "x" && verb !== "X")
    ) {
      tail = text.slice(at);
      body = text.slice(0, at);
      break;
    } else {
      if (unit !== "0") sawDigit = true;
      if (sawDigit) digits--;
    }
  }
  if (!sawDot) {
    if (body.length === 2 && body[1] === "0") digits--;
    body += ".";
  }
  return body + "0".repeat(Math.max(digits, 0)) + tail;
}

function float(value: number, form: FloatForm, byDefault: number, state: State): string {
  const precision = state.precision ?? byDefault;
  let text = floatText(value, form, precision);
  if (!text.startsWith("-")) text = `+${text}`;
  if (state.space && text.startsWith("+") && !state.plus) text = ` ${text.slice(1)}`;
  if (state.sharp && form !== "b") text = sharpen(text, form, precision);
  if (!state.plus && text.startsWith("+")) return pad(text.slice(1), state);
  if (state.zero && !state.minus && state.width !== undefined && state.width > text.length) {
    return text[0] + text.slice(1).padStart(state.width - 1, "0");
  }
  return pad(text, state);
}

function truncated(text: string, state: State): string {
  if (state.precision === undefined || text.length <= state.precision) return text;
  let end = 0;
  for (let count = 0; count < state.precision && end < text.length; count++) {
    end += text.codePointAt(end)! > 0xffff ? 2 : 1;
  }
  workOn(8 * end);
  return text.slice(0, end);
}

function hexString(text: string, verb: string, state: State): string {
  let bytes = encoder.encode(text);
  if (state.precision !== undefined) bytes = bytes.subarray(0, state.precision);
  const prefix = state.sharp && bytes.length > 0 ? `0${verb}` : "";
  const between = state.space ? ` ${prefix}` : "";
  const result = new BoundedText(MAX_TEXT, "a text in hexadecimal digits");
  for (const [at, byte] of bytes.entries()) {
    const pair = byte.toString(16).padStart(2, "0");
    result.add((at === 0 ? prefix : between) + (verb === "X" ? pair.toUpperCase() : pair));
  }
  return pad(result.toString(), state);
}

function canBackquote(text: string): boolean {
  workOn(text.length);
  // deno-lint-ignore no-control-regex
  return !/[`\u0000-\u0008\u000a-\u001f\u007f\ufeff]/.test(text);
}

function quotedString(text: string, state: State): string {
  const cut = truncated(text, state);
  return pad(state.sharp && canBackquote(cut) ? `\`${cut}\`` : quoted(cut, state.plus), state);
}

function int64Text(value: bigint, verb: string, state: State): string | undefined {
  switch (verb) {
    case "v":
    case "d":
      return integer(value, 10, verb, state);
    case "b":
      return integer(value, 2, verb, state);
    case "o":
    case "O":
      return integer(value, 8, verb, state);
    case "x":
    case "X":
      return integer(value, 16, verb, state);
    case "c":
      return pad(runeOf(value), state);
    case "q":
      return pad(quotedRune(runeOf(value), state.plus), state);
    case "U":
      return unicode(value, state);
  }
  return undefined;
}

function float64Text(value: number, verb: string, state: State): string | undefined {
  switch (verb) {
    case "v":
      return float(value, "g", -1, state);
    case "b":
    case "g":
    case "G":
    case "x":
    case "X":
      return float(value, verb, -1, state);
    case "f":
    case "F":
      return float(value, "f", 6, state);
    case "e":
    case "E":
      return float(value, verb, 6, state);
  }
  return undefined;
}

function stringText(value: string, verb: string, state: State): string | undefined {
  switch (verb) {
    case "v":
      return state.sharpV ? quotedString(value, state) : pad(truncated(value, state), state);
    case "s":
      return pad(truncated(value, state), state);
    case "x":
    case "X":
      return hexString(value, verb, state);
    case "q":
      return quotedString(value, state);
  }
  return undefined;
}

/** An argument in the form of a verb; undefined where its type has none. */
function textOf({ type, value }: PrintfArgument, verb: string, state: State): string | undefined {
  switch (type) {
    case "*big.Int":
      return bigInteger(value, verb, state);
    case "int64":
      return int64Text(value, verb, state);
    case "float64":
      return float64Text(value, verb, state);
    case "string":
      return stringText(value, verb, state);
  }
}

/** An argument as a verb shows it. */
export function print(argument: PrintfArgument, verb: string, state: State): string {
  if (verb === "T") return pad(truncated(argument.type, state), state);
  return (verb === "p" ? undefined : textOf(argument, verb, state)) ??
    `%!${verb}(${argument.type}=${print(argument, "v", state)})`;
}
