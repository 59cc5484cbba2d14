/**
 * Builds `reeve` into one executable file for Linux that needs nothing beside it, no runtime either: Bun with the bundle of `build.ts`
 * inside.
 *
 * usage: build_executable.ts [FILE]      (default: dist/reeve)
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL(".", import.meta.url));
const file = resolve(process.argv[2] ?? join(root, "dist/reeve"));

function run(command: string, words: readonly string[], cwd: string): void {
  const { status, error, stdout, stderr } = spawnSync(command, words, { cwd, encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${words[0]} ended with ${status}: ${stdout}${stderr}`);
}

mkdirSync(dirname(file), { recursive: true });
// Beside its place, so that it can be moved there as a whole.
const work = mkdtempSync(join(dirname(file), ".reeve-executable-"));
try {
  run(process.execPath, [join(root, "build.ts"), work], root);
  run(join(root, "node_modules/.bin/bun"), [
    "build",
    "--compile",
    // It is started in folders of others, whose files must not become part of it: a `bunfig.toml` can name code to run first.
    "--no-compile-autoload-bunfig",
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-tsconfig",
    "--no-compile-autoload-package-json",
    // For benchmarks only.
    "--external=autocannon",
    "--outfile=executable",
    "reeve.js",
    // What threads run is looked for beside the program.
    "worker.js",
    "entry/worker.js",
  ], work);
  renameSync(join(work, "executable"), file);
} finally {
  rmSync(work, { recursive: true, force: true });
}
