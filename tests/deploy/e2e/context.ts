/** Context-aware policies: what they see of the cluster, and what they must not. */
import * as assert from "uvu/assert";
import { clusterPolicy, NAMESPACE } from "../_objects.ts";
import { until } from "../_stack.ts";
import { remove, type Subject } from "./_steps.ts";

const KINDS = [{ apiVersion: "v1", kind: "Namespace" }, { apiVersion: "v1", kind: "Service" }];
const SERVICE = (namespace: string) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "shared", namespace },
  spec: { ports: [{ port: 80 }] },
});

export const context: Subject = (test) => {
  test("B-CTX: policies see what was created a moment ago, in Rego and by single host calls; without a grant nothing", async ({ stack }) => {
    await stack.oneChart();
    stack.clean();
    const module = (name: string) => `registry://ghcr.io/kubewarden/tests/${name}:v1`;
    const grants = { contextAwareResources: KINDS };
    stack.apply(
      clusterPolicy("opa", { module: module("opa-context"), ...grants }),
      clusterPolicy("gatekeeper", { module: module("gatekeeper-context"), ...grants }),
      clusterPolicy("calls", { module: module("host-caller"), ...grants }),
    );
    for (const name of ["opa", "gatekeeper", "calls"]) stack.active("cap", name);
    assert.is(await until("a Pod is accepted", () => stack.tryPod({ name: "shared" }) ?? "none"), "none");

    const call = {
      namespace: "kubernetes",
      operation: "get_resource",
      payload: { api_version: "v1", kind: "Namespace", name: "ctx-test" },
    };
    const ask = () => stack.tryPod({ name: "asks", annotations: { "host-call": JSON.stringify(call) } });
    assert.match(ask() ?? "accepted", /admission webhook "kw.cap.calls/);
    stack.kubectl("create", "namespace", "ctx-test");
    stack.kubectl("annotate", "namespace", "ctx-test", "propagate.hello=world");
    // No waiting here: the next request after the change must see it.
    assert.is(ask(), undefined);
    stack.apply(SERVICE("ctx-test"));
    assert.match(stack.tryPod({ name: "shared" }) ?? "accepted", /ctx-test/);
    stack.kubectl("delete", "cap", "opa", "--wait", "--timeout=60s");
    stack.active("cap", "gatekeeper");
    await until(
      "Gatekeeper's inventory has it too",
      () => /taken in ctx-test/.test(stack.tryPod({ name: "shared" }) ?? ""),
    );

    stack.apply(clusterPolicy("calls", { module: module("host-caller") }));
    stack.active("cap", "calls");
    await until("without the grant it is told nothing", () => /kw.cap.calls/.test(ask() ?? ""));
    remove(stack, "namespace", "ctx-test");
    stack.clean();
  });

  test("a policy of a namespace is granted none of it", async ({ stack }) => {
    const spec = {
      ...clusterPolicy("x", { module: "registry://ghcr.io/kubewarden/tests/host-caller:v1" }).spec,
    };
    delete spec.namespaceSelector;
    const own = { ...clusterPolicy("calls", {}), kind: "AdmissionPolicy", spec };
    stack.apply({ ...own, metadata: { name: "calls", namespace: "default" } });
    stack.active("ap", "calls", "default");
    const call = {
      namespace: "kubernetes",
      operation: "get_resource",
      payload: { api_version: "v1", kind: "Namespace", name: NAMESPACE },
    };
    const said = () => stack.tryPod({ annotations: { "host-call": JSON.stringify(call) } }) ?? "accepted";
    await until("it is denied", () => /kw.ap.default.calls/.test(said()));
    stack.clean();
  });
};
