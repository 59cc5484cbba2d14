/** Policies as a scan sees them (spec/audit.md §5, §6). */
import type { MatchCondition, Policy } from "../../crd/types.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";

/** Namespaces as objects. */
export const NAMESPACES: Resource = {
  kind: "Namespace",
  apiVersion: "v1",
  plural: "namespaces",
  namespaced: false,
};

/** A kind that the API server serves, as discovery tells of it. */
export type Served = {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Canonical, in lower case: the name in URLs. */
  readonly plural: string;
  readonly singular: string;
  readonly namespaced: boolean;
  /** Place of the version among those of its group, the preferred one first. */
  readonly rank: number;
};

/** One combination out of a policy's rules. */
export type Target = { readonly group: string; readonly version: string; readonly resource: string };

/** A policy that is asked about the objects of this phase. */
export type Auditable = {
  readonly policy: Policy;
  readonly id: string;
  /** Where the object is sent: `https://…/audit/<id>`. */
  readonly url: string;
  /** Place among the candidates; results are in this order. */
  readonly order: number;
  readonly contextAware: boolean;
  readonly conditions: readonly MatchCondition[];
  /** Properties of its results, the same for all objects. */
  readonly properties: { readonly [name: string]: string };
};

/** The policies that look at one kind in one version. */
export type Bucket = { readonly served: Served; readonly policies: readonly Auditable[] };

/** Objects that are the same whatever the version or group they are asked for in: one report each. */
export type Subject = {
  /** In which the objects are listed and which their reports name. */
  readonly primary: Bucket;
  /** Other versions that policies ask for. */
  readonly others: readonly Bucket[];
};

/** What is audited in a namespace, or cluster-wide. */
export type Plan = {
  readonly subjects: readonly Subject[];
  /** Ids, each policy once. */
  readonly evaluated: readonly string[];
  readonly skipped: readonly string[];
  readonly errored: readonly string[];
};

/** The resource whose objects a bucket judges. */
export function resourceOf({ group, version, kind, plural, namespaced }: Served): Resource {
  return { apiVersion: group === "" ? version : `${group}/${version}`, kind, plural, namespaced };
}
