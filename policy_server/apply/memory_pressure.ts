/** Watches how much memory the process uses, so that it refuses requests before the kernel ends it. */
import process from "node:process";
import type { Log } from "./log.ts";
import { MIB } from "../render/memory_plan.ts";

/** How often it looks. */
const CHECK_MS = 100;
/** Requests are taken again when so much of the threshold is free. */
const RELIEF = 0.95;
/** How often guests are asked to give back what they can while memory is short. */
const SHRINK_MS = 1_000;

export type MemoryPressure = {
  /** Whether new requests are to be refused. */
  readonly high: () => boolean;
  close(): void;
};

/** No limit. */
export const NO_PRESSURE: MemoryPressure = { high: () => false, close() {} };

/**
 * @param threshold bytes in use from which on memory is short
 * @param shrink asks for what can be given back
 * @param used bytes that the process uses
 * @param changed is told when memory begins or ceases to be short
 */
export function memoryPressure(
  threshold: number,
  shrink: () => void,
  log: Log,
  used: () => number = () => process.memoryUsage.rss(),
  changed: (high: boolean) => void = () => {},
): MemoryPressure {
  let high = false;
  let shrunkAt = -Infinity;
  const timer = setInterval(() => {
    const bytes = used();
    if (high && bytes < threshold * RELIEF) {
      high = false;
      changed(false);
      log.info("memory is no longer short, requests are taken again", { used_mib: Math.round(bytes / MIB) });
    }
    if (bytes < threshold) return;
    if (!high) {
      changed(true);
      log.warn("memory is short: new requests are refused until some of it is given back", {
        used_mib: Math.round(bytes / MIB),
        threshold_mib: Math.round(threshold / MIB),
      });
    }
    high = true;
    const now = performance.now();
    if (now - shrunkAt < SHRINK_MS) return;
    shrunkAt = now;
    shrink();
  }, CHECK_MS);
  timer.unref();
  return { high: () => high, close: () => clearInterval(timer) };
}
