/**
 * Reads an AdmissionReview (or a raw review) from the bytes that arrived: what the server needs to know of it, and the
 * request as the guest is to see it. The request's members are passed on as they are; those that the original drops
 * (nulls, unknown names: `spec/evaluator.md §3.1`) are left out.
 */
import { PortreeveError } from "../../program/types/error.ts";
import { own } from "../../program/types/own.ts";
import {
  decodeText,
  expectEnd,
  MAX_DEPTH,
  position,
  scanArray,
  scanObject,
  skipSpace,
  skipString,
  skipValue,
  stringValue,
} from "./json_scan.ts";

/** Raised for valid JSON of the wrong shape. The message names the member and what was expected. */
export class ReviewShapeError extends PortreeveError {
  /** Always this one. */
  override readonly code = "invalid_review";
  /** The name of the error. */
  override readonly name = "ReviewShapeError";
}

/** What was read of a review. */
export interface Review {
  readonly uid: string;
  readonly namespace: string | undefined;
  readonly operation: string;
  /** `requestKind.kind`, `""` where absent. */
  readonly kind: string;
  /** Bytes that, put one behind the other, are the request as JSON. */
  readonly pieces: readonly Uint8Array[];
  /** The length of all pieces, in bytes. */
  readonly length: number;
  /** Where the object stands in the joined pieces; for a raw review all of it. */
  readonly object: readonly [start: number, end: number] | undefined;
}

type Shape =
  | { readonly kind: "string" | "bool" | "any" }
  | { readonly kind: "object"; readonly name: string; readonly strings: readonly Key[] }
  | { readonly kind: "user" };
/** A member's name, also as the bytes that it is compared by. */
interface Key {
  readonly name: string;
  readonly bytes: Uint8Array;
}
interface Field extends Key {
  readonly required: boolean;
  readonly shape: Shape;
}

const encoder = new TextEncoder();
const key = (name: string): Key => ({ name, bytes: encoder.encode(name) });
const field = (name: string, shape: Shape, required = false): Field => ({ ...key(name), required, shape });
const TEXT_SHAPE: Shape = { kind: "string" }, ANY: Shape = { kind: "any" };
const GVK: Shape = {
  kind: "object",
  name: "a group, version and kind",
  strings: ["group", "version", "kind"].map(key),
};
const GVR: Shape = {
  kind: "object",
  name: "a group, version and resource",
  strings: ["group", "version", "resource"].map(key),
};
const USER_KEYS: readonly Key[] = ["username", "uid", "groups", "extra"].map(key);

/** The members of a request that the original knows, required ones in the order in which it misses them. */
const REQUEST_FIELDS: readonly Field[] = [
  field("uid", TEXT_SHAPE, true),
  field("kind", GVK, true),
  field("resource", GVR, true),
  field("operation", TEXT_SHAPE, true),
  field("userInfo", { kind: "user" }, true),
  field("subResource", TEXT_SHAPE),
  field("requestKind", GVK),
  field("requestResource", GVR),
  field("requestSubResource", TEXT_SHAPE),
  field("name", TEXT_SHAPE),
  field("namespace", TEXT_SHAPE),
  field("object", ANY),
  field("oldObject", ANY),
  field("dryRun", { kind: "bool" }),
  field("options", ANY),
];
const REVIEW_FIELDS: readonly Field[] = [
  field("request", ANY, true),
  field("kind", TEXT_SHAPE),
  field("apiVersion", TEXT_SHAPE),
];

const OPEN_BRACE = 0x7b, OPEN_BRACKET = 0x5b, QUOTE = 0x22, NULL = 0x6e;
const COMMA = Uint8Array.of(0x2c), OPEN = Uint8Array.of(OPEN_BRACE), CLOSE = Uint8Array.of(0x7d);

/** The index in `keys` of the key whose quotes are at `start` and `end - 1`, -1 if it is none of them. */
function keyIndex(keys: readonly Key[], bytes: Uint8Array, start: number, end: number): number {
  const length = end - start - 2;
  candidates: for (let index = 0; index < keys.length; index++) {
    const name = keys[index]!.bytes;
    if (name.length !== length) continue;
    for (let at = 0; at < length; at++) if (bytes[start + 1 + at] !== name[at]) continue candidates;
    return index;
  }
  if (bytes.subarray(start, end).includes(0x5c)) {
    const name = stringValue(bytes, start, end);
    return keys.findIndex((candidate) => candidate.name === name);
  }
  return -1;
}

