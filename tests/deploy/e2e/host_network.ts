/** Host network: ports are bound on the node. What fights over them, and how it is settled. */
import * as assert from "uvu/assert";
import { BUSYBOX_IMAGE } from "../../cluster/node/node.ts";
import { type Any, NAMESPACE, policyServer, privilegedPods } from "../_objects.ts";
import { sourceAuthorities, type Stack, until } from "../_stack.ts";
import {
  accepted,
  conditions,
  conditionSays,
  denied,
  deployment,
  podSpec,
  rolledOut,
  serverPods,
  type Subject,
} from "./_steps.ts";
import { awayFrom, backToOneNode } from "./scheduling.ts";

/** The values of the end-to-end suite, with the controller's three ports. */
const onHost = (
  hostNetwork: boolean,
  [webhook, healthProbe, metrics]: readonly number[],
  more: Any = {},
): Any => ({
  hostNetwork,
  ports: { webhook, healthProbe, metrics },
  policyServer: { readinessProbePort: 63003, webhookPort: 64005, metricsPort: 63005 },
  ...more,
});
const FIRST = [63000, 63001, 63002];
const SECOND = [63100, 63101, 63102];

const networkOf = (stack: Stack, name: string) => {
  const { hostNetwork = false, dnsPolicy } = podSpec(stack, name);
  return [hostNetwork, dnsPolicy];
};
const ON = [true, "ClusterFirstWithHostNet"], OFF = [false, "ClusterFirst"];
/** Waits until the pods of a server have ended or are kept from starting, with what they say of it. */
const fights = (stack: Stack, name: string) =>
  until(
    `pods of ${name} end for want of a port`,
    () =>
      serverPods(stack, name).some(({ status }) =>
        (status.containerStatuses ?? []).some(({ state, lastState }: Any) =>
          (state.terminated ?? lastState.terminated)?.exitCode
        )
      ),
  );
const ports = (stack: Stack, name: string, webhookPort: number, readinessProbePort: number) =>
  void stack.kubectl(
    "patch",
    "ps",
    name,
    "--type=merge",
    "-p",
    JSON.stringify({ spec: { webhookPort, readinessProbePort } }),
  );
const runs = (stack: Stack, name: string, replicas = 1) =>
  until(`${replicas} of ${name} run`, () => {
    const { readyReplicas = 0, updatedReplicas = 0, replicas: all = 0 } =
      deployment(stack, `policy-server-${name}`)?.status ?? {};
    return readyReplicas === replicas && updatedReplicas === replicas && all === replicas;
  });

