/** What the server sends to an OpenTelemetry collector: metrics with `--enable-metrics`, spans with `--log-fmt otlp`. */
import type { Environment } from "../../telemetry/render/otlp_settings.ts";
import type { Report } from "../../telemetry/types/report.ts";
import { metricFamilies } from "../render/metrics.ts";
import type { ServerOptions } from "../types/options.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { createTracing, type Tracing } from "./tracing.ts";

/** What is running of it. */
export interface Telemetry {
  readonly tracing: Tracing | undefined;
  /** Sends what is left and ends, after `limitMs` at most. */
  stop(limitMs: number): Promise<void>;
}

/** Starts what the options ask for, and loads nothing else. Rejects when the environment's settings can't be used. */
export async function startTelemetry(
  options: Pick<ServerOptions, "enableMetrics" | "logFormat">,
  environment: Environment,
  metrics: Metrics,
  log: Log,
): Promise<Telemetry> {
  const report: Report = (level, message, fields) => log[level](message, fields, { target: "opentelemetry" });
  const push = !options.enableMetrics
    ? undefined
    : await (await import("../../telemetry/apply/metrics_push.ts"))
      .startMetricsPush({
        scope: "kubewarden",
        serviceName: "unknown_service:policy-server",
        environment,
        collect: () => metricFamilies(metrics.snapshot()),
        report,
      });
  // Spans are of level INFO, and the level holds for them too (spec/policy-server.md §13, §14 rule 1).
  const traces = options.logFormat !== "otlp" || !log.enabled("info")
    ? undefined
    : await (await import("../../telemetry/apply/traces.ts")).startTraces({
      serviceName: "kubewarden-policy-server",
      environment,
      report,
    });
  return {
    tracing: traces && createTracing(traces, environment["HOSTNAME"] || "unknown"),
    stop: async (limitMs) => {
      await Promise.all([push?.stop(limitMs), traces?.stop(limitMs)]);
    },
  };
}
