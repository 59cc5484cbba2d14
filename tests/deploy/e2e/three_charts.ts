/** The layout of Kubewarden 1.36: CRDs, controller and defaults as three releases. */
import * as assert from "uvu/assert";
import { imageValues, NAMESPACE, policyServer, privilegedPods, serverImage } from "../_objects.ts";
import { sourceAuthorities, sourceValues, until } from "../_stack.ts";
import {
  conditionSays,
  DENIED,
  denied,
  deployment,
  nothingLeft,
  podSpec,
  rolledOut,
  type Subject,
} from "./_steps.ts";
import { awayFrom } from "./scheduling.ts";

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

  test("the guide to host network, word by word: one flag, affinity in both charts, and a further PolicyServer", async ({ stack }) => {
    stack.kubectl(
      "label",
      "namespace",
      NAMESPACE,
      "pod-security.kubernetes.io/enforce=privileged",
      "--overwrite",
    );
    stack.kubectl("uncordon", "node2");
    // The labels that the guide names; controllers have another component, and their own rule keeps them off policy servers.
    const affinity = awayFrom("app.kubernetes.io/component", "policy-server", "kubewarden-controller");
    stack.install(
      "kubewarden-controller",
      "portreeve-controller",
      { ...imageValues(), affinity },
      "--set",
      "hostNetwork=true",
    );
    const defaults = sourceValues(stack.node);
    stack.install("kubewarden-defaults", "portreeve-defaults", {
      ...defaults,
      policyServer: { ...defaults.policyServer, affinity },
    });
    await until(
      "the default server is on its node's network",
      () => podSpec(stack, "policy-server-default").hostNetwork,
    );
    for (const name of ["kubewarden-controller", "policy-server-default"]) {
      rolledOut(stack, name);
      const spec = podSpec(stack, name);
      assert.equal([spec.hostNetwork, spec.dnsPolicy], [true, "ClusterFirstWithHostNet"], name);
      assert.equal(spec.affinity, affinity, name);
    }
    const nodeOf = (component: string) =>
      stack.list("pods", "-n", NAMESPACE, "-l", `app.kubernetes.io/component=${component}`)
        .filter(({ metadata }) => metadata.deletionTimestamp === undefined).map(({ spec }) => spec.nodeName);
    assert.equal(new Set([...nodeOf("controller"), ...nodeOf("policy-server")]).size, 2);
    stack.active("cap", "privileged-pods");
    await denied(stack);

    // A third pod that may share a node with neither finds none.
    const sources = { sourceAuthorities: sourceAuthorities(stack.node) };
    // The guide's labels are not those of the controller, which is what the warning says; the object is made all the same.
    assert.match(
      stack.refused(() => stack.apply(policyServer("secondary", { ...sources, affinity }))),
      /readinessProbePort 8081 is also the controller's health probe port/,
    );
    await conditionSays(stack, "ps", "secondary", /no node takes the pod: .*anti-affinity/);
    // Ports of its own and no rule: the rules of the others still keep it off their nodes, as the scheduler looks at both sides.
    const own = { webhookPort: 62000, readinessProbePort: 62001, metricsPort: 62002 };
    stack.apply(policyServer("secondary", { ...sources, ...own }));
    await conditionSays(
      stack,
      "ps",
      "secondary",
      /no node takes the pod: .*didn't satisfy existing pods anti-affinity rules/,
    );
    assert.equal(podSpec(stack, "policy-server-secondary").affinity ?? {}, {});
    // Beside a server without a rule it runs.
    stack.install("kubewarden-defaults", "portreeve-defaults", defaults);
    await until("it runs", () => deployment(stack, "policy-server-secondary").status.readyReplicas === 1);
    stack.clean();
    stack.kubectl("cordon", "node2");
  });

  test("uninstalling the three charts leaves nothing behind", async ({ stack }) => {
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    for (const release of ["kubewarden-defaults", "kubewarden-controller", "kubewarden-crds"]) {
      await stack.timed(`uninstall ${release}`, () => stack.uninstall(release));
    }
    nothingLeft(stack);
    assert.equal(stack.list("crds").map(({ metadata }) => metadata.name), []);
    stack.kubectl("delete", "namespace", NAMESPACE, "--wait", "--timeout=60s");
  });
};
