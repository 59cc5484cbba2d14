/** What `bench` prints (`spec/cli.md §9`). */
import { oneLine, styled, text } from "../../program/render/terminal_text.ts";
import type { Text } from "../../program/types/text.ts";
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

export const warmUpText = (label: string, milliseconds: number): Text =>
  text`${styled("32", oneLine(label))} ${styled("33", "warming up")} for ${
    styled("34", timeText(milliseconds))
  }\n`;

export const warmedUpText = (label: string, meanMs: number, iterations: number): Text =>
  text`${styled("32", oneLine(label))} mean warm up execution time ${
    styled("34", timeText(meanMs))
  } running ${styled("34", countText(iterations))} iterations\n`;

export const tooFewText = (samples: number, targetMs: number, neededMs: number): string =>
  `Unable to complete ${countText(samples)} samples in ${
    timeText(targetMs)
  } You may wish to increase target time to ` +
  `${timeText(neededMs)} or lower the requested number of samples\n`;

const SHARES = [0.5, 0.9, 0.99, 0.999] as const;

export function measuredText({ label, iterations, totalMs, samples, single, summary }: Measured): Text {
  const { min, mean, max, median, variance, deviation } = summary;
  // A variance has the square of a time's unit.
  const varianceText = `${(variance * 1e12).toFixed(2)}ns²`;
  return text`${styled("32", oneLine(label))} [${countText(iterations)} iterations in ${
    timeText(totalMs)
  } with ${countText(samples.length)} samples]:\n\t${styled("1", "elapsed")}\t[min mean max]:\t[${
    timeText(min)
  } ${styled("1", timeText(mean))} ${timeText(max)}] (sample data: med = ${
    timeText(median)
  }, var = ${varianceText}, stddev = ${timeText(deviation)})\n\tpercentiles\t[p50 p90 p99 p99.9]:\t[${
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
    `${oneLine(first.label)}:`,
    ...[first, second].map(({ name, meanMs, p50Ms, p99Ms }) =>
      `\t${oneLine(name)}\tmean ${timeText(meanMs)}\tp50 ${timeText(p50Ms)}\tp99 ${timeText(p99Ms)}`
    ),
    `\tratio\tmean ${(second.meanMs / first.meanMs).toFixed(2)}\tp50 ${
      (second.p50Ms / first.p50Ms).toFixed(2)
    }\tp99 ${(second.p99Ms / first.p99Ms).toFixed(2)}`,
  ]);
  return `${lines.join("\n")}\n`;
}
