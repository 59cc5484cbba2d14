/**
 * Pushes metrics at an interval. The values are somebody else's; they are read at the moment of a push, so that counting costs
 * nothing more than it does without.
 *
 * ```ts
 * const push = await startMetricsPush({
 *   scope: "kubewarden",
 *   serviceName: "unknown_service:policy-server",
 *   environment: process.env,
 *   collect: () => families,
 *   report: (level, message, fields) => log[level](message, fields),
 * });
 * await push.stop(5_000);
 * ```
 */
import { wallClockMs } from "../../program/apply/wall_clock.ts";
import { within } from "../../program/apply/within.ts";
import { loadOtelApi, loadOtelMetrics, loadOtlp } from "../../deps.ts";
import {
  type Arrived,
  asArrived,
  type Instant,
  messages,
  metricData,
  NOTHING_ARRIVED,
  since,
} from "../render/metric_data.ts";
import { type Environment, exportIntervalMs, otlpSettings, temporality } from "../render/otlp_settings.ts";
import type { MetricFamily, Temporality } from "../types/metrics.ts";
import type { Report } from "../types/report.ts";
import { openOtlpChannel } from "./otlp_channel.ts";
import { resource } from "./resource.ts";

/** What is pushed. */
export type MetricsPushOptions = {
  /** The meter's name. */
  readonly scope: string;
  /** `service.name` where the environment gives none. */
  readonly serviceName: string;
  readonly environment: Environment;
  /** Time between two pushes; that of the environment unless given. */
  readonly intervalMs?: number;
  readonly collect: () => readonly MetricFamily[];
  readonly report: Report;
};

/** Pushes until it is stopped. */
export interface MetricsPush {
  /** Pushes now. */
  flush(): Promise<void>;
  /** Pushes once more and ends, after `limitMs` at most. Resolves to whether the last push arrived. */
  stop(limitMs: number): Promise<boolean>;
}

/** Begins to push. Rejects when the environment's variables, or files that they name, can't be used. */
export async function startMetricsPush(options: MetricsPushOptions): Promise<MetricsPush> {
  const { scope, serviceName, environment, report, collect } = options;
  const { settings, notices: ofSettings } = otlpSettings("METRICS", environment);
  const notices = [...ofSettings];
  const kind = temporality(environment, notices);
  const intervalMs = options.intervalMs ?? exportIntervalMs(environment, notices);
  for (const notice of notices) report("warn", notice, {});
  const channel = await openOtlpChannel(settings, report);
  const encode = await encoder(scope, serviceName, kind);
  let begin = now();
  let arrived: Arrived = NOTHING_ARRIVED;

  async function push(): Promise<boolean> {
    const all = collect();
    const end = now();
    const news = kind === "delta" ? since(arrived, all) : all;
    for (const message of messages(news)) {
      const bytes = encode(message, begin, end);
      if (bytes === undefined || await channel.send(bytes) !== "arrived") return false;
    }
    if (kind === "delta") {
      arrived = asArrived(all);
      begin = end;
    }
    return true;
  }

  let broken = false;
  let pushing: Promise<boolean> | undefined;
  /** One push at a time: while a collector is slow, values just add up. */
  const pushOnce = () =>
    pushing ??= push().catch((error: unknown) => {
      // Whatever is wrong with telemetry, the process has better things to do than to end of it.
      if (!broken) report("warn", "metrics can't be written", { error: String(error) });
      broken = true;
      return false;
    }).finally(() => {
      pushing = undefined;
    });
  const timer = setInterval(() => void pushOnce(), intervalMs);
  timer.unref();
  return {
    flush: async () => {
      await pushOnce();
    },
    async stop(limitMs) {
      clearInterval(timer);
      const last = async () => {
        // What was counted during a push that is on its way is not in it.
        if (pushing !== undefined) await pushing;
        return await pushOnce();
      };
      const done = await within(limitMs, last(), () => false);
      channel.close();
      return done;
    },
  };
}

type Encode = (message: readonly MetricFamily[], begin: Instant, end: Instant) => Uint8Array | undefined;

async function encoder(scope: string, serviceName: string, kind: Temporality): Promise<Encode> {
  const [metrics, { ValueType: valueType }, { ProtobufMetricsSerializer }, sender] = await Promise.all([
    loadOtelMetrics(),
    loadOtelApi(),
    loadOtlp(),
    resource(serviceName, false),
  ]);
  return (message, begin, end) =>
    ProtobufMetricsSerializer.serializeRequest({
      resource: sender,
      scopeMetrics: [{
        scope: { name: scope },
        metrics: metricData({ metrics, valueType }, message, kind, begin, end),
      }],
    });
}

function now(): Instant {
  const millis = wallClockMs();
  const seconds = Math.floor(millis / 1000);
  return [seconds, Math.floor((millis - seconds * 1000) * 1e6)];
}
