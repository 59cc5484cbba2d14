/** Builtins on objects and graphs: `json.patch`, `object.subset`, `graph.reachable_paths`. */
import { type RegoBuiltins, RegoNumber, RegoObject, RegoSet, type RegoValue } from "../../types/rego.ts";
import { integerOf } from "../rego_number.ts";
import { fail, halt, listAt, membersAt, objectAt } from "../rego_operands.ts";
import { contains, equalValues, isList, member, place, setOf, typeName, withEntry } from "../rego_value.ts";
import { MAX_NESTING } from "../../types/rego_limits.ts";
import { checkCount } from "../rego_size.ts";
import { work, workOn } from "../work.ts";

/** The steps of a path: a JSON pointer, or an array of keys. */
function pathOf(value: RegoValue | undefined): readonly RegoValue[] {
  if (value === undefined) return fail("missing required attribute 'path'");
  if (isList(value)) return value;
  if (typeof value !== "string") {
    return fail(
      `must be one of {set, array} containing string paths or array of path segments but got ${
        typeName(value)
      }`,
    );
  }
  if (value === "") return [];
  workOn(8 * value.length);
  return value.replace(/^\/+/, "").split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function indexOf(step: RegoValue, length: number): number {
  if (step === "-") return length;
  work();
  const text = step instanceof RegoNumber
    ? step.text
    : typeof step === "string"
    ? step
    : fail("invalid type for indexing");
  const index = integerOf(text);
  if (index === undefined) return fail("invalid string for indexing");
  if (typeof step === "string" && text !== "0" && text.startsWith("0")) {
    return fail("leading zeros are not allowed in JSON paths");
  }
  return index < 0n || index > BigInt(length) ? fail("index out of bounds") : Number(index);
}

function child(value: RegoValue, step: RegoValue): RegoValue {
  let found: RegoValue | undefined;
  if (value instanceof RegoObject) found = member(value, step);
  else if (value instanceof RegoSet) found = contains(value, step) ? step : undefined;
  else if (isList(value)) found = value[indexOf(step, value.length)];
  return found === undefined ? fail("path does not exist") : found;
}

function valueAt(document: RegoValue, path: readonly RegoValue[]): RegoValue {
  return path.reduce(child, document);
}

/** The document with `change` applied to what holds the last step of the path. */
function changed(
  document: RegoValue,
  path: readonly RegoValue[],
  change: (holder: RegoValue, step: RegoValue) => RegoValue,
  depth = 0,
): RegoValue {
  const step = path[depth];
  if (step === undefined) return document;
  if (depth === path.length - 1) return change(document, step);
  if (depth > MAX_NESTING) halt(`json.patch: a document nested deeper than ${MAX_NESTING} levels`);
  const next = changed(child(document, step), path, change, depth + 1);
  if (document instanceof RegoObject) return withEntry(document, step, next);
  if (document instanceof RegoSet) {
    workOn(document.members.length);
    return setOf(document.members.map((value) => equalValues(value, step) ? next : value));
  }
  const list = document as readonly RegoValue[];
  workOn(list.length);
  return list.with(indexOf(step, list.length), next);
}

function added(document: RegoValue, path: readonly RegoValue[], value: RegoValue): RegoValue {
  if (path.length === 0) return value;
  return changed(document, path, (holder, step) => {
    if (holder instanceof RegoObject) return withEntry(holder, step, value);
    if (holder instanceof RegoSet) {
      if (!equalValues(step, value)) fail("set key does not equal value to be inserted");
      return setOf([...holder.members, value]);
    }
    if (!isList(holder)) return fail(`expected composite type, found ${typeName(holder)}`);
    workOn(holder.length);
    return holder.toSpliced(indexOf(step, holder.length), 0, value);
  });
}

function removed(document: RegoValue, path: readonly RegoValue[]): RegoValue {
  return changed(document, path, (holder, step) => {
    child(holder, step);
    if (holder instanceof RegoObject) {
      workOn(holder.entries.length);
      return new RegoObject(holder.entries.toSpliced(place(holder.entries, ([key]) => key, step).at, 1));
    }
    if (holder instanceof RegoSet) {
      workOn(holder.members.length);
      return new RegoSet(holder.members.toSpliced(place(holder.members, (value) => value, step).at, 1));
    }
    const list = holder as readonly RegoValue[];
    workOn(list.length);
    return list.toSpliced(indexOf(step, list.length), 1);
  });
}

/** Applies one operation. Undefined stands for a document that was removed. */
function applied(document: RegoValue | undefined, operation: RegoValue): RegoValue | undefined {
  if (!(operation instanceof RegoObject)) {
    return fail("must be an array of JSON-Patch objects, but at least one element is not an object");
  }
  const attribute = (name: string) => member(operation, name);
  const missing = (name: string) => fail(`missing required attribute '${name}'`);
  if (attribute("path") === undefined) missing("path");
  const op = attribute("op");
  if (typeof op !== "string") {
    return op === undefined ? missing("op") : fail("attribute 'op' must be a string");
  }
  const path = pathOf(attribute("path"));
  const present = () => document === undefined ? fail("deleted node encountered") : document;
  switch (op) {
    case "add": {
      const inserted = attribute("value");
      return inserted === undefined
        ? missing("value")
        : path.length === 0
        ? inserted
        : added(present(), path, inserted);
    }
    case "remove":
      return path.length === 0 ? (present(), undefined) : removed(present(), path);
    case "replace": {
      const inserted = attribute("value");
      if (inserted === undefined) return missing("value");
      if (path.length === 0) return present(), inserted;
      return added(removed(present(), path), path, inserted);
    }
    case "move":
    case "copy": {
      if (attribute("from") === undefined) return missing("from");
      const from = pathOf(attribute("from"));
      const chunk = valueAt(present(), from);
      if (op === "copy") return added(present(), path, chunk);
      if (from.length === 0) return path.length === 0 ? chunk : fail("deleted node encountered");
      return added(removed(present(), from), path, chunk);
    }
    case "test": {
      const expected = attribute("value");
      if (expected === undefined) return missing("value");
      if (!equalValues(valueAt(present(), path), expected)) fail("value from EditTree != patch value");
      return document;
    }
    default:
      return fail(`unrecognized op: '${op.slice(0, 100)}'`);
  }
}

/** Whether all that `sub` has is in `whole` too; nested objects, sets and arrays are compared the same way. */
function isSubset(whole: RegoValue, sub: RegoValue): boolean | undefined {
  if (whole instanceof RegoObject && sub instanceof RegoObject) {
    return sub.entries.every(([key, value]) => {
      const other = member(whole, key);
      return other !== undefined &&
        (equalValues(other, value) || (sameKind(other, value) && isSubset(other, value) === true));
    });
  }
  if (whole instanceof RegoSet && sub instanceof RegoSet) {
    return sub.members.every((value) => contains(whole, value));
  }
  if (!isList(whole)) return undefined;
  if (sub instanceof RegoSet) {
    const sorted = setOf(whole);
    return sub.members.every((value) => contains(sorted, value));
  }
  if (!isList(sub)) return undefined;
  for (let start = 0; start + sub.length <= whole.length; start++) {
    if (sub.every((value, at) => equalValues(whole[start + at]!, value))) return true;
  }
  return false;
}

function sameKind(a: RegoValue, b: RegoValue): boolean {
  return typeName(a) === typeName(b);
}

function neighbours(edges: RegoValue): readonly RegoValue[] {
  return edges instanceof RegoSet ? edges.members : isList(edges) ? edges : [];
}

export const OBJECT_BUILTINS: RegoBuiltins = {
  "json.patch": (operands) =>
    listAt(operands, 1).reduce<RegoValue | undefined>(
      (document, operation) => applied(document, operation),
      operands[0]!,
    ),
  "object.subset": ([whole = null, sub = null]) =>
    isSubset(whole, sub) ?? fail("both arguments object.subset must be of the same type or array and set"),
  "graph.reachable_paths": (operands) => {
    const graph = objectAt(operands, 0);
    const paths: RegoValue[] = [];
    let nodes = 0;
    const commit = (path: readonly RegoValue[]) => {
      work();
      paths.push(path);
      checkCount("graph.reachable_paths", nodes += 1 + path.length);
    };
    const walk = (node: RegoValue, path: readonly RegoValue[], reached: readonly RegoValue[]): void => {
      const edges = member(graph, node);
      if (edges === undefined) return commit(path);
      workOn(2 * path.length);
      if (path.length > MAX_NESTING * 4) halt("graph.reachable_paths: a path that is too long");
      const longer = [...path, node];
      const next = neighbours(edges);
      if (next.length === 0) return commit(longer);
      const seen = [...reached, node];
      for (const neighbour of next) {
        if (seen.some((other) => equalValues(other, neighbour))) commit(longer);
        else walk(neighbour, longer, seen);
      }
    };
    for (const root of membersAt(operands, 1)) {
      const edges = member(graph, root);
      if (edges === undefined) continue;
      const next = neighbours(edges);
      if (next.length === 0) commit([root]);
      for (const neighbour of next) walk(neighbour, [root], [root]);
    }
    return setOf(paths);
  },
};
