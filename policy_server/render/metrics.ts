/** The metrics as families, named as the collector's Prometheus exporter names them (spec/decisions.md §6). */
import type { MetricFamily } from "../../telemetry/types/metrics.ts";
import {
  CANCELLED,
  EVALUATIONS,
  LATENCY,
  LATENCY_BOUNDS_MS,
  type MetricsSnapshot,
} from "../types/metrics.ts";

const EVALUATIONS_TEXT = "Number of policy evaluations";
const CANCELLED_TEXT = "Number of policy evaluations given up because the client had gone";
const LATENCY_TEXT = "Duration of policy evaluations in milliseconds";

/** All values, as they are shown to Prometheus and pushed over OTLP. */
export function metricFamilies(
  { evaluations, latency, cancelled }: MetricsSnapshot,
): readonly MetricFamily[] {
  const counter = (name: string, description: string, points: MetricsSnapshot["cancelled"]) =>
    ({ kind: "counter", name, description, points }) as const;
  return [
    counter(EVALUATIONS, EVALUATIONS_TEXT, evaluations),
    // The other two are the original's, which are there from the start.
    ...(cancelled.length === 0 ? [] : [counter(CANCELLED, CANCELLED_TEXT, cancelled)]),
    {
      kind: "histogram",
      name: LATENCY,
      description: LATENCY_TEXT,
      bounds: LATENCY_BOUNDS_MS,
      points: latency,
    },
  ];
}
