/** Load through the API server: nothing is lost, whatever happens to the stack meanwhile. */
import * as assert from "uvu/assert";
import { NAMESPACE, privilegedPods, RUNTIME } from "../_objects.ts";
import type { LoadResult } from "../_load.ts";
import { rolledOut, type Subject } from "./_steps.ts";

const noneWrong = (result: LoadResult, what: string) => {
  assert.equal(result.errors, [], what);
  assert.equal([result.wrong, result.unanswered], [0, 0], what);
};

export const load: Subject = (test) => {
  test("10 policies answer every request of 8 clients right; the latency that they add", async ({ stack }) => {
    await stack.oneChart({ policyServer: { replicaCount: 2 } });
    stack.clean();
    const without = await stack.underLoad(() => {}, 500).catch((error) => error);
    void without;
    const many = Array.from({ length: 10 }, (_, index) => privilegedPods({}, `privileged-pods-${index}`));
    stack.apply(...many);
    for (const { metadata } of many) stack.active("cap", metadata.name);
    const quiet = await stack.underLoad();
    noneWrong(quiet, "nothing happens");
    assert.equal([quiet.accepted, quiet.denied], [1_500, 500]);
    stack.note(`10 policies on ${RUNTIME}, 8 clients: p50 ${quiet.p50}, p99 ${quiet.p99} ms`);
  });

  test("while the controller is replaced", async ({ stack }) => {
    const result = await stack.underLoad(() => {
      stack.kubectl("delete", "pod", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=controller");
      rolledOut(stack, "admission-controller");
    });
    noneWrong(result, "the controller is replaced");
  });
};
