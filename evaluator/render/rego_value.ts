/** Order, equality and lookup of Rego values, as OPA has them: null, booleans, numbers, strings, arrays, objects, sets. */
import { RegoNumber, RegoObject, RegoSet, type RegoValue } from "../types/rego.ts";
import { compareNumbers } from "./rego_number.ts";
import { work, workOn } from "./work.ts";

function rank(value: RegoValue): number {
  if (value === null) return 0;
  if (typeof value === "boolean") return 1;
  if (value instanceof RegoNumber) return 2;
  if (typeof value === "string") return 3;
  if (value instanceof RegoObject) return 5;
  return value instanceof RegoSet ? 6 : 4;
}

/** Compares strings by code points, which is how their UTF-8 bytes compare. */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    if ((at & 0xfff) === 0xfff) work(0xfff >> 4);
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left === right) continue;
    // Surrogates stand for code points above all other units.
    const leftSurrogate = left >= 0xd800 && left <= 0xdfff;
    const rightSurrogate = right >= 0xd800 && right <= 0xdfff;
    if (leftSurrogate !== rightSurrogate) return leftSurrogate ? 1 : -1;
    return left < right ? -1 : 1;
  }
  return a.length < b.length ? -1 : 1;
}

function compareLists(a: readonly RegoValue[], b: readonly RegoValue[]): number {
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const order = compareValues(a[at]!, b[at]!);
    if (order !== 0) return order;
  }
  return Math.sign(a.length - b.length);
}

/** Negative, zero or positive, as `a` comes before `b`, is equal, or comes after it. */
export function compareValues(a: RegoValue, b: RegoValue): number {
  work();
  const difference = rank(a) - rank(b);
  if (difference !== 0) return difference;
  if (typeof a === "boolean") return Number(a) - Number(b);
  if (typeof a === "string") return compareStrings(a, b as string);
  if (a instanceof RegoNumber) return compareNumbers(a.text, (b as RegoNumber).text);
  if (a instanceof RegoSet) return compareLists(a.members, (b as RegoSet).members);
  if (a instanceof RegoObject) {
    const left = a.entries;
    const right = (b as RegoObject).entries;
    for (let at = 0; at < Math.min(left.length, right.length); at++) {
      const order = compareValues(left[at]![0], right[at]![0]) || compareValues(left[at]![1], right[at]![1]);
      if (order !== 0) return order;
    }
    return Math.sign(left.length - right.length);
  }
  return a === null ? 0 : compareLists(a, b as readonly RegoValue[]);
}

/** Whether two values are the same to Rego (`1` is `1.0`). */
export function equalValues(a: RegoValue, b: RegoValue): boolean {
  return compareValues(a, b) === 0;
}

/** A set of the given members. */
export function setOf(members: readonly RegoValue[]): RegoSet {
  workOn(members.length);
  const sorted = [...members].sort(compareValues);
  return new RegoSet(sorted.filter((member, at) => at === 0 || !equalValues(member, sorted[at - 1]!)));
}

/** An object of the given entries; of several with the same key the last counts. */
export function objectOf(entries: Iterable<readonly [RegoValue, RegoValue]>): RegoObject {
  const sorted = [...entries].sort((a, b) => compareValues(a[0], b[0]));
  return new RegoObject(
    sorted.filter((entry, at) => at === sorted.length - 1 || !equalValues(entry[0], sorted[at + 1]![0])),
  );
}

/** The object with the members of a JavaScript object. */
export function recordOf(members: Readonly<Record<string, RegoValue | undefined>>): RegoObject {
  const present = Object.entries(members).filter((entry): entry is [string, RegoValue] =>
    entry[1] !== undefined
  );
  return objectOf(present);
}

/** Where a key stands in a sorted list, or where it belongs when the list hasn't it. */
export function place<T>(
  list: readonly T[],
  keyOf: (element: T) => RegoValue,
  key: RegoValue,
): { readonly at: number; readonly found: boolean } {
  let low = 0;
  let high = list.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const order = compareValues(keyOf(list[middle]!), key);
    if (order === 0) return { at: middle, found: true };
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return { at: low, found: false };
}

/** The object with one entry added or replaced. */
export function withEntry(object: RegoObject, key: RegoValue, value: RegoValue): RegoObject {
  const { at, found } = place(object.entries, ([own]) => own, key);
  workOn(object.entries.length);
  return new RegoObject(
    object.entries.toSpliced(at, found ? 1 : 0, [found ? object.entries[at]![0] : key, value]),
  );
}

/** The value at a key; undefined when the object has none. */
export function member(object: RegoObject, key: RegoValue): RegoValue | undefined {
  const { at, found } = place(object.entries, ([own]) => own, key);
  return found ? object.entries[at]![1] : undefined;
}

/** Whether a set has a member. */
export function contains(set: RegoSet, value: RegoValue): boolean {
  return place(set.members, (member) => member, value).found;
}

/** Whether a value is an array. */
export function isList(value: RegoValue): value is readonly RegoValue[] {
  return Array.isArray(value);
}

/** A number of a JavaScript integer. */
export function number(value: number | bigint): RegoNumber {
  return new RegoNumber(String(value));
}

/** What OPA calls the type of a value. */
export function typeName(value: RegoValue): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return "boolean";
  if (typeof value === "string") return "string";
  if (value instanceof RegoNumber) return "number";
  if (value instanceof RegoSet) return "set";
  return value instanceof RegoObject ? "object" : "array";
}
