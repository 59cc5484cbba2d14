/** Emergencies and endings: what is switched off at once, what is left behind, and what is kept. */
import * as assert from "uvu/assert";
import { type Any, NAMESPACE, policyServer, privilegedPods } from "../_objects.ts";
import { sourceAuthorities, until } from "../_stack.ts";
import { accepted, denied, nothingLeft, remove, rolledOut, type Subject } from "./_steps.ts";

const FOREIGN = "e2e.kubewarden.io/test-finalizer";

export const uninstall: Subject = (test) => {
  test("emergency: no controller and no webhooks, nothing is denied; then all is back", async ({ stack }) => {
    await stack.oneChart();
    stack.clean();
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    await denied(stack);
    stack.kubectl("scale", "deployment", "admission-controller", "-n", NAMESPACE, "--replicas=0");
    await until(
      "no controller runs",
      () => stack.list("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=controller").length === 0,
    );
    // The command of docs/helm.md.
    stack.kubectl(
      "delete",
      "validatingwebhookconfigurations,mutatingwebhookconfigurations",
      "--selector",
      "app.kubernetes.io/part-of=kubewarden,app.kubernetes.io/component!=controller",
    );
    await accepted(stack, { privileged: true });
    stack.kubectl("scale", "deployment", "admission-controller", "-n", NAMESPACE, "--replicas=1");
    rolledOut(stack, "admission-controller");
    await denied(stack);
    stack.clean();
  });

  test("B-UNI: foreign finalizers are kept and block nothing; users' resources stay without ours", async ({ stack }) => {
    stack.apply(
      policyServer("e2e-uninstall", { minAvailable: 1, sourceAuthorities: sourceAuthorities(stack.node) }),
      privilegedPods({ policyServer: "e2e-uninstall" }),
    );
    stack.active("cap", "privileged-pods");
    const kinds = "deployment,service,secret,configmap,poddisruptionbudget";
    // By name: in 1.36 Secret and PodDisruptionBudget have no label that names their server.
    const backing = () =>
      stack.list(kinds, "-n", NAMESPACE).filter(({ metadata }) =>
        metadata.name === "policy-server-e2e-uninstall"
      )
        .map(({ kind }) => kind).sort();
    assert.equal(backing(), ["ConfigMap", "Deployment", "PodDisruptionBudget", "Secret", "Service"]);
    const add = JSON.stringify([{ op: "add", path: "/metadata/finalizers/-", value: FOREIGN }]);
    const first = JSON.stringify({ metadata: { finalizers: [FOREIGN] } });
    stack.kubectl("patch", "ps", "e2e-uninstall", "--type=json", "-p", add);
    const map = ["configmap", "policy-server-e2e-uninstall", "-n", NAMESPACE];
    stack.kubectl("patch", ...map, "--type=merge", "-p", first);
    await stack.timed("uninstall", () => stack.uninstall("admission-controller"));
    const server = stack.get("ps", "e2e-uninstall").metadata;
    assert.equal([server.finalizers, server.deletionTimestamp], [[FOREIGN], undefined]);
    const policy = stack.get("cap", "privileged-pods").metadata;
    assert.equal([policy.finalizers, policy.deletionTimestamp], [undefined, undefined]);
    assert.equal(
      stack.list("ps,cap,capg,ap,apg", "-A", "-l", "kubewarden.io/managed-by=kubewarden-controller-defaults"),
      [],
    );
    assert.equal(backing(), ["ConfigMap"]);
    assert.ok(stack.get("configmap", "policy-server-e2e-uninstall", NAMESPACE).metadata.deletionTimestamp);
    nothingLeft(stack);
    const none = JSON.stringify({ metadata: { finalizers: null } });
    stack.kubectl("patch", ...map, "--type=merge", "-p", none);
    stack.kubectl("patch", "ps", "e2e-uninstall", "--type=merge", "-p", none);
    await until(
      "the ConfigMap is gone",
      () => stack.get("configmap", "policy-server-e2e-uninstall", NAMESPACE) === undefined,
    );
    // No controller runs, and nothing waits for one.
    remove(stack, "cap", "privileged-pods");
    remove(stack, "ps", "e2e-uninstall");
  });

  test("an uninstallation with the controller already gone leaves nothing behind either; a namespace that goes takes nothing new", async ({ stack }) => {
    await stack.oneChart();
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    remove(stack, "deployment", "admission-controller", "-n", NAMESPACE);
    stack.uninstall("admission-controller");
    nothingLeft(stack);
    const finalizers = (list: Any) => JSON.stringify({ metadata: { finalizers: list } });
    stack.apply({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "holds", namespace: NAMESPACE, finalizers: [FOREIGN] },
    });
    stack.kubectl("delete", "namespace", NAMESPACE, "--wait=false");
    const said = stack.refused(() => stack.install("admission-controller", "portreeve"));
    assert.match(said, /being terminated|is being deleted/);
    stack.kubectl("patch", "configmap", "holds", "-n", NAMESPACE, "--type=merge", "-p", finalizers(null));
    await until("the namespace is gone", () => stack.get("namespace", NAMESPACE) === undefined);
    remove(stack, "cap", "privileged-pods");
  });
};
