/** The tool as a program: bundled, and called by the names that users know it by, on the runtime that runs the tests. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { root } from "./place.ts";

export interface Program {
  /** `PATH` in which `kwctl` and `reeve` are the tool, and `node` is the runtime that runs the tests. */
  readonly path: string;
  /** The bundled script. */
  readonly script: string;
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
  /** Gets everything that was written to standard error so far, and may end the process. */
  readonly onError?: (text: string, kill: (signal: "SIGINT" | "SIGTERM" | "SIGKILL") => void) => void;
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
    child.stderr.on("data", (piece) => {
      stderr += piece;
      around.onError?.(stderr, (signal) => child.kill(signal));
    });
    child.on("error", reject);
    child.on("close", (exit) => resolve({ exit, stdout, stderr }));
  });
}

/** Bundles the tool and links its names to it. */
export async function bundledProgram(): Promise<Program> {
  const folder = mkdtempSync(join(tmpdir(), "reeve-program-"));
  const { exit, stderr } = await execute(process.execPath, [join(root, "build.ts"), join(folder, "dist")], {
    cwd: root,
    env: { PATH: process.env["PATH"] ?? "" },
  });
  if (exit !== 0) throw new Error(`the bundle can't be built: ${stderr}`);
  const script = join(folder, "dist/reeve.js");
  // Bun that is called `node` behaves like it.
  for (const [name, target] of [["node", process.execPath], ["kwctl", script], ["reeve", script]] as const) {
    symlinkSync(target, join(folder, name));
  }
  return {
    path: [folder, process.env["PATH"] ?? "", dirname(process.execPath)].join(":"),
    script,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
