/**
 * Where a worker thread begins: the runtime is checked before the code of `worker.ts` is loaded. Read by runtimes that are too
 * old: syntax of 2018, no imports but the check.
 */
import { requireRuntime } from "../../program/apply/require_runtime.ts";

requireRuntime("portreeve");

/** Evaluates until told to close. The thread's owner calls it once, through Tinypool. */
export default function serve(start: unknown): Promise<void> {
  return import("./worker.ts").then((worker) => worker.default(start as never));
}
