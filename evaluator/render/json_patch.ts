/**
 * The difference between two JSON values as a JSON Patch (RFC 6902), operation by operation as the original makes it
 * (`spec/evaluator.md §4.2`): keys in the order of their bytes, additions before removals, array elements by index.
 */
import { own } from "../../program/types/own.ts";
import { equalNumbers, isRawNumber, type LosslessJson } from "./lossless_json.ts";

/** One operation. The order of the members is the order in which they are written. */
export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: LosslessJson }
  | { readonly op: "remove"; readonly path: string };

type JsonObject = { readonly [key: string]: LosslessJson };

const isObject = (value: LosslessJson): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !isRawNumber(value);
const isArray = (value: LosslessJson): value is readonly LosslessJson[] => Array.isArray(value);

const SURROGATE = /[\ud800-\udfff]/;

/** Orders texts by their UTF-8 bytes, which for surrogate pairs is not JavaScript's order. */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  if (!SURROGATE.test(a) && !SURROGATE.test(b)) return a < b ? -1 : 1;
  const left = [...a], right = [...b];
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const difference = left[index]!.codePointAt(0)! - right[index]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

const escapeKey = (key: string): string => key.replace(/~/g, "~0").replace(/\//g, "~1");

function diffInto(
  operations: PatchOperation[],
  path: string,
  before: LosslessJson,
  after: LosslessJson,
): void {
  if (isObject(before) && isObject(after)) {
    for (const key of Object.keys(after).sort(compareBytes)) {
      const child = `${path}/${escapeKey(key)}`;
      const value = own(after, key)!;
      if (Object.hasOwn(before, key)) diffInto(operations, child, before[key]!, value);
      else operations.push({ op: "add", path: child, value });
    }
    for (const key of Object.keys(before).sort(compareBytes)) {
      if (!Object.hasOwn(after, key)) operations.push({ op: "remove", path: `${path}/${escapeKey(key)}` });
    }
  } else if (isArray(before) && isArray(after)) {
    const common = Math.min(before.length, after.length);
    for (let index = 0; index < common; index++) {
      diffInto(operations, `${path}/${index}`, before[index]!, after[index]!);
    }
    for (let index = common; index < before.length; index++) {
      operations.push({ op: "remove", path: `${path}/${common}` });
    }
    for (let index = common; index < after.length; index++) {
      operations.push({ op: "add", path: `${path}/${index}`, value: after[index]! });
    }
  } else if (before !== after && !equalNumbers(before, after)) {
    operations.push({ op: "replace", path, value: after });
  }
}

/** The operations that turn `before` into `after`; none when they are equal. */
export function jsonPatch(before: LosslessJson, after: LosslessJson): readonly PatchOperation[] {
  const operations: PatchOperation[] = [];
  diffInto(operations, "", before, after);
  return operations;
}
