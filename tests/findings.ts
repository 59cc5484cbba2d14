/** Runs the checks of the sources that need the compiler (`print_check.ts`). */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** What a check of `print_check.ts` finds in a project. The compiler's interface needs Node, which is then started for it. */
export function findingsIn<T>(check: "lookups" | "lengths", folder: string, pattern: RegExp): readonly T[] {
  const script = fileURLToPath(new URL("print_check.ts", import.meta.url));
  const node = "bun" in process.versions
    ? fileURLToPath(new URL("../node_modules/.bin/node", import.meta.url))
    : process.execPath;
  const words = [script, check, folder, pattern.source];
  const { stdout, stderr, status } = spawnSync(node, words, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}
