/**
 * Builds `reeve` as one executable for this machine, runtime included: nothing else has to be installed to run it.
 *
 * usage: build_executable.ts [FILE]      (default: dist/reeve)
 */
import "./program/check_script.ts";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL(".", import.meta.url));
const output = resolve(process.argv[2] ?? join(root, "dist/reeve"));
const bundle = mkdtempSync(join(tmpdir(), "reeve-bundle-"));

function run(command: string, ...args: string[]): void {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with exit code ${status}`);
}

try {
  run(process.execPath, "build.ts", bundle);
  // The threads' code is looked for by its name, beside the program's.
  const files = ["reeve.js", "worker.js"].map((name) => join(bundle, name));
  run(
    join(root, "node_modules/.bin/bun"),
    "build",
    "--compile",
    // It is started in folders of others, whose files must not become part of it: a `bunfig.toml` there can name code to run first.
    "--no-compile-autoload-bunfig",
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-tsconfig",
    "--no-compile-autoload-package-json",
    "--outfile",
    output,
    ...files,
  );
} finally {
  rmSync(bundle, { recursive: true, force: true });
}
