/**
 * What stands between an object in the cluster and the one that should be there: whether server-side apply would change
 * anything, and what has to be taken away where an object is to hold exactly what we say.
 */
import { isObject } from "../../program/types/json_object.ts";
import { own } from "../../program/types/own.ts";
import { parseQuantity } from "../../crd/render/quantity.ts";
import type { ManagedFields } from "../../crd/types.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import { FIELD_MANAGER } from "./names.ts";

type Fields = { readonly [key: string]: unknown };

function fields(value: unknown): Fields | undefined {
  return isObject(value) ? value : undefined;
}

/** A field of an object; labels and annotations may have names that objects inherit something under. */
function fieldOf(value: unknown, name: string): unknown {
  const object = fields(value);
  return object !== undefined && Object.hasOwn(object, name) ? object[name] : undefined;
}

/** Values that the API server does not store where the field may be absent. */
function isZero(value: unknown): boolean {
  if (value === "" || value === 0 || value === false || value === null) return true;
  if (Array.isArray(value)) return value.length === 0;
  const object = fields(value);
  return object !== undefined && Object.values(object).every(isZero);
}

/** The field that tells the items of a list apart, as in the API's own merge keys. */
function keyOf(items: readonly unknown[]): string | undefined {
  return ["name", "mountPath", "uid"].find((key) =>
    items.length > 0 && items.every((item) => typeof own(fields(item), key) === "string")
  );
}

function sameQuantity(a: unknown, b: unknown): boolean {
  if (!["string", "number"].includes(typeof a) || !["string", "number"].includes(typeof b)) return false;
  const left = parseQuantity(a as string | number);
  const right = parseQuantity(b as string | number);
  return left !== undefined && right !== undefined && left.nano === right.nano;
}

const QUANTITY_PARENTS = new Set(["limits", "requests"]);

/** Whether `live` already holds everything that `desired` says; it may hold more. */
export function covers(live: unknown, desired: unknown, parent = ""): boolean {
  if (live === undefined || live === null) return isZero(desired);
  if (Array.isArray(desired)) {
    if (!Array.isArray(live)) return false;
    const key = keyOf(desired);
    if (key === undefined) {
      return live.length === desired.length && desired.every((item, index) => covers(live[index], item));
    }
    return desired.every((item) => {
      const found = live.find((candidate) => own(fields(candidate), key) === own(item as Fields, key));
      return found !== undefined && covers(found, item);
    });
  }
  const object = fields(desired);
  if (object !== undefined) {
    const existing = fields(live);
    return existing !== undefined &&
      Object.entries(object).every(([key, value]) =>
        value === undefined ||
        covers(fieldOf(existing, key), value, QUANTITY_PARENTS.has(parent) ? "quantity" : key)
      );
  }
  return live === desired ||
    (QUANTITY_PARENTS.has(parent) || parent === "quantity") && sameQuantity(live, desired);
}

/** Whether we own a field that we no longer want: server-side apply would take it away. */
function ownsMore(owned: Fields, desired: unknown): boolean {
  return Object.entries(owned).some(([path, inner]) => {
    if (path === ".") return false;
    const below = fields(inner) ?? {};
    const rest = path.slice(2);
    switch (path.slice(0, 2)) {
      case "f:": {
        const value = fieldOf(desired, rest);
        return value === undefined || ownsMore(below, value);
      }
      case "k:": {
        const key = JSON.parse(rest) as Fields;
        const item = Array.isArray(desired)
          ? desired.find((candidate) =>
            Object.entries(key).every(([name, value]) => fieldOf(candidate, name) === value)
          )
          : undefined;
        return item === undefined || ownsMore(below, item);
      }
      case "v:":
        return !Array.isArray(desired) || !desired.includes(JSON.parse(rest));
      default:
        return false;
    }
  });
}

/** The record of what we applied. */
export function ownEntry(object: KubeObject): ManagedFields | undefined {
  return (object.metadata.managedFields ?? []).find(({ manager, operation, subresource }) =>
    manager === FIELD_MANAGER && operation === "Apply" && (subresource ?? "") === ""
  );
}

/** Whether applying `desired` would change the live object. */
export function needsApply(live: KubeObject | undefined, desired: KubeObject): boolean {
  if (live === undefined || !covers(live, desired)) return true;
  return ownsMore(ownEntry(live)?.fieldsV1 ?? {}, desired);
}

export type JsonPatch = readonly {
  readonly op: "test" | "remove";
  readonly path: string;
  readonly value?: unknown;
}[];

function at(object: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(fieldOf, object);
}

const pointer = (path: readonly (string | number)[]) =>
  path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

/** Pointers to everything in `live` that `desired` does not have; of unkeyed lists of another length, nothing. */
function foreign(live: unknown, desired: unknown, path: readonly (string | number)[]): string[] {
  if (Array.isArray(live) && Array.isArray(desired)) {
    const key = keyOf(desired);
    if (key === undefined) {
      // Such lists are applied whole.
      return live.length === desired.length
        ? live.flatMap((item, index) => foreign(item, desired[index], [...path, index]))
        : [];
    }
    // From the end: removing an item moves those behind it.
    return [...live.entries()].reverse().flatMap(([index, item]) => {
      const wanted = desired.find((candidate) => own(candidate as Fields, key) === own(fields(item), key));
      return wanted === undefined ? [pointer([...path, index])] : foreign(item, wanted, [...path, index]);
    });
  }
  const existing = fields(live);
  const wanted = fields(desired);
  if (existing === undefined || wanted === undefined) return [];
  return Object.entries(existing).flatMap(([name, value]) =>
    fieldOf(wanted, name) === undefined
      ? [pointer([...path, name])]
      : foreign(value, own(wanted, name), [...path, name])
  );
}

/**
 * The patch that takes away what others added below the given paths, or `undefined` when there is nothing. It holds only for
 * the live object's version.
 */
export function removeForeign(
  live: KubeObject,
  desired: KubeObject,
  paths: readonly (readonly string[])[],
): JsonPatch | undefined {
  const removals = paths.flatMap((path) => foreign(at(live, path), at(desired, path) ?? {}, path));
  if (removals.length === 0) return undefined;
  return [
    { op: "test", path: "/metadata/resourceVersion", value: live.metadata.resourceVersion },
    ...removals.map((path) => ({ op: "remove" as const, path })),
  ];
}
