/**
 * A program's code does nothing until its entry starts it. Started by itself it would end with code 0 and no word, which a
 * script takes for success: `node reeve.main.js verify …`.
 */
import { realpathSync } from "node:fs";
import { createRequire } from "node:module";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

/** Whether the file at `url` is what this process was started with; `import.meta.main` is missing in older runtimes. */
function isStarted(url: string): boolean {
  const started = process.argv[1];
  if (!isMainThread || started === undefined) return false;
  try {
    // Resolved as the runtime does it: the name may be a link, or lack its ending.
    return realpathSync(createRequire(url).resolve(started)) === realpathSync(fileURLToPath(url));
  } catch {
    return false;
  }
}

/** Ends the process with code 1 and one line on stderr where the file at `url` was started by itself instead of `program`. */
export function refuseDirectStart(url: string, program: string): void {
  if (!isStarted(url)) return;
  console.error(
    `Error: this file is a part of ${program} and no program by itself: start ${program} instead`,
  );
  process.exit(1);
}
