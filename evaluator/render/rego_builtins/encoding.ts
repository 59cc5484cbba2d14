/** Builtins on encodings: `base64url.encode_no_pad`, `hex.*`, `urlquery.*`, `uri.*`, `json.marshal_with_options`, `uuid.*`. */
import { type RegoBuiltins, RegoObject, RegoSet, type RegoValue } from "../../types/rego.ts";
import { escapeQuery, parseUrl, unescapeUrl, UrlError } from "../go_url.ts";
import { fail, objectAt, stringAt } from "../rego_operands.ts";
import { jsonText, jsonTree } from "../rego_text.ts";
import { compareStrings, isList, number, objectOf, recordOf } from "../rego_value.ts";
import { checkCount } from "../rego_size.ts";
import { BoundedText, work, workOn } from "../work.ts";
import { MAX_TEXT } from "../../types/rego_limits.ts";
import { parseUuid } from "../uuid.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Bytes are written in pieces of this length, a multiple of three for base64. */
const PIECE = 6144;
const HEX = encoder.encode("0123456789abcdef");

/** Bytes as hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  const text = new BoundedText(MAX_TEXT, "the digits");
  for (let start = 0; start < bytes.length; start += PIECE) {
    const piece = bytes.subarray(start, start + PIECE);
    const digits = new Uint8Array(2 * piece.length);
    for (const [at, byte] of piece.entries()) {
      digits[2 * at] = HEX[byte >> 4]!;
      digits[2 * at + 1] = HEX[byte & 15]!;
    }
    work(PIECE >> 2);
    text.add(decoder.decode(digits));
  }
  return text.toString();
}

/** Bytes as base64 for URLs, without padding. */
export function base64Url(bytes: Uint8Array): string {
  const text = new BoundedText(MAX_TEXT, "the base64 text");
  for (let start = 0; start < bytes.length; start += PIECE) {
    const piece = btoa(String.fromCharCode(...bytes.subarray(start, start + PIECE)));
    work(PIECE >> 3);
    text.add(piece.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", ""));
  }
  return text.toString();
}

function digit(unit: number): number {
  if (unit >= 0x30 && unit <= 0x39) return unit - 0x30;
  const letter = unit | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : fail("not hexadecimal digits in pairs");
}

function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0) fail("not hexadecimal digits in pairs");
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) {
    if ((at & 0xfff) === 0) work(0xfff >> 2);
    bytes[at] = digit(text.charCodeAt(2 * at)) << 4 | digit(text.charCodeAt(2 * at + 1));
  }
  return bytes;
}

/** The parts of a query, one by one: a list of all could be as long as the query. */
function* partsOf(query: string): Generator<string> {
  for (let at = 0; at <= query.length;) {
    const next = query.indexOf("&", at);
    const end = next < 0 ? query.length : next;
    workOn(end - at);
    if (end > at) yield query.slice(at, end);
    at = end + 1;
  }
}

function unescaped(text: string): string {
  try {
    return unescapeUrl(text, "query");
  } catch (error) {
    return error instanceof UrlError ? fail(error.message) : raise(error);
  }
}

function raise(error: unknown): never {
  throw error;
}

function parseQuery(query: string): RegoValue {
  const values = new Map<string, string[]>();
  let count = 0;
  for (const part of partsOf(query)) {
    work(16);
    checkCount("urlquery.decode_object", ++count);
    if (part.includes(";")) fail("invalid semicolon separator in query");
    const at = part.indexOf("=");
    const key = unescaped(at < 0 ? part : part.slice(0, at));
    const value = unescaped(at < 0 ? "" : part.slice(at + 1));
    const known = values.get(key);
    if (known) known.push(value);
    else values.set(key, [value]);
  }
  return objectOf(values);
}

