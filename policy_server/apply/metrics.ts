/**
 * Counts evaluations in memory (spec/policy-server.md §12). Recording is on the path of every request: a series is found by one
 * composed key. What clients can choose freely (kind, operation, namespace) has a bounded number of values; beyond it
 * a value is counted as `other`, so that nobody can fill the memory by inventing namespaces.
 */
import type { MetricAttributes } from "../../telemetry/types/metrics.ts";
import { type Evaluation, LATENCY_BOUNDS_MS, type MetricsSnapshot } from "../types/metrics.ts";

/** Where a value goes that has no place of its own any more. */
export const OTHER = "other";

/** How many different values are told apart. */
export type MetricsLimits = {
  readonly kinds: number;
  readonly operations: number;
  readonly namespaces: number;
  readonly errorCodes: number;
  /** Series of evaluations; beyond it new ones have `other` for all the above. */
  readonly series: number;
  /** Series of initialization errors; beyond it new ones have `other` as error. */
  readonly initializationErrors: number;
};

/** A cluster of a few hundred namespaces stays below these; a scrape stays below some 20 MB at the very worst. */
export const METRICS_LIMITS: MetricsLimits = {
  kinds: 500,
  operations: 16,
  namespaces: 2000,
  errorCodes: 100,
  series: 5000,
  initializationErrors: 1000,
};

/** No name of Kubernetes is longer. */
const MAX_VALUE_LENGTH = 253;
const MAX_ERROR_LENGTH = 1024;

/** Evaluations with the same attributes. */
type Series = Counting & { readonly attributes: MetricAttributes };

/** Evaluations that are alike, counted together. */
export type Latencies = { readonly counts: readonly number[]; readonly sum: number; readonly count: number };

/** What requests are counted with. */
export type Recorder = {
  /** Counts one evaluation that took `latencyMs` (queueing not included; counted in whole milliseconds, rounded down). */
  recordEvaluation(evaluation: Evaluation, latencyMs: number): void;
  /** Counts one request to a policy that could not be made ready. */
  recordInitializationError(policyName: string, error: string): void;
  /** Counts one evaluation that was given up because its client had gone. */
  recordCancelled(policyName: string): void;
};

/** The instruments. */
export type Metrics = Recorder & {
  /** Adds evaluations that were counted elsewhere. */
  addEvaluations(evaluation: Evaluation, latencies: Latencies): void;
  /** The values now. */
  snapshot(): MetricsSnapshot;
};

/** `onOverflow` is called once for each attribute of which values begin to be counted as `other`. */
export function createMetrics(
  { limits = METRICS_LIMITS, onOverflow = () => {} }: {
    readonly limits?: MetricsLimits;
    readonly onOverflow?: (attribute: string) => void;
  } = {},
): Metrics {
  const series = new EvaluationSeries(limits, onOverflow);
  const errors = new Map<string, { readonly attributes: MetricAttributes; count: number }>();
  const cancelled = new Map<string, number>();
  return {
    recordEvaluation: (evaluation, latencyMs) => count(series.of(evaluation), latencyMs),
    addEvaluations(evaluation, latencies) {
      const counted = series.of(evaluation);
      latencies.counts.forEach((more, bucket) => counted.counts[bucket]! += more);
      counted.sum += latencies.sum;
      counted.count += latencies.count;
    },
    recordInitializationError(policyName, error) {
      let text = error.slice(0, MAX_ERROR_LENGTH);
      const key = () => `${policyName.length} ${policyName}${text}`;
      if (!errors.has(key()) && errors.size >= limits.initializationErrors) {
        text = series.overflow("initialization_error");
      }
      const known = errors.get(key());
      if (known !== undefined) known.count++;
      else {
        const attributes = { policy_name: policyName, initialization_error: text };
        errors.set(key(), { attributes, count: 1 });
      }
    },
    recordCancelled(policyName) {
      cancelled.set(policyName, (cancelled.get(policyName) ?? 0) + 1);
    },
    snapshot() {
      const all = series.all();
      return {
        evaluations: [...all, ...errors.values()].map(({ attributes, count }) => ({
          attributes,
          value: count,
        })),
        latency: all.map((one) => ({ ...one, counts: [...one.counts] })),
        cancelled: [...cancelled].map(([policy_name, value]) => ({ attributes: { policy_name }, value })),
      };
    },
  };
}

/** The series of evaluations. */
class EvaluationSeries {
  readonly #limits: MetricsLimits;
  readonly #onOverflow: (attribute: string) => void;
  readonly #byPolicy = new Map<string, Map<string, Series>>();
  /** The values of each attribute that are told apart. */
  readonly #known = new Map<string, Set<string | number>>();
  readonly #overflowed = new Set<string>();
  #count = 0;

  /** @param onOverflow called once for each attribute of which values begin to be counted as `other` */
  constructor(limits: MetricsLimits, onOverflow: (attribute: string) => void) {
    this.#limits = limits;
    this.#onOverflow = onOverflow;
  }

  /** The one that an evaluation is counted in. */
  of(evaluation: Evaluation): Series {
    let ofPolicy = this.#byPolicy.get(evaluation.policyName);
    if (ofPolicy === undefined) this.#byPolicy.set(evaluation.policyName, ofPolicy = new Map());
    const key = evaluationKey(evaluation);
    return ofPolicy.get(key) ?? this.#bounded(evaluation, ofPolicy, key);
  }

