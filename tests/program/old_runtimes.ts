/** Runtimes that are too old, from npm, in the cache that CI fills (`.ci/run`). */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";

export interface OldRuntime {
  readonly title: string;
  readonly binary: string;
  /** How to get it where it is missing; undefined where it is there. */
  readonly missing: string | undefined;
  /** Whether it can read TypeScript, and so the sources. */
  readonly readsTypes: boolean;
}

const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "portreeve");

function oldRuntime(folder: string, name: "node" | "bun", version: string, readsTypes: boolean): OldRuntime {
  const binary = join(cache, folder, "node_modules/.bin", name);
  const missing = existsSync(binary)
    ? undefined
    : `npm install --prefix "\${XDG_CACHE_HOME:-$HOME/.cache}/portreeve/${folder}" ${name}@${version}`;
  return { title: `${name} ${version}`, binary, missing, readsTypes };
}

export const OLD_RUNTIMES: readonly OldRuntime[] = [
  oldRuntime("node18", "node", "18", false),
  oldRuntime("node20", "node", "20", false),
  oldRuntime("node22", "node", "22", true),
  oldRuntime("bun1.1", "bun", "1.1", true),
];
