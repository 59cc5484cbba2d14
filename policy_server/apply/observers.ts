/** What a server is watched by: its log and metrics, and spans and profiles where the options ask for them. */
import process from "node:process";
import type { ServerOptions } from "../types/options.ts";
import type { SharedLog } from "./log.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import type { Profiler } from "./profiler.ts";
import { startTelemetry } from "./telemetry.ts";
import type { Tracing } from "./tracing.ts";

/** Who hears of requests. */
export interface Observers {
  readonly log: SharedLog;
  readonly metrics: Metrics;
  /** Absent unless spans are sent. */
  readonly tracing: Tracing | undefined;
  /** Absent unless profiles are served. */
  readonly profiler: Profiler | undefined;
}

/** The last push may take this long, also that of a start that fails. */
const TELEMETRY_FLUSH_MS = 2_000;

/** Starts them for as long as `lifetimes` last. Rejects when the environment's settings for telemetry can't be used. */
export async function startObservers(
  options: ServerOptions,
  log: SharedLog,
  lifetimes: AsyncDisposableStack,
): Promise<Observers> {
  const metrics = createMetrics({
    onOverflow: (attribute) =>
      log.warn("too many values of a metric's label, further ones count as `other`", { attribute }),
  });
  const telemetry = await startTelemetry(options, process.env, metrics, log);
  lifetimes.defer(() => telemetry.stop(TELEMETRY_FLUSH_MS));
  const profiler = options.enablePprof ? await (await import("./profiler.ts")).startProfiler() : undefined;
  lifetimes.defer(() => profiler?.close());
  return { log, metrics, tracing: telemetry.tracing, profiler };
}
