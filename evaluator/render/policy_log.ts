/** Log entries that policies send through the host call `tracing/log` (`spec/evaluator.md §5.3`). */
import { isObject } from "../../program/types/json_object.ts";
import type { PolicyLogEntry } from "../types/evaluation.ts";
import { jsonExcess } from "./json_size.ts";
import { boundedText } from "./bounded_text.ts";

const LEVELS: ReadonlyMap<string, PolicyLogEntry["level"]> = new Map([
  ["trace", "trace"],
  ["debug", "debug"],
  ["info", "info"],
  ["warning", "warn"],
  ["warn", "warn"],
  ["error", "error"],
]);

/** No log entry of a policy is longer, in bytes. */
export const MAX_LOG_ENTRY = 64 * 1024;

/** The entry that a payload holds. What is no entry becomes an error entry that says so; the guest never learns of it. */
export function policyLogEntry(payload: Uint8Array): PolicyLogEntry {
  const wrong = (reason: string): PolicyLogEntry => ({
    level: "error",
    message: "Cannot log event",
    data: JSON.stringify({ reason }),
  });
  if (payload.length > MAX_LOG_ENTRY) {
    return wrong(`the entry has ${payload.length} bytes, the limit is ${MAX_LOG_ENTRY}`);
  }
  const excess = jsonExcess(payload);
  if (excess !== undefined) return wrong(`the entry is too large: ${excess}`);
  let entry: unknown;
  try {
    entry = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    return wrong("the entry is not JSON");
  }
  if (!isObject(entry)) return wrong("the entry is not an object");
  const { level, message, ...rest } = entry;
  const known = typeof level === "string" ? LEVELS.get(level.toLowerCase()) : undefined;
  if (!known) return wrong(`unknown level ${boundedText(JSON.stringify(level) ?? "undefined", 100)}`);
  return {
    level: known,
    message: typeof message === "string" ? message : "",
    data: Object.keys(rest).length > 0 ? JSON.stringify(rest) : undefined,
  };
}
