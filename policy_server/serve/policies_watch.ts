/** Notices changes of the policies file, also where Kubernetes swaps the links that lead to it. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const POLL_MS = 1_000;

function fingerprint(path: string): string {
  try {
    return createHash("sha256").update(readFileSync(path)).digest("hex");
  } catch {
    return "";
  }
}

/** Calls `onChange` whenever the file's content is another; a file that is gone for a moment is no change. */
export function watchPolicies(path: string, onChange: () => void): { close(): void } {
  let known = fingerprint(path);
  const timer = setInterval(() => {
    const now = fingerprint(path);
    if (now === "" || now === known) return;
    known = now;
    onChange();
  }, POLL_MS);
  timer.unref();
  return { close: () => clearInterval(timer) };
}
