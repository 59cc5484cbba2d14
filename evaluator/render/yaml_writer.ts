/** Values as YAML, byte for byte as OPA's library writes them (block style, two spaces). */
import { RegoNumber } from "../types/rego.ts";
import { floatText } from "./go_float.ts";
import { MAX_TEXT } from "../types/rego_limits.ts";
import type { JsonTree } from "./rego_text.ts";
import { BoundedText, chunks, work, workOn } from "./work.ts";
import { resolveScalar } from "./yaml_scalar.ts";

const OLD_BOOLEAN = /^(y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF)$/;
const BASE_60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;

const isBreak = (code: number): boolean =>
  code === 0x0a || code === 0x0d || code === 0x85 || code === 0x2028 || code === 0x2029;
/** Also for what is before the first character and behind the last one, which is not a number. */
const isBlank = (code: number): boolean =>
  code === 0x20 || code === 0x09 || isBreak(code) || Number.isNaN(code);
const INDICATORS = new Set(Array.from(`#,[]{}&*!|>'"%@\``, (unit) => unit.charCodeAt(0)));

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
  let indicators = /^(---|\.\.\.)/.test(text);
  let [special, tabs, breaks, spaceBreak, breakSpace] = [false, false, false, false, false];
  let [previousSpace, previousBreak] = [false, false];
  let previous = NaN;
  for (let at = 0; at < text.length;) {
    work();
    const code = text.codePointAt(at)!;
    const first = at === 0;
    at += code > 0xffff ? 2 : 1;
    const beforeBlank = isBlank(text.charCodeAt(at));
    if (first) {
      if (INDICATORS.has(code)) indicators = true;
      else if ((code === 0x3f || code === 0x3a || code === 0x2d) && beforeBlank) indicators = true;
    } else if (code === 0x3a && beforeBlank) indicators = true;
    else if (code === 0x23 && isBlank(previous)) indicators = true;
    previous = code;
    if (code === 0x09) tabs = true;
    else if (!isPrintable(code)) special = true;
    if (code === 0x20) {
      if (previousBreak) breakSpace = true;
      [previousSpace, previousBreak] = [true, false];
    } else if (isBreak(code)) {
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

function escaped(text: string): string {
  let result = "";
  for (const rune of text) {
    const code = rune.codePointAt(0)!;
    const plain = isPrintable(code) && !isBreak(code) && rune !== '"' && rune !== "\\";
    if (plain) result += rune;
    else if (Object.hasOwn(ESCAPES, rune)) result += ESCAPES[rune];
    else {
      const hex = code.toString(16).toUpperCase();
      result += code <= 0xff
        ? `\\x${hex.padStart(2, "0")}`
        : code <= 0xffff
        ? `\\u${hex.padStart(4, "0")}`
        : `\\U${hex.padStart(8, "0")}`;
    }
  }
  return result;
}

function doubleQuoted(out: BoundedText, text: string): void {
  out.add('"');
  for (const piece of chunks(text, 1024)) {
    work(piece.length);
    out.add(escaped(piece));
  }
  out.add('"');
}

function literal(out: BoundedText, text: string, indent: number): void {
  out.add("|");
  if (/^[ \n\r\u0085\u2028\u2029]/.test(text)) out.add("2");
  out.add(!text.endsWith("\n") ? "-" : text === "\n" || text.endsWith("\n\n") ? "+" : "");
  const margin = " ".repeat(indent);
  const length = text.endsWith("\n") ? text.length - 1 : text.length;
  for (let at = 0; at <= length;) {
    const next = text.indexOf("\n", at);
    const end = next < 0 ? length : Math.min(next, length);
    out.add(end === at ? "\n" : `\n${margin}${text.slice(at, end)}`);
    at = end + 1;
  }
}

function writeString(out: BoundedText, text: string, indent: number): void {
  const allowed = analyse(text);
  if (text.includes("\n")) return allowed.block ? literal(out, text, indent) : doubleQuoted(out, text);
  const { kind } = resolveScalar(text);
  if ((kind !== "string" && kind !== "merge") || OLD_BOOLEAN.test(text) || BASE_60.test(text)) {
    return doubleQuoted(out, text);
  }
  if (allowed.plain) return out.add(text);
  if (!allowed.single) return doubleQuoted(out, text);
  out.add("'");
  for (const piece of chunks(text)) out.add(piece.replaceAll("'", "''"));
  out.add("'");
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

/** A run of digits, as a number that compares by its length and then its digits; `led` when other digits but zeros lead it. */
function magnitude(digits: string, led: boolean): string {
  return led ? `1${digits}` : digits.replace(/^0+/, "");
}

/** Where the ASCII digits that begin at `at` end. */
function digitsEnd(text: string, at: number): number {
  let end = at;
  while (end < text.length && text.charCodeAt(end) >= 0x30 && text.charCodeAt(end) <= 0x39) end++;
  workOn(4 * (end - at));
  return end;
}

/** The character that ends before `at`; empty at the beginning. */
function runeBefore(text: string, at: number): string {
  const pair = at > 1 && /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(at - 2, at));
  return text.slice(Math.max(at - (pair ? 2 : 1), 0), at);
}

/** Whether digits other than zero stand before `at`, with nothing but digits in between. */
function isLed(text: string, at: number): boolean {
  for (let back = at; back > 0;) {
    work();
    const rune = runeBefore(text, back);
    if (!isDigit(rune)) return false;
    if (rune !== "0") return true;
    back -= rune.length;
  }
  return false;
}

/** Keys in natural order: `a2` before `a10`. */
function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a.charCodeAt(at) === b.charCodeAt(at)) {
    if ((++at & 0xfff) === 0) work(0xfff >> 3);
  }
  work();
  if (at === length) return a.length - b.length;
  // The second half of a character never begins one.
  if (at > 0 && (a.codePointAt(at - 1)! > 0xffff || b.codePointAt(at - 1)! > 0xffff)) at--;
  const [one, other] = [String.fromCodePoint(a.codePointAt(at)!), String.fromCodePoint(b.codePointAt(at)!)];
  const [letter, otherLetter] = [isLetter(one), isLetter(other)];
  const byCode = one.codePointAt(0)! - other.codePointAt(0)!;
  if (letter && otherLetter) return byCode;
  if (letter || otherLetter) return (isDigit(runeBefore(a, at)) ? letter : otherLetter) ? -1 : 1;
  const led = (one === "0" || other === "0") && isLed(a, at);
  const [end, otherEnd] = [digitsEnd(a, at), digitsEnd(b, at)];
  const [value, otherValue] = [magnitude(a.slice(at, end), led), magnitude(b.slice(at, otherEnd), led)];
  if (value.length !== otherValue.length) return value.length - otherValue.length;
  if (value !== otherValue) return value < otherValue ? -1 : 1;
  return end !== otherEnd ? end - otherEnd : byCode;
}

