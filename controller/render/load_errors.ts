/**
 * Why policies could not be loaded, as policy servers report it: one JSON line per policy in the container's termination
 * message (spec/decisions.md §4), so that nobody needs a pod's logs to learn which policy broke its server.
 */
import type { Pod } from "../types/objects.ts";

/** The kubelet keeps at most this many bytes; longer texts did not come from it. */
const MESSAGE_LIMIT = 16_384;
const LINE_LIMIT = 64;

function readLine(line: string): readonly [id: string, reason: string] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { policy, reason } = value as { readonly policy?: unknown; readonly reason?: unknown };
  return typeof policy === "string" && typeof reason === "string" ? [policy, reason] : undefined;
}

/** Load errors by policy id, from the termination messages of pods that are not ready. The latest end counts. */
export function loadErrors(pods: readonly Pod[]): ReadonlyMap<string, string> {
  const ends = pods.flatMap((pod) => {
    const ready = (pod.status?.conditions ?? []).some(({ type, status }) =>
      type === "Ready" && status === "True"
    );
    if (ready) return [];
    return (pod.status?.containerStatuses ?? []).flatMap(({ state, lastState }) =>
      [state?.terminated, lastState?.terminated].flatMap((end) => end?.message === undefined ? [] : [end])
    );
  });
  ends.sort((a, b) => (a.finishedAt ?? "") < (b.finishedAt ?? "") ? -1 : 1);
  const errors = new Map<string, string>();
  for (const { message = "" } of ends) {
    for (const line of message.slice(0, MESSAGE_LIMIT).split("\n").slice(0, LINE_LIMIT)) {
      const found = readLine(line.trim());
      if (found !== undefined) errors.set(found[0], found[1]);
    }
  }
  return errors;
}
