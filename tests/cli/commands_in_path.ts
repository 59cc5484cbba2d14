/** A folder to put into PATH in which `kwctl` and `reeve` are this tool, on the runtime that runs the test. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { programFile } from "../programs.ts";

/** Makes the folder `bin` below `base`. */
export function commandsInPath(base: string): string {
  const [bin, programs] = [join(base, "bin"), join(base, "programs")];
  for (const folder of [bin, programs]) mkdirSync(folder);
  const file = programFile("reeve");
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
