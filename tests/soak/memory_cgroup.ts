/** A memory cgroup for one process, as a container has it; version 1 or 2, whatever the machine has. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const ROOT = "/sys/fs/cgroup";
const V1 = join(ROOT, "memory");
const isV2 = existsSync(join(ROOT, "cgroup.controllers"));

/** Why there can't be one here; undefined where there can. */
export function cgroupMissing(): string | undefined {
  if (process.platform !== "linux") return "memory cgroups need Linux";
  if (process.getuid?.() !== 0) {
    return "memory cgroups need root: run it as root, or in a privileged container";
  }
  if (isV2) {
    const delegated = readFileSync(join(ROOT, "cgroup.subtree_control"), "utf8").split(/\s+/).includes(
      "memory",
    );
    return delegated ? undefined : `echo +memory > ${ROOT}/cgroup.subtree_control`;
  }
  return existsSync(join(V1, "memory.limit_in_bytes"))
    ? undefined
    : `no memory cgroup is mounted: mount -t cgroup -o memory cgroup ${V1}`;
}

export type MemoryCgroup = {
  /** The words that start `command` in it. */
  wrapped(command: readonly string[]): readonly string[];
  /** Bytes that it used at most. */
  peak(): number;
  /** Whether the kernel ended a process of it. */
  killed(): boolean;
  /** Once nothing runs in it. */
  remove(): void;
};

/** Makes one, without swap. Throws where {@link cgroupMissing} says why. */
export function memoryCgroup(mib: number): MemoryCgroup {
  const missing = cgroupMissing();
  if (missing !== undefined) throw new Error(missing);
  const folder = join(isV2 ? ROOT : V1, `portreeve-soak-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  const file = (name: string) => join(folder, name);
  const bytes = String(mib * 1024 * 1024);
  writeFileSync(file(isV2 ? "memory.max" : "memory.limit_in_bytes"), bytes);
  return {
    wrapped: (command) => ["sh", "-c", `echo $$ > ${file("cgroup.procs")}; exec "$@"`, "sh", ...command],
    peak: () => Number(readFileSync(file(isV2 ? "memory.peak" : "memory.max_usage_in_bytes"), "utf8")),
    killed: () =>
      /^oom_kill [1-9]/m.test(readFileSync(file(isV2 ? "memory.events" : "memory.oom_control"), "utf8")),
    remove: () => {
      try {
        rmdirSync(folder);
      } catch {
        // Something still runs in it.
      }
    },
  };
}
