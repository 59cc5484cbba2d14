/** What a program gave to be taken as JSON: bytes, text, or a value to be written as JSON. */
import { boundedText } from "../../program/types/bounded_text.ts";

const encoder = new TextEncoder();

/** Its class as the language knows it: `Promise`, `Map`, `Response`. */
const classOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

/** The bytes of a view, those of other realms (tests under Jest) included; undefined for all else. */
export function viewedBytes(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : undefined;
}

/** The bytes of a view or of a whole buffer; undefined for all else. */
export const givenBytes = (value: unknown): Uint8Array | undefined =>
  viewedBytes(value) ??
    (classOf(value) === "ArrayBuffer" ? new Uint8Array(value as ArrayBuffer) : undefined);

/** A value as an error names it: `undefined`, `null`, `a function`, `the class Map`, `a Promise: await it`. */
export function givenName(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== "object") return `a ${typeof value}`;
  const name = boundedText(classOf(value), 100);
  return name === "Promise" ? "a Promise: await it" : `the class ${name}`;
}

/** What an error says, as a part of another's line. */
export const errorReason = (error: unknown): string =>
  boundedText(String((error as Error | null)?.message ?? error).split("\n")[0]!, 300);

/**
 * Classes whose members are what JSON writes. Of all others (a Promise, a Map, a Response) it would write `{}`, and a policy would be
 * asked about nothing, or have no settings.
 */
const WRITTEN: ReadonlySet<string> = new Set(["Object", "Array", "String", "Number", "Boolean"]);

/** Bytes and text as they are, a value as JSON. `fault` makes the error of the reason why it can't be written. */
export function givenJson(value: unknown, fault: (reason: string, cause?: unknown) => Error): Uint8Array {
  const bytes = givenBytes(value);
  if (bytes !== undefined) return bytes;
  if (typeof value === "string") return encoder.encode(value);
  let text: string | undefined;
  try {
    const written = typeof value !== "object" || value === null || WRITTEN.has(classOf(value)) ||
      typeof (value as { readonly toJSON?: unknown }).toJSON === "function";
    if (written) text = JSON.stringify(value);
  } catch (error) {
    throw fault(errorReason(error), error);
  }
  if (text === undefined) throw fault(`found ${givenName(value)}`);
  return encoder.encode(text);
}
