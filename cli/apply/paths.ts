/** Where the tool keeps things (`spec/cli.md §2`). */
import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import process from "node:process";
import { homeFolder } from "../../program/apply/home.ts";
import { cacheFolder } from "../../artifact/apply/cache_folder.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface Paths {
  /** Policies, by their URIs. */
  readonly store: string;
  readonly config: string;
  /** What this tool alone keeps. */
  readonly cache: string;
  /** This tool's compiled code: nobody else may write there, as anybody could in the folder for temporary files. */
  readonly compiled: string;
  readonly resourceCatalog: string;
  readonly defaultSources: string;
  readonly defaultVerification: string;
  readonly sigstore: string;
}

function configFolder(env: Environment): string {
  const home = homeFolder(env);
  if (process.platform === "darwin") {
    return join(home, "Library/Application Support/io.kubewarden.kubewarden");
  }
  if (process.platform === "win32") {
    return join(env["APPDATA"] || join(home, "AppData/Roaming"), "kubewarden/config");
  }
  const config = env["XDG_CONFIG_HOME"];
  return join(config !== undefined && isAbsolute(config) ? config : join(home, ".config"), "kubewarden");
}

/** The folders and files for an environment; none of them need exist. */
export function pathsOf(env: Environment): Paths {
  const root = cacheFolder(env);
  const config = configFolder(env);
  const cache = join(root, "kwctl");
  return {
    store: join(root, "store"),
    config,
    cache,
    compiled: join(cache, "compiled"),
    resourceCatalog: join(cache, "resource_catalog.json"),
    defaultSources: join(config, "sources.yaml"),
    defaultVerification: join(config, "verification-config.yml"),
    sigstore: join(config, "fulcio_and_rekor_data"),
  };
}

/** The kubeconfig file that an environment names; undefined where only a pod's service account is left. */
export function kubeconfigOf(env: Environment): string | undefined {
  const named = env["KUBECONFIG"];
  if (named) return named;
  const file = join(homeFolder(env), ".kube", "config");
  return existsSync(file) ? file : undefined;
}
