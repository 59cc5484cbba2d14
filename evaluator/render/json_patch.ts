/**
 * The difference between two JSON values as a JSON Patch (RFC 6902), operation by operation as the original makes it
 * (`spec/evaluator.md §4.2`): keys in the order of their bytes, additions before removals, array elements by index.
 */
import { own } from "../../program/types/own.ts";
import { ANSWER } from "../types/evaluation.ts";
import { equalNumbers, isRawNumber, type LosslessJson } from "./lossless_json.ts";
import { work, workOn } from "./work.ts";

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
  workOn(a.length + b.length);
  if (!SURROGATE.test(a) && !SURROGATE.test(b)) return a < b ? -1 : 1;
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  if (at === length) return a.length - b.length;
  // Two that differ in the second half of a character differ in that character.
  const isPair = (text: string) => at > 0 && text.codePointAt(at - 1)! > 0xffff;
  if (isPair(a) || isPair(b)) at--;
  return a.codePointAt(at)! - b.codePointAt(at)!;
}

/** Raised when a patch would be too long; the message is for the client. */
export class PatchLimitError extends Error {
  override readonly name = "PatchLimitError";
}

class Operations {
  readonly list: PatchOperation[] = [];
  #length = 0;

  push(operation: PatchOperation): void {
    work();
    this.#length += operation.path.length;
    // Each operation repeats the keys that lead to it.
    if (this.#length > ANSWER.max) {
      throw new PatchLimitError(`the patch to it has paths of more than ${ANSWER.max} characters`);
    }
    this.list.push(operation);
  }
}

const escapeKey = (key: string): string => key.replace(/~/g, "~0").replace(/\//g, "~1");

function diffInto(
  operations: Operations,
  path: string,
  before: LosslessJson,
  after: LosslessJson,
): void {
  work();
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

/** The operations that turn `before` into `after`; none when they are equal. Throws {@link PatchLimitError}. */
export function jsonPatch(before: LosslessJson, after: LosslessJson): readonly PatchOperation[] {
  const operations = new Operations();
  diffInto(operations, "", before, after);
  return operations.list;
}
