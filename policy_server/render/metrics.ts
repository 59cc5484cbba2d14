/** The metrics as Prometheus reads them, named as the collector's Prometheus exporter names them (spec/decisions.md §6). */
import { own } from "../../program/types/own.ts";
import type { MetricFamily } from "../../telemetry/types/metrics.ts";
import {
  type Attributes,
  CANCELLED,
  type CounterPoint,
  EVALUATIONS,
  LATENCY,
  LATENCY_BOUNDS_MS,
  type MetricsSnapshot,
} from "../types/metrics.ts";

/** The media type of {@link prometheusText}. */
export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

const EVALUATIONS_TEXT = "Number of policy evaluations";
const CANCELLED_TEXT = "Number of policy evaluations given up because the client had gone";
const LATENCY_TEXT = "Duration of policy evaluations in milliseconds";

/** All values as they are pushed over OTLP. */
export function metricFamilies(
  { evaluations, latency, cancelled }: MetricsSnapshot,
): readonly MetricFamily[] {
  return [
    { kind: "counter", name: EVALUATIONS, description: EVALUATIONS_TEXT, points: evaluations },
    {
      kind: "histogram",
      name: LATENCY,
      description: LATENCY_TEXT,
      bounds: LATENCY_BOUNDS_MS,
      points: latency,
    },
    ...(cancelled.length === 0
      ? []
      : [{ kind: "counter", name: CANCELLED, description: CANCELLED_TEXT, points: cancelled } as const]),
  ];
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", '"': '\\"', "\n": "\\n" };

function labels(attributes: Attributes): string {
  return Object.entries(attributes)
    .map(([name, value]) =>
      `${name}="${String(value).replace(/[\\"\n]/g, (char) => own(ESCAPES, char) ?? char)}"`
    )
    .join(",");
}

/** The text exposition of all values; ends with a line break. */
export function prometheusText(snapshot: MetricsSnapshot): string {
  const counter = (name: string, text: string, points: readonly CounterPoint[]) => [
    `# HELP ${name} ${text}`,
    `# TYPE ${name} counter`,
    ...points.map(({ attributes, value }) => `${name}{${labels(attributes)}} ${value}`),
  ];
  const lines = [
    ...counter(EVALUATIONS, EVALUATIONS_TEXT, snapshot.evaluations),
    // The other two are the original's, which are there from the start.
    ...(snapshot.cancelled.length === 0 ? [] : counter(CANCELLED, CANCELLED_TEXT, snapshot.cancelled)),
    `# HELP ${LATENCY} ${LATENCY_TEXT}`,
    `# TYPE ${LATENCY} histogram`,
  ];
  for (const { attributes, counts, sum, count } of snapshot.latency) {
    const own = labels(attributes);
    let below = 0;
    LATENCY_BOUNDS_MS.forEach((bound, i) => {
      below += counts[i] ?? 0;
      lines.push(`${LATENCY}_bucket{${own},le="${bound}"} ${below}`);
    });
    lines.push(`${LATENCY}_bucket{${own},le="+Inf"} ${count}`, `${LATENCY}_sum{${own}} ${sum}`);
    lines.push(`${LATENCY}_count{${own}} ${count}`);
  }
  return `${lines.join("\n")}\n`;
}
