/** Where compiled code of this tool is kept: nobody else may write there, as anybody could in the folder for temporary files. */
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

/** The folder for an environment; it need not exist. */
export function compileCacheOf(env: Readonly<Record<string, string | undefined>>): string {
  const cache = env["XDG_CACHE_HOME"];
  const root = cache !== undefined && isAbsolute(cache) ? cache : join(env["HOME"] || homedir(), ".cache");
  return join(root, "kubewarden/kwctl/compiled");
}
