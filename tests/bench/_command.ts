/** Runs the benchmarks' commands, which run on Node whatever runs the tests: once is enough. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Runs a program of the repository on Node and gives its exit code and all that it wrote. */
export function run(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(join(ROOT, "node_modules/.bin/node"), args, {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (chunk) => output += chunk);
    child.stderr.on("data", (chunk) => output += chunk);
    child.on("close", (code) => resolve({ code, output }));
  });
}

/** A test of what is the same whatever runs the tests: on Node only. `missing` is what it needs and the machine has not. */
export function once(title: string, check: () => Promise<void>, missing = ""): void {
  if ("bun" in process.versions) test.skip(`${title} (with the tests on Node: npm test)`, check);
  else if (missing !== "") test.skip(`${title}${missing}`, check);
  else test(title, check);
}
