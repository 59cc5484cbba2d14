/** One chart for everything; the controller makes the defaults itself. */
import * as assert from "uvu/assert";
import { NAMESPACE, privilegedPods } from "../_objects.ts";
import { denied, nothingLeft, type Subject } from "./_steps.ts";

export const oneChart: Subject = (test) => {
  test("one chart: from nothing to the first rejected Pod; users' policies survive an uninstallation and come back", async ({ stack }) => {
    await stack.timed("one chart", () => stack.oneChart());
    await stack.timed("policy active", () => {
      stack.apply(privilegedPods());
      stack.active("cap", "privileged-pods");
    });
    await denied(stack);

    await stack.timed("uninstall", () => stack.uninstall("admission-controller"));
    nothingLeft(stack);
    const kept = stack.get("cap", "privileged-pods");
    assert.equal([kept.metadata.finalizers, kept.metadata.deletionTimestamp], [undefined, undefined]);
    assert.is(stack.get("ps", "default"), undefined);
    assert.is(stack.list("crds").filter(({ metadata }) => metadata.name.endsWith("kubewarden.io")).length, 5);
    assert.is(stack.tryPod({ privileged: true }), undefined);

    await stack.oneChart();
    stack.active("cap", "privileged-pods");
    await denied(stack);
  });

  test("helm test has a Pod rejected, also where another policy rejects it already", ({ stack }) => {
    const said = stack.helm("test", "admission-controller", "--namespace", NAMESPACE, "--timeout", "5m");
    assert.match(said, /Phase:\s+Succeeded/);
    stack.clean();
  });
};
