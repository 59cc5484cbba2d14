/** What the stack's pods may do on their node, and what they take of it. */
import { readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import { type Any, NAMESPACE, privilegedPods } from "../_objects.ts";
import { type Stack, until } from "../_stack.ts";
import { rolledOut, type Subject } from "./_steps.ts";

const MIB = 1024 * 1024;
const bytes = (quantity: string): number => {
  const [, number, unit] = /^(\d+)(Ki|Mi|Gi)?$/.exec(quantity)!;
  return Number(number) * { Ki: 1024, Mi: MIB, Gi: 1024 * MIB, "": 1 }[unit ?? ""]!;
};

/** The processes of a container, by its id at containerd. */
function processesOf(stack: Stack, id: string): readonly number[] {
  const list = stack.node.run("ctr", "--address", stack.node.sockets[0]!, "-n", "k8s.io", "tasks", "ps", id);
  return list.trim().split("\n").slice(1).map((line) => Number(line.trim().split(/\s+/)[0]));
}

const running = (stack: Stack): readonly Any[] =>
  stack.list("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/part-of=kubewarden").filter((
    { metadata, status },
  ) => metadata.deletionTimestamp === undefined && status.phase === "Running");

export const security: Subject = (test) => {
  test("all pods run read-only, without capabilities, as nobody, below their limits", async ({ stack }) => {
    const readOnly = {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      readOnlyRootFilesystem: true,
    };
    await stack.oneChart({
      containerSecurityContext: readOnly,
      preDeleteHook: { containerSecurityContext: readOnly },
      policyServer: { limits: { memory: "512Mi" }, requests: { memory: "128Mi" } },
    });
    stack.clean();
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    rolledOut(stack, "policy-server-default");
    await until("old pods are gone", () => running(stack).length === 2);
    const sizes: string[] = [];
    for (const { metadata, spec, status } of running(stack)) {
      const [{ containerID, name }] = status.containerStatuses;
      const pids = processesOf(stack, containerID.replace("containerd://", ""));
      const pid = pids[0];
      const facts = readFileSync(`/proc/${pid}/status`, "utf8");
      const fact = (key: string) => new RegExp(`^${key}:\\s*(.*)$`, "m").exec(facts)?.[1];
      assert.is(fact("CapEff"), "0000000000000000", name);
      assert.is(fact("CapBnd"), "0000000000000000", name);
      assert.match(fact("Uid")!, /^65533\b/, name);
      assert.is(fact("NoNewPrivs"), "1", name);
      assert.is(fact("Seccomp"), "2", name);
      const root = readFileSync(`/proc/${pid}/mountinfo`, "utf8").split("\n").find((line) =>
        line.split(" ")[4] === "/"
      );
      assert.match(root!.split(" ")[5]!, /^ro\b/, `${name}: ${root}`);
      const rss = pids.reduce(
        (sum, each) =>
          sum + Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${each}/status`, "utf8"))?.[1] ?? 0) * 1024,
        0,
      );
      const limit = bytes(spec.containers[0].resources.limits.memory);
      sizes.push(
        `${metadata.labels["app.kubernetes.io/component"]} ${Math.round(rss / MIB)} of ${limit / MIB} MiB`,
      );
      assert.ok(rss < limit, sizes.at(-1));
      assert.is(status.containerStatuses[0].restartCount, 0, name);
    }
    stack.note(`RSS at rest: ${sizes.join(", ")}`);
    // The scanner too, to its end.
    stack.kubectl("create", "job", "--from=cronjob/audit-scanner", "read-only", "-n", NAMESPACE);
    stack.kubectl("wait", "--for=condition=Complete", "job/read-only", "-n", NAMESPACE, "--timeout=240s");
    stack.kubectl("delete", "job", "read-only", "-n", NAMESPACE, "--wait", "--timeout=60s");
    stack.clean();
  });
};
