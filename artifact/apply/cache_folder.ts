/** Where Kubewarden's tools keep what they can get again. */
import { isAbsolute, join } from "node:path";
import process from "node:process";
import { homeFolder } from "../../program/apply/home.ts";
import type { Environment } from "../types/options.ts";

/** The folder for an environment; it need not exist. */
export function cacheFolder(env: Environment = process.env): string {
  const home = homeFolder(env);
  if (process.platform === "darwin") return join(home, "Library/Caches/io.kubewarden.kubewarden");
  if (process.platform === "win32") {
    return join(env["LOCALAPPDATA"] || join(home, "AppData/Local"), "kubewarden/cache");
  }
  const cache = env["XDG_CACHE_HOME"];
  return join(cache !== undefined && isAbsolute(cache) ? cache : join(home, ".cache"), "kubewarden");
}
