/** Tells the cluster why the server ended, by the container's termination message (spec/decisions.md §4). */
import { existsSync, writeFileSync } from "node:fs";
import process from "node:process";
import type { PolicyFailure } from "./policy_set.ts";

/** Kubernetes keeps no more of it. */
const MAX_BYTES = 4096;
const MAX_REASON = 1024;

/** Why policies could not be loaded, as the controller reads it: a line of JSON for each. */
export const policyLines = (failures: readonly PolicyFailure[]): readonly string[] =>
  failures.map(({ policy, message }) => JSON.stringify({ policy, reason: message.slice(0, MAX_REASON) }));

/** Writes lines to the message's file where that exists, as it does in a container; whole lines only, as many as fit. */
export function writeTerminationMessage(lines: readonly string[]): void {
  const path = process.env["PORTREEVE_TERMINATION_LOG"] ?? "/dev/termination-log";
  if (!existsSync(path)) return;
  let text = "";
  for (const line of lines) {
    if (Buffer.byteLength(`${text}${line}\n`) > MAX_BYTES) break;
    text += `${line}\n`;
  }
  try {
    writeFileSync(path, text);
  } catch {
    // The message is a courtesy; the same text is on standard error.
  }
}
