/** Policies whose modules don't arrive, though their registry holds the connection: the others don't wait for them. */
import type { PolicyEntry } from "../types/policies.ts";
import type { Log } from "./log.ts";
import type { Evaluable, ServedPolicy } from "./policy_set.ts";

/** When nothing of any module has arrived for so long, and no policy became ready, what is still missing is stalled. */
const STALLED_MS = 5_000;
const CHECK_MS = STALLED_MS / 10;
/** What a policy answers while its module has not arrived. */
const LOADING = "the policy is not served yet: its module is still being loaded";
/** Policies that a log line names. */
const MAX_NAMED = 10;

/**
 * Resolves when some of `count` policies have been settled and the others have stalled; never, when `whole` is settled before.
 *
 * @param arrivedAt milliseconds of the process at which a part of a module arrived last
 */
export function whenStalled(
  settled: ReadonlyMap<string, ServedPolicy>,
  count: number,
  arrivedAt: () => number,
  whole: Promise<unknown>,
): Promise<undefined> {
  return new Promise((resolve) => {
    let seen = 0;
    let settledAt = performance.now();
    const check = setInterval(() => {
      if (settled.size > seen) settledAt = performance.now();
      seen = settled.size;
      const quietMs = performance.now() - Math.max(settledAt, arrivedAt());
      if (seen === 0 || seen === count || quietMs < STALLED_MS) return;
      clearInterval(check);
      resolve(undefined);
    }, CHECK_MS);
    const stop = () => clearInterval(check);
    whole.then(stop, stop);
  });
}

/** The policies as they are now: those that are not settled refuse every request. */
export function readyPolicies(
  entries: ReadonlyMap<string, PolicyEntry>,
  settled: ReadonlyMap<string, ServedPolicy>,
  log: Log,
): ReadonlyMap<string, ServedPolicy> {
  const missing = [...entries.keys()].filter((name) => !settled.has(name));
  log.warn("the modules of some policies have stalled, the others are served meanwhile", {
    ready: settled.size,
    waiting: missing.length,
    policies: missing.slice(0, MAX_NAMED).join(", "),
  });
  return new Map([...entries].map(([name, entry]) => [name, settled.get(name) ?? waiting(entry)]));
}

function waiting(entry: PolicyEntry): ServedPolicy {
  const evaluable: Evaluable = { kind: "failed", reason: LOADING };
  if (entry.kind === "policy") return { kind: "policy", entry, evaluable };
  const members = new Map([...entry.policies.keys()].map((member) => [member, evaluable]));
  return { kind: "group", entry, members, expression: LOADING };
}
