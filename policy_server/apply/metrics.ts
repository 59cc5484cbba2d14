/**
 * Counts evaluations in memory (spec/policy-server.md §12). Recording is on the path of every request: a series is found by one
 * composed key. What clients can choose freely (kind, operation, namespace) has a bounded number of values; beyond it
 * a value is counted as `other`, so that nobody can fill the memory by inventing namespaces.
 */
import {
  type Attributes,
  type Evaluation,
  LATENCY_BOUNDS_MS,
  type MetricsSnapshot,
} from "../types/metrics.ts";

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

type Series = { readonly attributes: Attributes; readonly counts: number[]; sum: number; count: number };

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
  const byPolicy = new Map<string, Map<string, Series>>();
  const errors = new Map<string, { readonly attributes: Attributes; count: number }>();
  const cancelled = new Map<string, number>();
  const known = new Map<string, Set<string | number>>();
  const overflowed = new Set<string>();
  let seriesCount = 0;

  function overflow(attribute: string): typeof OTHER {
    if (!overflowed.has(attribute)) {
      overflowed.add(attribute);
      onOverflow(attribute);
    }
    return OTHER;
  }

  /** The value, or `other` where the attribute has its number of values already. */
  function admitted(attribute: string, limit: number, value: string): string;
  function admitted(attribute: string, limit: number, value: number): number | string;
  function admitted(attribute: string, limit: number, value: string | number): string | number {
    let values = known.get(attribute);
    if (values === undefined) known.set(attribute, values = new Set());
    if (values.has(value)) return value;
    const tooLong = typeof value === "string" && value.length > MAX_VALUE_LENGTH;
    if (tooLong || values.size >= limit) return overflow(attribute);
    values.add(value);
    return value;
  }

  function newSeries(evaluation: Evaluation, ofPolicy: Map<string, Series>, key: string): Series {
    const { review, errorCode } = evaluation;
    const full = seriesCount >= limits.series;
    if (full) overflow("series");
    const value = (attribute: string, limit: number, text: string) =>
      full ? OTHER : admitted(attribute, limit, text);
    const bounded = {
      kind: review && value("resource_kind", limits.kinds, review.kind),
      operation: review && value("resource_request_operation", limits.operations, review.operation),
      namespace: review?.namespace === undefined
        ? undefined
        : value("resource_namespace", limits.namespaces, review.namespace),
      errorCode: errorCode === undefined
        ? undefined
        : full
        ? OTHER
        : admitted("error_code", limits.errorCodes, errorCode),
    };
    // Values that were not admitted are looked up under their replacement, never under themselves: the map stays small.
    const boundedKey = keyOf(
      evaluation,
      bounded.kind,
      bounded.operation,
      bounded.namespace,
      bounded.errorCode,
    );
    const existing = boundedKey === key ? undefined : ofPolicy.get(boundedKey);
    if (existing !== undefined) return existing;
    const series: Series = {
      attributes: {
        policy_name: evaluation.policyName,
        policy_mode: evaluation.policyMode,
        ...(review && {
          resource_kind: bounded.kind ?? "",
          resource_request_operation: bounded.operation ?? "",
          request_origin: review.requestOrigin,
        }),
        accepted: evaluation.accepted,
        mutated: evaluation.mutated,
        ...(bounded.namespace !== undefined && { resource_namespace: bounded.namespace }),
        ...(bounded.errorCode !== undefined && { error_code: bounded.errorCode }),
      },
      ...noLatencies(),
    };
    ofPolicy.set(boundedKey, series);
    seriesCount++;
    return series;
  }

  function seriesOf(evaluation: Evaluation): Series {
    let ofPolicy = byPolicy.get(evaluation.policyName);
    if (ofPolicy === undefined) byPolicy.set(evaluation.policyName, ofPolicy = new Map());
    const key = evaluationKey(evaluation);
    return ofPolicy.get(key) ?? newSeries(evaluation, ofPolicy, key);
  }

  return {
    recordEvaluation: (evaluation, latencyMs) => count(seriesOf(evaluation), latencyMs),
    addEvaluations(evaluation, latencies) {
      const series = seriesOf(evaluation);
      latencies.counts.forEach((more, bucket) => series.counts[bucket]! += more);
      series.sum += latencies.sum;
      series.count += latencies.count;
    },
    recordInitializationError(policyName, error) {
      let text = error.slice(0, MAX_ERROR_LENGTH);
      const key = () => `${policyName.length} ${policyName}${text}`;
      if (!errors.has(key()) && errors.size >= limits.initializationErrors) {
        text = overflow("initialization_error");
      }
      const series = errors.get(key());
      if (series !== undefined) series.count++;
      else {errors.set(key(), {
          attributes: { policy_name: policyName, initialization_error: text },
          count: 1,
        });}
    },
    recordCancelled(policyName) {
      cancelled.set(policyName, (cancelled.get(policyName) ?? 0) + 1);
    },
    snapshot() {
      const all = [...byPolicy.values()].flatMap((ofPolicy) => [...ofPolicy.values()]);
      return {
        evaluations: [...all, ...errors.values()].map(({ attributes, count }) => ({
          attributes,
          value: count,
        })),
        latency: all.map((series) => ({ ...series, counts: [...series.counts] })),
        cancelled: [...cancelled].map(([policy_name, value]) => ({ attributes: { policy_name }, value })),
      };
    },
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
