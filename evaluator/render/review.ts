/**
 * Reads an AdmissionReview (or a raw review) from the bytes that arrived: what the server needs to know of it, and the
 * request as the guest is to see it. The request's members are passed on as they are; those that the original drops
 * (nulls, unknown names: `spec/evaluator.md §3.1`) are left out.
 */
import { own } from "../../program/types/own.ts";
import {
  decodeText,
  expectEnd,
  MAX_DEPTH,
  scanObject,
  skipSpace,
  skipValue,
  stringValue,
} from "./json_scan.ts";
import {
  duplicate,
  type Key,
  key,
  keyIndex,
  missingField,
  NULL,
  OPEN_BRACE,
  QUOTE,
  scanString,
  scanStrings,
  scanUser,
  shapeError,
  type Strings,
  USER_KEYS,
} from "./review_members.ts";

export { ReviewShapeError } from "./review_members.ts";

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

type Shape = Strings | { readonly kind: "string" | "bool" | "any" | "user" };
interface Field extends Key {
  readonly required: boolean;
  readonly shape: Shape;
}

const encoder = new TextEncoder();
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

const COMMA = Uint8Array.of(0x2c), OPEN = Uint8Array.of(OPEN_BRACE), CLOSE = Uint8Array.of(0x7d);

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

/** A request that is being read. */
class RequestScan {
  readonly #body: Uint8Array;
  readonly #pieces: Pieces;
  #seen = 0;
  /** Where the last member that is passed on ends. */
  #lastEnd = -1;
  /** Whether the guest may see all of the value that was read last. */
  #clean = true;
  #uid = "";
  #operation = "";
  #kind = "";
  #namespace: string | undefined;
  #object: readonly [number, number] | undefined;

  constructor(body: Uint8Array) {
    this.#body = body;
    this.#pieces = new Pieces(body);
  }

  scan(at: number): { end: number; review: Review } {
    const body = this.#body;
    const pieces = this.#pieces;
    if (body[at] !== OPEN_BRACE) throw shapeError(body, "request", "an object (the admission request)", at);
    pieces.add(OPEN);
    const end = scanObject(body, at, (keyStart, keyEnd, valueStart) => {
      const index = keyIndex(REQUEST_FIELDS, body, keyStart, keyEnd);
      if (index < 0) return skipValue(body, valueStart, Infinity);
      const field = REQUEST_FIELDS[index]!;
      if (this.#seen & (1 << index)) throw duplicate("request", field.name, body, keyStart);
      this.#seen |= 1 << index;
      if (body[valueStart] === NULL && !field.required) return skipValue(body, valueStart, 1);
      const valueEnd = this.#read(field, valueStart);
      this.#passOn(field, keyStart, valueStart, valueEnd);
      return valueEnd;
    });
    const missing = REQUEST_FIELDS.find(({ required }, index) => required && !(this.#seen & (1 << index)));
    if (missing) throw missingField("request", missing.name, body, at);
    pieces.add(CLOSE);
    return {
      end,
      review: {
        uid: this.#uid,
        namespace: this.#namespace,
        operation: this.#operation,
        kind: this.#kind,
        pieces: pieces.done(),
        length: pieces.length,
        object: this.#object,
      },
    };
  }

  /** Passes over the value of a member, and keeps what the server needs of it. Returns where it ends. */
  #read({ name, shape }: Field, at: number): number {
    const body = this.#body;
    this.#clean = true;
    switch (shape.kind) {
      case "any":
        return skipValue(body, at, MAX_DEPTH - 2);
      case "string": {
        const end = scanString(body, at, "request", name);
        if (name === "uid") this.#uid = stringValue(body, at, end);
        else if (name === "operation") this.#operation = stringValue(body, at, end);
        else if (name === "namespace") this.#namespace = stringValue(body, at, end);
        return end;
      }
      case "bool":
        if (body[at] !== 0x74 && body[at] !== 0x66) {
          throw shapeError(body, `request.${name}`, "a boolean", at);
        }
        return skipValue(body, at, 1);
      case "object": {
        const { end, clean, last } = scanStrings(body, at, `request.${name}`, shape);
        if (name === "requestKind") this.#kind = stringValue(body, ...last!);
        this.#clean = clean;
        return end;
      }
      case "user": {
        const { end, clean } = scanUser(body, at, `request.${name}`);
        this.#clean = clean;
        return end;
      }
    }
  }

  /** Adds a member to the pieces, without what the guest must not see. */
  #passOn({ name, shape }: Field, keyStart: number, valueStart: number, valueEnd: number): void {
    const body = this.#body;
    const pieces = this.#pieces;
    // A member is taken with the comma in front of it where the body has just that; else a comma is put in.
    if (pieces.length > 1) {
      const lastEnd = this.#lastEnd;
      if (lastEnd >= 0 && body[lastEnd] === 0x2c && lastEnd + 1 === keyStart) pieces.range(lastEnd, keyStart);
      else pieces.add(COMMA);
    }
    this.#lastEnd = valueEnd;
    if (this.#clean) {
      const offset = pieces.range(keyStart, valueEnd) + (valueStart - keyStart);
      if (name === "object") this.#object = [offset, offset + valueEnd - valueStart];
    } else {
      pieces.range(keyStart, valueStart);
      pieces.add(rewritten(body, valueStart, valueEnd, shape));
    }
  }
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
  return scanReview(
    body,
    REVIEW_FIELDS,
    "an object (the AdmissionReview)",
    (at) => new RequestScan(body).scan(at),
  );
}

/** Reads a request that no review is around; for a raw policy any JSON. Throws as {@link readReview} does. */
export function readRequest(body: Uint8Array, raw = false): Review {
  const start = skipSpace(body, 0);
  const { end, review } = raw ? scanRaw(body, start) : new RequestScan(body).scan(start);
  expectEnd(body, end);
  return review;
}

const RAW_FIELDS = REVIEW_FIELDS.slice(0, 1);
const UID = [key("uid")];

/** A raw request: it may be any JSON, of which only the `uid` is looked at. */
function scanRaw(body: Uint8Array, at: number): { end: number; review: Review } {
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
}

/** Reads a raw review (`spec/policy-server.md §5.5`): only `request` is looked at. */
export function readRawReview(body: Uint8Array): Review {
  return scanReview(body, RAW_FIELDS, "an object (the raw review)", (at) => scanRaw(body, at));
}
