/**
 * Builds `reeve` as one executable, runtime included: nothing else has to be installed to run it.
 *
 * usage: build_executable.ts [--target TARGET] [FILE]      (default: for this machine, dist/reeve)
 *   --target  another machine in Bun's words, e.g. bun-windows-x64; its runtime comes from npm
 */
import "./program/check_script.ts";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL(".", import.meta.url));
const { values: { target }, positionals: [file = join(root, "dist/reeve")] } = parseArgs({
  options: { target: { type: "string" } },
  allowPositionals: true,
});
const output = resolve(file);
const bundle = mkdtempSync(join(tmpdir(), "reeve-bundle-"));

function run(command: string, ...args: string[]): void {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with exit code ${status}`);
}

try {
  run(process.execPath, "build.ts", bundle);
  // The threads' code is looked for by its name, beside the program's.
  const files = ["reeve.js", "worker.js", "entry/worker.js"].map((name) => join(bundle, name));
  run(
    join(root, "node_modules/.bin/bun"),
    "build",
    "--compile",
    ...target === undefined ? [] : [`--target=${target}`],
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