  all(): readonly Series[] {
    return [...this.#byPolicy.values()].flatMap((ofPolicy) => [...ofPolicy.values()]);
  }

  /** What a value of the attribute is counted as that has no place. */
  overflow(attribute: string): typeof OTHER {
    if (!this.#overflowed.has(attribute)) {
      this.#overflowed.add(attribute);
      this.#onOverflow(attribute);
    }
    return OTHER;
  }

  /** The series of the evaluation's values as far as they are told apart: a new one, or that of others like it. */
  #bounded(evaluation: Evaluation, ofPolicy: Map<string, Series>, key: string): Series {
    const values = this.#boundedValues(evaluation);
    // Values that were not admitted are looked up under their replacement, never under themselves: the map stays small.
    const boundedKey = keyOf(
      evaluation,
      values.kind,
      values.operation,
      values.namespace,
      values.errorCode,
    );
    const existing = boundedKey === key ? undefined : ofPolicy.get(boundedKey);
    if (existing !== undefined) return existing;
    const series: Series = { attributes: attributesOf(evaluation, values), ...noLatencies() };
    ofPolicy.set(boundedKey, series);
    this.#count++;
    return series;
  }

  #boundedValues({ review, errorCode }: Evaluation): Values {
    const { kinds, operations, namespaces, errorCodes, series } = this.#limits;
    const full = this.#count >= series;
    if (full) this.overflow("series");
    const bounded = <T extends string | number>(attribute: string, limit: number, value: T | undefined) =>
      value === undefined ? undefined : full ? OTHER : this.#admitted(attribute, limit, value);
    return {
      kind: bounded("resource_kind", kinds, review?.kind),
      operation: bounded("resource_request_operation", operations, review?.operation),
      namespace: bounded("resource_namespace", namespaces, review?.namespace),
      errorCode: bounded("error_code", errorCodes, errorCode),
    };
  }

  /** The value, or `other` where the attribute has its number of values already. */
  #admitted<T extends string | number>(attribute: string, limit: number, value: T): T | typeof OTHER {
    let values = this.#known.get(attribute);
    if (values === undefined) this.#known.set(attribute, values = new Set());
    if (values.has(value)) return value;
    const tooLong = typeof value === "string" && value.length > MAX_VALUE_LENGTH;
    if (tooLong || values.size >= limit) return this.overflow(attribute);
    values.add(value);
    return value;
  }
}

/** What tells evaluations of one policy apart that clients and policies choose. */
type Values = {
  readonly kind: string | undefined;
  readonly operation: string | undefined;
  readonly namespace: string | undefined;
  readonly errorCode: number | string | undefined;
};

function attributesOf(
  { policyName, policyMode, accepted, mutated, review }: Evaluation,
  { kind = "", operation = "", namespace, errorCode }: Values,
): MetricAttributes {
  return {
    policy_name: policyName,
    policy_mode: policyMode,
    ...(review && {
      resource_kind: kind,
      resource_request_operation: operation,
      request_origin: review.requestOrigin,
    }),
    accepted,
    mutated,
    ...(namespace !== undefined && { resource_namespace: namespace }),
    ...(errorCode !== undefined && { error_code: errorCode }),
  };
}

type Counting = { readonly counts: number[]; sum: number; count: number };

/** Nothing counted yet. */
export const noLatencies = (): Counting => ({
  counts: new Array(LATENCY_BOUNDS_MS.length + 1).fill(0),
  sum: 0,
  count: 0,
});

/** Counts one more. */
export function count(latencies: Counting, latencyMs: number): void {
  const value = latencyMs > 0 ? Math.floor(latencyMs) : 0;
  latencies.counts[bucketOf(value)]! += 1;
  latencies.sum += value;
  latencies.count++;
}

/** Tells evaluations of one policy apart that are counted apart. */
export function evaluationKey(evaluation: Evaluation): string {
  const { review, errorCode } = evaluation;
  return keyOf(evaluation, review?.kind, review?.operation, review?.namespace, errorCode);
}

/** Lengths stand before what clients choose, so that no two sets of attributes have one key. */
function keyOf(
  evaluation: Evaluation,
  kind: string | undefined,
  operation: string | undefined,
  namespace: string | undefined,
  errorCode: number | string | undefined,
): string {
  const verdict = `${evaluation.policyMode === "monitor" ? "m" : "p"}${evaluation.accepted ? 1 : 0}${
    evaluation.mutated ? 1 : 0
  }`;
  if (kind === undefined || operation === undefined) return `${verdict}r${errorCode ?? ""}`;
  const origin = evaluation.review?.requestOrigin === "audit" ? "a" : "v";
  const place = namespace === undefined ? "" : `+${namespace}`;
  return `${verdict}${origin}${
    errorCode ?? ""
  } ${kind.length} ${kind}${operation.length} ${operation}${place}`;
}

function bucketOf(value: number): number {
  let i = 0;
  while (i < LATENCY_BOUNDS_MS.length && value > (LATENCY_BOUNDS_MS[i] ?? Infinity)) i++;
  return i;
}