function encodeObject(object: RegoObject): string {
  const wrong = "values must be string, array[string], or set[string]";
  const pairs = object.entries.flatMap(([key, value]) => {
    work(4);
    const name = typeof key === "string" ? key : jsonText(jsonTree(key));
    const list = typeof value === "string" ? [value] : value instanceof RegoSet ? value.members : value;
    if (!isList(list as RegoValue)) fail(wrong);
    return (list as readonly RegoValue[]).map((text) =>
      [name, typeof text === "string" ? text : fail(wrong)] as const
    );
  });
  pairs.sort((a, b) => compareStrings(a[0], b[0]));
  const text = new BoundedText(MAX_TEXT, "the query");
  for (const [at, [key, value]] of pairs.entries()) {
    text.add(`${at > 0 ? "&" : ""}${escapeQuery(key)}=`);
    text.add(escapeQuery(value));
  }
  return text.toString();
}

function marshalWithOptions(value: RegoValue, options: RegoObject): string {
  let indent = "\t";
  let prefix = "";
  let implied = false;
  let pretty: boolean | undefined;
  for (const [key, option] of options.entries) {
    if (key === "pretty") {
      pretty = typeof option === "boolean" ? option : fail("key pretty failed cast to bool");
    } else if (key === "prefix" || key === "indent") {
      const text = typeof option === "string" ? option : fail(`key ${key} failed cast to string`);
      if (key === "prefix") prefix = text;
      else indent = text;
      implied = true;
    } else fail(`object contained unknown key ${String(key)}`);
  }
  return pretty ?? implied
    ? prefix + jsonText(jsonTree(value), { prefix, indent })
    : jsonText(jsonTree(value));
}

export const ENCODING_BUILTINS: RegoBuiltins = {
  "base64url.encode_no_pad": (operands) => base64Url(encoder.encode(stringAt(operands, 0))),
  "hex.encode": (operands) => hex(encoder.encode(stringAt(operands, 0))),
  "hex.decode": (operands) => {
    return decoder.decode(fromHex(stringAt(operands, 0)));
  },
  "urlquery.encode": (operands) => escapeQuery(stringAt(operands, 0)),
  "urlquery.decode": (operands) => unescaped(stringAt(operands, 0)),
  "urlquery.encode_object": (operands) => encodeObject(objectAt(operands, 0)),
  "urlquery.decode_object": (operands) => parseQuery(stringAt(operands, 0)),
  "uri.is_valid": ([text = null]) => {
    if (typeof text !== "string" || text === "") return false;
    try {
      parseUrl(text);
      return true;
    } catch (error) {
      return error instanceof UrlError ? false : raise(error);
    }
  },
  "uri.parse": (operands) => {
    try {
      const { scheme, hostname, port, path, rawPath, rawQuery, fragment } = parseUrl(stringAt(operands, 0));
      return recordOf({
        ...(scheme && { scheme }),
        ...(hostname && { hostname }),
        ...(port && { port }),
        ...(path && { path, raw_path: rawPath || path }),
        ...(rawQuery && { raw_query: rawQuery }),
        ...(fragment && { fragment }),
      });
    } catch (error) {
      return error instanceof UrlError ? fail(error.message) : raise(error);
    }
  },
  "json.marshal_with_options": (operands) => marshalWithOptions(operands[0]!, objectAt(operands, 1)),
  "uuid.parse": (operands) => {
    const parsed = parseUuid(stringAt(operands, 0));
    if (!parsed) return undefined;
    const { version, variant, timeBased } = parsed;
    return recordOf({
      version: number(version),
      variant,
      ...(timeBased && {
        time: number(timeBased.nanoseconds),
        nodeid: timeBased.node,
        macvariables: timeBased.macVariables,
        clocksequence: number(timeBased.clockSequence),
      }),
      ...(timeBased?.dce && { id: number(timeBased.dce.id), domain: timeBased.dce.domain }),
    });
  },
  "uuid.rfc4122": ([key = null], context) => {
    return context.remember(`uuid ${jsonText(jsonTree(key))}`, () => {
      const bytes = context.random(16);
      bytes[6] = (bytes[6]! & 0x0f) | 0x40;
      bytes[8] = (bytes[8]! & 0x3f) | 0x80;
      return hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    });
  },
};
