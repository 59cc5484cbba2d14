/**
 * Where a thread that serves begins: the runtime is checked before its code is loaded. Read by runtimes that are too old: syntax of
 * 2018, no imports but the check.
 */
import { requireRuntime } from "../../program/apply/require_runtime.ts";

requireRuntime("policy-server");

/** Serves until told to end. Tinypool calls it. */
export default function serve(start: unknown): Promise<void> {
  return import("./serving_thread.ts").then((thread) => thread.default(start as never));
}