export const hostNetwork: Subject = (test) => {
  test("B-HNW: the order of the guide: ports first, on, the controller's ports, a server's ports; enforced all the while", async ({ stack }) => {
    await stack.oneChart(onHost(false, FIRST));
    stack.clean();
    stack.apply(privilegedPods());
    const enforced = async () => {
      stack.active("cap", "privileged-pods");
      await denied(stack);
      await accepted(stack);
    };
    await enforced();
    await stack.oneChart(onHost(true, FIRST));
    await until("the server is on the host's network", () => networkOf(stack, "policy-server-default")[0]);
    rolledOut(stack, "policy-server-default");
    for (const name of ["policy-server-default", "admission-controller"]) {
      assert.equal(networkOf(stack, name), ON, name);
    }
    await enforced();

    await stack.oneChart(onHost(true, SECOND));
    const [port] = podSpec(stack, "admission-controller").containers[0].ports;
    assert.equal([port.name, port.containerPort], ["webhook-server", 63100]);
    assert.is(
      stack.get("service", "admission-controller-webhook-service", NAMESPACE).spec.ports[0].targetPort,
      63100,
    );
    // A row of the table: only one of the three ports changes, and the old pod goes before the new one needs the others.
    await stack.oneChart(onHost(true, [63105, 63101, 63102]));
    await enforced();

    stack.apply(policyServer("user-ps", {
      webhookPort: 62000,
      readinessProbePort: 62001,
      sourceAuthorities: sourceAuthorities(stack.node),
    }));
    await runs(stack, "user-ps");
    assert.equal(networkOf(stack, "policy-server-user-ps"), ON);
    assert.is(conditions(stack.get("ps", "user-ps")).get("HostPortsAvailable")?.status, "True");
    ports(stack, "user-ps", 62100, 62101);
    await until("the pods have the new ports", () => {
      const [{ env, readinessProbe }] = podSpec(stack, "policy-server-user-ps").containers;
      const value = (name: string) => env.find((variable: Any) => variable.name === name)?.value;
      return value("KUBEWARDEN_PORT") === "62100" && value("KUBEWARDEN_READINESS_PROBE_PORT") === "62101" &&
        readinessProbe.httpGet.port === 62101;
    });
    await runs(stack, "user-ps");
    const [served] = stack.get("service", "policy-server-user-ps", NAMESPACE).spec.ports;
    assert.equal([served.name, served.port, served.targetPort], ["policy-server", 443, 62100]);
    await enforced();
    stack.kubectl("delete", "ps", "user-ps", "--wait", "--timeout=120s");
  });

  test("pods that fight over a port of one node, and what settles it: other ports", async ({ stack }) => {
    const sources = { sourceAuthorities: sourceAuthorities(stack.node) };
    // A workload of somebody else's on the node.
    stack.kubectl("create", "namespace", "somebody");
    stack.apply({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "somebody", namespace: "somebody" },
      spec: {
        hostNetwork: true,
        terminationGracePeriodSeconds: 0,
        containers: [{
          name: "listens",
          image: BUSYBOX_IMAGE,
          command: ["httpd", "-f", "-p", "62300"],
        }],
      },
    });
    stack.kubectl("wait", "--for=condition=Ready", "pod/somebody", "-n", "somebody", "--timeout=120s");
    const controllers = 63101;
    // The objects are made all the same, and who makes them is warned of what can be known.
    const warned = stack.refused(() =>
      stack.apply(
        policyServer("like-controller", { ...sources, webhookPort: 62200, readinessProbePort: controllers }),
        policyServer("like-default", { ...sources, webhookPort: 64005, readinessProbePort: 63003 }),
        policyServer("like-somebody", { ...sources, webhookPort: 62300, readinessProbePort: 62301 }),
      )
    );
    assert.match(warned, /Warning: .*63101 is also the controller's/);
    assert.match(warned, /Warning: .*64005 is also webhookPort of PolicyServer "default"/);
    for (const name of ["like-controller", "like-default", "like-somebody"]) {
      await fights(stack, name);
      const { message } = await conditionSays(stack, "ps", name, /ended with code/);
      assert.match(message, /port|address/i, name);
    }
    const said = (name: string) => conditions(stack.get("ps", name)).get("HostPortsAvailable")?.message ?? "";
    assert.match(said("like-controller"), /63101 is also the controller's/);
    assert.match(said("like-default"), /64005 is also webhookPort of PolicyServer "default"/);
    // What runs already goes on running.
    await denied(stack);
    ports(stack, "like-controller", 62200, 62201);
    ports(stack, "like-default", 62210, 62211);
    ports(stack, "like-somebody", 62310, 62301);
    for (const name of ["like-controller", "like-default", "like-somebody"]) await runs(stack, name);
    stack.kubectl("delete", "namespace", "somebody", "--wait", "--timeout=120s");
    stack.kubectl(
      "delete",
      "ps",
      "like-controller",
      "like-default",
      "like-somebody",
      "--wait",
      "--timeout=120s",
    );
  });

  test("the same fights settled by anti-affinity and a second node; two controllers, two replicas", async ({ stack }) => {
    const sources = { sourceAuthorities: sourceAuthorities(stack.node) };
    assert.match(
      stack.refused(() =>
        stack.apply(
          policyServer("two", { ...sources, replicas: 2, webhookPort: 62200, readinessProbePort: 62201 }),
        )
      ),
      /Warning: 2 replicas bind the same ports/,
    );
    stack.kubectl("scale", "deployment", "admission-controller", "-n", NAMESPACE, "--replicas=2");
    await fights(stack, "two");
    const controllers = () =>
      stack.list("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=controller");
    // The controller's port is declared, so the scheduler sees it.
    await until(
      "the second controller finds no node",
      () =>
        controllers().some(({ status }) =>
          (status.conditions ?? []).some(({ message = "" }: Any) => /free ports/.test(message))
        ),
    );
    stack.kubectl("uncordon", "node2");
    stack.kubectl(
      "patch",
      "ps",
      "two",
      "--type=merge",
      "-p",
      JSON.stringify({
        spec: { affinity: awayFrom("kubewarden/policy-server", "two") },
      }),
    );
    stack.apply(policyServer("apart", {
      ...sources,
      webhookPort: 64005,
      readinessProbePort: 63003,
      affinity: awayFrom("kubewarden/policy-server", "default"),
    }));
    await runs(stack, "two", 2);
    await runs(stack, "apart");
    assert.equal(new Set(serverPods(stack, "two").map(({ spec }) => spec.nodeName)).size, 2);
    assert.is(serverPods(stack, "apart")[0].spec.nodeName, "node2");
    await until(
      "two controllers run",
      () => deployment(stack, "admission-controller").status.readyReplicas === 2,
    );
    await denied(stack);
    stack.kubectl("delete", "ps", "two", "apart", "--wait", "--timeout=120s");
    stack.kubectl("scale", "deployment", "admission-controller", "-n", NAMESPACE, "--replicas=1");
    backToOneNode(stack);
  });

  test("host network is turned off and on under load: no request is lost", async ({ stack }) => {
    const turn = async (on: boolean) => {
      const result = await stack.underLoad(async () => {
        await stack.oneChart(onHost(on, SECOND));
        await until("the server has moved", () => networkOf(stack, "policy-server-default")[0] === on);
        rolledOut(stack, "policy-server-default");
      });
      assert.equal(result.errors, [], `host network ${on ? "on" : "off"}`);
      return result;
    };
    await turn(false);
    assert.equal(networkOf(stack, "policy-server-default"), OFF);
    assert.equal(networkOf(stack, "admission-controller"), OFF);
    await turn(true);
    await until(
      "the rollout is settled",
      () => deployment(stack, "policy-server-default").spec.strategy.rollingUpdate.maxSurge === 0,
    );
    await stack.oneChart();
    await until("the server left the host's network", () => !networkOf(stack, "policy-server-default")[0]);
    await denied(stack);
    stack.clean();
  });
};
