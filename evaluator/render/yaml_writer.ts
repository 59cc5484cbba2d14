/** Values as YAML, byte for byte as OPA's library writes them (block style, two spaces). */
import { own } from "../../program/types/own.ts";
import { RegoNumber } from "../types/rego.ts";
import { floatText } from "./go_float.ts";
import type { JsonTree } from "./rego_text.ts";
import { resolveScalar } from "./yaml_scalar.ts";

const OLD_BOOLEAN = /^(y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF)$/;
const BASE_60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;
const BLANK_OR_END = /^[ \t\r\n\u0085\u2028\u2029]?$/;

function isPrintable(code: number): boolean {
  return code === 0x0a || (code >= 0x20 && code <= 0x7e) || code === 0x85 ||
    (code >= 0xa0 && code <= 0xd7ff) ||
    (code >= 0xe000 && code <= 0xfffd && code !== 0xfeff);
}

interface Analysis {
  readonly breaks: boolean;
  readonly plain: boolean;
  readonly single: boolean;
  readonly block: boolean;
}

function analyse(text: string): Analysis {
  const runes = [...text];
  let indicators = /^(---|\.\.\.)/.test(text);
  let [special, tabs, breaks, spaceBreak, breakSpace] = [false, false, false, false, false];
  let [previousSpace, previousBreak] = [false, false];
  for (const [at, rune] of runes.entries()) {
    const beforeBlank = BLANK_OR_END.test(runes[at + 1] ?? "");
    const afterBlank = at === 0 || BLANK_OR_END.test(runes[at - 1]!);
    if (at === 0) {
      if (/[#,[\]{}&*!|>'"%@`]/.test(rune)) indicators = true;
      else if (/[?:-]/.test(rune) && beforeBlank) indicators = true;
    } else if (rune === ":" && beforeBlank) indicators = true;
    else if (rune === "#" && afterBlank) indicators = true;
    if (rune === "\t") tabs = true;
    else if (!isPrintable(rune.codePointAt(0)!)) special = true;
    const isBreak = /[\r\n\u0085\u2028\u2029]/.test(rune);
    if (rune === " ") {
      if (previousBreak) breakSpace = true;
      [previousSpace, previousBreak] = [true, false];
    } else if (isBreak) {
      breaks = true;
      if (previousSpace) spaceBreak = true;
      [previousSpace, previousBreak] = [false, true];
    } else [previousSpace, previousBreak] = [false, false];
  }
  const edge = /^[ \r\n\u0085\u2028\u2029]|[ \r\n\u0085\u2028\u2029]$/.test(text);
  return {
    breaks,
    plain: !(edge || breakSpace || spaceBreak || tabs || special || breaks || indicators),
    single: !(breakSpace || spaceBreak || tabs || special),
    block: !(text.endsWith(" ") || spaceBreak || special),
  };
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\0": "\\0",
  "\x07": "\\a",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\v": "\\v",
  "\f": "\\f",
  "\r": "\\r",
  "\x1b": "\\e",
  '"': '\\"',
  "\\": "\\\\",
  "\u0085": "\\N",
  "\u00a0": "\\_",
  "\u2028": "\\L",
  "\u2029": "\\P",
};

function doubleQuoted(text: string): string {
  let result = '"';
  for (const rune of text) {
    const code = rune.codePointAt(0)!;
    const plain = isPrintable(code) && !/["\\\n\r\u0085\u2028\u2029]/.test(rune);
    if (plain) result += rune;
    else if (own(ESCAPES, rune) !== undefined) result += own(ESCAPES, rune);
    else {
      const hex = code.toString(16).toUpperCase();
      result += code <= 0xff
        ? `\\x${hex.padStart(2, "0")}`
        : code <= 0xffff
        ? `\\u${hex.padStart(4, "0")}`
        : `\\U${hex.padStart(8, "0")}`;
    }
  }
  return `${result}"`;
}

function literal(text: string, indent: number): string {
  const hint = /^[ \n\r\u0085\u2028\u2029]/.test(text) ? "2" : "";
  const chomp = !text.endsWith("\n") ? "-" : text === "\n" || text.endsWith("\n\n") ? "+" : "";
  const lines = text.split("\n");
  if (text.endsWith("\n")) lines.pop();
  const body = lines.map((line) => line === "" ? "\n" : `\n${" ".repeat(indent)}${line}`).join("");
  return `|${hint}${chomp}${body}`;
}

function stringText(text: string, indent: number): string {
  const allowed = analyse(text);
  if (text.includes("\n")) return allowed.block ? literal(text, indent) : doubleQuoted(text);
  const { kind } = resolveScalar(text);
  if ((kind !== "string" && kind !== "merge") || OLD_BOOLEAN.test(text) || BASE_60.test(text)) {
    return doubleQuoted(text);
  }
  if (allowed.plain) return text;
  return allowed.single ? `'${text.replaceAll("'", "''")}'` : doubleQuoted(text);
}

/** Numbers pass through the library's own reader: integers of up to 64 bits stay, all others become doubles. */
function numberText(text: string): string {
  const resolved = resolveScalar(text);
  if (resolved.kind === "number" && /^-?\d+$/.test(resolved.value.text) && !/[.eE]/.test(text)) {
    return /^-?\d{1,20}$/.test(text) ? resolved.value.text : floatText(Number(text), "g", -1);
  }
  return floatText(Number(text), "g", -1);
}

const isDigit = (rune: string) => /^\p{Nd}$/u.test(rune);
const isLetter = (rune: string) => /^\p{L}$/u.test(rune);

/** Keys in natural order: `a2` before `a10`. */
function compareKeys(left: string, right: string): number {
  const a = [...left];
  const b = [...right];
  let digits = false;
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const [one, other] = [a[at]!, b[at]!];
    if (one === other) {
      digits = isDigit(one);
      continue;
    }
    const [letter, otherLetter] = [isLetter(one), isLetter(other)];
    const byCode = one.codePointAt(0)! - other.codePointAt(0)!;
    if (letter && otherLetter) return byCode;
    if (letter || otherLetter) return (digits ? letter : otherLetter) ? -1 : 1;
    let [value, otherValue] = [0n, 0n];
    if (one === "0" || other === "0") {
      for (let back = at - 1; back >= 0 && isDigit(a[back]!); back--) {
        if (a[back] !== "0") {
          [value, otherValue] = [1n, 1n];
          break;
        }
      }
    }
    let [end, otherEnd] = [at, at];
    for (; end < a.length && /[0-9]/.test(a[end]!); end++) value = value * 10n + BigInt(a[end]!);
    for (; otherEnd < b.length && /[0-9]/.test(b[otherEnd]!); otherEnd++) {
      otherValue = otherValue * 10n + BigInt(b[otherEnd]!);
    }
    if (value !== otherValue) return value < otherValue ? -1 : 1;
    return end !== otherEnd ? end - otherEnd : byCode;
  }
  return a.length - b.length;
}

/** A key of more bytes, or of several lines, stands behind a question mark. */
const MAX_SIMPLE_KEY = 128;
const encoder = new TextEncoder();

/** A value behind a key or a dash: text for the same line, or lines below it. */
function node(tree: JsonTree, indent: number, place: "root" | "key" | "dash"): string {
  if (tree instanceof Map) {
    if (tree.size === 0) return place === "root" ? "{}" : " {}";
    const lines = [...tree].sort(([a], [b]) => compareKeys(a, b)).map(([key, value]) => {
      const text = stringText(key, indent + 2);
      if (!analyse(key).breaks && encoder.encode(key).length <= MAX_SIMPLE_KEY) {
        return `${text}:${node(value, indent + 2, "key")}`;
      }
      return `? ${text}\n${" ".repeat(indent)}:${node(value, indent + 2, "dash")}`;
    });
    return block(lines, indent, place);
  }
  if (Array.isArray(tree)) {
    if (tree.length === 0) return place === "root" ? "[]" : " []";
    return block(tree.map((value: JsonTree) => `-${node(value, indent + 2, "dash")}`), indent, place);
  }
  const space = place === "root" ? "" : " ";
  if (typeof tree === "string") return space + stringText(tree, place === "root" ? 2 : indent);
  return space + (tree instanceof RegoNumber ? numberText(tree.text) : String(tree));
}

function block(lines: readonly string[], indent: number, place: "root" | "key" | "dash"): string {
  const separator = `\n${" ".repeat(indent)}`;
  if (place === "root") return lines.join("\n");
  return (place === "key" ? separator : " ") + lines.join(separator);
}

/**
 * OPA reads the value's JSON as YAML before it writes it: control characters that JSON leaves as they are end that, and a
 * next-line character is folded like the line break that it is.
 */
function reread(tree: JsonTree): JsonTree {
  if (typeof tree === "string") {
    for (const rune of tree) {
      const code = rune.codePointAt(0)!;
      if ((code >= 0x7f && code <= 0x9f && code !== 0x85) || code === 0xfffe || code === 0xffff) {
        throw new YamlTextError("yaml: control characters are not allowed");
      }
    }
    return tree.replace(/[ \t]*(\u0085[ \t]*)+/g, (run) => {
      const breaks = run.split("\u0085").length - 1;
      return breaks === 1 ? " " : "\n".repeat(breaks - 1);
    });
  }
  if (tree instanceof Map) {
    return new Map([...tree].map(([key, value]) => {
      if (key.includes("\u0085")) throw new YamlTextError("yaml: a key of several lines");
      return [reread(key) as string, reread(value)] as const;
    }));
  }
  return Array.isArray(tree) ? tree.map(reread) : tree;
}

/** Raised for a text that can't be written. */
export class YamlTextError extends Error {
  override readonly name = "YamlTextError";
}

/** A document of YAML. Throws {@link YamlTextError}. */
export function writeYaml(value: JsonTree): string {
  const tree = reread(value);
  return `${node(tree, 0, "root")}\n`;
}
