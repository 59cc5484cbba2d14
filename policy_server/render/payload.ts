/**
 * Reads the JSON payload of a host call member by member. What does not fit is told as the original's reader tells it, with
 * the place in the payload (`spec/evaluator.md §5.1` rule 4).
 */
import {
  decodeText,
  expectEnd,
  JsonSyntaxError,
  MAX_DEPTH,
  position,
  scanObject,
  skipSpace,
  skipValue,
  stringValue,
} from "../../evaluator/render/json_scan.ts";
import { HostCallError } from "../../evaluator/types/evaluation.ts";

/** Characters of the payload that an error repeats. */
const MAX_SHOWN = 200;
/** Bytes of one certificate or other binary value. In a payload each takes up to four characters. */
const MAX_BYTES = 64 * 1024;

/** One value of a payload: the bytes from `start` to `end` of `bytes`, which are valid JSON. */
export interface PayloadValue {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** Members by name. */
export type PayloadFields = ReadonlyMap<string, PayloadValue> & { readonly of: PayloadValue };

/** Reads a payload. Throws {@link HostCallError} where it is not JSON. */
export function readPayload(bytes: Uint8Array): PayloadValue {
  try {
    const start = skipSpace(bytes, 0);
    if (start >= bytes.length) {
      throw new HostCallError(`EOF while parsing a value at line 1 column ${bytes.length}`);
    }
    const end = skipValue(bytes, start, MAX_DEPTH);
    expectEnd(bytes, end);
    return { bytes, start, end };
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new HostCallError(`${error.message} at ${position(bytes, error.at)}`);
  }
}

/** An error about a value. The place is its end, as the original's reader has just passed over it. */
function wrong(value: PayloadValue, message: string): HostCallError {
  return new HostCallError(`${message} at ${position(value.bytes, value.end - 1)}`);
}

function kindOf(value: PayloadValue): string {
  const text = decodeText(value.bytes, value.start, Math.min(value.end, value.start + MAX_SHOWN));
  switch (text[0]) {
    case "{":
      return "map";
    case "[":
      return "sequence";
    case '"':
      return `string ${text}`;
    case "t":
    case "f":
      return `boolean \`${text}\``;
    case "n":
      return "null";
    default:
      return /[.eE]/.test(text) ? `floating point \`${text}\`` : `integer \`${text}\``;
  }
}

function invalidType(value: PayloadValue, expected: string): HostCallError {
  return wrong(value, `invalid type: ${kindOf(value)}, expected ${expected}`);
}

const first = ({ bytes, start }: PayloadValue): string => String.fromCharCode(bytes[start]!);

/** Whether a value is `null`. */
export const isNull = (value: PayloadValue): boolean => first(value) === "n";

/** The members of an object; `expected` names it in the error for anything else. */
export function fieldsOf(value: PayloadValue, expected: string): PayloadFields {
  if (first(value) !== "{") throw invalidType(value, expected);
  const { bytes } = value;
  const fields = new Map<string, PayloadValue>();
  scanObject(bytes, value.start, (keyStart, keyEnd, start) => {
    const name = stringValue(bytes, keyStart, keyEnd);
    const end = skipValue(bytes, start, MAX_DEPTH);
    const field = { bytes, start, end };
    if (fields.has(name)) throw wrong(field, `duplicate field \`${name.slice(0, MAX_SHOWN)}\``);
    fields.set(name, field);
    return end;
  });
  return Object.assign(fields, { of: value });
}

/** A member that must be there. */
export function required(fields: PayloadFields, name: string): PayloadValue {
  const value = fields.get(name);
  if (!value) throw wrong(fields.of, `missing field \`${name}\``);
  return value;
}

/** A member that may be absent or `null`, which is the same. */
export function optional(fields: PayloadFields, name: string): PayloadValue | undefined {
  const value = fields.get(name);
  return value && !isNull(value) ? value : undefined;
}

/** The value as a string. */
export function asString(value: PayloadValue): string {
  if (first(value) !== '"') throw invalidType(value, "a string");
  return stringValue(value.bytes, value.start, value.end);
}

/** The value as a boolean. */
export function asBoolean(value: PayloadValue): boolean {
  const letter = first(value);
  if (letter !== "t" && letter !== "f") throw invalidType(value, "a boolean");
  return letter === "t";
}

/** The value as plain JavaScript; numbers lose their form. */
export function asJson(value: PayloadValue): unknown {
  return JSON.parse(decodeText(value.bytes, value.start, value.end));
}

/** The value as a list of strings. */
export function asStrings(value: PayloadValue): readonly string[] {
  const list = first(value) === "[" ? asJson(value) as readonly unknown[] : undefined;
  if (!list) throw invalidType(value, "a sequence");
  for (const item of list) {
    if (typeof item !== "string") {
      throw wrong(value, `invalid type: ${JSON.stringify(item).slice(0, MAX_SHOWN)}, expected a string`);
    }
  }
  return list as readonly string[];
}

/** A list of integers as bytes; policies send binary data so. */
export function asBytes(value: PayloadValue): Uint8Array {
  // With a space behind each comma, five characters a byte.
  if (value.end - value.start > 5 * MAX_BYTES) {
    throw wrong(value, `a sequence of more than ${MAX_BYTES} bytes`);
  }
  const list = first(value) === "[" ? asJson(value) as readonly unknown[] : undefined;
  if (!list) throw invalidType(value, "a sequence");
  for (const item of list) {
    if (typeof item !== "number" || !Number.isInteger(item) || item < 0 || item > 255) {
      throw wrong(value, `invalid value: ${JSON.stringify(item).slice(0, MAX_SHOWN)}, expected u8`);
    }
  }
  return Uint8Array.from(list as readonly number[]);
}

/** Refuses what is well-formed but wrong, with the place of the value. */
export function refuse(value: PayloadValue, message: string): never {
  throw wrong(value, message);
}
