/**
 * The list of host capabilities that one policy may use (`hostCapabilities` in policies.yml), parsed and matched.
 * Texts and rules: spec/evaluator.md §5.2, spec/policy-server.md §10.
 *
 * ```ts
 * const list = parseCapabilities(["oci/*", "kubernetes/can_i"]);
 * if (typeof list === "string") throw new Error(list);
 * allows(list, "oci/v1/verify"); // true
 * describe(list); // "[oci/*, kubernetes/can_i]"
 * ```
 */

/** What a policy may ask of the host. `all` stands for the pattern `*`; prefixes end in `/`. Both lists are sorted. */
export type CapabilityAllowList =
  | { readonly kind: "all" }
  | { readonly kind: "listed"; readonly prefixes: readonly string[]; readonly exact: readonly string[] };

/** A step of the capability tree: `null` marks a complete path. */
type CapabilityNode = { readonly [segment: string]: CapabilityNode | null };

const CAPABILITIES: CapabilityNode = {
  oci: {
    v1: { verify: null, manifest_digest: null, oci_manifest: null, oci_manifest_config: null },
    v2: { verify: null },
  },
  net: { v1: { dns_lookup_host: null } },
  crypto: { v1: { is_certificate_trusted: null } },
  kubernetes: {
    list_resources_by_namespace: null,
    list_resources_all: null,
    get_resource: null,
    can_i: null,
  },
};

/** The error text for one trimmed pattern, or `undefined` when it is good. */
function patternError(pattern: string): string | undefined {
  if (pattern === "") return "invalid pattern: pattern must not be empty";
  if (pattern.includes("*") && !pattern.endsWith("/*")) {
    return `invalid pattern "${pattern}": wildcard '*' must be the entire last path segment ` +
      `(e.g. 'oci/*'), not a partial match`;
  }
  let node: CapabilityNode | null = CAPABILITIES;
  for (const segment of pattern.split("/")) {
    // A wildcard ends the check even when more follows: `oci/*/*` is accepted and matches nothing (spec/policy-server.md §10 rule 2).
    if (segment === "*" && node !== null) return undefined;
    const next: CapabilityNode | null | undefined = node !== null && Object.hasOwn(node, segment)
      ? node[segment]
      : undefined;
    if (next === undefined) {
      const options = Object.keys(node ?? {}).sort().join(", ");
      return `invalid pattern "${pattern}": unknown segment "${segment}", valid options at this level are: ${options}`;
    }
    node = next;
  }
  if (node === null) return undefined;
  return `invalid pattern "${pattern}": not a complete capability path; ` +
    `use "${pattern}/*" to allow all capabilities under it`;
}

/**
 * Parses the patterns of one policy in their order. `*` ends the parsing: what follows it is not checked, a bad pattern
 * before it still fails. Returns the error text of the first bad pattern instead of a list.
 */
export function parseCapabilities(patterns: readonly string[]): CapabilityAllowList | string {
  const prefixes = new Set<string>();
  const exact = new Set<string>();
  for (const raw of patterns) {
    const pattern = raw.trim();
    if (pattern === "*") return { kind: "all" };
    const error = patternError(pattern);
    if (error !== undefined) return error;
    if (pattern.endsWith("/*")) prefixes.add(pattern.slice(0, -1));
    else exact.add(pattern);
  }
  return { kind: "listed", prefixes: [...prefixes].sort(), exact: [...exact].sort() };
}

/** Whether the capability `path` (`<namespace>/<operation>`, e.g. `oci/v1/verify`) is granted. */
export function allows(list: CapabilityAllowList, path: string): boolean {
  if (list.kind === "all") return true;
  return list.exact.includes(path) || list.prefixes.some((prefix) => path.startsWith(prefix));
}

/** The list as log lines show it: `[*]`, `[]`, or sorted prefixes, then sorted exact paths. */
export function describe(list: CapabilityAllowList): string {
  if (list.kind === "all") return "[*]";
  return `[${[...list.prefixes.map((prefix) => `${prefix}*`), ...list.exact].join(", ")}]`;
}

/** Whether there is a host capability with this path, granted or not. */
export function isCapability(path: string): boolean {
  let node: CapabilityNode | null | undefined = CAPABILITIES;
  for (const segment of path.split("/")) {
    node = node && Object.hasOwn(node, segment) ? node[segment] : undefined;
  }
  return node === null;
}

/** Whether any host capability begins with this segment. */
export function isCapabilityNamespace(namespace: string): boolean {
  return Object.hasOwn(CAPABILITIES, namespace);
}
