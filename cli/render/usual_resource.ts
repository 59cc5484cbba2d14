/** What is known of a kind without asking a cluster. */
import { ownsNoNamespace } from "./cluster_scoped.ts";

/**
 * The resource that a kind usually belongs to, as `kubectl` guesses it (apimachinery, `meta.UnsafeGuessKindToResource`), and whether its
 * objects lie in namespaces: all but Kubernetes' own of which is known that they don't.
 *
 * ```ts
 * usualResource("networking.k8s.io", "NetworkPolicy"); // { name: "networkpolicies", namespaced: true }
 * ```
 */
export function usualResource(
  group: string,
  kind: string,
): { readonly name: string; readonly namespaced: boolean } {
  const name = plural(kind.toLowerCase());
  return { name, namespaced: !ownsNoNamespace(group, name) };
}

function plural(singular: string): string {
  if (singular === "endpoints") return singular;
  if (/(?:s|x|ch|sh)$/.test(singular)) return `${singular}es`;
  return /[^aeiou]y$/.test(singular) ? `${singular.slice(0, -1)}ies` : `${singular}s`;
}
