/** The counts of all runs that were kept: one entry per target and runtime in a JSON file. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

/** What was run of a target on a runtime. */
interface Entry {
  readonly runs: number;
  readonly findings: number;
  /** The day of the last run. */
  readonly date: string;
}
type Tally = Record<string, Record<string, Entry>>;

/** `node` or `bun`. */
export const runtimeName = (): string => "bun" in process.versions ? "bun" : "node";

/** Adds runs to the tally of a file, which is made where it is missing. */
export function addToTally(file: string, target: string, runs: number, findings: number, now: Date): void {
  const read: Tally = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  const tally = new Map(Object.entries(read).map(([name, by]) => [name, new Map(Object.entries(by))]));
  const byRuntime = tally.get(target) ?? new Map<string, Entry>();
  const before = byRuntime.get(runtimeName());
  byRuntime.set(runtimeName(), {
    runs: (before?.runs ?? 0) + runs,
    findings: (before?.findings ?? 0) + findings,
    date: now.toISOString().slice(0, 10),
  });
  tally.set(target, byRuntime);
  const sorted = Object.fromEntries(
    [...tally].sort(([a], [b]) => a < b ? -1 : 1).map(([name, by]) => [name, Object.fromEntries(by)]),
  );
  writeFileSync(file, `${JSON.stringify(sorted, null, 2)}\n`);
}
