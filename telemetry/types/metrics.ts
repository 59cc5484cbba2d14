/** Metrics as they are handed to OTLP: values that somebody else keeps, read at the moment of a push. */

/** Attributes of a series, with their types. Whole numbers travel as integers. */
export type MetricAttributes = Readonly<Record<string, string | number | boolean>>;

/** One value of a counter. */
export type CounterValue = { readonly attributes: MetricAttributes; readonly value: number };

/** One histogram: `counts[i]` is the number of values in bucket i, not cumulated, one longer than the bounds. */
export type HistogramValue = {
  readonly attributes: MetricAttributes;
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
};

/**
 * A monotonic counter of whole numbers or a histogram, with all its values since the beginning. The `attributes` of a series must
 * be the same object each time: it is by that object that the former value is found for delta temporality.
 */
export type MetricFamily =
  | {
    readonly kind: "counter";
    readonly name: string;
    readonly description: string;
    readonly points: readonly CounterValue[];
  }
  | {
    readonly kind: "histogram";
    readonly name: string;
    readonly description: string;
    /** Upper bounds, inclusive. */
    readonly bounds: readonly number[];
    readonly points: readonly HistogramValue[];
  };

/** Whether pushed values count from the beginning or from the last push that arrived. */
export type Temporality = "cumulative" | "delta";