/** A key of more bytes, or of several lines, stands behind a question mark. */
const MAX_SIMPLE_KEY = 128;
const encoder = new TextEncoder();

type Place = "root" | "key" | "dash";

/** A value behind a key or a dash: text for the same line, or lines below it. */
function write(out: BoundedText, tree: JsonTree, indent: number, place: Place): void {
  work(2);
  const separator = `\n${" ".repeat(indent)}`;
  const begin = place === "root" ? "" : place === "key" ? separator : " ";
  if (tree instanceof Map) {
    if (tree.size === 0) return out.add(place === "root" ? "{}" : " {}");
    let first = true;
    for (const [key, value] of [...tree].sort(([a], [b]) => compareKeys(a, b))) {
      out.add(first ? begin : separator);
      first = false;
      if (
        !analyse(key).breaks && key.length <= MAX_SIMPLE_KEY && encoder.encode(key).length <= MAX_SIMPLE_KEY
      ) {
        writeString(out, key, indent + 2);
        out.add(":");
        write(out, value, indent + 2, "key");
      } else {
        out.add("? ");
        writeString(out, key, indent + 2);
        out.add(`${separator}:`);
        write(out, value, indent + 2, "dash");
      }
    }
    return;
  }
  if (Array.isArray(tree)) {
    if (tree.length === 0) return out.add(place === "root" ? "[]" : " []");
    for (const [at, value] of (tree as readonly JsonTree[]).entries()) {
      out.add(`${at === 0 ? begin : separator}-`);
      write(out, value, indent + 2, "dash");
    }
    return;
  }
  if (place !== "root") out.add(" ");
  if (typeof tree === "string") return writeString(out, tree, place === "root" ? 2 : indent);
  out.add(tree instanceof RegoNumber ? numberText(tree.text) : String(tree));
}

/** Runs of next-line characters, with the spaces around them, as the line breaks that they are. */
function folded(text: string): string {
  if (!text.includes("\u0085")) return text;
  const result = new BoundedText(MAX_TEXT, "the YAML text");
  const isSpace = (at: number) => text[at] === " " || text[at] === "\t";
  let start = 0;
  for (let at = text.indexOf("\u0085"); at >= 0; at = text.indexOf("\u0085", start)) {
    let from = at;
    while (from > start && isSpace(from - 1)) from--;
    let [end, breaks] = [at, 0];
    for (; isSpace(end) || text[end] === "\u0085"; end++) if (text[end] === "\u0085") breaks++;
    work(end - from);
    result.add(text.slice(start, from));
    result.add(breaks === 1 ? " " : "\n".repeat(breaks - 1));
    start = end;
  }
  result.add(text.slice(start));
  return result.toString();
}

/**
 * OPA reads the value's JSON as YAML before it writes it: control characters that JSON leaves as they are end that, and a
 * next-line character is folded like the line break that it is.
 */
function reread(tree: JsonTree): JsonTree {
  work();
  if (typeof tree === "string") {
    workOn(2 * tree.length);
    if (/[\u007f-\u0084\u0086-\u009f\ufffe\uffff]/.test(tree)) {
      throw new YamlTextError("yaml: control characters are not allowed");
    }
    return folded(tree);
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

/** A document of YAML. Throws {@link YamlTextError}, and BuiltinHalt when it becomes too long. */
export function writeYaml(value: JsonTree): string {
  const out = new BoundedText(MAX_TEXT, "the YAML text");
  write(out, reread(value), 0, "root");
  out.add("\n");
  return out.toString();
}
