/** What dashboards know of work queues and their workers, with the names of controller-runtime (spec/controller.md §1.5). */
import type { Metrics } from "../render/metrics.ts";
import type { QueueOptions } from "./queue.ts";
import { greatest } from "../../program/types/lists.ts";

const RESULTS = ["success", "error", "requeue", "requeue_after"];

/** Counts what a queue does; `nameOf` says which controller a key is of, `names` are all that there are. */
export type QueueMetrics = {
  readonly hooks: Pick<QueueOptions, "added" | "began"> & Required<Pick<QueueOptions, "done">>;
  /** Brings up to date what changes by itself: call it before the metrics are read. */
  refresh(): void;
};

/** Begins to count, everything at zero. */
export function queueMetrics(
  metrics: Metrics,
  names: readonly string[],
  workers: number,
  nameOf: (key: string) => string,
): QueueMetrics {
  const running = new Map<string, number>();
  const queue = (name: string) => ({ name, controller: name });
  for (const controller of names) {
    for (const result of RESULTS) {
      metrics.add("controller_runtime_reconcile_total", { controller, result }, 0);
    }
    metrics.add("controller_runtime_reconcile_errors_total", { controller }, 0);
    metrics.set("controller_runtime_max_concurrent_reconciles", { controller }, workers);
    metrics.set("controller_runtime_active_workers", { controller }, 0);
    metrics.set("workqueue_depth", queue(controller), 0);
    metrics.add("workqueue_adds_total", queue(controller), 0);
    metrics.add("workqueue_retries_total", queue(controller), 0);
  }
  return {
    hooks: {
      added(key) {
        metrics.add("workqueue_adds_total", queue(nameOf(key)));
        metrics.add("workqueue_depth", queue(nameOf(key)));
      },
      began(key, waitedSeconds) {
        const controller = nameOf(key);
        running.set(key, performance.now());
        metrics.add("workqueue_depth", queue(controller), -1);
        metrics.observe("workqueue_queue_duration_seconds", queue(controller), waitedSeconds);
        metrics.add("controller_runtime_active_workers", { controller }, 1);
      },
      done(key, result, seconds, error) {
        const controller = nameOf(key);
        running.delete(key);
        metrics.add("controller_runtime_active_workers", { controller }, -1);
        metrics.add("controller_runtime_reconcile_total", { controller, result });
        metrics.observe("controller_runtime_reconcile_time_seconds", { controller }, seconds);
        metrics.observe("workqueue_work_duration_seconds", queue(controller), seconds);
        if (result !== "success") metrics.add("workqueue_retries_total", queue(controller));
        if (error !== undefined) metrics.add("controller_runtime_reconcile_errors_total", { controller });
      },
    },
    refresh() {
      const now = performance.now();
      for (const controller of names) {
        const ages = [...running].filter(([key]) => nameOf(key) === controller)
          .map(([, since]) => (now - since) / 1000);
        metrics.set(
          "workqueue_unfinished_work_seconds",
          queue(controller),
          ages.reduce((sum, age) => sum + age, 0),
        );
        metrics.set("workqueue_longest_running_processor_seconds", queue(controller), greatest(ages));
      }
    },
  };
}
