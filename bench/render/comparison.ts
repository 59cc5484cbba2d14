/** By how much one subject differs from another, and whether that is more than noise. */

/**
 * The 97.5% quantiles of Student's t distribution for 1, 2, 3 … degrees of freedom. What lies beyond the table is taken from its end,
 * where the quantile changes by less than 5% any more (1.96 in the limit).
 */
// deno-fmt-ignore
const T_975 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
  2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/** A ratio, and the interval that holds it with 95% confidence; null where there was only one round. */
export type Ratio = {
  readonly ratio: number;
  readonly interval: readonly [number, number] | null;
  /** The least and the most of all rounds. */
  readonly observed: readonly [number, number];
  readonly rounds: number;
};

/**
 * The ratio of two subjects from the pairs of each round, which shared what else the machine did: the geometric mean, with the interval
 * of a paired t-test on the logarithms. Undefined when no round has two values above 0.
 */
export function ratioOf(pairs: readonly (readonly [number, number])[]): Ratio | undefined {
  const logs = pairs.filter(([a, b]) => a > 0 && b > 0).map(([a, b]) => Math.log(a / b));
  const rounds = logs.length;
  if (rounds === 0) return undefined;
  const mean = logs.reduce((sum, log) => sum + log, 0) / rounds;
  const ratio = Math.exp(mean);
  const observed = [Math.exp(Math.min(...logs)), Math.exp(Math.max(...logs))] as const;
  if (rounds === 1) return { ratio, interval: null, observed, rounds };
  const variance = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) / (rounds - 1);
  const half = T_975[Math.min(rounds - 1, T_975.length) - 1]! * Math.sqrt(variance / rounds);
  return { ratio, interval: [Math.exp(mean - half), Math.exp(mean + half)], observed, rounds };
}

/** Whether a ratio differs from 1 by more than noise; undefined where one round can't tell. */
export function differs({ interval }: Ratio): boolean | undefined {
  return interval === null ? undefined : interval[0] > 1 || interval[1] < 1;
}
