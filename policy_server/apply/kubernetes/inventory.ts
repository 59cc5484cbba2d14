/**
 * What Rego policies see of the cluster (`spec/evaluator.md §7.5`): whole, trimmed objects of every granted kind, from the same
 * watches that other policies use, put into a form once and kept until one of the kinds changes.
 */
import type { ClusterObject } from "../../render/kubernetes_object.ts";
import type { ClusterSource } from "./cluster.ts";
import { greatest } from "../../../program/types/lists.ts";

/** A kind that a policy was granted. */
export interface GrantedKind {
  readonly apiVersion: string;
  readonly kind: string;
}

/** All objects of one kind. */
export interface InventoryKind {
  readonly resource: GrantedKind;
  /** How the API calls the kind in paths (`services`). */
  readonly plural: string;
  readonly objects: readonly ClusterObject[];
}

/** Objects of several kinds, by apiVersion and kind. */
export interface ClusterInventory {
  readonly kinds: readonly InventoryKind[];
  /** Another text as soon as any of the kinds changed. */
  readonly version: string;
  /** The instant of the last change, in milliseconds since 1970. */
  readonly changedAt: number;
}

const byName = (a: GrantedKind, b: GrantedKind): number => {
  const [left, right] = [`${a.apiVersion} ${a.kind}`, `${b.apiVersion} ${b.kind}`];
  return left < right ? -1 : left > right ? 1 : 0;
};

/** The objects of these kinds. `objects` are copied only when asked for. Rejects when one of them can't be listed. */
export async function clusterInventory(
  source: ClusterSource,
  resources: readonly GrantedKind[],
): Promise<ClusterInventory> {
  const cluster = await source();
  if (!cluster) throw new Error("kube::Client was not initialized properly");
  const lists = await Promise.all(
    [...resources].sort(byName).map(async ({ apiVersion, kind }) => {
      const list = await cluster.lists.get({
        apiVersion,
        kind,
        namespace: undefined,
        labelSelector: undefined,
        fieldSelector: undefined,
        fieldMasks: [],
      });
      return { resource: { apiVersion, kind }, list };
    }),
  );
  return {
    kinds: lists.map(({ resource, list }) => ({
      resource,
      plural: list.resource.plural,
      get objects() {
        return [...list.objects.values()];
      },
    })),
    version: lists.map(({ list }) => list.changes).join(" "),
    changedAt: greatest(lists.map(({ list }) => list.changedAt)),
  };
}

/** As many sets of kinds as this are kept; one for each context-aware policy, as a rule. */
const MAX_KEPT = 50;

/** An inventory in the form of its dialect. */
export interface BuiltInventory {
  readonly payload: Uint8Array;
  /** A number that no other has had in this process. */
  readonly version: number;
}

/** Counts the inventories that were built. */
let built = 0;

/**
 * Inventories in the form that `build` gives them, kept by `form` and kinds until one of the kinds changes. An error of `build`
 * is not kept.
 */
export function inventories<Form extends string>(
  source: ClusterSource,
  build: (form: Form, kinds: readonly InventoryKind[]) => Uint8Array,
): (form: Form, resources: readonly GrantedKind[]) => Promise<BuiltInventory> {
  const kept = new Map<string, { readonly version: string; readonly inventory: BuiltInventory }>();
  return async (form, resources) => {
    const { kinds, version } = await clusterInventory(source, resources);
    const key = JSON.stringify([form, kinds.map(({ resource }) => resource)]);
    const before = kept.get(key);
    if (before?.version === version) return before.inventory;
    const inventory = { payload: build(form, kinds), version: ++built };
    kept.delete(key);
    kept.set(key, { version, inventory });
    if (kept.size > MAX_KEPT) kept.delete(kept.keys().next().value!);
    return inventory;
  };
}
