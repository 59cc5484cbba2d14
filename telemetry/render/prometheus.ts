/** Metrics as Prometheus reads them: the text format of its exposition. */
import type { MetricAttributes, MetricFamily } from "../types/metrics.ts";

/** The media type of {@link prometheusText}. */
export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** What is shown. Gauges are not pushed over OTLP. */
export type ShownFamily = MetricFamily | Omit<MetricFamily & { kind: "counter" }, "kind"> & { kind: "gauge" };

const escaped = (value: string) =>
  value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");

/** All attributes are shown as text, in their order. */
const labelsOf = (attributes: MetricAttributes): string =>
  Object.entries(attributes).map(([name, value]) => `${name}="${escaped(String(value))}"`).join(",");

const braced = (labels: string): string => labels === "" ? "" : `{${labels}}`;

/** The text of all values; ends with a line break. */
export function prometheusText(families: readonly ShownFamily[]): string {
  const lines: string[] = [];
  for (const family of families) {
    const { name, kind, description } = family;
    lines.push(`# HELP ${name} ${description}`, `# TYPE ${name} ${kind}`);
    if (family.kind !== "histogram") {
      for (const { attributes, value } of family.points) {
        lines.push(`${name}${braced(labelsOf(attributes))} ${value}`);
      }
      continue;
    }
    for (const { attributes, counts, sum, count } of family.points) {
      const labels = labelsOf(attributes);
      const bucket = (bound: number | string, value: number) =>
        lines.push(`${name}_bucket{${labels}${labels === "" ? "" : ","}le="${bound}"} ${value}`);
      let below = 0;
      family.bounds.forEach((bound, index) => bucket(bound, below += counts[index] ?? 0));
      bucket("+Inf", count);
      lines.push(`${name}_sum${braced(labels)} ${sum}`, `${name}_count${braced(labels)} ${count}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
