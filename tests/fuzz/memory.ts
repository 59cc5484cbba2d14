/** How much memory the process has held, by the counters of the kernel; on other systems than Linux by samples. */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

const MIB = 1 << 20;

/** MiB that the process holds now. */
export const residentMib = (): number => process.memoryUsage.rss() / MIB;

/** The most that the process has held since {@link resetPeak}, in MiB. */
export function peakMib(): number {
  try {
    const [, kib] = readFileSync("/proc/self/status", "latin1").match(/^VmHWM:\s+(\d+) kB$/m)!;
    return Number(kib) / 1024;
  } catch {
    return residentMib();
  }
}

/** Begins to measure the peak anew. */
export function resetPeak(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // The peak since the process began is an upper bound.
  }
}

/** Collects garbage, where the runtime lets us. */
export function collect(): void {
  const runtime = globalThis as { gc?: () => void; Bun?: { gc(wait: boolean): void } };
  if (runtime.Bun) runtime.Bun.gc(true);
  else runtime.gc?.();
}
