/** How many descriptors this process may have. */
import { readFileSync } from "node:fs";

/** The soft limit on Linux; `Infinity` where there is none, or it can't be read. */
export function descriptorLimit(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return soft === undefined ? Infinity : Number(soft);
  } catch {
    return Infinity;
  }
}
