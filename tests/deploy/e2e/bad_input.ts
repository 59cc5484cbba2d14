/** What can't work: Helm, the object's status or an Event says why and what to do. */
import * as assert from "uvu/assert";
import { clusterPolicy, privilegedPods } from "../_objects.ts";
import { conditionSays, denied, type Subject } from "./_steps.ts";

export const badInput: Subject = (test) => {
  test("a policy that can't be loaded: its status says why, and the others are enforced meanwhile", async ({ stack }) => {
    await stack.oneChart();
    stack.clean();
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    stack.apply(clusterPolicy("absent", { module: "registry://ghcr.io/kubewarden/no/such:v1" }));
    const condition = await conditionSays(stack, "cap", "absent", /no\/such/);
    assert.is(condition.status, "False");
    await denied(stack);
    stack.clean();
  });
};
