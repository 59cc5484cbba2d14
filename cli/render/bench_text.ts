/** What `bench` prints (`spec/cli.md §9`). */
import { countText, percentile, type Summary, timeText } from "./statistics.ts";

/** A finished measurement: the samples' means, and single iterations, in milliseconds. */
export interface Measured {
  readonly label: string;
  readonly iterations: number;
  readonly totalMs: number;
  readonly samples: readonly number[];
  /** Sorted. */
  readonly single: readonly number[];
  readonly summary: Summary;
}

const painted = (code: string, text: string) => `\u001b[${code}m${text}\u001b[0m`;

/** The text as it is for pipes. */
// deno-lint-ignore no-control-regex
export const withoutColours = (text: string): string => text.replace(/\u001b\[[0-9;]*m/g, "");

export const warmUpText = (label: string, milliseconds: number): string =>
  `${painted("32", label)} ${painted("33", "warming up")} for ${painted("34", timeText(milliseconds))}\n`;

export const warmedUpText = (label: string, meanMs: number, iterations: number): string =>
  `${painted("32", label)} mean warm up execution time ${painted("34", timeText(meanMs))} running ${
    painted("34", countText(iterations))
  } iterations\n`;

export const tooFewText = (samples: number, targetMs: number, neededMs: number): string =>
  `Unable to complete ${countText(samples)} samples in ${
    timeText(targetMs)
  } You may wish to increase target time to ` +
  `${timeText(neededMs)} or lower the requested number of samples\n`;

const SHARES = [0.5, 0.9, 0.99, 0.999] as const;

export function measuredText({ label, iterations, totalMs, samples, single, summary }: Measured): string {
  const { min, mean, max, median, variance, deviation } = summary;
  // A variance has the square of a time's unit.
  const varianceText = `${(variance * 1e12).toFixed(2)}ns²`;
  return `${painted("32", label)} [${countText(iterations)} iterations in ${timeText(totalMs)} with ${
    countText(samples.length)
  } samples]:\n` +
    `\t${painted("1", "elapsed")}\t[min mean max]:\t[${timeText(min)} ${painted("1", timeText(mean))} ${
      timeText(max)
    }] (sample data: med = ${timeText(median)}, var = ${varianceText}, stddev = ${timeText(deviation)})\n` +
    `\tpercentiles\t[p50 p90 p99 p99.9]:\t[${
      SHARES.map((share) => timeText(percentile(single, share))).join(" ")
    }]\n`;
}

/** A change against an earlier run, in shares of it. */
export interface Change {
  readonly min: number;
  readonly mean: number;
  readonly max: number;
  readonly probability: number;
}

export function changeText({ min, mean, max, probability }: Change): string {
  const share = (value: number) => `${value >= 0 ? "+" : ""}${(value * 100).toFixed(2)}%`;
  return `\tchange\t[min mean max]:\t[${share(min)} ${share(mean)} ${share(max)}] (p = ${
    probability.toFixed(2)
  })\n`;
}

/** One of two things that were measured side by side. */
export interface Side {
  readonly name: string;
  readonly label: string;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly meanMs: number;
}

/** Rows of both, and how many times as long the second takes. */
export function comparisonText(pairs: readonly (readonly [Side, Side])[]): string {
  const lines = pairs.flatMap(([first, second]) => [
    `${first.label}:`,
    ...[first, second].map(({ name, meanMs, p50Ms, p99Ms }) =>
      `\t${name}\tmean ${timeText(meanMs)}\tp50 ${timeText(p50Ms)}\tp99 ${timeText(p99Ms)}`
    ),
    `\tratio\tmean ${(second.meanMs / first.meanMs).toFixed(2)}\tp50 ${
      (second.p50Ms / first.p50Ms).toFixed(2)
    }\tp99 ${(second.p99Ms / first.p99Ms).toFixed(2)}`,
  ]);
  return `${lines.join("\n")}\n`;
}
