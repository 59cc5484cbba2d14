/** Load through the API server: nothing is lost, whatever happens to the stack meanwhile. */
import * as assert from "uvu/assert";
import { createAuthority } from "../../cluster/certificates.ts";
import { type Any, NAMESPACE, privilegedPods, RUNTIME } from "../_objects.ts";
import type { LoadResult } from "../_load.ts";
import { type Stack, until } from "../_stack.ts";
import { rolledOut, serverPods, type Subject } from "./_steps.ts";

const latencies = ({ p50, p99, max }: LoadResult) => `p50 ${p50}, p99 ${p99}, max ${max} ms`;
const secret = (stack: Stack, name: string): Any => stack.get("secret", name, NAMESPACE).data;
/** The policy server's current certificate, once it is there. */
const leaf = (stack: Stack): string =>
  stack.get("secret", "policy-server-default", NAMESPACE)?.data["tls.crt"] ?? "";
const settled = async (stack: Stack) => {
  rolledOut(stack, "policy-server-default");
  await until("two pods serve, and no old one is left", () => {
    const pods = serverPods(stack, "default");
    return pods.length === 2 &&
      pods.every(({ status }) => (status.containerStatuses ?? []).every(({ ready }: Any) => ready));
  });
};

export const load: Subject = (test) => {
  test("10 policies answer every request of 8 clients right; the latency that they add", async ({ stack }) => {
    await stack.oneChart({ policyServer: { replicaCount: 2 } });
    stack.clean();
    const many = Array.from({ length: 10 }, (_, index) => privilegedPods({}, `privileged-pods-${index}`));
    stack.apply(many[0]);
    stack.active("cap", "privileged-pods-0");
    await settled(stack);
    const one = await stack.underLoad();
    stack.apply(...many);
    for (const { metadata } of many) stack.active("cap", metadata.name);
    await settled(stack);
    const ten = await stack.underLoad();
    for (const result of [one, ten]) {
      assert.equal([result.errors, result.unanswered], [[], 0]);
      assert.equal([result.accepted, result.denied], [1_500, 500]);
    }
    const perCall = Math.round((ten.p50 - one.p50) / 9 * 100) / 100;
    stack.note(
      `8 clients, 2,000 Pods on ${RUNTIME}: 1 policy ${latencies(one)}; 10 policies ${
        latencies(ten)
      }; ${perCall} ms per policy call`,
    );
  });

  const disturbances: readonly (readonly [what: string, disturb: (stack: Stack) => unknown])[] = [
    ["a rollout of the policy server", async (stack) => {
      // What the policy answers stays the same.
      stack.apply(privilegedPods({ timeoutEvalSeconds: 5 }, "privileged-pods-0"));
      stack.active("cap", "privileged-pods-0");
      await settled(stack);
    }],
    ["its certificate is renewed", async (stack) => {
      const before = leaf(stack);
      stack.kubectl("delete", "secret", "policy-server-default", "-n", NAMESPACE);
      await until("another certificate", () => ![before, ""].includes(leaf(stack)));
    }],
    ["the authority is renewed", async (stack) => {
      // The same authority, made out for thirty days only: what is signed by it stays good, and it is due.
      const { "ca.crt": before, "ca.key": key } = secret(stack, "kubewarden-ca");
      const due = await createAuthority("kubewarden-controller-ca", Buffer.from(key, "base64").toString());
      const patch = { data: { "ca.crt": Buffer.from(due.cert).toString("base64") } };
      const certificate = leaf(stack);
      stack.kubectl(
        "patch",
        "secret",
        "kubewarden-ca",
        "-n",
        NAMESPACE,
        "--type=merge",
        "-p",
        JSON.stringify(patch),
      );
      await until("another authority", () => {
        const now = secret(stack, "kubewarden-ca");
        return ![before, patch.data["ca.crt"]].includes(now["ca.crt"]) && now["old-ca.crt"] !== undefined;
      });
      await until("certificates by it", () => leaf(stack) !== certificate);
    }],
    ["a policy server's pod is deleted", async (stack) => {
      stack.kubectl(
        "delete",
        "pod",
        serverPods(stack, "default")[0].metadata.name,
        "-n",
        NAMESPACE,
        "--wait=false",
      );
      await settled(stack);
    }],
    ["the controller is killed", (stack) => {
      const controller = ["-n", NAMESPACE, "-l", "app.kubernetes.io/component=controller"];
      stack.node.kubectl("delete", "pod", ...controller, "--force", "--grace-period=0");
      rolledOut(stack, "admission-controller");
    }],
  ];
  for (const [what, disturb] of disturbances) {
    test(`under load no request is lost: ${what}`, async ({ stack }) => {
      await settled(stack);
      const result = await stack.underLoad(() => disturb(stack));
      stack.note(`${what}: ${latencies(result)}`);
      assert.equal([result.errors, result.unanswered], [[], 0]);
    });
  }

  test("under load the API server is started again: what it answers is right", async ({ stack }) => {
    const result = await stack.underLoad(() => stack.node.restartApiServer());
    stack.note(
      `the API server is started again: ${latencies(result)}, ${result.unanswered} calls without an answer`,
    );
    assert.equal(result.errors, []);
    stack.clean();
  });
};
