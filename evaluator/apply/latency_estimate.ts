/** How long policies take: by that the pool knows which of them are slow, and how much work waits. */

/** How long the evaluations of one policy take. */
export interface LatencyEstimate {
  /** When the policy stops to count as slow, in milliseconds of the process. */
  slowUntil: number;
  /** What an evaluation takes, in milliseconds: a moving average. */
  costMs: number;
}

/** How long a policy counts as slow after one of its calls was. */
const SLOW_MS = 5_000;
/** A call that took this long was slow. First calls and those that share a processor with a loop take long too, but not that long. */
const SLOW_CALL_MS = 500;
/** What a first evaluation is expected to take, and how much of the expectation each later one replaces. */
const FIRST_COST_MS = 1;
const COST_WEIGHT = 0.1;
/** No single evaluation counts for more than this multiple of the expectation: first ones take long, and so do interrupted ones. */
const MAX_COST_FACTOR = 5;
/** A policy whose evaluations take this long is slow, too. */
const SLOW_COST_MS = 5;

/** Of a policy that nothing is known of yet. */
export function firstEstimate(): LatencyEstimate {
  return { slowUntil: -Infinity, costMs: FIRST_COST_MS };
}

/** Whether a policy is slow at the moment `now`, in milliseconds of the process. */
export function isSlow({ slowUntil, costMs }: LatencyEstimate, now: number): boolean {
  return slowUntil > now || costMs > SLOW_COST_MS;
}

/** Records how long a call of a policy took. Only what validated a request changes what such a call is expected to take. */
export function recordCall(estimate: LatencyEstimate, validated: boolean, tookMs: number): void {
  if (validated) {
    const counted = Math.min(tookMs, MAX_COST_FACTOR * estimate.costMs + 1);
    estimate.costMs += (counted - estimate.costMs) * COST_WEIGHT;
  }
  if (tookMs >= SLOW_CALL_MS) estimate.slowUntil = performance.now() + SLOW_MS;
}
