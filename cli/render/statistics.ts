/** Statistics of benchmarks. All times are in milliseconds. */

export interface Summary {
  readonly min: number;
  readonly mean: number;
  readonly max: number;
  readonly median: number;
  readonly variance: number;
  readonly deviation: number;
}

/** The value below which a share of the sorted values lies, between neighbours in proportion. */
export function percentile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return 0;
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const below = sorted[low]!;
  return below + (at - low) * ((sorted[low + 1] ?? below) - below);
}

export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) /
    Math.max(values.length - 1, 1);
  return {
    min: sorted[0] ?? 0,
    mean,
    max: sorted.at(-1) ?? 0,
    median: percentile(sorted, 0.5),
    variance,
    deviation: Math.sqrt(variance),
  };
}

/** `48.21µs`: two decimals and the unit that fits. */
export function timeText(milliseconds: number): string {
  const nanoseconds = milliseconds * 1e6;
  if (nanoseconds < 1e3) return `${nanoseconds.toFixed(2)}ns`;
  if (nanoseconds < 1e6) return `${(nanoseconds / 1e3).toFixed(2)}µs`;
  if (nanoseconds < 1e9) return `${(nanoseconds / 1e6).toFixed(2)}ms`;
  return `${(nanoseconds / 1e9).toFixed(2)}s`;
}

/** `106.1 thousand`: one decimal and the word that fits. */
export function countText(count: number): string {
  if (count < 1e3) return count.toFixed(1);
  if (count < 1e6) return `${(count / 1e3).toFixed(1)} thousand`;
  return count < 1e9 ? `${(count / 1e6).toFixed(1)}M` : `${(count / 1e9).toFixed(1)}B`;
}

/**
 * How likely two sets of samples with means as far apart as these come from the same distribution: the share of `rounds`
 * random partitions whose means lie as far apart. `random` gives numbers from 0 to 1.
 */
export function permutationProbability(
  a: readonly number[],
  b: readonly number[],
  rounds: number,
  random: () => number,
): number {
  const mean = (values: readonly number[], from: number, to: number) => {
    let sum = 0;
    for (let index = from; index < to; index++) sum += values[index]!;
    return sum / (to - from);
  };
  const all = [...a, ...b];
  const distance = Math.abs(mean(a, 0, a.length) - mean(b, 0, b.length));
  let asFar = 0;
  for (let round = 0; round < rounds; round++) {
    for (let index = all.length - 1; index > 0; index--) {
      const other = Math.floor(random() * (index + 1));
      [all[index], all[other]] = [all[other]!, all[index]!];
    }
    if (Math.abs(mean(all, 0, a.length) - mean(all, a.length, all.length)) >= distance) asFar++;
  }
  return rounds === 0 ? 1 : asFar / rounds;
}
