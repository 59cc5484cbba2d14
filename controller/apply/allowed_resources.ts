/** The allow list of resources as the cluster holds it, and which policies it keeps from being deployed (spec/crds.md §10). */
import type { Policy } from "../../crd/types.ts";
import {
  type AllowedResources,
  CONFIG_FILE,
  readAllowedResources,
  rejection,
} from "../render/allowed_resources.ts";
import type { ConfigMap } from "../types/objects.ts";
import type { World } from "./world.ts";

/** Problems of one version of the list that are logged; of more, only the number is. */
const MAX_LOGGED = 20;

type Read = { readonly configMap: ConfigMap | undefined; readonly allowed: AllowedResources };
/** Read once for each version of the ConfigMap, whose problems are logged once then. */
const lists = new WeakMap<World, Read>();

/** The list, read and its problems logged once for each version of its ConfigMap. */
function currentList(world: World, name: string): AllowedResources {
  const { stores, settings: { namespace }, log } = world;
  const configMap = stores.configMaps.get(name, namespace);
  const known = lists.get(world);
  if (known !== undefined && known.configMap === configMap) return known.allowed;
  const { allowed, problems } = configMap === undefined
    ? { allowed: new Map(), problems: ["the ConfigMap does not exist"] }
    : readAllowedResources(configMap.data?.[CONFIG_FILE]);
  lists.set(world, { configMap, allowed });
  const place = { configMap: `${namespace}/${name}` };
  for (const problem of problems.slice(0, MAX_LOGGED)) {
    log("error", "the allow list of resources for namespaced policies has a problem", {
      ...place,
      error: problem,
    });
  }
  if (problems.length > MAX_LOGGED) {
    log("error", "the allow list of resources for namespaced policies has more problems", {
      ...place,
      count: problems.length - MAX_LOGGED,
    });
  }
  if (allowed.size === 0) {
    log("error", "the allow list of resources is empty: every namespaced policy is rejected", place);
  }
  return allowed;
}

const decided = new WeakMap<
  Policy,
  { readonly allowed: AllowedResources; readonly why: string | undefined }
>();

/** Why a policy must not be deployed; `undefined` when it may be, as is every policy of a controller without an allow list. */
export function rejectionOf(world: World, policy: Policy): string | undefined {
  const name = world.settings.controllerConfigMap;
  if (name === undefined) return undefined;
  const allowed = currentList(world, name);
  const known = decided.get(policy);
  if (known?.allowed === allowed) return known.why;
  const why = rejection(policy, allowed, name);
  decided.set(policy, { allowed, why });
  return why;
}
