/** Kubernetes' list functions, and `sets` (k8s.io/apiserver/pkg/cel/library: lists, sets). */
import type { Library } from "./library.ts";

type Ordered = bigint | number | string | boolean;

function compare(a: unknown, b: unknown): number {
  if (typeof a !== typeof b) throw new Error("the list's members cannot be compared with each other");
  return (a as Ordered) < (b as Ordered) ? -1 : (a as Ordered) > (b as Ordered) ? 1 : 0;
}

/** Equality of what JSON can hold; numbers by value. */
export function equal(a: unknown, b: unknown): boolean {
  const number = (value: unknown) => typeof value === "bigint" || typeof value === "number";
  // deno-lint-ignore eqeqeq
  if (number(a) && number(b)) return a == b;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length &&
      a.every((member, index) => equal(member, b[index]));
  }
  const left = Object.entries(a);
  return left.length === Object.keys(b).length &&
    left.every(([key, value]) =>
      Object.hasOwn(b, key) && equal(value, (b as { [key: string]: unknown })[key])
    );
}

function extreme(list: readonly unknown[], sign: number): unknown {
  if (list.length === 0) throw new Error(`${sign < 0 ? "min" : "max"} called on an empty list`);
  return list.reduce((found, member) => compare(member, found) * sign > 0 ? member : found);
}

const has = (list: readonly unknown[], wanted: unknown) => list.some((member) => equal(member, wanted));

export const LISTS: Library = {
  namespaces: { sets: "kubernetes.Sets" },
  functions: {
    "list.isSorted(): bool": (list: readonly unknown[]) =>
      list.every((member, index) => index === 0 || compare(list[index - 1], member) <= 0),
    "list.sum(): dyn": (list: readonly unknown[]) => {
      if (list.every((member) => typeof member === "bigint")) return list.reduce((sum, one) => sum + one, 0n);
      if (list.every((member) => typeof member === "number")) return list.reduce((sum, one) => sum + one, 0);
      throw new Error("sum needs a list of numbers");
    },
    "list.min(): dyn": (list: readonly unknown[]) => extreme(list, -1),
    "list.max(): dyn": (list: readonly unknown[]) => extreme(list, 1),
    "list.indexOf(dyn): int": (list: readonly unknown[], wanted: unknown) =>
      BigInt(list.findIndex((member) => equal(member, wanted))),
    "list.lastIndexOf(dyn): int": (list: readonly unknown[], wanted: unknown) =>
      BigInt(list.findLastIndex((member) => equal(member, wanted))),
    "kubernetes.Sets.contains(list, list): bool": (
      _: unknown,
      all: readonly unknown[],
      some: readonly unknown[],
    ) => some.every((member) => has(all, member)),
    "kubernetes.Sets.intersects(list, list): bool": (
      _: unknown,
      a: readonly unknown[],
      b: readonly unknown[],
    ) => a.some((member) => has(b, member)),
    "kubernetes.Sets.equivalent(list, list): bool": (
      _: unknown,
      a: readonly unknown[],
      b: readonly unknown[],
    ) => a.every((member) => has(b, member)) && b.every((member) => has(a, member)),
  },
};
