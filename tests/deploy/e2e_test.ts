// The end-to-end scenarios of docs/spec on a real node, by Helm and kubectl, with the images of the runtime that runs this file: what
// an operator does from an empty cluster on. One file, because there is one node.
import process from "node:process";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { HOW_TO_GET_NODE, nodeBinariesFolder } from "../cluster/binaries/locate.ts";
import type { LoadResult } from "./_load.ts";
import {
  type Any,
  imageValues,
  NAMESPACE,
  policy,
  privilegedPods,
  serverImage,
  sourceValues,
  type Stack,
  startStack,
  until,
} from "./_stack.ts";

type Context = { stack: Stack };
const test = suite<Context>("end to end", {} as Context);
const DENIED = /admission webhook .* denied the request: Privileged container is not allowed\s*$/;
const MUTATION =
  "The policy attempted to mutate the request, but it is currently configured to not allow mutations";

const ready = process.getuid?.() === 0 && nodeBinariesFolder() !== undefined;
if (!ready) test.skip(`the stack on a node (${HOW_TO_GET_NODE})`, () => {});
else {
  test.before(async (context) => {
    // uvu says nothing of what goes wrong here.
    context.stack = await startStack().catch((error) => {
      console.error(error);
      throw error;
    });
  });
  test.after(async ({ stack }) => {
    await stack?.stop();
  });

  const deployment = (stack: Stack, name: string): Any => stack.get("deployment", name, NAMESPACE);
  const remove = (stack: Stack, kind: string, ...names: readonly string[]) =>
    void stack.kubectl("delete", kind, ...names, "--wait", "--timeout=60s");
  /** The API server learns of a webhook a moment after its configuration is written. */
  const denied = (stack: Stack) =>
    until("a privileged Pod is denied", () => DENIED.test(stack.tryPod({ privileged: true }) ?? "accepted"));
  const serverLogs = (stack: Stack, name = "default") =>
    stack.node.kubectl(
      "logs",
      "-n",
      NAMESPACE,
      "-l",
      `app.kubernetes.io/instance=policy-server-${name}`,
      "--tail=-1",
    );

  test("three charts: from nothing to the first rejected Pod, in a namespace of restricted Pods", async ({ stack }) => {
    stack.kubectl("create", "namespace", NAMESPACE);
    stack.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted");
    const began = performance.now();
    stack.timed("CRDs", () => stack.install("kubewarden-crds", "portreeve-crds"));
    stack.timed(
      "controller",
      () => stack.install("kubewarden-controller", "portreeve-controller", imageValues()),
    );
    stack.timed(
      "defaults",
      () => stack.install("kubewarden-defaults", "portreeve-defaults", sourceValues(stack)),
    );
    stack.timed("policy active", () => {
      stack.apply(privilegedPods());
      stack.active("cap", "privileged-pods");
    });
    const said = stack.timed("first rejection", () => stack.tryPod({ privileged: true }));
    if (!DENIED.test(said ?? "accepted")) await denied(stack);
    stack.note(`in all ${((performance.now() - began) / 1000).toFixed(1)} s`);
    assert.is(stack.tryPod(), undefined);
    assert.is(deployment(stack, "policy-server-default").spec.template.spec.containers[0].image, serverImage);
  });

  test("B-BAS: rules that change, a policy that goes, a server with two replicas, a policy that outlives its server", async ({ stack }) => {
    const pod = stack.pod("plain");
    assert.is(pod.metadata.name, "plain");
    const rules = [{ ...privilegedPods().spec.rules[0], operations: ["UPDATE"] }];
    stack.apply(privilegedPods({ rules }));
    await until("a privileged Pod may be created", () => stack.tryPod({ privileged: true }) === undefined);
    stack.pod("privileged", { privileged: true });
    const label = () => stack.node.kubectl("label", "pod", "privileged", "a=b", "--overwrite");
    assert.match(stack.refused(label), DENIED);
    remove(stack, "cap", "privileged-pods");
    label();
    remove(stack, "pod", "plain", "privileged");

    const server = (spec: Any = {}) => ({
      apiVersion: "policies.kubewarden.io/v1",
      kind: "PolicyServer",
      metadata: { name: "e2e-tests" },
      spec: {
        image: serverImage,
        replicas: 1,
        sourceAuthorities: { "ghcr.io": [stackAuthority(stack)] },
        ...spec,
      },
    });
    stack.apply(server());
    stack.kubectl("wait", "--for=condition=ServiceReconciled", "ps/e2e-tests", "--timeout=60s");
    await until(
      "it is rolled out",
      () => deployment(stack, "policy-server-e2e-tests")?.status.readyReplicas === 1,
      {
        limitMs: 60_000,
      },
    );
    stack.kubectl("patch", "ps", "e2e-tests", "--type=merge", "-p", '{"spec":{"replicas":2}}');
    await until(
      "two replicas",
      () => deployment(stack, "policy-server-e2e-tests").status.readyReplicas === 2,
      {
        limitMs: 60_000,
      },
    );
    stack.apply(privilegedPods({ policyServer: "e2e-tests" }));
    stack.active("cap", "privileged-pods");
    await denied(stack);
    remove(stack, "ps", "e2e-tests");
    await until(
      "the policy is scheduled",
      () => stack.get("cap", "privileged-pods").status.policyStatus === "scheduled",
    );
    const hooks = stack.list("validatingwebhookconfigurations").map(({ metadata }) => metadata.name);
    assert.not(hooks.some((name: string) => name.endsWith("privileged-pods")), hooks.join());
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
    stack.apply(
      policy("ClusterAdmissionPolicy", "seccomp", {
        module,
        mutating: true,
        namespaceSelector: privilegedPods().spec.namespaceSelector,
      }),
    );
    stack.active("cap", "seccomp");
    const pod = stack.pod("mutated");
    assert.is(pod.spec.securityContext.seccompProfile?.type, "RuntimeDefault");
    remove(stack, "pod", "mutated");
    remove(stack, "cap", "seccomp");
    stack.apply(
      policy("ClusterAdmissionPolicy", "seccomp-not-allowed", {
        module,
        namespaceSelector: privilegedPods().spec.namespaceSelector,
      }),
    );
    stack.active("cap", "seccomp-not-allowed");
    assert.ok(stack.tryPod()?.includes(MUTATION));
    remove(stack, "cap", "seccomp-not-allowed");
  });

  test("B-MON: monitor tells and lets pass; to protect it may go, and not back", async ({ stack }) => {
    stack.apply(privilegedPods({ mode: "monitor" }));
    stack.active("cap", "privileged-pods");
    assert.is(stack.tryPod({ privileged: true }), undefined);
    const logs = serverLogs(stack);
    for (
      const text of [
        "policy evaluation (monitor mode)",
        "allowed: false",
        "Privileged container is not allowed",
      ]
    ) {
      assert.ok(logs.includes(text), `${text} is not in the log:\n${logs.slice(-2000)}`);
    }
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    await denied(stack);
    const said = stack.refused(() => stack.apply(privilegedPods({ mode: "monitor" })));
    assert.ok(said.includes("field cannot transition from protect to monitor. Recreate instead."), said);
  });

  test("groups: the message is the group's own", ({ stack }) => {
    const { module } = privilegedPods().spec;
    stack.apply({
      ...policy("ClusterAdmissionPolicyGroup", "policy-group", {}),
      spec: {
        rules: privilegedPods().spec.rules,
        namespaceSelector: privilegedPods().spec.namespaceSelector,
        policies: {
          unprivileged: { module },
          labelled: {
            module: "ghcr.io/kubewarden/tests/safe-labels:v0.1.13",
            settings: { required: ["owner"] },
          },
        },
        expression: "unprivileged() || labelled()",
        message: "the pod is privileged and nobody owns it",
      },
    });
    stack.active("capg", "policy-group");
    remove(stack, "cap", "privileged-pods");
    assert.match(
      stack.tryPod({ privileged: true }) ?? "accepted",
      /denied the request: the pod is privileged and nobody owns it\s*$/,
    );
    assert.is(stack.tryPod({ privileged: true, labels: { owner: "me" } }), undefined);
    assert.is(stack.tryPod(), undefined);
    remove(stack, "capg", "policy-group");
  });

  test("a policy that can't be loaded: its status says why, and the others are enforced meanwhile", async ({ stack }) => {
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    stack.apply(
      policy("ClusterAdmissionPolicy", "absent", { module: "registry://ghcr.io/kubewarden/no/such:v1" }),
    );
    const condition = await until("the reason is in the status", () => {
      const conditions: readonly Any[] = stack.get("cap", "absent").status?.conditions ?? [];
      return conditions.find(({ message = "" }) => /no\/such/.test(message));
    }, { limitMs: 60_000 });
    assert.is(condition.status, "False");
    await denied(stack);
    remove(stack, "cap", "absent");
  });

  test("B-AUD: the audit writes reports on what is there, and removes those of policies that are gone", ({ stack }) => {
    const audit = () => {
      stack.kubectl("create", "job", "--from=cronjob/audit-scanner", "auditjob", "-n", NAMESPACE);
      stack.kubectl("wait", "--for=condition=Complete", "job/auditjob", "-n", NAMESPACE, "--timeout=180s");
      remove(stack, "job", "auditjob", "-n", NAMESPACE);
    };
    remove(stack, "cap", "privileged-pods");
    const privileged = stack.pod("audited-privileged", { privileged: true });
    const plain = stack.pod("audited-plain");
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    audit();
    const summary = (uid: string) => stack.get("reps", uid, "default")?.summary;
    assert.equal([summary(privileged.metadata.uid)?.fail, summary(plain.metadata.uid)?.pass], [1, 1]);
    remove(stack, "cap", "privileged-pods");
    audit();
    assert.equal(stack.list("reports", "-A"), []);
    remove(stack, "pod", "audited-privileged", "audited-plain");
  });

  test("uninstalling the three charts leaves nothing behind", ({ stack }) => {
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    for (const release of ["kubewarden-defaults", "kubewarden-controller", "kubewarden-crds"]) {
      stack.timed(`uninstall ${release}`, () => stack.uninstall(release));
    }
    nothingLeft(stack);
    assert.equal(stack.list("crds").map(({ metadata }) => metadata.name), []);
    stack.kubectl("delete", "namespace", NAMESPACE, "--wait", "--timeout=60s");
  });

  test("one chart: the controller makes the defaults itself, and users' policies survive an uninstallation and come back", async ({ stack }) => {
    stack.kubectl("create", "namespace", NAMESPACE);
    const values = { ...imageValues(), ...sourceValues(stack) };
    stack.timed("one chart", () => stack.install("admission-controller", "portreeve", values));
    await until(
      "the default server is ready",
      () => deployment(stack, "policy-server-default")?.status?.readyReplicas === 1,
      {
        limitMs: 60_000,
      },
    );
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    await denied(stack);

    stack.timed("uninstall", () => stack.uninstall("admission-controller"));
    nothingLeft(stack);
    const kept = stack.get("cap", "privileged-pods");
    assert.equal([kept.metadata.finalizers, kept.metadata.deletionTimestamp], [undefined, undefined]);
    assert.is(stack.get("ps", "default"), undefined);
    assert.is(stack.list("crds").filter(({ metadata }) => metadata.name.endsWith("kubewarden.io")).length, 5);
    assert.is(stack.tryPod({ privileged: true }), undefined);

    stack.install("admission-controller", "portreeve", values);
    stack.active("cap", "privileged-pods");
    await denied(stack);
  });

  // That a rollout loses no request is not shown: a connection that the API server keeps may be closed as it sends on it.
  test("under load: 10 policies answer every request right, also while the controller is replaced", async ({ stack }) => {
    const many = Array.from({ length: 9 }, (_, index) => {
      const { metadata, ...rest } = privilegedPods();
      return { ...rest, metadata: { ...metadata, name: `privileged-pods-${index}` } };
    });
    stack.apply(...many);
    for (const { metadata } of many) stack.active("cap", metadata.name);
    const load = async (objects: number): Promise<LoadResult> =>
      JSON.parse(
        await stack.node.runBeside(
          process.execPath,
          fileURLToPath(new URL("_load.ts", import.meta.url)),
          stack.node.credential("admin.kubeconfig"),
          "8",
          String(objects),
        ),
      );
    const quiet = await load(1_000);
    assert.equal([quiet.accepted, quiet.denied, quiet.errors], [750, 250, []]);
    const disturbed = load(1_000);
    const [controller] = stack.list("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=controller");
    await stack.node.runBeside("kubectl", "delete", "pod", controller.metadata.name, "-n", NAMESPACE);
    const result = await disturbed;
    assert.equal([result.accepted, result.denied, result.errors], [750, 250, []]);
    console.log(
      `\n  10 policies, 8 clients: p50 ${quiet.p50}, p99 ${quiet.p99} ms; while the controller is replaced p50 ${result.p50}, ` +
        `p99 ${result.p99}, max ${result.max} ms`,
    );
    stack.kubectl("rollout", "status", "deployment/admission-controller", "-n", NAMESPACE, "--timeout=120s");
    stack.kubectl("delete", "cap", ...many.map(({ metadata }) => metadata.name));
    stack.kubectl("rollout", "status", "deployment/policy-server-default", "-n", NAMESPACE, "--timeout=120s");
  });

  test("helm test has a Pod rejected", ({ stack }) => {
    // Two policies that reject the same Pod answer by turns, and the check wants its own.
    remove(stack, "cap", "privileged-pods");
    const said = stack.helm("test", "admission-controller", "--namespace", NAMESPACE, "--timeout", "3m");
    assert.match(said, /Phase:\s+Succeeded/);
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
  });

  test("B-HNW: host network with ports of its own, changed, and off again", async ({ stack }) => {
    const values = (hostNetwork: boolean, [webhook, healthProbe, metrics]: readonly number[]): Any => ({
      ...imageValues(),
      hostNetwork,
      ports: { webhook, healthProbe, metrics },
      policyServer: {
        ...sourceValues(stack).policyServer,
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
    const podSpec = (name: string) => deployment(stack, name).spec.template.spec;
    stack.install("admission-controller", "portreeve", values(true, [63000, 63001, 63002]));
    await until(
      "the server is on the host's network",
      () => podSpec("policy-server-default").hostNetwork === true,
    );
    stack.kubectl("rollout", "status", "deployment/policy-server-default", "-n", NAMESPACE, "--timeout=120s");
    assert.is(podSpec("policy-server-default").dnsPolicy, "ClusterFirstWithHostNet");
    assert.is(podSpec("admission-controller").hostNetwork, true);
    await enforced();

    stack.install("admission-controller", "portreeve", values(true, [63100, 63101, 63102]));
    const [port] = podSpec("admission-controller").containers[0].ports;
    assert.equal([port.name, port.containerPort], ["webhook-server", 63100]);
    const service = stack.get("service", "admission-controller-webhook-service", NAMESPACE);
    assert.is(service.spec.ports[0].targetPort, 63100);
    await enforced();

    stack.install("admission-controller", "portreeve", values(false, [63200, 63201, 63202]));
    await until("the server left the host's network", () => !podSpec("policy-server-default").hostNetwork);
    stack.kubectl("rollout", "status", "deployment/policy-server-default", "-n", NAMESPACE, "--timeout=120s");
    assert.not(podSpec("policy-server-default").dnsPolicy === "ClusterFirstWithHostNet");
    assert.not(podSpec("admission-controller").hostNetwork);
    await enforced();
  });

  test("an uninstallation with the controller already gone leaves nothing behind either", ({ stack }) => {
    stack.kubectl("delete", "deployment", "admission-controller", "-n", NAMESPACE, "--wait");
    stack.uninstall("admission-controller");
    nothingLeft(stack);
  });
}

const stackAuthority = (stack: Stack): string =>
  sourceValues(stack).policyServer.sourceAuthorities[0].certs[0];

function nothingLeft(stack: Stack): void {
  const left = [
    ...[
      "deployments",
      "pods",
      "services",
      "secrets",
      "configmaps",
      "poddisruptionbudgets",
      "jobs",
      "serviceaccounts",
      "leases",
    ]
      .flatMap((kind) => stack.list(kind, "-A", "-l", "app.kubernetes.io/part-of=kubewarden")),
    ...[
      "validatingwebhookconfigurations",
      "mutatingwebhookconfigurations",
      "clusterroles",
      "clusterrolebindings",
    ]
      .flatMap((kind) => stack.list(kind, "-l", "app.kubernetes.io/part-of=kubewarden")),
  ].filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  assert.equal(left.map(({ kind, metadata }) => `${kind} ${metadata.name}`), []);
}

test.run();
