// The fields of spans (spec/policy-server.md §13), whatever the request holds.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readRawReview, readReview } from "../../evaluator/render/review.ts";
import { createTracing } from "../../policy_server/apply/tracing.ts";
import {
  evaluatorFields,
  groupFields,
  policyLogSpan,
  reviewFields,
} from "../../policy_server/render/spans.ts";
import type { SpanFields, TraceSpan } from "../../telemetry/types/spans.ts";
import { reviewOf } from "./requests.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const review = (request: Readonly<Record<string, unknown>>) => readReview(bytes(reviewOf({}, request)));
const entry = (message: string) => ({ level: "info", message, data: '{"a":1}' }) as const;

test("fields are those of the request's own members, not of what the object holds", () => {
  const object = { name: "inner", kind: { group: "inner" }, namespace: "inner", metadata: { name: "inner" } };
  const request = {
    object,
    name: 'quo"te\u2028',
    namespace: "n",
    subResource: "scale",
    kind: { group: "apps", version: "v1", kind: "Deployment" },
    resource: { group: "apps", version: "v1", resource: "deployments" },
  };
  assert.equal(reviewFields("validate", "pod-1", "psp", review(request)), {
    request_uid: "a-uid",
    host: "pod-1",
    policy_id: "psp",
    name: 'quo"te\u2028',
    namespace: "n",
    operation: "CREATE",
    subresource: "scale",
    kind_group: "apps",
    kind_version: "v1",
    kind: "Deployment",
    resource_group: "apps",
    resource_version: "v1",
    resource: "deployments",
  });
});

test("absent and null texts are empty, overlong ones are left out", () => {
  const fields = reviewFields("audit", "h", "p", review({ name: null, subResource: "s".repeat(10_000) }));
  assert.equal([fields["name"], fields["namespace"], fields["subresource"]], ["", "", ""]);
  const raw = readRawReview(bytes('{"request":{"uid":"u","name":"x"}}'));
  assert.equal(reviewFields("raw", "h", "p", raw), { host: "h", policy_id: "p" });
});

test("who judges", () => {
  assert.equal(evaluatorFields("psp", "opa", '{"a":1}'), {
    self: 'PolicyEvaluator { id: "psp", runtime: "OPA" }',
    settings: '{"a":1}',
  });
  const group = { message: "m", expression: "a() || b()", policies: new Map([["a", 1], ["b", 2]]) };
  assert.equal(groupFields("g", group), {
    self: 'PolicyGroup { id: "g", message: "m", expression: "a() || b()", policies: ["a","b"] }',
  });
});

test("lines of Rego policies have spans of their own", () => {
  assert.equal(policyLogSpan("p", { ...entry("printed"), rego: "println" }), {
    name: "opa_println",
    fields: { msg: "printed" },
  });
  const aborted = { ...entry("Rego evaluation aborted: why"), level: "error", rego: "abort" } as const;
  assert.equal(policyLogSpan("p", aborted), { name: "opa_abort", fields: { msg: "why" } });
  assert.equal(policyLogSpan("p", entry("said")), {
    name: "policy_log",
    fields: { eval_ctx: 'EvaluationContext { policy_id: "p" }' },
    event: { level: "INFO", target: "policy_log", data: '{"a":1}' },
  });
});

type Seen = { readonly name: string; readonly children: Seen[]; ended: boolean };

function recorder(name: string): TraceSpan & { readonly seen: Seen } {
  const seen: Seen = { name, children: [], ended: false };
  return {
    seen,
    child(childName: string, _: SpanFields) {
      const child = recorder(childName);
      seen.children.push(child.seen);
      return child;
    },
    set() {},
    event() {},
    end: () => void (seen.ended = true),
  };
}

test("a policy's lines go to the span of the request that it judges, a bounded number of them", async () => {
  const root = recorder("root");
  const tracing = createTracing({ root: () => root }, "h");
  const [one, two] = [review({}), review({})];
  tracing.policyLog("p", entry("before"), one);
  await Promise.all([
    tracing.judging(root, {}, one, () => {
      for (let line = 0; line < 1000; line++) tracing.policyLog("p", entry("a line"), one);
      return Promise.resolve();
    }),
    tracing.judging(root, {}, two, () => {
      tracing.policyLog("p", entry("another"), two);
      return Promise.reject(new Error("trap"));
    }).catch(() => {}),
  ]);
  tracing.policyLog("p", entry("after"), one);
  tracing.policyLog("p", entry("of nothing"), undefined);
  const [first, second] = root.seen.children;
  assert.is(first!.children.length, 64);
  assert.is(second!.children.length, 1);
  assert.ok([first!, second!, ...first!.children].every(({ ended }) => ended));
});

test.run();
