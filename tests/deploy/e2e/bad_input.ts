/** What can't work: Helm, the object's status or an Event says why and what to do. */
import * as assert from "uvu/assert";
import { type Any, clusterPolicy, configMap, NAMESPACE, policyServer, privilegedPods } from "../_objects.ts";
import { sourceAuthorities, until } from "../_stack.ts";
import { conditions, conditionSays, denied, rolledOut, type Subject } from "./_steps.ts";

export const badInput: Subject = (test) => {
  test("a policy that can't be loaded, one with wrong settings: the status says why, and the others are enforced meanwhile", async ({ stack }) => {
    await stack.oneChart();
    stack.clean();
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    stack.apply(
      clusterPolicy("absent", { module: "registry://ghcr.io/kubewarden/no/such:v1" }),
      clusterPolicy("wrong-settings", {
        module: "registry://ghcr.io/kubewarden/tests/safe-labels:v0.1.13",
        settings: { requierd: ["owner"] },
      }),
    );
    await conditionSays(stack, "cap", "absent", /no\/such/);
    await conditionSays(stack, "cap", "wrong-settings", /requierd/);
    await denied(stack);
    const events = stack.list("events", "-A", "--field-selector=reason=PolicyLoadFailed");
    assert.ok(events.some(({ involvedObject }) => involvedObject.name === "absent"));
    stack.clean();
  });

  test("pods that can't run: the PolicyServer says what Kubernetes says, or what to create", async ({ stack }) => {
    const sources = { sourceAuthorities: sourceAuthorities(stack.node) };
    stack.apply(
      policyServer("no-image", { image: "ghcr.io/no/such:v1" }),
      policyServer("no-config", { ...sources, verificationConfig: "not-there" }),
      policyServer("no-account", { serviceAccountName: "not-there" }),
      policyServer("no-priority", { priorityClassName: "not-there" }),
      // The namespace enforces restricted Pod Security.
      policyServer("not-restricted", { securityContexts: { container: { privileged: true } } }),
      policyServer("too-large", { requests: { memory: "1Ti" }, limits: { memory: "1Ti" } }),
    );
    for (
      const [name, text] of [
        ["no-image", /ghcr\.io\/no\/such:v1: (ErrImagePull|ImagePullBackOff)/],
        ["no-config", /spec\.verificationConfig names ConfigMap "not-there", which does not exist/],
        ["no-account", /serviceaccount "not-there" not found/],
        ["no-priority", /no PriorityClass with name not-there/],
        ["not-restricted", /violates PodSecurity "restricted/],
        ["too-large", /no node takes the pod: .*memory/i],
      ] as const
    ) {
      const condition = await conditionSays(stack, "ps", name, text);
      assert.equal([condition.type, condition.reason], ["PodsRunning", "PodsNotRunning"], name);
    }
    // It is enough to make what is missing.
    stack.apply(configMap("not-there", {
      "verification-config": JSON.stringify({
        apiVersion: "v1",
        anyOf: { minimumMatches: 1, signatures: [{ kind: "githubAction", owner: "x" }] },
      }),
    }));
    await until(
      "it says nothing any more",
      () => conditions(stack.get("ps", "no-config")).get("PodsRunning") === undefined,
    );
    rolledOut(stack, "policy-server-no-config");
    // Secrets and trust roots are looked for when the server is created.
    for (
      const [field, text] of [["imagePullSecret", /not-there/], ["sigstoreTrustConfig", /no-trust/]] as const
    ) {
      const value = field === "imagePullSecret" ? "not-there" : "no-trust";
      assert.match(
        stack.refused(() => stack.apply(policyServer("refused", { [field]: value }))),
        text,
        field,
      );
    }
    stack.kubectl("delete", "configmap", "not-there", "-n", NAMESPACE);
    stack.clean();
  });

  test("a second installation, and values that can't work, are refused before anything changes", ({ stack }) => {
    stack.kubectl("create", "namespace", "second");
    const attempt = (values: Any, release = "admission-controller", namespace = NAMESPACE): string =>
      stack.refused(() => stack.installIn(namespace, release, "portreeve", values));
    assert.match(attempt({}, "second", "second"), /already|another|exists/i);
    assert.match(attempt({}, "second", NAMESPACE), /already|another|exists/i);
    stack.kubectl("delete", "namespace", "second", "--wait", "--timeout=120s");
    assert.match(attempt({ hostNetwork: "yes" }), /hostNetwork/);
    assert.match(attempt({ mTLS: { enable: true } }), /mTLS/);
    const clash = {
      hostNetwork: true,
      ports: { healthProbe: 63001 },
      policyServer: { readinessProbePort: 63001, webhookPort: 63002 },
    };
    assert.match(
      attempt(clash),
      /enforces the Pod Security level restricted.*kubectl label --overwrite namespace kubewarden/,
    );
    const enforce = (level: string) =>
      stack.kubectl(
        "label",
        "namespace",
        NAMESPACE,
        `pod-security.kubernetes.io/enforce=${level}`,
        "--overwrite",
      );
    enforce("privileged");
    assert.match(attempt(clash), /are both 63001/);
    enforce("restricted");
    const before = stack.helm("history", "admission-controller", "-n", NAMESPACE, "-o", "json");
    assert.not.match(before, /"status":"pending/);
  });
};
