/** Tells the cluster why the server ended: one JSON line per policy in the container's termination message (DECISIONS.md 4). */
import { existsSync, writeFileSync } from "node:fs";
import type { PolicyFailure } from "./policy_set.ts";

/** Kubernetes keeps no more of it. */
const MAX_BYTES = 4096;
const MAX_REASON = 1024;

/** Writes the reasons to `path` where that exists, as it does in a container; whole lines only, as many as fit. */
export function writeTerminationMessage(path: string, failures: readonly PolicyFailure[]): void {
  if (!existsSync(path)) return;
  let text = "";
  for (const { policy, message } of failures) {
    const line = `${JSON.stringify({ policy, reason: message.slice(0, MAX_REASON) })}\n`;
    if (Buffer.byteLength(text + line) > MAX_BYTES) break;
    text += line;
  }
  try {
    writeFileSync(path, text);
  } catch {
    // The message is a courtesy; the same text is on standard error.
  }
}
