/**
 * JSON as Kubernetes writes it: keys sorted by their bytes, `<`, `>` and `&` escaped, no white space, and numbers in the form in
 * which they came (spec/controller.md §5.2: any byte of difference rolls a policy server).
 */
import { own } from "../../program/types/own.ts";

type RawJson = { readonly rawJSON: string };
const raw = JSON as unknown as { isRawJSON(value: unknown): value is RawJson };

/** Order of the strings' UTF-8 bytes. */
export function compareBytes(a: string, b: string): number {
  const left = a[Symbol.iterator]();
  const right = b[Symbol.iterator]();
  for (;;) {
    const x = left.next();
    const y = right.next();
    if (x.done === true || y.done === true) return (x.done === true ? 0 : 1) - (y.done === true ? 0 : 1);
    const difference = x.value.codePointAt(0)! - y.value.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
}

const ESCAPES: { readonly [character: string]: string } = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

function stringText(value: string): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => own(ESCAPES, character)!);
}

/** Compact JSON with sorted keys; members that are `undefined` are left out. */
export function sortedJson(value: unknown): string {
  if (typeof value === "string") return stringText(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  if (raw.isRawJSON(value)) return value.rawJSON;
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(",")}]`;
  const fields = Object.entries(value).filter(([, item]) => item !== undefined);
  fields.sort(([a], [b]) => compareBytes(a, b));
  return `{${fields.map(([key, item]) => `${stringText(key)}:${sortedJson(item)}`).join(",")}}`;
}

/** Compact JSON of an object whose members keep the given order; those that are `undefined` are left out. */
export function orderedJson(fields: readonly (readonly [key: string, json: string | undefined])[]): string {
  const present = fields.filter(([, json]) => json !== undefined);
  return `{${present.map(([key, json]) => `${stringText(key)}:${json}`).join(",")}}`;
}
