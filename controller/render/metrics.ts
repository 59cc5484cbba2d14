/** Prometheus text of the controller's metrics, with the names that dashboards know (spec/controller.md §1.5). */

import { prometheusText, type ShownFamily } from "../../telemetry/render/prometheus.ts";
import type { CounterValue } from "../../telemetry/types/metrics.ts";

/** Prometheus shows all values as text; OTLP keeps their types. */
export type Labels = { readonly [name: string]: string | boolean };
/** `value` is the sum of a histogram's observations. */
type Series = { readonly attributes: Labels; value: number; count: number; readonly counts: number[] };

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

const FAMILIES: { readonly [name: string]: readonly [ShownFamily["kind"], string] } = {
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

/** An empty collection of the families above. */
export function createMetrics(): Metrics {
  const families = new Map(
    Object.entries(FAMILIES).map(([name, [kind, description]]) => {
      const series = new Map<string, Series>();
      return [name, { kind, description, series }];
    }),
  );
  const seriesOf = (name: string) => families.get(name)!.series;
  const series = (name: string, labels: Labels): Series => {
    const family = seriesOf(name);
    const sorted = Object.entries(labels).sort(([a], [b]) => a < b ? -1 : 1);
    const key = JSON.stringify(sorted);
    let found = family.get(key);
    if (found !== undefined) return found;
    found = { attributes: Object.fromEntries(sorted), value: 0, count: 0, counts: [] };
    if (family.size < MAX_SERIES) family.set(key, found);
    return found;
  };
  const shown = (): readonly ShownFamily[] =>
    [...families].filter(([, { series }]) => series.size > 0).map(([name, { kind, description, series }]) => {
      const all = [...series.values()];
      return kind === "histogram"
        ? { kind, name, description, bounds: BOUNDS, points: all.map((one) => ({ ...one, sum: one.value })) }
        : { kind, name, description, points: all };
    });
  return {
    add: (name, labels, by = 1) => series(name, labels).value += by,
    set: (name, labels, value) => series(name, labels).value = value,
    clear: (name) => seriesOf(name).clear(),
    observe(name, labels, seconds) {
      const found = series(name, labels);
      found.value += seconds;
      found.count += 1;
      const index = BOUNDS.findIndex((bound) => seconds <= bound);
      if (index >= 0) found.counts[index] = (found.counts[index] ?? 0) + 1;
    },
    points: (name) => [...seriesOf(name).values()].map(({ attributes, value }) => ({ attributes, value })),
    text: () => prometheusText(shown()),
  };
}
