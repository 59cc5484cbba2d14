/** Host network: ports are bound on the node. */
import * as assert from "uvu/assert";
import { NAMESPACE } from "../_objects.ts";
import { until } from "../_stack.ts";
import { denied, podSpec, rolledOut, type Subject } from "./_steps.ts";

export const hostNetwork: Subject = (test) => {
  test("B-HNW: host network with ports of its own, changed, and off again", async ({ stack }) => {
    const install = (
      hostNetwork: boolean,
      [webhook, healthProbe, metrics]: readonly number[],
    ): Promise<void> =>
      stack.oneChart({
        hostNetwork,
        ports: { webhook, healthProbe, metrics },
        policyServer: {
          replicaCount: 1,
          readinessProbePort: 63003,
          webhookPort: 64005,
          metricsPort: 63005,
        },
      });
    const enforced = async () => {
      stack.active("cap", "privileged-pods");
      await denied(stack);
      // On the host's network the old pod goes before the new one comes.
      await until("a harmless Pod is accepted", () => stack.tryPod() === undefined, { limitMs: 60_000 });
    };
    await install(true, [63000, 63001, 63002]);
    await until(
      "the server is on the host's network",
      () => podSpec(stack, "policy-server-default").hostNetwork === true,
    );
    rolledOut(stack, "policy-server-default");
    assert.is(podSpec(stack, "policy-server-default").dnsPolicy, "ClusterFirstWithHostNet");
    assert.is(podSpec(stack, "admission-controller").hostNetwork, true);
    await enforced();

    await install(true, [63100, 63101, 63102]);
    const [port] = podSpec(stack, "admission-controller").containers[0].ports;
    assert.equal([port.name, port.containerPort], ["webhook-server", 63100]);
    const service = stack.get("service", "admission-controller-webhook-service", NAMESPACE);
    assert.is(service.spec.ports[0].targetPort, 63100);
    await enforced();

    await install(false, [63200, 63201, 63202]);
    await until(
      "the server left the host's network",
      () => !podSpec(stack, "policy-server-default").hostNetwork,
    );
    rolledOut(stack, "policy-server-default");
    assert.not(podSpec(stack, "policy-server-default").dnsPolicy === "ClusterFirstWithHostNet");
    assert.not(podSpec(stack, "admission-controller").hostNetwork);
    await enforced();
  });
};
