/**
 * Finds its way through JSON bytes without building objects: checks that they are valid, and tells where members stand.
 * A review is passed to the guest as the bytes that arrived, so this is all the parsing that a request gets.
 *
 * Source: RFC 8259; limits as in `spec/policy-server.md §5.2` (a value nested deeper than 127 levels is refused).
 */
import { PortreeveError } from "../../program/types/error.ts";

/** Raised for bytes that are not valid JSON. `at` is the index of the byte at fault. */
export class JsonSyntaxError extends PortreeveError {
  /** Always this one. */
  override readonly code = "invalid_json";
  /** The name of the error. */
  override readonly name = "JsonSyntaxError";
  /** The index of the byte at fault. */
  readonly at: number;

  /** `at` is the index of the byte at fault. */
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** The deepest nesting of arrays and objects that the original's parser takes. */
export const MAX_DEPTH = 127;

const SPACE = 0x20, QUOTE = 0x22, BACKSLASH = 0x5c, COLON = 0x3a, COMMA = 0x2c;
const OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d, OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d;

/** 1: ends the fast run through a string (quote, backslash, control character). */
const STRING_STOP = new Uint8Array(256);
STRING_STOP.fill(1, 0, 0x20);
STRING_STOP[QUOTE] = 1;
STRING_STOP[BACKSLASH] = 1;

function describe(bytes: Uint8Array, at: number): string {
  if (at >= bytes.length) return "the end of the text";
  const byte = bytes[at]!;
  return byte > 0x20 && byte < 0x7f
    ? `\`${String.fromCharCode(byte)}\``
    : `byte 0x${byte.toString(16).padStart(2, "0")}`;
}

function unexpected(bytes: Uint8Array, at: number, expected: string): JsonSyntaxError {
  return new JsonSyntaxError(`expected ${expected}, found ${describe(bytes, at)}`, at);
}

/** The index of the next byte that is not white space. */
export function skipSpace(bytes: Uint8Array, at: number): number {
  for (;;) {
    const byte = bytes[at]!;
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at;
    at++;
  }
}

function hex4(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let index = at; index < at + 4; index++) {
    const byte = bytes[index]!;
    let digit: number;
    if (byte >= 0x30 && byte <= 0x39) digit = byte - 0x30;
    else if (byte >= 0x41 && byte <= 0x46) digit = byte - 0x37;
    else if (byte >= 0x61 && byte <= 0x66) digit = byte - 0x57;
    else throw unexpected(bytes, index, "four hexadecimal digits after `\\u`");
    value = value * 16 + digit;
  }
  return value;
}

/** Passes over an escape sequence; `at` is the backslash. */
function skipEscape(bytes: Uint8Array, at: number): number {
  switch (bytes[at + 1]) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return at + 2;
    case 0x75: { // u
      const unit = hex4(bytes, at + 2);
      if (unit >= 0xdc00 && unit <= 0xdfff) throw new JsonSyntaxError("a lone surrogate in a string", at);
      if (unit < 0xd800 || unit > 0xdbff) return at + 6;
      if (bytes[at + 6] !== BACKSLASH || bytes[at + 7] !== 0x75) {
        throw new JsonSyntaxError("a lone surrogate in a string", at);
      }
      const low = hex4(bytes, at + 8);
      if (low < 0xdc00 || low > 0xdfff) throw new JsonSyntaxError("a lone surrogate in a string", at);
      return at + 12;
    }
    default:
      throw unexpected(bytes, at + 1, "an escape character");
  }
}

/** Passes over a string; `at` is its opening quote. Returns the index behind its closing quote. */
export function skipString(bytes: Uint8Array, at: number): number {
  at++;
  while (STRING_STOP[bytes[at]!] === 0) at++;
  return bytes[at] === QUOTE ? at + 1 : skipStringRest(bytes, at);
}

