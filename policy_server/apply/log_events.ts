/** Events that the main thread and serving threads log alike. */
import type { PolicyLogEntry } from "../../evaluator/types/evaluation.ts";
import { CLOSED_TEXT, type ListenOptions } from "../../http/types.ts";
import type { Log } from "./log.ts";

/** What tells of a listener's connections that were closed. */
export const logClosed =
  (log: Log, listener: string): NonNullable<ListenOptions["onClosed"]> => (reason, connections) =>
    log.warn(`connections were closed: ${CLOSED_TEXT[reason]}`, { listener, connections });

/** Writes what a policy logs. */
export function logPolicyEntry(log: Log, policy: string, { level, message, data }: PolicyLogEntry): void {
  log[level](message, { policy_id: policy, data }, { target: "policy_log" });
}
