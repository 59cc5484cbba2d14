/** Paths of host capabilities that a PolicyServer may grant to namespaced policies (spec/crds.md §8.4, V10). */
import { own } from "../../program/types/own.ts";

type Level = { readonly [segment: string]: Level | "leaf" };

const TREE: Level = {
  oci: {
    v1: { verify: "leaf", manifest_digest: "leaf", oci_manifest: "leaf", oci_manifest_config: "leaf" },
    v2: { verify: "leaf" },
  },
  net: { v1: { dns_lookup_host: "leaf" } },
  crypto: { v1: { is_certificate_trusted: "leaf" } },
  kubernetes: {
    list_resources_by_namespace: "leaf",
    list_resources_all: "leaf",
    get_resource: "leaf",
    can_i: "leaf",
  },
};

/** Longer than any path. */
const MAX_LENGTH = 256;

/** Why a capability path is refused, or `undefined` when it is fine. */
export function capabilityProblem(capability: string): string | undefined {
  if (capability === "") return "capability must not be empty";
  if (capability === "*") return undefined;
  if (capability.length > MAX_LENGTH) return `capability must not be longer than ${MAX_LENGTH} characters`;
  const segments = capability.split("/");
  let level: Level = TREE;
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment.includes("*") && (segment !== "*" || !last)) {
      return 'wildcard "*" is only allowed as the last path segment (e.g. "oci/*" or "oci/v1/*")';
    }
    if (segment === "*") return undefined;
    const next = own(level, segment);
    if (next === undefined) {
      const options = Object.keys(level).sort().join(", ");
      return `unknown segment ${JSON.stringify(segment)}, valid options at this level are: ${options}`;
    }
    const path = segments.slice(0, index + 1).join("/");
    if (next === "leaf") {
      return last ? undefined : `"${path}" is a complete capability path and cannot have further segments`;
    }
    if (last) {
      return `"${path}" is not a complete capability path; use "${path}/*" to allow all capabilities under it`;
    }
    level = next;
  }
  return undefined;
}
