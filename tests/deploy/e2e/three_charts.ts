/** The layout of Kubewarden 1.36: CRDs, controller and defaults as three releases. */
import * as assert from "uvu/assert";
import { imageValues, NAMESPACE, privilegedPods, serverImage } from "../_objects.ts";
import { sourceValues } from "../_stack.ts";
import { DENIED, denied, nothingLeft, podSpec, type Subject } from "./_steps.ts";

export const threeCharts: Subject = (test) => {
  test("three charts: from nothing to the first rejected Pod, in a namespace of restricted Pods", async ({ stack }) => {
    stack.kubectl("create", "namespace", NAMESPACE);
    stack.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted");
    const began = performance.now();
    await stack.timed("CRDs", () => stack.install("kubewarden-crds", "portreeve-crds"));
    await stack.timed(
      "controller",
      () => stack.install("kubewarden-controller", "portreeve-controller", imageValues()),
    );
    await stack.timed(
      "defaults",
      () => stack.install("kubewarden-defaults", "portreeve-defaults", sourceValues(stack.node)),
    );
    await stack.timed("policy active", () => {
      stack.apply(privilegedPods());
      stack.active("cap", "privileged-pods");
    });
    const said = await stack.timed("first rejection", () => stack.tryPod({ privileged: true }));
    if (!DENIED.test(said ?? "accepted")) await denied(stack);
    stack.note(`in all ${((performance.now() - began) / 1000).toFixed(1)} s`);
    assert.is(stack.tryPod(), undefined);
    assert.is(podSpec(stack, "policy-server-default").containers[0].image, serverImage);
  });

  test("uninstalling the three charts leaves nothing behind", async ({ stack }) => {
    for (const release of ["kubewarden-defaults", "kubewarden-controller", "kubewarden-crds"]) {
      await stack.timed(`uninstall ${release}`, () => stack.uninstall(release));
    }
    nothingLeft(stack);
    assert.equal(stack.list("crds").map(({ metadata }) => metadata.name), []);
    stack.kubectl("delete", "namespace", NAMESPACE, "--wait", "--timeout=60s");
  });
};
