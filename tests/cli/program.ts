/** The tool as a program: bundled, and called by the names that users know it by, on the runtime that runs the tests. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { bundleFile } from "../programs.ts";

export interface Program {
  /** Holds `kwctl` and `reeve`, links to the tool. */
  readonly folder: string;
  /** `PATH` that begins with that folder; in it `node` is the runtime that runs the tests. */
  readonly path: string;
  readonly remove: () => void;
}

export interface Ended {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Surroundings {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Nothing that is started here takes longer, however busy the machine is. */
const LIMIT_MS = 240_000;

/** Runs a command to its end. */
export function execute(command: string, words: readonly string[], around: Surroundings): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, {
      cwd: around.cwd,
      env: { ...around.env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: LIMIT_MS,
      killSignal: "SIGKILL",
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (piece) => stdout += piece);
    child.stderr.on("data", (piece) => stderr += piece);
    child.on("error", reject);
    child.on("close", (exit) => resolve({ exit, stdout, stderr }));
  });
}

/** The bundled tool, with its names linked to it. */
export function bundledProgram(): Program {
  const folder = mkdtempSync(join(tmpdir(), "reeve-program-"));
  const script = bundleFile("reeve");
  // Bun that is called `node` behaves like it.
  for (const [name, target] of [["node", process.execPath], ["kwctl", script], ["reeve", script]] as const) {
    symlinkSync(target, join(folder, name));
  }
  return {
    folder,
    path: `${folder}:${process.env["PATH"] ?? ""}`,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
