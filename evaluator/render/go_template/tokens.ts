/**
 * The text of a template of Go's `text/template`, cut into text and actions, and an action into tokens.
 *
 * Source: https://pkg.go.dev/text/template
 */
import { halt, work, workOn } from "../work.ts";

/** Raised for a template that is none, and for one that can't be executed with its data. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
}

/** A constant as Go has it: whole numbers and others are of different types. */
export type Constant =
  | { readonly kind: "int"; readonly value: bigint }
  | { readonly kind: "float"; readonly value: number };

export type Token = {
  readonly kind: "name" | "field" | "variable" | "number" | "char" | "string" | "mark" | "space" | "end";
  readonly text: string;
};

const TOKEN =
  /(?<space>\s+)|(?<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?<char>'(?:[^'\\\n]|\\.)[^'\n]*')|(?<number>[+-]?(?:\.\d|\d)(?:[\w.]|(?<=[eEpP])[+-])*)|(?<field>\.[\p{L}_][\p{L}\p{Nd}_]*)|(?<variable>\$[\p{L}\p{Nd}_]*)|(?<name>[\p{L}_][\p{L}\p{Nd}_]*)|(?<mark>:=|[=|(),.])/uy;
const KINDS = ["space", "string", "char", "number", "field", "variable", "name", "mark"] as const;
/** Characters between `{{` and `}}`: a token is read in one go. */
const MAX_ACTION = 32 * 1024;
/** Digits of a constant: integers of any size take quadratic time to read. */
const MAX_NUMBER = 1_000;
export function fail(message: string): never {
  throw new TemplateError(`template: ${message}`);
}

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ a: "\u0007", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v", "\\": "\\", "'": "'", '"': '"' },
};

/** What a quoted text says; surrogates and bytes beyond ASCII can't be told apart from text here, and are refused. */
export function unquoted(text: string): string {
  if (text.startsWith("`")) return text.slice(1, -1).replaceAll("\r", "");
  return text.slice(1, -1).replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([^]))/g,
    (_, hex, short, long, octal, one) => {
      const code = parseInt(hex ?? short ?? long ?? "", 16);
      if (octal !== undefined || hex !== undefined) {
        const byte = octal === undefined ? code : parseInt(octal, 8);
        return byte < 0x80 ? String.fromCharCode(byte) : fail("an escaped byte that is no character");
      }
      if (one !== undefined) return Object.hasOwn(ESCAPES, one) ? ESCAPES[one]! : fail("a bad escape");
      return code > 0x10ffff || code >= 0xd800 && code < 0xe000
        ? fail("a bad escape")
        : String.fromCodePoint(code);
    },
  );
}

export function numberOf(text: string): Constant {
  if (text.length > MAX_NUMBER) halt(`strings.render_template: a number of ${text.length} characters`);
  const plain = text.replace(/^[+-]/, "").replaceAll("_", "");
  const sign = text.startsWith("-") ? -1 : 1;
  if (/^(0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|\d+)$/.test(plain)) {
    const octal = /^0[0-7]+$/.test(plain) ? `0o${plain.slice(1)}` : plain;
    if (/^0\d/.test(octal)) return fail(`bad number syntax: ${text}`);
    const value = BigInt(octal) * BigInt(sign);
    if (value > 2n ** 63n - 1n || value < -(2n ** 63n)) return fail(`integer overflow: ${text}`);
    return { kind: "int", value };
  }
  if (/^(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(plain)) return { kind: "float", value: sign * Number(plain) };
  return fail(`bad number syntax: ${text}`);
}

export function tokensOf(action: string): readonly Token[] {
  if (action.length > MAX_ACTION) halt(`strings.render_template: an action of ${action.length} characters`);
  const tokens: Token[] = [];
  for (let at = 0; at < action.length;) {
    work(4);
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(action);
    if (!match) return fail(`unexpected ${JSON.stringify(action[at])} in an action`);
    const kind = KINDS.find((name) => match.groups![name] !== undefined)!;
    tokens.push({ kind, text: match[0] });
    at += match[0].length;
  }
  tokens.push({ kind: "end", text: "" });
  return tokens;
}

/** Where the white space at the end of a text begins. */
function trimmedEnd(text: string): number {
  let end = text.length;
  while (end > 0 && " \t\r\n".includes(text[end - 1]!)) end--;
  workOn(16 * (text.length - end));
  return end;
}

/** Where an action ends: at `}}` outside of quotes, or where a quote is not closed. */
function actionEnd(source: string, start: number): number {
  let at = start;
  while (at < source.length && !source.startsWith("}}", at)) {
    work();
    const quote = source[at]!;
    if (!"\"'`".includes(quote)) {
      at++;
      continue;
    }
    let end = at + 1;
    while (end < source.length && source[end] !== quote && (quote === "`" || source[end] !== "\n")) {
      work();
      end += source[end] === "\\" && quote !== "`" ? 2 : 1;
    }
    if (source[end] !== quote) return at;
    at = end + 1;
  }
  return Math.min(at, source.length);
}

/** Text as it stands in a template, or what stands between `{{` and `}}`. */
export type Piece = { readonly kind: "text" | "action"; readonly text: string };

/** Cuts a template into text and actions, white space trimmed where `{{-` and `-}}` say so. */
export function piecesOf(source: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let trim = false;
  for (let at = 0; at < source.length;) {
    const open = source.indexOf("{{", at);
    workOn((open < 0 ? source.length : open) - at);
    let text = source.slice(at, open < 0 ? source.length : open);
    if (trim) text = text.replace(/^[ \t\r\n]+/, "");
    if (open < 0) {
      pieces.push({ kind: "text", text });
      return pieces;
    }
    let start = open + 2;
    if (/^-[ \t\r\n]/.test(source.slice(start, start + 2))) {
      text = text.slice(0, trimmedEnd(text));
      start += 2;
    }
    pieces.push({ kind: "text", text });
    const comment = /^\s*\/\*/.exec(source.slice(start, start + 64)) && source.startsWith("/*", start);
    if (comment) {
      const close = source.indexOf("*/", start + 2);
      const end = close < 0 ? null : /^([ \t\r\n]-)?\}\}/.exec(source.slice(close + 2, close + 6));
      if (!end) return fail("a comment that is not closed, or does not end its action");
      trim = end[1] !== undefined;
      at = close + 2 + end[0].length;
      continue;
    }
    const end = actionEnd(source, start);
    const inner = source.slice(start, end);
    if (!source.startsWith("}}", end)) return fail("an action that is not closed");
    trim = /[ \t\r\n]-$/.test(inner);
    pieces.push({ kind: "action", text: trim ? inner.slice(0, -2) : inner });
    at = end + 2;
  }
  return pieces;
}
