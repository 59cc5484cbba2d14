/** What readers of certificates have in common: elements that must be there, identifiers, bytes as base64. */
import type { RegoValue } from "../types/rego.ts";
import { type DerElement, DerError, latin } from "./der.ts";
import { number } from "./rego_value.ts";

/** The fields of a structure of Go's. */
export type Fields = Record<string, RegoValue>;

/** Standard base64. */
export const base64 = (bytes: Uint8Array): string => btoa(latin(bytes));

/** An object identifier as text. */
export const oidText = (element: DerElement): string => element.oid().join(".");

/** An object identifier as its numbers. */
export const oidValue = (element: DerElement): RegoValue => element.oid().map((part) => number(part));

/** A list as Go has it: null where nothing was added to it. */
export const orNull = (list: readonly RegoValue[]): RegoValue => list.length > 0 ? list : null;

/** The element at an index. Throws {@link DerError}. */
export function at(list: readonly DerElement[], index: number): DerElement {
  return list[index] ?? missing();
}

/** Throws {@link DerError}. */
export function missing(): never {
  throw new DerError("an element is missing");
}
