/**
 * `--daemon` (spec/policy-server.md §15, §19 row 20). A runtime with threads can't be forked, so the process starts itself once
 * more in a session of its own, and ends when that one has read its configuration and taken the PID file.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import type { ServerOptions } from "../types/options.ts";

export type DaemonOptions = NonNullable<ServerOptions["daemon"]>;

/** Tells the started process what it is. */
const MARK = "PORTREEVE_DAEMON";
const UMASK = 0o027;
/** How often a PID file that a process left behind is taken away before somebody else is to blame. */
const ATTEMPTS = 2;

/** What the started process tells the one that started it. */
type Told = { readonly kind: "detached" } | {
  readonly kind: "failed";
  readonly text: string;
  readonly exitCode: number;
};

/** Whether this process is the one that was started to run in the background. */
export const isDaemon = process.env[MARK] !== undefined;

function outputFile(path: string | null, what: "stdout" | "stderr"): number | "ignore" {
  if (path === null) return "ignore";
  try {
    return openSync(path, "w", 0o640);
  } catch (error) {
    throw new Error(`Cannot create file for daemon ${what}: ${(error as Error).message}`);
  }
}

/** How starting a daemon ended, for the process that was asked to. */
export type Started = { readonly exitCode: number; readonly error?: string };

/** Starts this program once more, in the background. Rejects when its output files can't be made. */
export async function startDaemon({ stdoutFile, stderrFile }: DaemonOptions): Promise<Started> {
  const stdout = outputFile(stdoutFile, "stdout");
  const stderr = outputFile(stderrFile, "stderr");
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ["ignore", stdout, stderr, "ipc"],
    env: { ...process.env, [MARK]: "true" },
  });
  for (const file of [stdout, stderr]) if (typeof file === "number") closeSync(file);
  return await new Promise<Started>((settle) => {
    child.on("message", (told: Told) => {
      if (told.kind === "failed") return settle({ exitCode: told.exitCode, error: told.text });
      child.unref();
      settle({ exitCode: 0 });
    });
    child.on("error", (error) => settle({ exitCode: 1, error: `Error: Cannot daemonize: ${error.message}` }));
    child.on("exit", (code, signal) => {
      const error = `Error: Cannot daemonize: the background process ended with ${signal ?? `code ${code}`}`;
      settle({ exitCode: code || 1, error });
    });
  });
}

async function tell(told: Told): Promise<void> {
  if (process.send === undefined || !process.connected) return;
  await new Promise<void>((done) => process.send!(told, undefined, undefined, () => done()));
}

/** In the background process: hands what went wrong to whoever still waits for it. */
export async function reportFailure(text: string, exitCode: number): Promise<void> {
  if (isDaemon) await tell({ kind: "failed", text, exitCode });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Makes the PID file, which nobody else may hold. Throws when somebody does, or it can't be made. */
export function takePidFile(path: string): void {
  for (let attempt = 0;; attempt++) {
    try {
      return writeFileSync(path, `${process.pid}\n`, { flag: "wx", mode: 0o640 });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== "EEXIST" || attempt === ATTEMPTS) {
        throw new Error(`Cannot daemonize: unable to create PID file: ${message}`);
      }
      let text: string;
      try {
        text = readFileSync(path, "utf8");
      } catch {
        continue;
      }
      const pid = /^\d{1,10}\s*$/.test(text) ? Number(text) : undefined;
      if (pid === undefined || pid === 0) {
        throw new Error(`Cannot daemonize: PID file ${path} holds no process id, remove it if it is none`);
      }
      // A process that is gone has left it; in another container of the same file system, numbers mean nothing.
      if (pid !== process.pid && isAlive(pid)) {
        throw new Error(`Cannot daemonize: unable to lock PID file ${path}: process ${pid} has it`);
      }
      rmSync(path, { force: true });
    }
  }
}

/** Takes the PID file away, if it is this process' own. */
function dropPidFile(path: string): void {
  try {
    if (readFileSync(path, "utf8") === `${process.pid}\n`) rmSync(path);
  } catch {
    // Somebody else was quicker.
  }
}

/** The same options with files that are read later named from the root; what is written is by the rules named from there. */
export function fromRoot(options: ServerOptions): ServerOptions {
  const absolute = (path: string) => resolve(path);
  const optional = (path: string | null) => path === null ? null : absolute(path);
  const { tls } = options;
  return {
    ...options,
    policiesPath: absolute(options.policiesPath),
    sourcesPath: optional(options.sourcesPath),
    verificationPath: optional(options.verificationPath),
    sigstoreTrustConfigPath: optional(options.sigstoreTrustConfigPath),
    dockerConfigJsonPath: optional(options.dockerConfigJsonPath),
    tls: tls && {
      certFile: absolute(tls.certFile),
      keyFile: absolute(tls.keyFile),
      clientCaFiles: tls.clientCaFiles.map(absolute),
    },
  };
}

/** In the background process: lets go of the shell. Throws when the PID file can't be had. */
export async function detach({ pidFile }: DaemonOptions): Promise<void> {
  process.chdir("/");
  process.umask(UMASK);
  // A relative name is seen from the root, like the working directory.
  const path = resolve("/", pidFile);
  takePidFile(path);
  process.on("exit", () => dropPidFile(path));
  await tell({ kind: "detached" });
  if (process.connected) process.disconnect?.();
}
