/**
 * Time that the process itself spent: on a machine that is busy with something else the clock on the wall goes on while the process
 * stands still, and no deadline of ours is to blame for that.
 */
import process from "node:process";

/** A moment. */
export interface Moment {
  readonly wallMs: number;
  readonly cpu: NodeJS.CpuUsage;
}

/** Now. */
export const stopwatch = (): Moment => ({ wallMs: performance.now(), cpu: process.cpuUsage() });

/** Milliseconds since then: what passed, or what the process used if that is less. */
export function elapsedMs({ wallMs, cpu }: Moment): number {
  const { user, system } = process.cpuUsage(cpu);
  return Math.min(performance.now() - wallMs, (user + system) / 1000);
}

/** How much more than `limitMs` has been used since then; less than 0 within the limit. */
export const lateMs = (started: Moment, limitMs: number): number => elapsedMs(started) - limitMs;
