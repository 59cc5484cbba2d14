/**
 * Counts the requests of one serving thread, and hands them on now and then: what is alike is counted together, so that what travels
 * grows with the number of different requests, not with their number.
 */
import type { Evaluation } from "../types/metrics.ts";
import { count, evaluationKey, type Latencies, type Metrics, noLatencies, type Recorder } from "./metrics.ts";

/** What was counted since the last time. */
export interface CountedRequests {
  readonly evaluations: readonly (readonly [evaluation: Evaluation, latencies: Latencies])[];
  readonly initializationErrors: readonly (readonly [policyName: string, error: string])[];
  /** Names of policies whose evaluation was given up, one for each. */
  readonly cancelled: readonly string[];
}

/** How often it is handed on, in milliseconds, and how many different requests are kept till then. */
const RELAY_MS = 100;
const MAX_KEPT = 1_000;

/** A thread's recorder. `relay` hands on at once what is left. */
export type MetricsRelay = Recorder & { relay(): void };

/** `hand` gets what was counted, when there is anything. */
export function metricsRelay(hand: (counted: CountedRequests) => void): MetricsRelay {
  let evaluations = new Map<string, readonly [Evaluation, ReturnType<typeof noLatencies>]>();
  let initializationErrors: (readonly [string, string])[] = [];
  let cancelled: string[] = [];
  let timer: NodeJS.Timeout | undefined;

  function relay(): void {
    clearTimeout(timer);
    timer = undefined;
    if (evaluations.size + initializationErrors.length + cancelled.length === 0) return;
    hand({ evaluations: [...evaluations.values()], initializationErrors, cancelled });
    evaluations = new Map();
    initializationErrors = [];
    cancelled = [];
  }

  function kept(): void {
    if (evaluations.size + initializationErrors.length + cancelled.length >= MAX_KEPT) return relay();
    timer ??= setTimeout(relay, RELAY_MS).unref();
  }

  return {
    recordEvaluation(evaluation, latencyMs) {
      const { policyName } = evaluation;
      const key = `${policyName.length} ${policyName}${evaluationKey(evaluation)}`;
      let known = evaluations.get(key);
      if (known === undefined) evaluations.set(key, known = [evaluation, noLatencies()]);
      count(known[1], latencyMs);
      kept();
    },
    recordInitializationError(policyName, error) {
      initializationErrors.push([policyName, error]);
      kept();
    },
    recordCancelled(policyName) {
      cancelled.push(policyName);
      kept();
    },
    relay,
  };
}

/** Takes what a thread has counted. */
export function addCounted(
  metrics: Metrics,
  { evaluations, initializationErrors, cancelled }: CountedRequests,
): void {
  for (const [evaluation, latencies] of evaluations) metrics.addEvaluations(evaluation, latencies);
  for (const [policyName, error] of initializationErrors) {
    metrics.recordInitializationError(policyName, error);
  }
  for (const policyName of cancelled) metrics.recordCancelled(policyName);
}