function found(bytes: Uint8Array, at: number): string {
  switch (bytes[at]) {
    case OPEN_BRACE:
      return "an object";
    case OPEN_BRACKET:
      return "an array";
    case QUOTE: {
      const text = decodeText(bytes, at, skipString(bytes, at));
      return `the string ${text.length > 40 ? `${text.slice(0, 40)}…"` : text}`;
    }
    case NULL:
      return "null";
    case 0x74:
    case 0x66:
      return "a boolean";
    default:
      return "a number";
  }
}

function shapeError(bytes: Uint8Array, path: string, expected: string, at: number): ReviewShapeError {
  // As in the original, the first fault from the left is the one that counts: a scalar must be valid JSON to be called wrong.
  if (bytes[at] !== OPEN_BRACE && bytes[at] !== OPEN_BRACKET) skipValue(bytes, at, 1);
  const where = path === "" ? "" : `${path}: `;
  return new ReviewShapeError(
    `${where}expected ${expected}, found ${found(bytes, at)} at ${position(bytes, at)}`,
  );
}

/** Passes over a string; `name` is its member's below `path`. */
function scanString(bytes: Uint8Array, at: number, path: string, name: string): number {
  if (bytes[at] !== QUOTE) throw shapeError(bytes, path === "" ? name : `${path}.${name}`, "a string", at);
  return skipString(bytes, at);
}

/** What a member's value was found to be. */
interface Scanned {
  readonly end: number;
  /** False when it holds members that the guest must not see. */
  readonly clean: boolean;
  /** The range of the last string of a {@link Shape} of strings: the kind or the resource. */
  readonly last?: readonly [start: number, end: number];
}

/** Passes over an object with required string members (a GroupVersionKind or the like). */
function scanStrings(
  bytes: Uint8Array,
  at: number,
  path: string,
  shape: Shape & { kind: "object" },
): Scanned {
  if (bytes[at] !== OPEN_BRACE) throw shapeError(bytes, path, `an object (${shape.name})`, at);
  const keys = shape.strings;
  let seen = 0;
  let clean = true;
  let last: readonly [number, number] = [at, at];
  const end = scanObject(bytes, at, (keyStart, keyEnd, valueStart) => {
    const index = keyIndex(keys, bytes, keyStart, keyEnd);
    if (index < 0) {
      clean = false;
      return skipValue(bytes, valueStart, Infinity);
    }
    const { name } = keys[index]!;
    if (seen & (1 << index)) throw duplicate(path, name, bytes, keyStart);
    seen |= 1 << index;
    const valueEnd = scanString(bytes, valueStart, path, name);
    if (index === keys.length - 1) last = [valueStart, valueEnd];
    return valueEnd;
  });
  if (seen !== (1 << keys.length) - 1) {
    const missing = keys.find((_, index) => !(seen & (1 << index)))!;
    throw missingField(path, missing.name, bytes, at);
  }
  return { end, clean, last };
}

function scanStringList(bytes: Uint8Array, at: number, path: string, name: string): number {
  if (bytes[at] !== OPEN_BRACKET) throw shapeError(bytes, `${path}.${name}`, "an array of strings", at);
  return scanArray(bytes, at, (element) => scanString(bytes, element, path, `${name}[]`));
}

/** Passes over the user of a request: every member is optional and may be null, and of repeated ones the last counts. */
function scanUser(bytes: Uint8Array, at: number, path: string): Scanned {
  if (bytes[at] !== OPEN_BRACE) throw shapeError(bytes, path, "an object (the user)", at);
  let clean = true;
  let seen = 0;
  const unclean = (valueStart: number): number => {
    clean = false;
    return skipValue(bytes, valueStart, Infinity);
  };
  const scanExtra = (start: number) => {
    const names = new Set<string>();
    return scanObject(bytes, start, (keyStart, keyEnd, value) => {
      const name = stringValue(bytes, keyStart, keyEnd);
      if (names.has(name)) clean = false;
      names.add(name);
      return bytes[value] === NULL ? unclean(value) : scanStringList(bytes, value, path, "extra.*");
    });
  };
  const end = scanObject(bytes, at, (keyStart, keyEnd, valueStart) => {
    const index = keyIndex(USER_KEYS, bytes, keyStart, keyEnd);
    const known = USER_KEYS[index];
    if (known && seen & (1 << index)) clean = false;
    seen |= 1 << index;
    if (!known || bytes[valueStart] === NULL) return unclean(valueStart);
    switch (known.name) {
      case "groups":
        return scanStringList(bytes, valueStart, path, "groups");
      case "extra":
        if (bytes[valueStart] !== OPEN_BRACE) {
          throw shapeError(bytes, `${path}.extra`, "an object of string arrays", valueStart);
        }
        return scanExtra(valueStart);
      default:
        return scanString(bytes, valueStart, path, known.name);
    }
  });
  return { end, clean };
}

