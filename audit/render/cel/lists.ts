/** Kubernetes' list functions, and `sets` (k8s.io/apiserver/pkg/cel/library: lists, sets). */
import type { Library } from "./library.ts";
import type { Meter } from "./meter.ts";
import { compare, type Equality } from "./operators.ts";
import { int } from "./values.ts";

type List = readonly unknown[];

function extreme(list: List, sign: number, meter: Meter): unknown {
  if (list.length === 0) throw new Error(`${sign < 0 ? "min" : "max"} called on an empty list`);
  return list.reduce((found, member) => compare(member, found, meter) * sign > 0 ? member : found);
}

function sum(list: List, meter: Meter): bigint | number {
  meter.charge(list.length);
  if (list.every((member) => typeof member === "bigint")) {
    return int(list.reduce((total, one) => total + one, 0n));
  }
  if (list.every((member) => typeof member === "number")) return list.reduce((total, one) => total + one, 0);
  throw new Error("sum needs a list of numbers");
}

/** `equal` is CEL's `==`. */
export function listLibrary(equal: Equality): Library {
  const holds = (list: List, wanted: unknown, meter: Meter) =>
    list.some((member) => equal(member, wanted, meter));
  const within = (some: List, all: List, meter: Meter) => some.every((member) => holds(all, member, meter));
  return {
    namespaces: { sets: "kubernetes.Sets" },
    functions: {
      "list.isSorted(): bool": (list: List, meter: Meter) =>
        list.every((member, index) => index === 0 || compare(list[index - 1], member, meter) <= 0),
      "list.sum(): dyn": sum,
      "list.min(): dyn": (list: List, meter: Meter) => extreme(list, -1, meter),
      "list.max(): dyn": (list: List, meter: Meter) => extreme(list, 1, meter),
      "list.indexOf(dyn): int": (list: List, wanted: unknown, meter: Meter) =>
        BigInt(list.findIndex((member) => equal(member, wanted, meter))),
      "list.lastIndexOf(dyn): int": (list: List, wanted: unknown, meter: Meter) =>
        BigInt(list.findLastIndex((member) => equal(member, wanted, meter))),
      "kubernetes.Sets.contains(list, list): bool": (_: unknown, all: List, some: List, meter: Meter) =>
        within(some, all, meter),
      "kubernetes.Sets.intersects(list, list): bool": (_: unknown, a: List, b: List, meter: Meter) =>
        a.some((member) => holds(b, member, meter)),
      "kubernetes.Sets.equivalent(list, list): bool": (_: unknown, a: List, b: List, meter: Meter) =>
        within(a, b, meter) && within(b, a, meter),
    },
  };
}
