// From three charts to one and back, by the script that ships, on a real node: every object stays the one that it was, and a Pod
// that must be rejected is rejected all the while.
import process from "node:process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { HOW_TO_GET_NODE, nodeBinariesFolder } from "../cluster/binaries/locate.ts";
import type { GapResult } from "./_gap.ts";
import { type Any, imageValues, NAMESPACE, policy, privilegedPods, serverImage } from "./_objects.ts";
import { sourceValues, type Stack, startStack, until } from "./_stack.ts";

type Context = { stack: Stack };
const test = suite<Context>("moving between the charts' layouts", {} as Context);
const SCRIPT = fileURLToPath(new URL("../../deploy/scripts/portreeve-move-charts.sh", import.meta.url));
const THREE = ["kubewarden-crds", "kubewarden-controller", "kubewarden-defaults"] as const;
const DENIED = /denied the request: Privileged container is not allowed\s*$/;
const KINDS = "ps,cap,capg,ap,apg,crds";

const releases = (stack: Stack): string[] =>
  JSON.parse(stack.helm("list", "-n", NAMESPACE, "-o", "json")).map(({ name }: Any) => name).sort();
const identities = (stack: Stack): string[] =>
  stack.list(KINDS, "-A").map(({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.uid}`).sort();
const finalizers = (stack: Stack): Any[] =>
  stack.list("ps,cap,ap", "-A").map(({ metadata }) => metadata.finalizers);
/** Names of the namespaced objects that the charts made, and the release that each says it is of. */
const owners = (stack: Stack): string[] =>
  [
    ...new Set(
      stack.list(
        "deployments,services,serviceaccounts,roles,rolebindings,cronjobs,configmaps",
        "-n",
        NAMESPACE,
      )
        .map(({ metadata }) => metadata.annotations?.["meta.helm.sh/release-name"])
        .filter((name) => name !== undefined),
    ),
  ].sort();

/** Does something while Pods are tried; what the trials were answered. */
async function watched(stack: Stack, work: () => Promise<unknown>): Promise<GapResult> {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-gap-"));
  const going = join(folder, "going");
  writeFileSync(going, "");
  const trials = stack.node.runBeside(
    process.execPath,
    fileURLToPath(new URL("_gap.ts", import.meta.url)),
    stack.node.credential("admin.kubeconfig"),
    going,
  );
  try {
    await work();
  } finally {
    rmSync(folder, { recursive: true });
  }
  return JSON.parse(await trials);
}

const move = (stack: Stack, ...args: readonly string[]) =>
  stack.node.runBeside("bash", SCRIPT, "--namespace", NAMESPACE, ...args);

function check({ denied, accepted, wrong }: GapResult, stack: Stack, what: string): void {
  assert.equal(wrong, []);
  assert.ok(denied > 50 && accepted > 10, `${denied} denied, ${accepted} accepted`);
  stack.note(`${what}: ${denied} privileged Pods denied, ${accepted} plain ones accepted, none otherwise`);
}

const ready = process.getuid?.() === 0 && nodeBinariesFolder() !== undefined;
// There is one node, which the end-to-end scenarios have; and this takes many minutes.
if (!/\b(all|move)\b/.test(process.env["E2E"] ?? "")) {
  test.skip("moving on a node (get it by: E2E=move)", () => {});
} else if (!ready) test.skip(`moving on a node (${HOW_TO_GET_NODE})`, () => {});
else {
  test.before(async (context) => {
    context.stack = await startStack();
  });
  test.after(async ({ stack }) => {
    await stack?.stop();
  });

  test("three charts, with what users made beside", async ({ stack }) => {
    stack.kubectl("create", "namespace", NAMESPACE);
    stack.install("kubewarden-crds", "portreeve-crds");
    // A name of its own, which the moved release must not take along.
    stack.install("kubewarden-controller", "portreeve-controller", {
      ...imageValues(),
      fullnameOverride: "the-controller",
      replicas: 2,
    });
    stack.install("kubewarden-defaults", "portreeve-defaults", sourceValues(stack.node));
    const { sourceAuthorities } = stack.get("ps", "default").spec;
    stack.apply({
      apiVersion: "policies.kubewarden.io/v1",
      kind: "PolicyServer",
      metadata: { name: "tenant" },
      spec: { image: serverImage, replicas: 1, sourceAuthorities },
    });
    const { module } = privilegedPods().spec;
    stack.apply(
      privilegedPods(),
      policy("AdmissionPolicy", "namespaced", { module, policyServer: "tenant" }, "default"),
    );
    stack.active("cap", "privileged-pods");
    stack.active("ap", "namespaced", "default");
    await until("a privileged Pod is denied", () => DENIED.test(stack.tryPod({ privileged: true }) ?? ""));
  });

  test("a dry run changes nothing; releases that aren't there are named", async ({ stack }) => {
    const before = [releases(stack), identities(stack)];
    assert.match(
      await move(stack, "--to", "one", "--dry-run"),
      /Would make admission-controller of kubewarden-crds/,
    );
    assert.equal([releases(stack), identities(stack)], before);
    for (
      const [args, words] of [
        [
          ["--to", "three"],
          /release admission-controller is not in namespace kubewarden: name it with --one/,
        ],
        [
          ["--to", "one", "--one", "kubewarden-defaults"],
          /release kubewarden-defaults is in namespace kubewarden already/,
        ],
        [["--to", "two"], /USAGE/],
      ] as const
    ) {
      const said = await move(stack, ...args).then(() => "accepted", (error: Error) => error.message);
      assert.match(said, words);
    }
    assert.equal([releases(stack), identities(stack)], before);
  });

  test("a second installation in the namespace is refused, with the way to move", ({ stack }) => {
    const said = stack.refused(() => stack.install("second", "portreeve", imageValues()));
    assert.match(
      said,
      /this namespace has a controller already: Deployment "the-controller" of release "kubewarden-controller"/,
    );
    assert.match(said, /deploy\/scripts\/portreeve-move-charts\.sh/);
  });

  test("a move that fails is undone: the old releases' controller runs again, with its rights", async ({ stack }) => {
    const before = [releases(stack), identities(stack), owners(stack)];
    const authority = stack.get("secret", "kubewarden-ca", NAMESPACE).data;
    const args = ["--to", "one", "--timeout", "10s", "--", "--set", "image.tag=no-such-tag"];
    const result = await watched(stack, async () => {
      const said = await move(stack, ...args).then(() => "accepted", (error: Error) => error.message);
      assert.match(said, /Nothing was moved\. Mend what Helm says above and run this again/);
    });
    check(result, stack, "a move that fails");
    stack.kubectl("rollout", "status", "deployment/the-controller", "-n", NAMESPACE, "--timeout=120s");
    assert.equal([releases(stack), identities(stack), owners(stack)], before);
    assert.equal(stack.get("secret", "kubewarden-ca", NAMESPACE).data, authority);
    stack.apply(privilegedPods({ message: "changed" }));
    await until(
      "a changed policy is in force",
      () => stack.tryPod({ privileged: true })?.includes("changed"),
      {
        limitMs: 60_000,
      },
    );
    stack.apply(privilegedPods());
    await until("the old message is back", () => DENIED.test(stack.tryPod({ privileged: true }) ?? ""), {
      limitMs: 60_000,
    });
  });

  for (
    const [to, wanted, serviceOf] of [
      ["one", ["admission-controller"], "admission-controller"],
      ["three", [...THREE].sort(), "kubewarden-controller"],
      ["one", ["admission-controller"], "admission-controller"],
    ] as const
  ) {
    test(`to ${to}: no gap, the same objects, nothing left of the old release, policies can be changed`, async ({ stack }) => {
      const before = identities(stack);
      const result = await watched(stack, () => stack.timed(`to ${to}`, () => move(stack, "--to", to)));
      check(result, stack, `to ${to}`);
      assert.equal(identities(stack), before);
      assert.ok(finalizers(stack).every((names) => names?.includes("kubewarden.io/finalizer")));
      assert.equal(releases(stack), wanted);
      assert.ok(
        owners(stack).every((owner) => (wanted as readonly string[]).includes(owner)),
        owners(stack).join(),
      );
      const { metadata, spec } = stack.get("ps", "default");
      const label = metadata.labels["kubewarden.io/managed-by"];
      assert.is(label, to === "one" ? "kubewarden-controller-defaults" : undefined);
      assert.is(
        metadata.annotations?.["meta.helm.sh/release-name"],
        to === "one" ? undefined : "kubewarden-defaults",
      );
      assert.is(spec.image, serverImage);
      assert.is(stack.get("deployment", serviceOf, NAMESPACE).spec.replicas, 2);
      const [{ clientConfig }] =
        stack.get("validatingwebhookconfiguration", "kubewarden-controller-validating-webhook-configuration")
          .webhooks;
      assert.is(clientConfig.service.name, `${serviceOf}-webhook-service`);
      // The controller's own webhook answers under its new name, and the new controller reconciles.
      stack.apply(privilegedPods({ message: `moved to ${to}` }));
      await until(
        "a changed policy is in force",
        () => stack.tryPod({ privileged: true })?.includes(`moved to ${to}`),
        { limitMs: 60_000 },
      );
      stack.apply(privilegedPods());
      stack.active("cap", "privileged-pods");
      await until("the old message is back", () => DENIED.test(stack.tryPod({ privileged: true }) ?? ""), {
        limitMs: 60_000,
      });
      // Helm goes on from here.
      for (const release of wanted) {
        const chart = to === "one" ? "portreeve" : release.replace("kubewarden", "portreeve");
        stack.helm(
          "upgrade",
          release,
          join(SCRIPT, "../../helm", chart),
          "-n",
          NAMESPACE,
          "--reuse-values",
          "--wait",
        );
      }
      assert.equal(identities(stack), before);
    });
  }
}

test.run();
