/** Runs a program whose standard output is its answer: exec plugins of kubeconfigs, docker's credential helpers. */
import { type ChildProcess, spawn } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import process from "node:process";

/** How long what an ended program left behind, such as a daemon that keeps its output open, is waited for; Go's `exec.Cmd.WaitDelay`. */
const LEFT_BEHIND_MS = 1_000;

interface ProgramOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For its standard input; undefined: it has none. */
  readonly input?: string;
  readonly timeoutMs: number;
  /** A program that prints more is stopped. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
}

/** How a program ended. What it printed may be a secret: no message holds any of it. */
type ProgramEnd =
  | { readonly kind: "exited"; readonly code: number; readonly output: Buffer }
  | { readonly kind: "too much output" }
  /** It was stopped, by us after the time, or by somebody else. */
  | { readonly kind: "stopped"; readonly signal: string }
  | { readonly kind: "not started"; readonly code: string };

/** Why a program gave no answer, as it reads behind its name. */
export function programFault(
  end: ProgramEnd,
  { timeoutMs, maxBytes }: Pick<ProgramOptions, "timeoutMs" | "maxBytes">,
): string {
  switch (end.kind) {
    case "not started":
      return `cannot be run (${end.code})`;
    case "too much output":
      return `printed more than ${maxBytes} bytes`;
    case "stopped":
      return `did not end within ${timeoutMs / 1000} s, or was stopped (${end.signal})`;
    case "exited":
      return `ended with code ${end.code}`;
  }
}

/**
 * Runs `program` and collects what it prints; its standard error is nobody's.
 *
 * @throws {Error} `AbortError`, when `signal` is aborted
 */
export function runProgram(program: string, options: ProgramOptions): Promise<ProgramEnd> {
  const { args, env, input, timeoutMs, maxBytes, signal } = options;
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => {
      if (error.name === "AbortError") reject(error);
      // What the runtimes say of a zero byte in an argument quotes it.
      else resolve({ kind: "not started", code: error.code ?? error.name });
    };
    let child: ChildProcess;
    try {
      child = spawn(program, args, {
        stdio: [input === undefined ? "ignore" : "pipe", "pipe", "ignore"],
        env: { ...env },
        killSignal: "SIGKILL",
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      return failed(error as NodeJS.ErrnoException);
    }
    // Not by the `timeout` of `spawn`: Node 24 waits for it also where the program could not be started.
    const limit = setTimeout(() => child.kill("SIGKILL"), timeoutMs).unref();
    const { stdin, stdout } = child;
    const output: Buffer[] = [];
    let size = 0;
    child.on("error", failed);
    stdin?.on("error", () => {});
    stdin?.end(input);
    stdout?.on("data", (piece: Buffer) => {
      size += piece.length;
      if (size > maxBytes) child.kill("SIGKILL");
      else output.push(piece);
    });
    let leftBehind: ReturnType<typeof setTimeout> | undefined;
    child.on("exit", () => leftBehind = setTimeout(() => stdout?.destroy(), LEFT_BEHIND_MS));
    child.on("close", (code, killed) => {
      clearTimeout(limit);
      clearTimeout(leftBehind);
      if (size > maxBytes) resolve({ kind: "too much output" });
      else if (code === null) resolve({ kind: "stopped", signal: killed ?? "unknown signal" });
      else resolve({ kind: "exited", code, output: Buffer.concat(output) });
    });
  });
}

/**
 * Where a program of this name is in `path`, a list as `PATH` has it; undefined: nowhere. Folders that are relative are left out, as Go's
 * `exec.LookPath` does: what lies in the working folder is somebody else's.
 */
export async function programInPath(name: string, path: string | undefined): Promise<string | undefined> {
  if (process.platform === "win32") return name;
  for (const folder of (path ?? "").split(delimiter)) {
    if (!isAbsolute(folder)) continue;
    const file = join(folder, name);
    if (await access(file, constants.X_OK).then(() => true, () => false)) return file;
  }
  return undefined;
}
