/** What the API server serves, asked group by group and only for what policies name (spec/audit.md §6). */
import type { Policy } from "../../crd/types.ts";
import { isNotFound, type KubeClient } from "../../kubernetes/apply/kube_client.ts";
import { listedResources } from "../../kubernetes/render/resource_list.ts";
import type { Lookup } from "../render/classify.ts";
import { versionRank } from "../render/version_rank.ts";
import type { Served } from "../types/policies.ts";

export type Discovery = {
  /** Learns of all groups that the rules of these policies name, and answers from what it knows. */
  lookupFor(policies: readonly Policy[]): Promise<Lookup>;
};

/** Path-safe parts only: what policies name goes into URLs. */
const GROUP = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$/;
const VERSION = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/** Discovery that asks for each group and version once. `trouble` hears of those that could not be asked for. */
export function createDiscovery(
  client: KubeClient,
  trouble: (groupVersion: string, error: unknown) => void,
): Discovery {
  const known = new Map<string, Promise<readonly Served[]>>();

  async function read(group: string, version: string): Promise<readonly Served[]> {
    if (!GROUP.test(group) || !VERSION.test(version)) return [];
    try {
      const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
      return listedResources(await client.text(path)).map(({ name, kind, singularName, namespaced }) => ({
        group,
        version,
        kind,
        plural: name,
        singular: singularName ?? kind.toLowerCase(),
        namespaced,
        rank: versionRank(version),
      }));
    } catch (error) {
      if (!isNotFound(error)) trouble(group === "" ? version : `${group}/${version}`, error);
      return [];
    }
  }

  return {
    async lookupFor(policies) {
      const served = new Map<string, readonly Served[]>();
      for (const policy of policies) {
        for (const { apiGroups = [], apiVersions = [] } of policy.spec?.rules ?? []) {
          for (const version of apiVersions) {
            for (const group of apiGroups) {
              if (group === "*" || version === "*") continue;
              const key = `${group}/${version}`;
              if (served.has(key)) continue;
              if (!known.has(key)) known.set(key, read(group, version));
              served.set(key, await known.get(key)!);
            }
          }
        }
      }
      return ({ group, version, resource }) => {
        const name = resource.toLowerCase();
        const kinds = served.get(`${group}/${version}`) ?? [];
        return kinds.find(({ plural }) => plural === name) ?? kinds.find(({ singular }) => singular === name);
      };
    },
  };
}
