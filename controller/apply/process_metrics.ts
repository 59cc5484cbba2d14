/** What Prometheus' clients say of their own process, as far as the system tells. */
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";

type Value = readonly [name: string, value: number];

/** Names and values now. */
export function processMetrics(): readonly Value[] {
  const { user, system } = process.cpuUsage();
  const values: Value[] = [
    ["process_resident_memory_bytes", process.memoryUsage.rss()],
    ["process_cpu_seconds_total", (user + system) / 1e6],
    ["process_start_time_seconds", Math.floor(Date.now() / 1000 - process.uptime())],
  ];
  try {
    values.push(["process_open_fds", readdirSync("/proc/self/fd").length]);
    const virtual = /^VmSize:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    if (virtual !== undefined) values.push(["process_virtual_memory_bytes", Number(virtual) * 1024]);
  } catch {
    // No /proc: not Linux.
  }
  return values;
}
