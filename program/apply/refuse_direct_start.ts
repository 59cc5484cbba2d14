/**
 * A program's code does nothing until its entry starts it. Started by itself it would end with code 0 and no word, which a
 * script takes for success: `node reeve.main.js verify …`. So it refuses, and so does every other file of a build (`build.ts`).
 */
import { existsSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

/** Whether one of `files` is what this process was started with; `import.meta.main` is missing in older runtimes. */
function isStarted(url: string, files: readonly string[]): boolean {
  const started = process.argv[1];
  if (!isMainThread || started === undefined) return false;
  try {
    // Resolved as the runtime does it: the name may be a link, or lack its ending.
    const file = realpathSync(createRequire(url).resolve(started));
    return files.some((candidate) => existsSync(candidate) && realpathSync(candidate) === file);
  } catch {
    return false;
  }
}

function refuse(line: string): never {
  console.error("Error: " + line);
  process.exit(1);
}

/**
 * Ends the process with code 1 and one line on stderr where the code of `program` was started by itself instead of the program:
 * the file at `url`, or in a bundle, where that may be a part of it only, `PROGRAM.main.js` beside it.
 */
export function refuseDirectStart(url: string, program: string): void {
  const bundled = new URL(`./${program.replaceAll("-", "_")}.main.js`, url);
  if (!isStarted(url, [fileURLToPath(url), fileURLToPath(bundled)])) return;
  refuse(`this file is a part of ${program} and no program by itself: start ${program} instead`);
}

/**
 * The same for the file `name` of a build, or of the sources. `sibling` is a file that lies beside it there and nowhere else: the code may
 * have become part of a program of somebody else's, which is started by rights.
 */
export function refusePartStart(url: string, name: string, sibling: string): void {
  if (
    !url.endsWith("/" + name) || !isStarted(url, [fileURLToPath(url)]) || !existsSync(new URL(sibling, url))
  ) return;
  refuse("this file is a part of Portreeve and no program by itself");
}
