/** What an API server says of the kinds of a group's version (APIResourceList). */
import { isObject } from "../../program/types/json_object.ts";

/** A kind with objects of its own. */
export type ListedResource = {
  /** The name in paths, as in `deployments`. */
  readonly name: string;
  readonly singularName: string | undefined;
  readonly kind: string;
  readonly namespaced: boolean;
};

/**
 * The kinds in the text of a list. Left out are sub-resources (`pods/eviction`), and entries that are none: an aggregated API may
 * write anything, and Go writes null for an empty list. Throws SyntaxError for what is no JSON.
 */
export function listedResources(text: string): readonly ListedResource[] {
  const list: unknown = JSON.parse(text);
  const entries = isObject(list) && Array.isArray(list["resources"]) ? list["resources"] : [];
  return entries.filter(isObject).flatMap(({ name, singularName, kind, namespaced }) =>
    typeof name !== "string" || typeof kind !== "string" || name.includes("/") ? [] : [{
      name,
      singularName: typeof singularName === "string" && singularName !== "" ? singularName : undefined,
      kind,
      namespaced: namespaced === true,
    }]
  );
}
