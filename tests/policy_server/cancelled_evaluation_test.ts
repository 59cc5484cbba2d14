// Issue 16, fault 5: a request whose client has gone ends at once, also in a group, whose members are stopped and whose others are
// not begun; it is counted, and is no evaluation.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readExpression } from "../../evaluator/render/group_expression.ts";
import { readReview } from "../../evaluator/render/review.ts";
import { evaluate, type EvaluationContext } from "../../policy_server/apply/evaluate.ts";
import { createLog } from "../../policy_server/apply/log.ts";
import { createMetrics } from "../../policy_server/apply/metrics.ts";
import type { Evaluable, PolicySet } from "../../policy_server/apply/policy_set.ts";
import { metricFamilies } from "../../policy_server/render/metrics.ts";
import { prometheusText } from "../../telemetry/render/prometheus.ts";
import { evaluation, testPolicy } from "../evaluator/evaluation.ts";

const review = (annotations: Readonly<Record<string, string>>) =>
  readReview(new TextEncoder().encode(JSON.stringify({
    request: {
      uid: "u",
      kind: { group: "", version: "v1", kind: "Pod" },
      resource: { group: "", version: "v1", resource: "pods" },
      operation: "CREATE",
      userInfo: {},
      object: { metadata: { annotations } },
    },
  })));

for (const expression of ["first() && second()", "first() || second()", "!first()"]) {
  test(`a group is cancelled with its members: ${expression}`, () =>
    evaluation(async ({ load, pool, threadErrors }) => {
      await load("first", { wasm: testPolicy("loop/policy.wasm"), limitMs: Infinity });
      await load("second", { wasm: testPolicy("loop/policy.wasm"), limitMs: Infinity });
      // The numbers that `load` was given: a module, a policy, a module, a policy.
      const member = (policy: number): Evaluable => ({ kind: "ready", policy, traced: {} });
      const members = new Map([["first", member(2)], ["second", member(4)]]);
      const entry = {
        kind: "group",
        name: "group",
        policyMode: "protect",
        policies: new Map(),
        expression,
        message: "refused",
      } as const;
      const set: PolicySet = {
        policies: new Map([["group", {
          kind: "group",
          entry,
          members,
          expression: await readExpression(expression, [...members.keys()]),
        }]]),
        dispose: () => {},
      };
      const metrics = createMetrics();
      const context: EvaluationContext = {
        pool,
        metrics,
        log: createLog({ level: "info", format: "text", output: () => 0 }),
        alwaysAcceptNamespace: null,
      };
      const judged = (annotations: Readonly<Record<string, string>>, signal?: AbortSignal) =>
        evaluate(context, set, "group", review(annotations), "validate", undefined, { signal });
      assert.is((await judged({})).kind, "response");
      for (let client = 0; client < 2; client++) {
        const abort = new AbortController();
        const running = judged({ do: "tight" }, abort.signal);
        // Whoever asks after it has its answer first: the member runs, or waits for a thread.
        await pool.validate(4, review({}));
        abort.abort();
        assert.equal(await running, { kind: "cancelled" });
        assert.is((await judged({})).kind, "response");
      }
      assert.match(
        prometheusText(metricFamilies(metrics.snapshot())),
        /\nkubewarden_policy_evaluations_cancelled_total\{policy_name="group"\} 2\n/,
      );
      assert.is(metrics.snapshot().evaluations.reduce((sum, { value }) => sum + value, 0), 3);
      assert.equal(threadErrors, []);
    }));
}

test.run();
