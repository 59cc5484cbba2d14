/** From the samples of all rounds to the rows of the result. */
import type { PlannedSubject, Row, Sample } from "../types/measurement.ts";

/** The middle value; of an even number of values the mean of the middle two. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The value that a share of `sorted` (ascending) does not exceed. NaN of none. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted.length === 0
    ? NaN
    : sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)]!;
}

/**
 * The floor that a subject is measured against: that of its own runtime; a given URL's is Node's where there is one. The server on
 * Bun is built on `node:net` and `node:tls` as on Node, so its floor is `node:https` on Bun; `floor-bun-serve` is its own.
 */
export function floorOf(subject: string, subjects: readonly string[]): string | undefined {
  const candidates = isFloor(subject)
    ? [subject]
    : subject === "bun"
    ? ["floor-bun"]
    : subject === "node"
    ? ["floor-node"]
    : ["floor-node", "floor-bun"];
  return candidates.find((name) => subjects.includes(name));
}

export function isFloor(subject: string): boolean {
  return subject.startsWith("floor-");
}

/** `node`, or `node, 2 workers` where the number was asked for. */
export function labelOf({ name, workers }: PlannedSubject): string {
  return workers === null ? name : `${name}, ${workers} worker${workers === 1 ? "" : "s"}`;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** The samples of one row each, in the order in which the first ones were taken. */
function byRow(samples: readonly Sample[]): Sample[][] {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = JSON.stringify([sample.policy, sample.connections, sample.subject, sample.workers]);
    groups.set(key, [...groups.get(key) ?? [], sample]);
  }
  return [...groups.values()];
}

/** The processor time per request in microseconds; null where the process isn't known, or nothing was answered. */
function processorUs(group: readonly Sample[]): number | null {
  const requests = group.reduce((sum, sample) => sum + sample.requests, 0);
  if (requests === 0) return null;
  let totalMs = 0;
  for (const { processorMs } of group) {
    if (processorMs === null) return null;
    totalMs += processorMs;
  }
  return round(totalMs * 1000 / requests, 1);
}

/** The rows, in the order in which their first samples were taken. */
export function summarize(samples: readonly Sample[]): Row[] {
  const subjects = [...new Set(samples.map(({ subject }) => subject))];
  return byRow(samples).map((group): Row => {
    const { subject, workers, policy, connections } = group[0]!;
    const floor = floorOf(subject, subjects);
    // Paired by round: what else the machine did in that round slowed both.
    const ratios = group.flatMap((sample) => {
      const other = samples.find((candidate) =>
        candidate.subject === floor && candidate.policy === policy &&
        candidate.connections === connections && candidate.round === sample.round
      );
      return other === undefined || other.requestsPerSecond === 0
        ? []
        : [sample.requestsPerSecond / other.requestsPerSecond];
    });
    const middle = (value: (sample: Sample) => number) => median(group.map(value));
    const rss = group.flatMap(({ rssMb }) => rssMb === null ? [] : [rssMb]);
    return {
      subject,
      workers,
      policy,
      connections,
      requestsPerSecond: round(middle((sample) => sample.requestsPerSecond), 1),
      p50Ms: round(middle((sample) => sample.p50Ms), 3),
      p90Ms: round(middle((sample) => sample.p90Ms), 3),
      p99Ms: round(middle((sample) => sample.p99Ms), 3),
      p999Ms: round(middle((sample) => sample.p999Ms), 3),
      errors: group.reduce((sum, { errors }) => sum + errors, 0),
      processorUs: processorUs(group),
      rssMb: rss.length === 0 ? null : round(Math.max(...rss), 1),
      ratioToFloor: ratios.length === 0 ? null : round(median(ratios), 4),
    };
  });
}
