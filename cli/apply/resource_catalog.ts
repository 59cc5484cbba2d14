/** Which resources a cluster has, remembered between calls (`spec/cli.md §16.3`). */
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolder } from "../../program/apply/make_folder.ts";
import { listedResources } from "../../kubernetes/render/resource_list.ts";
import { isObject } from "../../program/types/json_object.ts";
import { own, setOwn } from "../../program/types/own.ts";
import { type ApiTransport, connect } from "../../kubernetes/apply/api_transport.ts";
import type { Context } from "../types/command.ts";
import { kubeconfigOf, pathsOf } from "./paths.ts";
import { writeWhole } from "./write_whole.ts";

/** A resource as the API server's discovery tells it, as far as it is of use here. */
export interface ApiResource {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** By `group|version|kind`. */
export type ResourceCatalog = Readonly<Record<string, ApiResource>>;

/** A cluster that isn't there must not hold up who scaffolds; its first answer shows that it is. */
const FIRST_ANSWER_MS = 3000;
const ANSWER_MS = 10_000;

async function get(
  transport: ApiTransport,
  path: string,
  signal: AbortSignal,
  limitMs = ANSWER_MS,
): Promise<string> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  const answer = await transport.request({ method: "GET", path, signal: either });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`GET ${path}: HTTP status ${answer.status}`);
  return text;
}

const objectsIn = (value: unknown) => Array.isArray(value) ? value.filter(isObject) : [];

/** What the cluster has. A group whose server does not answer, as of an aggregated API that is down, takes no other with it. */
async function discover({ env, signal, log }: Context): Promise<ResourceCatalog> {
  const kubeconfig = kubeconfigOf(env);
  if (kubeconfig === undefined && !env["KUBERNETES_SERVICE_HOST"]) {
    throw new Error("failed to infer config: there is neither a kubeconfig nor a service account");
  }
  const transport = await connect({ kubeconfig });
  try {
    const found: Record<string, ApiResource> = {};
    const add = async (path: string, group: string, version: string, limitMs?: number) => {
      const text = await get(transport, path, signal, limitMs);
      for (const { name, kind, namespaced } of listedResources(text)) {
        setOwn(found, `${group}|${version}|${kind}`, { name, kind, namespaced });
      }
    };
    await add("/api/v1", "", "v1", FIRST_ANSWER_MS);
    const { groups } = JSON.parse(await get(transport, "/apis", signal)) as { readonly groups?: unknown };
    for (const { name, preferredVersion } of objectsIn(groups)) {
      const version = isObject(preferredVersion) ? preferredVersion["version"] : undefined;
      if (typeof name !== "string" || typeof version !== "string") continue;
      try {
        await add(`/apis/${name}/${version}`, name, version);
      } catch (error) {
        if (signal.aborted) throw error;
        log("WARN", "the resources of an API group are unknown", {
          group: name,
          error: (error as Error).message,
        });
      }
    }
    return found;
  } finally {
    transport.close();
  }
}

async function refreshed(context: Context): Promise<ResourceCatalog | undefined> {
  const { resourceCatalog } = pathsOf(context.env);
  try {
    const resources = await discover(context);
    await makeFolder(dirname(resourceCatalog));
    await writeWhole(resourceCatalog, JSON.stringify({ resources }));
    return resources;
  } catch (error) {
    context.log("WARN", "Failed to load resource catalog", { err: (error as Error).message });
    return undefined;
  }
}

/** The resource of a kind: from the remembered catalogue, else from the cluster; undefined if neither has it. */
export async function findResource(
  context: Context,
  group: string,
  version: string,
  kind: string,
): Promise<ApiResource | undefined> {
  const { resourceCatalog } = pathsOf(context.env);
  const key = `${group}|${version}|${kind}`;
  let known: ResourceCatalog | undefined;
  try {
    known = (JSON.parse(await readFile(resourceCatalog, "utf8")) as { resources: ResourceCatalog }).resources;
  } catch {
    context.log("INFO", "Resource catalog not found, building it");
  }
  return own(known, key) ?? own(await refreshed(context), key);
}
