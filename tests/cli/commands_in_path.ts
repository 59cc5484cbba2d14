/** A folder to put into PATH in which \`kwctl\` and \`reeve\` are this tool, on the runtime that runs the test. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { root } from "./place.ts";

const SOURCES = ["artifact", "cli", "crd", "evaluator", "kubernetes", "policy_server", "deps.ts"];

function newest(path: string): number {
  const entry = statSync(path);
  if (!entry.isDirectory()) return entry.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}

/** The bundle, which starts in a third of the time, where it is no older than what it was made of; else the source. */
function program(): string {
  const bundle = join(root, "dist/reeve.js");
  const fresh = existsSync(bundle) &&
    statSync(bundle).mtimeMs >= Math.max(...SOURCES.map((name) => newest(join(root, name))));
  return fresh ? bundle : join(root, "cli/main.ts");
}

/** Makes the folder \`bin\` below \`base\`. */
export function commandsInPath(base: string): string {
  const [bin, programs] = [join(base, "bin"), join(base, "programs")];
  for (const folder of [bin, programs]) mkdirSync(folder);
  const file = program();
  for (const name of ["kwctl", "reeve"]) {
    // The name that it is called by is the name of its file.
    symlinkSync(file, join(programs, name));
    const script = join(bin, name);
    writeFileSync(script, `#!/bin/sh\nexec "${process.execPath}" "${join(programs, name)}" "$@"\n`);
    chmodSync(script, 0o755);
  }
  return bin;
}

export interface Ran {
  readonly status: number | null;
  /** Both streams, as a terminal would show them. */
  readonly output: string;
}

/** Runs a command with that folder in PATH and a home of its own. */
export function runWith(
  bin: string,
  home: string,
  cwd: string,
  command: string,
  ...words: readonly string[]
): Ran {
  const { status, stdout, stderr } = spawnSync(command, words, {
    cwd,
    encoding: "utf8",
    env: { PATH: `${bin}:${process.env["PATH"]}`, HOME: home, TMPDIR: process.env["TMPDIR"] ?? "/tmp" },
    timeout: 300_000,
  });
  return { status, output: `${stdout}${stderr}` };
}
