/** Prometheus text of the controller's metrics, with the names that dashboards know (spec/controller.md §1.5). */

import { own } from "../../program/types/own.ts";
import type { CounterValue } from "../../telemetry/types/metrics.ts";
import { append } from "../../program/types/lists.ts";

/** Prometheus shows all values as text; OTLP keeps their types. */
export type Labels = { readonly [name: string]: string | boolean };
type Kind = "counter" | "gauge" | "histogram";
type Series = { readonly labels: Labels; value: number; buckets?: number[]; count?: number };
type Family = { readonly kind: Kind; readonly help: string; readonly series: Map<string, Series> };

export type Metrics = {
  /** Adds to a counter or a gauge. */
  add(name: string, labels: Labels, by?: number): void;
  /** Sets a gauge. */
  set(name: string, labels: Labels, value: number): void;
  /** Forgets all series of a gauge. */
  clear(name: string): void;
  /** Adds an observation, in seconds, to a histogram. */
  observe(name: string, labels: Labels, seconds: number): void;
  /** All values of a counter, for OTLP. The attributes of a series are the same object each time. */
  points(name: string): readonly CounterValue[];
  text(): string;
};

const BOUNDS: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The counter of policies, also pushed over OTLP. */
export const POLICY_TOTAL = "kubewarden_policy_total";
export const POLICY_TOTAL_TEXT = "How many policies are installed in the cluster";
/** Series of one family; policies that come and go must not fill the memory. Further series are not counted. */
const MAX_SERIES = 50_000;

const FAMILIES: { readonly [name: string]: readonly [Kind, string] } = {
  controller_runtime_reconcile_total: ["counter", "Total number of reconciliations per controller"],
  controller_runtime_reconcile_errors_total: [
    "counter",
    "Total number of reconciliation errors per controller",
  ],
  controller_runtime_reconcile_time_seconds: [
    "histogram",
    "Length of time per reconciliation per controller",
  ],
  controller_runtime_active_workers: ["gauge", "Number of currently used workers per controller"],
  controller_runtime_max_concurrent_reconciles: [
    "gauge",
    "Maximum number of concurrent reconciles per controller",
  ],
  controller_runtime_webhook_requests_total: [
    "counter",
    "Total number of admission requests by HTTP status code",
  ],
  controller_runtime_webhook_latency_seconds: ["histogram", "Latency of processing admission requests"],
  controller_runtime_webhook_requests_in_flight: [
    "gauge",
    "Current number of admission requests being served",
  ],
  workqueue_depth: ["gauge", "Current depth of workqueue"],
  workqueue_adds_total: ["counter", "Total number of adds handled by workqueue"],
  workqueue_retries_total: ["counter", "Total number of retries handled by workqueue"],
  workqueue_queue_duration_seconds: [
    "histogram",
    "How long in seconds an item stays in workqueue before being requested",
  ],
  workqueue_unfinished_work_seconds: [
    "gauge",
    "How many seconds of work is in progress and hasn't been observed by work_duration",
  ],
  workqueue_longest_running_processor_seconds: [
    "gauge",
    "How many seconds has the longest running processor for workqueue been running",
  ],
  workqueue_work_duration_seconds: [
    "histogram",
    "How long in seconds processing an item from workqueue takes",
  ],
  rest_client_requests_total: [
    "counter",
    "Number of HTTP requests, partitioned by status code, method, and host",
  ],
  leader_election_master_status: [
    "gauge",
    "Gauge of if the reporting system is master of the relevant lease",
  ],
  certwatcher_read_certificate_total: ["counter", "Total number of certificate reads"],
  certwatcher_read_certificate_errors_total: ["counter", "Total number of certificate read errors"],
  [POLICY_TOTAL]: ["counter", POLICY_TOTAL_TEXT],
  kubewarden_policies: ["gauge", "Policies by the PolicyServer they are bound to and their status"],
  process_resident_memory_bytes: ["gauge", "Resident memory size in bytes"],
  process_virtual_memory_bytes: ["gauge", "Virtual memory size in bytes"],
  process_cpu_seconds_total: ["counter", "Total user and system CPU time spent in seconds"],
  process_open_fds: ["gauge", "Number of open file descriptors"],
  process_start_time_seconds: ["gauge", "Start time of the process since unix epoch in seconds"],
};

const escaped = (value: string) =>
  value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");

function labelText(labels: Labels, extra: readonly string[] = []): string {
  const parts = Object.keys(labels).sort().map((name) => `${name}="${escaped(String(own(labels, name)))}"`);
  const all = [...parts, ...extra];
  return all.length === 0 ? "" : `{${all.join(",")}}`;
}

function histogramText(name: string, { labels, value, buckets = [], count = 0 }: Series): string[] {
  let sum = 0;
  const lines = BOUNDS.map((bound, index) => {
    sum += buckets[index] ?? 0;
    return `${name}_bucket${labelText(labels, [`le="${bound}"`])} ${sum}`;
  });
  return [
    ...lines,
    `${name}_bucket${labelText(labels, ['le="+Inf"'])} ${count}`,
    `${name}_sum${labelText(labels)} ${value}`,
    `${name}_count${labelText(labels)} ${count}`,
  ];
}

/** An empty collection of the families above. */
export function createMetrics(): Metrics {
  const families = new Map<string, Family>(
    Object.entries(FAMILIES).map(([name, [kind, help]]) => [name, { kind, help, series: new Map() }]),
  );
  const series = (name: string, labels: Labels): Series => {
    const family = families.get(name)!;
    const key = labelText(labels);
    let found = family.series.get(key);
    if (found !== undefined) return found;
    found = { labels, value: 0 };
    if (family.series.size < MAX_SERIES) family.series.set(key, found);
    return found;
  };
  return {
    add: (name, labels, by = 1) => series(name, labels).value += by,
    set: (name, labels, value) => series(name, labels).value = value,
    clear: (name) => families.get(name)!.series.clear(),
    observe(name, labels, seconds) {
      const found = series(name, labels);
      found.value += seconds;
      found.count = (found.count ?? 0) + 1;
      found.buckets ??= BOUNDS.map(() => 0);
      const index = BOUNDS.findIndex((bound) => seconds <= bound);
      if (index >= 0) found.buckets[index]! += 1;
    },
    points: (name) =>
      [...families.get(name)!.series.values()].map(({ labels, value }) => ({ attributes: labels, value })),
    text() {
      const lines: string[] = [];
      for (const [name, { kind, help, series }] of families) {
        if (series.size === 0) continue;
        lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
        for (const entry of series.values()) {
          if (kind === "histogram") append(lines, histogramText(name, entry));
          else lines.push(`${name}${labelText(entry.labels)} ${entry.value}`);
        }
      }
      return `${lines.join("\n")}\n`;
    },
  };
}
