/**
 * Where a worker thread begins: the runtime is checked before the code of `worker.ts` is loaded. Read by runtimes that are too
 * old: syntax of 2018, no imports but the check.
 */
import { workerData } from "node:worker_threads";
import { requireRuntime } from "../../program/apply/require_runtime.ts";

requireRuntime("portreeve");

// What goes wrong ends the thread, which its owner is told.
void import("./worker.ts").then((worker) => worker.default(workerData as never));
