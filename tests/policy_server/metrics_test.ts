// spec/policy-server.md §12, spec/decisions.md §6.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createMetrics, METRICS_LIMITS } from "../../policy_server/apply/metrics.ts";
import { metricFamilies } from "../../policy_server/render/metrics.ts";
import { prometheusText } from "../../telemetry/render/prometheus.ts";
import type { Evaluation } from "../../policy_server/types/metrics.ts";

const REVIEW = { requestOrigin: "validate", kind: "Pod", operation: "CREATE" } as const;
const EVALUATION: Evaluation = {
  policyName: "psp",
  policyMode: "protect",
  accepted: true,
  mutated: false,
  review: { ...REVIEW, namespace: "default" },
};

test("an evaluation counts once in each instrument, with the same attributes", () => {
  const metrics = createMetrics();
  metrics.recordEvaluation(EVALUATION, 3.9);
  metrics.recordEvaluation({ ...EVALUATION }, 0.99);
  metrics.recordEvaluation({ ...EVALUATION, accepted: false, errorCode: 500 }, 10001);
  const { evaluations, latency } = metrics.snapshot();
  const attributes = {
    policy_name: "psp",
    policy_mode: "protect",
    resource_kind: "Pod",
    resource_request_operation: "CREATE",
    request_origin: "validate",
    accepted: true,
    mutated: false,
    resource_namespace: "default",
  };
  assert.equal(evaluations, [
    { attributes, value: 2 },
    { attributes: { ...attributes, accepted: false, error_code: 500 }, value: 1 },
  ]);
  assert.equal(latency[0], { attributes, counts: [1, 1, ...new Array(14).fill(0)], sum: 3, count: 2 });
  assert.equal(latency[1]?.counts, [...new Array(15).fill(0), 1]);
});

test("every bound is inclusive", () => {
  const metrics = createMetrics();
  for (const ms of [0, 5, 6, 10, 10.99, 11, 10000, 10000.9, 10001, -1]) {
    metrics.recordEvaluation(EVALUATION, ms);
  }
  assert.equal(metrics.snapshot().latency[0]?.counts, [2, 1, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1]);
});

test("raw requests have no attributes of a review; cluster-scoped ones no namespace", () => {
  const metrics = createMetrics();
  metrics.recordEvaluation({ ...EVALUATION, review: undefined }, 1);
  metrics.recordEvaluation({ ...EVALUATION, review: { ...REVIEW, kind: "", requestOrigin: "audit" } }, 1);
  assert.equal(metrics.snapshot().evaluations.map((point) => Object.keys(point.attributes)), [
    ["policy_name", "policy_mode", "accepted", "mutated"],
    [
      "policy_name",
      "policy_mode",
      "resource_kind",
      "resource_request_operation",
      "request_origin",
      "accepted",
      "mutated",
    ],
  ]);
  assert.is(metrics.snapshot().evaluations[1]?.attributes["request_origin"], "audit");
});

test("every attribute tells series apart, whatever it holds", () => {
  const metrics = createMetrics();
  const variants: Evaluation[] = [
    EVALUATION,
    { ...EVALUATION, policyName: "other-policy" },
    { ...EVALUATION, policyMode: "monitor" },
    { ...EVALUATION, accepted: false },
    { ...EVALUATION, mutated: true },
    { ...EVALUATION, errorCode: 1 },
    { ...EVALUATION, errorCode: 11 },
    { ...EVALUATION, review: undefined },
    { ...EVALUATION, review: undefined, errorCode: 1 },
    { ...EVALUATION, review: { ...REVIEW } },
    { ...EVALUATION, review: { ...REVIEW, namespace: "" } },
    { ...EVALUATION, review: { ...REVIEW, kind: "Pod6 CREATE" } },
    { ...EVALUATION, review: { ...REVIEW, operation: "CREATE+default" } },
    { ...EVALUATION, review: { ...REVIEW, kind: "+", operation: "+", namespace: "+" } },
    { ...EVALUATION, review: { ...REVIEW, namespace: "default", requestOrigin: "audit" } },
  ];
  for (const variant of variants) metrics.recordEvaluation(variant, 1);
  assert.is(metrics.snapshot().evaluations.length, variants.length);
});

