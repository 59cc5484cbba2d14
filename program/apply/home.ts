/** The home folder of whoever runs this process. */
import { homedir } from "node:os";

/**
 * `HOME`, else what the system knows of the user, else the root: a container's user often has neither, and `/` is what
 * container runtimes give it.
 */
export function homeFolder(env: { readonly [name: string]: string | undefined }): string {
  if (env["HOME"]) return env["HOME"];
  try {
    return homedir() || "/";
  } catch {
    return "/";
  }
}
