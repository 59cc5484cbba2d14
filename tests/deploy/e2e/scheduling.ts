/** Where pods go: affinity, tolerations, priority; two nodes. */
import * as assert from "uvu/assert";
import { type Any, NAMESPACE, policyServer, privilegedPods } from "../_objects.ts";
import { sourceAuthorities, type Stack, until } from "../_stack.ts";
import { denied, podSpec, rolledOut, serverPods, type Subject } from "./_steps.ts";

/** Required anti-affinity against pods with this label. */
export const awayFrom = (key: string, ...values: readonly string[]): Any => ({
  podAntiAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: [{
      topologyKey: "kubernetes.io/hostname",
      labelSelector: { matchExpressions: [{ key, operator: "In", values }] },
    }],
  },
});
const onNode = (name: string): Any => ({
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{
        matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [name] }],
      }],
    },
  },
});

/** No pod starts on the second node any more, and those that are there start on the first one. */
export function backToOneNode(stack: Stack): void {
  stack.kubectl("cordon", "node2");
  const there = ["-n", NAMESPACE, "--field-selector=spec.nodeName=node2"];
  stack.kubectl("delete", "pods", ...there, "--wait", "--timeout=120s");
  for (const name of ["admission-controller", "policy-server-default"]) rolledOut(stack, name);
}

export const scheduling: Subject = (test) => {
  test("affinity, tolerations and priority of PolicyServers are their pods', on two nodes", async ({ stack }) => {
    await stack.oneChart();
    stack.clean();
    stack.kubectl("uncordon", "node2");
    stack.kubectl("taint", "node", "node2", "for=policies:NoSchedule", "--overwrite");
    stack.apply({
      apiVersion: "scheduling.k8s.io/v1",
      kind: "PriorityClass",
      metadata: { name: "policies-first" },
      value: 1_000_000,
      description: "for tests",
    });
    const tolerations = [{ key: "for", operator: "Equal", value: "policies", effect: "NoSchedule" }];
    const sources = { sourceAuthorities: sourceAuthorities(stack.node) };
    stack.apply(
      policyServer("spread", {
        ...sources,
        replicas: 2,
        tolerations,
        affinity: awayFrom("kubewarden/policy-server", "spread"),
      }),
      policyServer("far", {
        ...sources,
        tolerations,
        affinity: onNode("node2"),
        priorityClassName: "policies-first",
      }),
      policyServer("not-tolerant", { affinity: onNode("node2") }),
    );
    stack.apply(privilegedPods({ policyServer: "far" }));
    // Webhooks reach a pod on the other node.
    stack.active("cap", "privileged-pods");
    await denied(stack);
    const [far] = serverPods(stack, "far");
    assert.equal([far.spec.nodeName, far.spec.priority], ["node2", 1_000_000]);
    await until("a pod on each node", () => {
      const nodes = serverPods(stack, "spread").filter(({ status }) => status.phase === "Running").map((
        { spec },
      ) => spec.nodeName);
      return nodes.sort().join() === "node1,node2";
    });
    const pending = await until("no node tolerates it", () => {
      const [pod] = serverPods(stack, "not-tolerant");
      return (pod?.status.conditions ?? []).find(({ reason }: Any) => reason === "Unschedulable");
    }) as Any;
    assert.match(pending.message, /taint/);

    // One more than there are nodes.
    stack.kubectl("patch", "ps", "spread", "--type=merge", "-p", '{"spec":{"replicas":3}}');
    await until(
      "the third finds no node",
      () => serverPods(stack, "spread").some(({ status }) => status.phase === "Pending"),
    );
    stack.clean();
    stack.kubectl("taint", "node", "node2", "for-");
  });

  test("the chart's affinity, tolerations and priority reach every pod; the seed's example keeps them apart", async ({ stack }) => {
    const together = awayFrom("app.kubernetes.io/component", "policy-server", "controller");
    const tolerations = [{ key: "for", operator: "Exists" }];
    await stack.oneChart({
      affinity: together,
      policyServer: { affinity: together },
      global: { tolerations, priorityClassName: "policies-first" },
    });
    for (const name of ["admission-controller", "policy-server-default"]) {
      const spec = podSpec(stack, name);
      assert.is(spec.priorityClassName, "policies-first", name);
      assert.equal(spec.tolerations, tolerations, name);
      assert.equal(spec.affinity, together, name);
    }
    const cronJob = stack.get("cronjob", "audit-scanner", NAMESPACE).spec.jobTemplate.spec.template.spec;
    assert.is(cronJob.priorityClassName, "policies-first");
    assert.equal(cronJob.tolerations, tolerations);
    rolledOut(stack, "policy-server-default");
    const where = [
      ...serverPods(stack, "default"),
      ...stack.list("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=controller"),
    ].filter(({ metadata }) => metadata.deletionTimestamp === undefined).map(({ spec }) => spec.nodeName);
    assert.is(new Set(where).size, where.length, where.join());
    // The old pods' rules hold for the new ones too, and there is no third node.
    stack.kubectl("cordon", "node2");
    stack.uninstall("admission-controller");
    await stack.oneChart();
    stack.kubectl("delete", "priorityclass", "policies-first");
  });
};
