/** `kubewarden_policy_total` over OTLP (spec/controller.md §1.5). */
import type { MetricsPush } from "../../telemetry/apply/metrics_push.ts";
import { type Metrics, POLICY_TOTAL, POLICY_TOTAL_TEXT } from "../render/metrics.ts";
import type { ControllerSettings } from "../types/settings.ts";
import type { World } from "./world.ts";

const PUSH_MS = 2_000;

/** Begins to push. Rejects when the variables of the environment, or files that they name, can't be used. */
export async function startPolicyPush(
  settings: ControllerSettings,
  metrics: Metrics,
  log: World["log"],
): Promise<MetricsPush> {
  const { startMetricsPush } = await import("../../telemetry/apply/metrics_push.ts");
  return await startMetricsPush({
    scope: "kubewarden",
    serviceName: "unknown_service:controller",
    environment: settings.otelEnvironment,
    intervalMs: PUSH_MS,
    collect: () => [{
      kind: "counter",
      name: POLICY_TOTAL,
      description: POLICY_TOTAL_TEXT,
      points: metrics.points(POLICY_TOTAL),
    }],
    report: (level, message, fields) => log(level === "warn" ? "error" : level, message, fields),
  });
}