/** Passes over the rest of a string from a place where the fast run through it ended. */
function skipStringRest(bytes: Uint8Array, at: number): number {
  for (;;) {
    while (STRING_STOP[bytes[at]!] === 0) at++;
    const byte = bytes[at];
    if (byte === QUOTE) return at + 1;
    if (byte === BACKSLASH) at = skipEscape(bytes, at);
    else if (at >= bytes.length) throw unexpected(bytes, at, "the end of a string");
    else throw new JsonSyntaxError("a control character in a string", at);
  }
}

function skipDigits(bytes: Uint8Array, at: number): number {
  const start = at;
  while (bytes[at]! >= 0x30 && bytes[at]! <= 0x39) at++;
  if (at === start) throw unexpected(bytes, at, "a digit");
  return at;
}

function skipNumber(bytes: Uint8Array, at: number): number {
  const start = at;
  if (bytes[at] === 0x2d) at++;
  if (bytes[at] === 0x30) at++;
  else at = skipDigits(bytes, at);
  if (bytes[at] === 0x2e) at = skipDigits(bytes, at + 1);
  let exponent = false;
  if (bytes[at] === 0x65 || bytes[at] === 0x45) {
    exponent = true;
    at++;
    if (bytes[at] === 0x2b || bytes[at] === 0x2d) at++;
    at = skipDigits(bytes, at);
  }
  if ((exponent || at - start > 300) && !Number.isFinite(Number(decodeText(bytes, start, at)))) {
    throw new JsonSyntaxError("a number out of range", start);
  }
  return at;
}

function skipWord(bytes: Uint8Array, at: number, word: string): number {
  for (let index = 0; index < word.length; index++) {
    if (bytes[at + index] !== word.charCodeAt(index)) throw unexpected(bytes, at + index, `\`${word}\``);
  }
  return at + word.length;
}

function skipScalar(bytes: Uint8Array, at: number): number {
  switch (bytes[at]) {
    case QUOTE:
      return skipString(bytes, at);
    case 0x74:
      return skipWord(bytes, at, "true");
    case 0x66:
      return skipWord(bytes, at, "false");
    case 0x6e:
      return skipWord(bytes, at, "null");
    default: {
      const byte = bytes[at]!;
      if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) return skipNumber(bytes, at);
      throw unexpected(bytes, at, "a value");
    }
  }
}

/** Passes over a key and its colon; `at` is where the key must begin. Returns where its value begins. */
function skipKey(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== QUOTE) throw unexpected(bytes, at, "a key in double quotes");
  at++;
  while (STRING_STOP[bytes[at]!] === 0) at++;
  at = bytes[at] === QUOTE ? at + 1 : skipStringRest(bytes, at);
  if (bytes[at] !== COLON) {
    at = skipSpace(bytes, at);
    if (bytes[at] !== COLON) throw unexpected(bytes, at, "`:`");
  }
  at++;
  return bytes[at]! > SPACE ? at : skipSpace(bytes, at);
}

/** What each open level is: 1 for an object. The scan never calls out, so that one list serves all. */
const LEVELS = new Uint8Array(4096);

/**
 * Passes over one value; `at` is its first byte. Returns the index behind it. `depth` is how many levels may open; 4095 at
 * most, whatever is asked: nobody nests deeper by honest means. No call stack is kept.
 *
 * Written for speed: every byte of every request passes through here.
 */
export function skipValue(bytes: Uint8Array, at: number, depth: number): number {
  const deepest = Math.min(depth, LEVELS.length - 1);
  let level = 0;
  for (;;) {
    // A value begins at `at`.
    const byte = bytes[at];
    if (byte === QUOTE) {
      at++;
      while (STRING_STOP[bytes[at]!] === 0) at++;
      at = bytes[at] === QUOTE ? at + 1 : skipStringRest(bytes, at);
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (level >= deepest) throw new JsonSyntaxError(`nested deeper than ${MAX_DEPTH} levels`, at);
      const object = byte === OPEN_BRACE;
      at = skipSpace(bytes, at + 1);
      if (bytes[at] === (object ? CLOSE_BRACE : CLOSE_BRACKET)) at++;
      else {
        LEVELS[++level] = object ? 1 : 0;
        if (object) at = skipKey(bytes, at);
        continue;
      }
    } else at = skipScalar(bytes, at);
    // A value has ended: close what ends here, or go on to the next member.
    for (;;) {
      if (level === 0) return at;
      let next = bytes[at]!;
      if (!(next > SPACE)) next = bytes[at = skipSpace(bytes, at)]!;
      const object = LEVELS[level] === 1;
      if (next === COMMA) {
        at++;
        if (!(bytes[at]! > SPACE)) at = skipSpace(bytes, at);
        if (object) at = skipKey(bytes, at);
        break;
      }
      if (next !== (object ? CLOSE_BRACE : CLOSE_BRACKET)) {
        throw unexpected(bytes, at, object ? "`,` or `}`" : "`,` or `]`");
      }
      at++;
      level--;
    }
  }
}

