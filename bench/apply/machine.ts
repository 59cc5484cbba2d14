/** What machine this is, with which versions, and what else it does. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem, type } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Machine, Versions } from "../types/run.ts";
import type { Generator } from "./load.ts";
import { processTimes, TICKS_PER_SECOND } from "./processes.ts";
import { ROOT, runtimeVersion } from "./servers.ts";

export function machine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    processors: availableParallelism(),
    memoryGb: Number((totalmem() / 1e9).toFixed(1)),
    kernel: `${type()} ${release()}`,
  };
}

/** The load average of the last minute. */
export function load(): number {
  return Number(loadavg()[0]!.toFixed(2));
}

function commit(): string | null {
  const git = (...args: string[]) => spawnSync("git", args, { cwd: ROOT, encoding: "utf8" });
  const head = git("rev-parse", "--short", "HEAD");
  if (head.status !== 0) return null;
  const changed = git("status", "--porcelain", "--untracked-files=no").stdout.trim() !== "";
  return `${head.stdout.trim()}${changed ? "+" : ""}`;
}

function generatorVersion(generator: Generator): string {
  if (generator === "wrk") {
    const version = /^wrk (\S+)/.exec(spawnSync("wrk", ["-v"], { encoding: "utf8" }).stdout)?.[1];
    return version === undefined ? "wrk" : `wrk ${version}`;
  }
  const manifest = join(ROOT, "node_modules/autocannon/package.json");
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  return `autocannon ${version}`;
}

export function versions(generator: Generator): Versions {
  return {
    node: runtimeVersion("node"),
    bun: runtimeVersion("bun"),
    generator: generatorVersion(generator),
    commit: commit(),
  };
}

/** A moment's account of processor time, in milliseconds. */
type Account = { readonly atMs: number; readonly all: number; readonly own: number };

/**
 * The processor time of all processes since the machine began, also that which its host kept from it (proc_stat(5): user, nice, system,
 * steal; interrupts belong to nobody); and that of this process, those it waited for (load generators) and `pids`.
 */
function account(pids: readonly number[]): Account | undefined {
  let line: string;
  try {
    line = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]!;
  } catch {
    return undefined; // not Linux
  }
  const ticks = line.trim().split(/\s+/).slice(1).map(Number);
  const self = processTimes(process.pid);
  if (self === null) return undefined;
  const servers = pids.reduce((sum, pid) => sum + (processTimes(pid)?.own ?? 0), 0);
  return {
    atMs: performance.now(),
    all: (ticks[0]! + ticks[1]! + ticks[2]! + (ticks[7] ?? 0)) * 1000 / TICKS_PER_SECOND,
    own: self.own + self.endedChildren + servers,
  };
}

/** Begins to watch; the function tells which share of all processors' time went to other processes since, null where it can't be read. */
export function watchOthers(pids: readonly number[]): () => number | null {
  const before = account(pids);
  return () => {
    const after = account(pids);
    if (before === undefined || after === undefined) return null;
    const others = after.all - before.all - (after.own - before.own);
    const share = others / ((after.atMs - before.atMs) * cpus().length);
    return Number(Math.min(1, Math.max(0, share)).toFixed(3));
  };
}