function duplicate(path: string, name: string, bytes: Uint8Array, at: number): ReviewShapeError {
  const where = path === "" ? "" : `${path}: `;
  return new ReviewShapeError(`${where}duplicate field \`${name}\` at ${position(bytes, at)}`);
}

function missingField(path: string, name: string, bytes: Uint8Array, at: number): ReviewShapeError {
  const where = path === "" ? "" : `${path}: `;
  return new ReviewShapeError(`${where}missing field \`${name}\` in the object at ${position(bytes, at)}`);
}

/** A member that holds what the guest must not see, written again without it. Holds strings only, so nothing is lost. */
function rewritten(bytes: Uint8Array, start: number, end: number, shape: Shape): Uint8Array {
  const value = JSON.parse(decodeText(bytes, start, end)) as Record<string, unknown>;
  const keep = shape.kind === "object" ? shape.strings : USER_KEYS;
  const kept = keep.map(({ name }) => name).filter((name) =>
    Object.hasOwn(value, name) && value[name] !== null
  );
  const extra = value["extra"];
  if (shape.kind === "user" && typeof extra === "object" && extra !== null) {
    value["extra"] = Object.fromEntries(Object.entries(extra).filter(([, groups]) => groups !== null));
  }
  return encoder.encode(JSON.stringify(Object.fromEntries(kept.map((name) => [name, own(value, name)]))));
}

/** Collects the pieces of the request; neighbours in the body become one piece. */
class Pieces {
  readonly list: Uint8Array[] = [];
  length = 0;
  readonly #body: Uint8Array;
  #start = -1;
  #end = -1;

  constructor(body: Uint8Array) {
    this.#body = body;
  }

  #flush(): void {
    if (this.#start >= 0) this.list.push(this.#body.subarray(this.#start, this.#end));
    this.#start = -1;
  }

  add(piece: Uint8Array): void {
    this.#flush();
    this.list.push(piece);
    this.length += piece.length;
  }

