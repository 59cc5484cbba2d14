/** Policies of every kind and mode: what they accept, deny and change, and what becomes of them with their server. */
import * as assert from "uvu/assert";
import { clusterPolicy, policy, policyServer, privilegedPods } from "../_objects.ts";
import { sourceAuthorities, until } from "../_stack.ts";
import { DENIED, denied, deployment, remove, rolledOut, serverLogs, type Subject } from "./_steps.ts";

const MUTATION =
  "The policy attempted to mutate the request, but it is currently configured to not allow mutations";

export const policies: Subject = (test) => {
  test("B-BAS: rules that change at once, a policy that goes", async ({ stack }) => {
    await stack.oneChart();
    stack.clean();
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    await denied(stack);
    stack.pod("plain");
    const rules = [{ ...privilegedPods().spec.rules[0], operations: ["UPDATE"] }];
    const before = deployment(stack, "policy-server-default").metadata.generation;
    stack.apply(privilegedPods({ rules }));
    await until("a privileged Pod may be created", () => stack.tryPod({ privileged: true }) === undefined);
    stack.pod("privileged", { privileged: true });
    const label = () => stack.node.kubectl("label", "pod", "privileged", "a=b", "--overwrite");
    assert.match(stack.refused(label), DENIED);
    assert.is(deployment(stack, "policy-server-default").metadata.generation, before, "rules roll no server");
    remove(stack, "cap", "privileged-pods");
    label();
    remove(stack, "pod", "plain", "privileged");
  });

  test("B-BAS: a server with two replicas, and a policy that outlives its server", async ({ stack }) => {
    const name = "policy-server-e2e-tests";
    stack.apply(policyServer("e2e-tests", { sourceAuthorities: sourceAuthorities(stack.node) }));
    stack.kubectl("wait", "--for=condition=ServiceReconciled", "ps/e2e-tests", "--timeout=60s");
    rolledOut(stack, name);
    stack.kubectl("patch", "ps", "e2e-tests", "--type=merge", "-p", '{"spec":{"replicas":2}}');
    await until("two replicas", () => deployment(stack, name).status.readyReplicas === 2);
    stack.apply(privilegedPods({ policyServer: "e2e-tests" }));
    stack.active("cap", "privileged-pods");
    await denied(stack);
    remove(stack, "ps", "e2e-tests");
    const status = () => stack.get("cap", "privileged-pods").status.policyStatus;
    await until("the policy is scheduled", () => status() === "scheduled");
    const hooks = stack.list("validatingwebhookconfigurations").map(({ metadata }) => metadata.name);
    assert.not(hooks.some((hook: string) => hook.endsWith("privileged-pods")), hooks.join());
    assert.is(stack.tryPod({ privileged: true }), undefined);
    remove(stack, "cap", "privileged-pods");
  });

  test("B-NAP: a namespaced policy reaches its own namespace alone", async ({ stack }) => {
    const module = privilegedPods().spec.module;
    stack.apply(policy("AdmissionPolicy", "pod-privileged", { module }, "default"));
    stack.active("ap", "pod-privileged", "default");
    await denied(stack);
    assert.is(stack.tryPod(), undefined);
    stack.kubectl("create", "namespace", "elsewhere");
    assert.is(stack.tryPod({ privileged: true, namespace: "elsewhere" }), undefined);
    remove(stack, "ap", "pod-privileged", "-n", "default");
    remove(stack, "namespace", "elsewhere");
  });

  test("B-MUT: a mutating policy changes the Pod; one that may not is refused with the reason", ({ stack }) => {
    const module = "registry://ghcr.io/kubewarden/tests/seccomp:v1";
    stack.apply(clusterPolicy("seccomp", { module, mutating: true }));
    stack.active("cap", "seccomp");
    assert.ok(stack.get("mutatingwebhookconfigurations", "kw.cap.seccomp"));
    const pod = stack.pod("mutated");
    assert.is(pod.spec.securityContext.seccompProfile?.type, "RuntimeDefault");
    remove(stack, "pod", "mutated");
    remove(stack, "cap", "seccomp");
    stack.apply(clusterPolicy("seccomp-not-allowed", { module }));
    stack.active("cap", "seccomp-not-allowed");
    assert.ok(stack.get("validatingwebhookconfigurations", "kw.cap.seccomp-not-allowed"));
    assert.ok(stack.tryPod()?.includes(MUTATION));
    remove(stack, "cap", "seccomp-not-allowed");
  });

  test("B-MON: monitor tells and lets pass; to protect it may go, and not back", async ({ stack }) => {
    stack.apply(privilegedPods({ mode: "monitor" }));
    stack.active("cap", "privileged-pods");
    assert.is(stack.tryPod({ privileged: true }), undefined);
    const texts = [
      "policy evaluation (monitor mode)",
      "allowed: false",
      "Privileged container is not allowed",
    ];
    // A webhook is called a moment after its configuration is written.
    await until("the server's log tells of it", () => {
      stack.tryPod({ privileged: true });
      const logs = serverLogs(stack);
      return texts.every((text) => logs.includes(text));
    });
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    await denied(stack);
    const said = stack.refused(() => stack.apply(privilegedPods({ mode: "monitor" })));
    assert.ok(said.includes("field cannot transition from protect to monitor. Recreate instead."), said);
    remove(stack, "cap", "privileged-pods");
  });

  test("groups of both kinds: the message is the group's own", ({ stack }) => {
    const { module, rules, namespaceSelector } = privilegedPods().spec;
    const group = {
      rules,
      policies: {
        unprivileged: { module },
        labelled: {
          // Without a scheme, as in the published example.
          module: "ghcr.io/kubewarden/tests/safe-labels:v0.1.13",
          settings: { required: ["owner"] },
        },
      },
      expression: "unprivileged() || labelled()",
      message: "the pod is privileged and nobody owns it",
    };
    const kinds = [
      ["capg", "ClusterAdmissionPolicyGroup", { ...group, namespaceSelector }, undefined],
      ["apg", "AdmissionPolicyGroup", group, "default"],
    ] as const;
    for (const [short, kind, spec, namespace] of kinds) {
      const { mutating: _, ...own } = policy(kind, "policy-group", spec, namespace).spec;
      stack.apply({ ...policy(kind, "policy-group", {}, namespace), spec: own });
      stack.active(short, "policy-group", namespace);
      const text = stack.tryPod({ privileged: true }) ?? "accepted";
      assert.match(text, /denied the request: the pod is privileged and nobody owns it\s*$/, kind);
      assert.is(stack.tryPod({ privileged: true, labels: { owner: "me" } }), undefined, kind);
      assert.is(stack.tryPod(), undefined, kind);
      remove(stack, short, "policy-group", ...(namespace === undefined ? [] : ["-n", namespace]));
    }
  });
};
