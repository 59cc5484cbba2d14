/** The processes of a benchmark: started, waited for, and ended whatever happens. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** How long a server may take to end by itself. */
const STOP_MS = 3_000;

/** A running process. */
export type Running = {
  readonly pid: number;
  /** Resolves once it has ended, with what it wrote to standard output. */
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
  readonly alive: () => boolean;
  /** SIGTERM, and SIGKILL for who does not listen. Resolves when it is gone. */
  readonly stop: () => Promise<void>;
};

export type StartOptions = {
  readonly command: string;
  readonly args: readonly string[];
  /** Whether standard output is wanted; a server's log is thrown away. */
  readonly keepOutput?: boolean;
  /** Variables besides those of this process. */
  readonly env?: Readonly<Record<string, string>>;
};

const children = new Set<ChildProcess>();
const folders = new Set<string>();
let guarded = false;

function cleanUp(): void {
  for (const child of children) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

/** Whatever ends this process ends those that it started, and takes its files away. */
function guard(): void {
  if (guarded) return;
  guarded = true;
  process.on("exit", cleanUp);
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    process.on(signal, () => process.exit(code));
  }
}

/** Starts a process. Its end is `ended`, which never rejects. */
export function start({ command, args, keepOutput = false, env = {} }: StartOptions): Running {
  guard();
  const child = spawn(command, args, {
    stdio: ["ignore", keepOutput ? "pipe" : "ignore", "pipe"],
    env: { ...process.env, ...env },
  });
  children.add(child);
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (chunk) => stdout += chunk);
  child.stderr?.on("data", (chunk) => stderr = (stderr + chunk).slice(-4_000));
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.once("error", (error) => {
      children.delete(child);
      resolve({ code: null, stdout, stderr: error.message });
    });
    child.once("close", (code) => {
      children.delete(child);
      resolve({ code, stdout, stderr });
    });
  });
  return {
    pid: child.pid ?? -1,
    ended,
    alive: () => children.has(child),
    stop: async () => {
      if (!children.has(child)) return;
      child.kill("SIGTERM");
      const limit = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await ended;
      clearTimeout(limit);
    },
  };
}

/** Asks `ready` again and again until it says so. Rejects when the process ends first, or after `limitMs`. */
export async function untilReady(
  name: string,
  running: Running,
  ready: () => Promise<boolean>,
  limitMs: number,
): Promise<void> {
  const until = performance.now() + limitMs;
  while (!await ready()) {
    if (!running.alive()) {
      const { code, stderr } = await running.ended;
      throw new Error(`${name} ended with ${code} before it was ready: ${stderr.trim()}`);
    }
    if (performance.now() > until) throw new Error(`${name} was not ready after ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** An empty folder that goes away with this process. */
export function temporaryFolder(): string {
  guard();
  const folder = mkdtempSync(join(tmpdir(), "portreeve-bench-"));
  folders.add(folder);
  return folder;
}

/** Ports of loopback that nobody listens on. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => {
    const server = createServer();
    return new Promise<typeof server>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", () => resolve(server));
    });
  }));
  return await Promise.all(servers.map((server) => {
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    return new Promise<number>((resolve) => server.close(() => resolve(port)));
  }));
}

/** The resident set of a process in MB (10^6 bytes), as Linux counts it; null where that can't be read. */
export function residentMb(pid: number | undefined): number | null {
  if (pid === undefined) return null;
  try {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kib === undefined ? null : Number(kib) * 1024 / 1e6;
  } catch {
    return null; // ended, or not Linux
  }
}

/** Linux counts processor time in these, whatever the kernel's own tick is. */
export const TICKS_PER_SECOND = 100;

/** The processor time of a process with all its threads, and of its children that have ended, in milliseconds; null where it can't be read. */
export function processTimes(
  pid: number | undefined,
): { readonly own: number; readonly endedChildren: number } | null {
  if (pid === undefined) return null;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name, in parentheses, may hold spaces; utime, stime, cutime and cstime are fields 14 to 17 (proc_pid_stat(5)).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ").map(Number);
    const ms = (first: number) => (fields[first]! + fields[first + 1]!) * 1000 / TICKS_PER_SECOND;
    return { own: ms(11), endedChildren: ms(13) };
  } catch {
    return null; // ended, or not Linux
  }
}

/** The processor time that a process has used up with all its threads, in milliseconds; null where that can't be read. */
export function processorMs(pid: number | undefined): number | null {
  return processTimes(pid)?.own ?? null;
}
