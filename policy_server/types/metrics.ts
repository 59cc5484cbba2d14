/** The policy server's two instruments (spec/policy-server.md §12): names, buckets, attributes. */
import type { CounterValue, HistogramValue } from "../../telemetry/types/metrics.ts";
import type { PolicyMode } from "./policies.ts";

/** Monotonic counter of evaluations and of requests to policies that could not be made ready. */
export const EVALUATIONS = "kubewarden_policy_evaluations_total";
/** Histogram of evaluation times in whole milliseconds. */
export const LATENCY = "kubewarden_policy_evaluation_latency_milliseconds";
/** Monotonic counter of evaluations that were given up because the client had gone; the original has none. */
export const CANCELLED = "kubewarden_policy_evaluations_cancelled_total";
/** Upper bounds of the histogram's buckets in milliseconds, inclusive; one more bucket has no bound. */
export const LATENCY_BOUNDS_MS = [
  0,
  5,
  10,
  25,
  50,
  75,
  100,
  250,
  500,
  750,
  1000,
  2500,
  5000,
  7500,
  10000,
] as const;

/** What is recorded about one evaluation. `accepted`, `mutated` and `errorCode` are the policy's own verdict. */
export type Evaluation = {
  /** The textual policy id; that of the group for a group. */
  readonly policyName: string;
  readonly policyMode: PolicyMode;
  readonly accepted: boolean;
  readonly mutated: boolean;
  readonly errorCode?: number | undefined;
  /** What only an AdmissionReview has; absent for raw requests. */
  readonly review?: EvaluatedReview | undefined;
};

/** The part of an evaluation's attributes that comes from an AdmissionReview. */
export type EvaluatedReview = {
  readonly requestOrigin: "validate" | "audit";
  /** `requestKind.kind`, `""` when absent. */
  readonly kind: string;
  readonly operation: string;
  readonly namespace?: string | undefined;
};

/** All values at one moment. */
export type MetricsSnapshot = {
  readonly evaluations: readonly CounterValue[];
  readonly latency: readonly HistogramValue[];
  readonly cancelled: readonly CounterValue[];
};