test("an initialization error counts in the counter only", () => {
  const metrics = createMetrics();
  metrics.recordInitializationError("psp", "Policy settings are invalid: no message");
  metrics.recordInitializationError("psp", "Policy settings are invalid: no message");
  metrics.recordInitializationError("psp", "x".repeat(5000));
  const { evaluations, latency } = metrics.snapshot();
  assert.is(latency.length, 0);
  assert.equal(evaluations[0], {
    attributes: { policy_name: "psp", initialization_error: "Policy settings are invalid: no message" },
    value: 2,
  });
  assert.is(String(evaluations[1]?.attributes["initialization_error"]).length, 1024);
});

test("Prometheus text", () => {
  const metrics = createMetrics();
  metrics.recordEvaluation({ ...EVALUATION, policyName: 'a"\\\nb', review: undefined, errorCode: 403 }, 30);
  metrics.recordInitializationError("bad", "why");
  const own =
    'policy_name="a\\"\\\\\\nb",policy_mode="protect",accepted="true",mutated="false",error_code="403"';
  const text = prometheusText(metricFamilies(metrics.snapshot()));
  const lines = text.split("\n");
  assert.is(lines.at(-1), "");
  assert.is(lines[1], "# TYPE kubewarden_policy_evaluations_total counter");
  assert.is(lines[2], `kubewarden_policy_evaluations_total{${own}} 1`);
  assert.is(lines[3], 'kubewarden_policy_evaluations_total{policy_name="bad",initialization_error="why"} 1');
  assert.is(lines[5], "# TYPE kubewarden_policy_evaluation_latency_milliseconds histogram");
  const name = "kubewarden_policy_evaluation_latency_milliseconds";
  const buckets = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000, "+Inf"];
  assert.equal(lines.slice(6, -1), [
    ...buckets.map((bound, i) => `${name}_bucket{${own},le="${bound}"} ${i < 4 ? 0 : 1}`),
    `${name}_sum{${own}} 30`,
    `${name}_count{${own}} 1`,
  ]);
});

test("nothing recorded is still a valid exposition", () => {
  const text = prometheusText(metricFamilies(createMetrics().snapshot()));
  assert.ok(text.split("\n").every((line) => line === "" || line.startsWith("# ")));
});

test("a hostile client can't grow the series without bound; one warning for each attribute", () => {
  const warned: string[] = [];
  const metrics = createMetrics({ onOverflow: (attribute) => warned.push(attribute) });
  for (let i = 0; i < 30_000; i++) {
    metrics.recordEvaluation({
      ...EVALUATION,
      errorCode: i,
      review: { requestOrigin: "validate", kind: `K${i}`, operation: `O${i}`, namespace: `n${i}` },
    }, 1);
  }
  const { evaluations } = metrics.snapshot();
  assert.ok(evaluations.length <= METRICS_LIMITS.series + 16, String(evaluations.length));
  assert.is(evaluations.reduce((sum, point) => sum + point.value, 0), 30_000);
  assert.equal(warned.sort(), [
    "error_code",
    "resource_kind",
    "resource_namespace",
    "resource_request_operation",
  ]);
  const last = evaluations.find((point) => point.attributes["resource_namespace"] === "other");
  assert.is(last?.attributes["resource_kind"], "other");
  assert.is(last?.attributes["error_code"], "other");
});

test("the number of series as such is bounded, and so are initialization errors and the length of values", () => {
  const warned: string[] = [];
  const metrics = createMetrics({
    limits: { ...METRICS_LIMITS, series: 10, initializationErrors: 2 },
    onOverflow: (attribute) => warned.push(attribute),
  });
  for (let i = 0; i < 100; i++) {
    metrics.recordEvaluation({ ...EVALUATION, review: { ...REVIEW, namespace: `n${i}` } }, 1);
    metrics.recordInitializationError("psp", `e${i}`);
  }
  metrics.recordEvaluation({ ...EVALUATION, review: { ...REVIEW, kind: "K".repeat(10_000) } }, 1);
  const { evaluations } = metrics.snapshot();
  assert.is(evaluations.filter((point) => "policy_mode" in point.attributes).length, 12);
  assert.equal(
    evaluations.filter((p) => "initialization_error" in p.attributes).map((p) => [
      p.attributes["initialization_error"],
      p.value,
    ]),
    [["e0", 1], ["e1", 1], ["other", 98]],
  );
  assert.equal(warned.sort(), ["initialization_error", "series"]);
});

test.run();