  /** Adds a range of the body. Returns where it begins in the joined pieces. */
  range(start: number, end: number): number {
    if (this.#start >= 0 && this.#end === start) this.#end = end;
    else {
      this.#flush();
      this.#start = start;
      this.#end = end;
    }
    const at = this.length;
    this.length += end - start;
    return at;
  }

  done(): readonly Uint8Array[] {
    this.#flush();
    return this.list;
  }
}

function scanRequest(body: Uint8Array, at: number): { end: number; review: Review } {
  if (body[at] !== OPEN_BRACE) throw shapeError(body, "request", "an object (the admission request)", at);
  const pieces = new Pieces(body);
  pieces.add(OPEN);
  let seen = 0;
  let lastEnd = -1;
  let object: readonly [number, number] | undefined;
  let uid = "", operation = "", kind = "";
  let namespace: string | undefined;
  const end = scanObject(body, at, (keyStart, keyEnd, valueStart) => {
    const index = keyIndex(REQUEST_FIELDS, body, keyStart, keyEnd);
    if (index < 0) return skipValue(body, valueStart, Infinity);
    const { name, required, shape } = REQUEST_FIELDS[index]!;
    if (seen & (1 << index)) throw duplicate("request", name, body, keyStart);
    seen |= 1 << index;
    if (body[valueStart] === NULL && !required) return skipValue(body, valueStart, 1);
    let valueEnd: number;
    let clean = true;
    switch (shape.kind) {
      case "any":
        valueEnd = skipValue(body, valueStart, MAX_DEPTH - 2);
        break;
      case "string":
        valueEnd = scanString(body, valueStart, "request", name);
        if (name === "uid") uid = stringValue(body, valueStart, valueEnd);
        else if (name === "operation") operation = stringValue(body, valueStart, valueEnd);
        else if (name === "namespace") namespace = stringValue(body, valueStart, valueEnd);
        break;
      case "bool":
        if (body[valueStart] !== 0x74 && body[valueStart] !== 0x66) {
          throw shapeError(body, `request.${name}`, "a boolean", valueStart);
        }
        valueEnd = skipValue(body, valueStart, 1);
        break;
      case "object":
        {
          const scanned = scanStrings(body, valueStart, `request.${name}`, shape);
          ({ end: valueEnd, clean } = scanned);
          if (name === "requestKind") kind = stringValue(body, ...scanned.last!);
        }
        break;
      case "user":
        ({ end: valueEnd, clean } = scanUser(body, valueStart, `request.${name}`));
        break;
    }
    // A member is taken with the comma in front of it where the body has just that; else a comma is put in.
    if (pieces.length > 1) {
      if (lastEnd >= 0 && body[lastEnd] === 0x2c && lastEnd + 1 === keyStart) pieces.range(lastEnd, keyStart);
      else pieces.add(COMMA);
    }
    lastEnd = valueEnd;
    if (clean) {
      const offset = pieces.range(keyStart, valueEnd) + (valueStart - keyStart);
      if (name === "object") object = [offset, offset + valueEnd - valueStart];
    } else {
      pieces.range(keyStart, valueStart);
      pieces.add(rewritten(body, valueStart, valueEnd, shape));
    }
    return valueEnd;
  });
  const missing = REQUEST_FIELDS.find(({ required }, index) => required && !(seen & (1 << index)));
  if (missing) throw missingField("request", missing.name, body, at);
  pieces.add(CLOSE);
  const list = pieces.done();
  return { end, review: { uid, namespace, operation, kind, pieces: list, length: pieces.length, object } };
}

function scanReview<T>(
  body: Uint8Array,
  fields: readonly Field[],
  expected: string,
  request: (at: number) => { end: number; review: T },
): T {
  const start = skipSpace(body, 0);
  if (body[start] !== OPEN_BRACE) throw shapeError(body, "", expected, start);
  let seen = 0;
  let review: T | undefined;
  const end = scanObject(body, start, (keyStart, keyEnd, valueStart) => {
    const index = keyIndex(fields, body, keyStart, keyEnd);
    if (index < 0) return skipValue(body, valueStart, Infinity);
    const name = fields[index]!.name;
    if (seen & (1 << index)) throw duplicate("", name, body, keyStart);
    seen |= 1 << index;
    if (name === "request") {
      const scanned = request(valueStart);
      review = scanned.review;
      return scanned.end;
    }
    return body[valueStart] === NULL
      ? skipValue(body, valueStart, 1)
      : scanString(body, valueStart, "", name);
  });
  expectEnd(body, end);
  if (review === undefined) throw missingField("", "request", body, start);
  return review;
}

/**
 * Reads an AdmissionReview. Throws JsonSyntaxError for what is not JSON and {@link ReviewShapeError} for JSON of
 * another shape. The body must be UTF-8.
 */
export function readReview(body: Uint8Array): Review {
  return scanReview(body, REVIEW_FIELDS, "an object (the AdmissionReview)", (at) => scanRequest(body, at));
}

const RAW_FIELDS = REVIEW_FIELDS.slice(0, 1);
const UID = [key("uid")];

/** Reads a raw review (`spec/policy-server.md §5.5`): only `request` is looked at, it may be any JSON. */
export function readRawReview(body: Uint8Array): Review {
  return scanReview(body, RAW_FIELDS, "an object (the raw review)", (at) => {
    const end = skipValue(body, at, MAX_DEPTH - 1);
    let uid = "";
    if (body[at] === OPEN_BRACE) {
      scanObject(body, at, (keyStart, keyEnd, valueStart) => {
        const valueEnd = skipValue(body, valueStart, Infinity);
        if (keyIndex(UID, body, keyStart, keyEnd) === 0) {
          uid = body[valueStart] === QUOTE ? stringValue(body, valueStart, valueEnd) : "";
        }
        return valueEnd;
      });
    }
    const pieces = [body.subarray(at, end)];
    const object = [0, end - at] as const;
    return {
      end,
      review: { uid, namespace: undefined, operation: "", kind: "", pieces, length: end - at, object },
    };
  });
}
