/**
 * Where a worker thread begins: the runtime is checked before the code of `worker.ts` is loaded. Read by runtimes that are too
 * old: syntax of 2018, no imports but the check.
 */
import { workerData } from "node:worker_threads";
import { requireRuntime } from "../../program/apply/require_runtime.ts";

requireRuntime("portreeve");

/** Evaluates until told to close. Tinypool calls it; a plain thread is handed what it needs at once (`thread.ts`). */
export default function serve(start: unknown): Promise<void> {
  return import("./worker.ts").then((worker) => worker.default(start as never));
}

// What goes wrong ends the thread, which its owner is told.
if (workerData !== null && typeof workerData === "object" && "replies" in workerData) void serve(workerData);