/** Sees one member of an object: the range of its key with quotes, and the first byte of its value. Returns the index behind the value. */
export type MemberVisitor = (keyStart: number, keyEnd: number, valueStart: number) => number;

/** Walks the members of the object that begins at `at`. Returns the index behind it. */
export function scanObject(bytes: Uint8Array, at: number, visit: MemberVisitor): number {
  at = skipSpace(bytes, at + 1);
  if (bytes[at] === CLOSE_BRACE) return at + 1;
  for (;;) {
    const keyStart = at;
    if (bytes[at] !== QUOTE) throw unexpected(bytes, at, "a key in double quotes");
    const keyEnd = skipString(bytes, at);
    at = skipSpace(bytes, keyEnd);
    if (bytes[at] !== COLON) throw unexpected(bytes, at, "`:`");
    at = skipSpace(bytes, visit(keyStart, keyEnd, skipSpace(bytes, at + 1)));
    if (bytes[at] === CLOSE_BRACE) return at + 1;
    if (bytes[at] !== COMMA) throw unexpected(bytes, at, "`,` or `}`");
    at = skipSpace(bytes, at + 1);
  }
}

/** Walks the elements of the array that begins at `at`. `visit` gets an element's first byte and returns the index behind it. */
export function scanArray(bytes: Uint8Array, at: number, visit: (start: number) => number): number {
  at = skipSpace(bytes, at + 1);
  if (bytes[at] === CLOSE_BRACKET) return at + 1;
  for (;;) {
    at = skipSpace(bytes, visit(at));
    if (bytes[at] === CLOSE_BRACKET) return at + 1;
    if (bytes[at] !== COMMA) throw unexpected(bytes, at, "`,` or `]`");
    at = skipSpace(bytes, at + 1);
  }
}

/** Throws unless nothing but white space follows `at`. */
export function expectEnd(bytes: Uint8Array, at: number): void {
  at = skipSpace(bytes, at);
  if (at < bytes.length) throw unexpected(bytes, at, "the end of the text");
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes as text. Throws {@link JsonSyntaxError} where they are not UTF-8. */
export function decodeText(bytes: Uint8Array, start: number, end: number): string {
  try {
    return decoder.decode(bytes.subarray(start, end));
  } catch {
    throw new JsonSyntaxError("text that is not UTF-8", start);
  }
}

/** The value of the string whose quotes are at `start` and `end - 1`. */
export function stringValue(bytes: Uint8Array, start: number, end: number): string {
  // Unit by unit is quicker for names, and takes 32 bytes for each of a long text.
  if (end - start > 128) return JSON.parse(decodeText(bytes, start, end));
  let text = "";
  for (let at = start + 1; at < end - 1; at++) {
    const byte = bytes[at]!;
    if (byte === BACKSLASH || byte > 0x7f) return JSON.parse(decodeText(bytes, start, end));
    text += String.fromCharCode(byte);
  }
  return text;
}

/** `line L column C` of the byte at `at`, counted from 1. */
export function position(bytes: Uint8Array, at: number): string {
  let line = 1;
  let lineStart = 0;
  for (let index = 0; index < Math.min(at, bytes.length); index++) {
    if (bytes[index] === 0x0a) {
      line++;
      lineStart = index + 1;
    }
  }
  return `line ${line} column ${Math.min(at, bytes.length) - lineStart + 1}`;
}
