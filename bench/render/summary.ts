/** From the samples of all rounds to the rows of the result. */
import type { Cost, Row, Sample } from "../types/measurement.ts";

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

/** The floor that a subject is measured against: that of its own runtime; a given URL's is Node's where there is one. */
export function floorOf(subject: string, subjects: readonly string[]): string | undefined {
  const candidates = subject.startsWith("floor-")
    ? [subject]
    : subject === "bun"
    ? ["floor-bun"]
    : subject === "node"
    ? ["floor-node"]
    : ["floor-node", "floor-bun"];
  return candidates.find((name) => subjects.includes(name));
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** The samples of one row each, in the order in which the first ones were taken. */
function byRow(samples: readonly Sample[]): Sample[][] {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = JSON.stringify([sample.policy, sample.connections, sample.subject]);
    groups.set(key, [...groups.get(key) ?? [], sample]);
  }
  return [...groups.values()];
}

/** The processor time per request, over all rounds; nothing for subjects whose process isn't known. */
export function costs(samples: readonly Sample[]): Cost[] {
  return byRow(samples).flatMap((group) => {
    const { subject, policy, connections } = group[0]!;
    if (group.some(({ processorMs }) => processorMs === null)) return [];
    const total = group.reduce((sum, { processorMs }) => sum + processorMs!, 0);
    const requests = group.reduce((sum, sample) => sum + sample.requests, 0);
    return [{ subject, policy, connections, microseconds: total * 1000 / requests }];
  });
}

/** The rows, in the order in which their first samples were taken. */
export function summarize(samples: readonly Sample[]): Row[] {
  const subjects = [...new Set(samples.map(({ subject }) => subject))];
  return byRow(samples).map((group): Row => {
    const { subject, policy, connections } = group[0]!;
    const floor = floorOf(subject, subjects);
    // Paired by round: what else the machine did in that round slowed both.
    const ratios = group.flatMap((sample) => {
      const other = samples.find((candidate) =>
        candidate.subject === floor && candidate.policy === policy &&
        candidate.connections === connections && candidate.round === sample.round
      );
      return other === undefined ? [] : [sample.requestsPerSecond / other.requestsPerSecond];
    });
    const middle = (value: (sample: Sample) => number) => median(group.map(value));
    const rss = group.flatMap(({ rssMb }) => rssMb === null ? [] : [rssMb]);
    return {
      subject,
      policy,
      connections,
      requestsPerSecond: round(middle((sample) => sample.requestsPerSecond), 1),
      p50Ms: round(middle((sample) => sample.p50Ms), 3),
      p90Ms: round(middle((sample) => sample.p90Ms), 3),
      p99Ms: round(middle((sample) => sample.p99Ms), 3),
      p999Ms: round(middle((sample) => sample.p999Ms), 3),
      errors: group.reduce((sum, { errors }) => sum + errors, 0),
      rssMb: rss.length === 0 ? null : round(Math.max(...rss), 1),
      ratioToFloor: ratios.length === 0 ? null : round(median(ratios), 4),
    };
  });
}
