/** Where the API server keeps the objects of a kind (`spec/evaluator.md §5.8`). */
import { type ListedResource, listedResources } from "../../../kubernetes/render/resource_list.ts";
import type { ClusterApi } from "./api.ts";

/** A kind as the API serves it. */
export interface ApiResource {
  readonly apiVersion: string;
  readonly kind: string;
  /** The name in paths, as in `deployments`. */
  readonly plural: string;
  readonly namespaced: boolean;
}

/** Finds kinds. What was found stays known; a failure does not. */
export type Discovery = (apiVersion: string, kind: string) => Promise<ApiResource>;

const LIMIT_MS = 10_000;
const MAX_BYTES = 8 * 1024 * 1024;
const SEGMENT = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

/** The path of a group and version. Throws Error for anything else than `v1` and `group/version`. */
export function groupVersionPath(apiVersion: string): string {
  if (apiVersion === "v1") return "/api/v1";
  const [group, version, ...more] = apiVersion.split("/");
  // What goes into the path must not lead out of it.
  const good = more.length === 0 && SEGMENT.test(group ?? "") && SEGMENT.test(version ?? "");
  if (!good) throw new Error(`cannot determine group and version for ${apiVersion}`);
  return `/apis/${group}/${version}`;
}

/** The path of a kind's objects, or of one of them. Throws Error for a name that is none. */
export function objectPath(
  { apiVersion, plural, namespaced }: ApiResource,
  namespace: string | undefined,
  name?: string,
): string {
  const within = namespaced && namespace !== undefined
    ? `/namespaces/${segment("namespace", namespace)}`
    : "";
  const path = `${groupVersionPath(apiVersion)}${within}/${plural}`;
  return name === undefined ? path : `${path}/${segment("name", name)}`;
}

/** Dots alone would be taken as steps through the path, and lead to what was not granted. */
function segment(what: string, text: string): string {
  if (text === "" || text === "." || text === "..") throw new Error(`invalid ${what} "${text}"`);
  return encodeURIComponent(text);
}

/** Discovery through an API. */
export function discoveryOf(api: ClusterApi): Discovery {
  const known = new Map<string, Promise<ApiResource>>();

  async function find(apiVersion: string, kind: string): Promise<ApiResource> {
    const path = groupVersionPath(apiVersion);
    let found: ListedResource | undefined;
    try {
      const bytes = await api.get(path, { maxBytes: MAX_BYTES, limitMs: LIMIT_MS });
      found = listedResources(new TextDecoder().decode(bytes)).find((entry) => entry.kind === kind);
    } catch (error) {
      throw new Error(`error finding resource ${apiVersion} / ${kind}: ${(error as Error).message}`, {
        cause: error,
      });
    }
    if (!found) throw new Error(`Cannot find resource ${apiVersion}/${kind}`);
    return { apiVersion, kind, plural: found.name, namespaced: found.namespaced };
  }

  return (apiVersion, kind) => {
    const key = `${apiVersion} ${kind}`;
    let resource = known.get(key);
    if (!resource) {
      known.set(key, resource = find(apiVersion, kind));
      resource.catch(() => known.delete(key));
    }
    return resource;
  };
}
