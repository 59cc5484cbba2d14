// The controller as it ships, in a cluster that is not yet, or no longer, as it should be: what it makes, when it says that it is
// ready, and that there are never two leaders.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CONFIG_MAPS, LEASES, SECRETS } from "../../controller/types/resources.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { startFreezingProxy } from "../cluster/freezing_proxy.ts";
import { type Any, certificateFolder, type Harness, NAMESPACE, startHarness, until } from "./harness.ts";
import { type Player, startPlayer } from "./player.ts";
import { type ControllerProcess, startProcess } from "./process.ts";
import { ap, cap, condition, create, isStatus, server, when } from "./resources.ts";

type Context = { harness: Harness; player: Player; certificates: string };
const test = suite<Context>("controller process", {} as Context);

const readiness = async ({ probes }: ControllerProcess) => {
  const answer = await fetch(`${probes}/readyz`);
  return { status: answer.status, body: await answer.text() };
};

/** A kubeconfig like `original`, with the API server on another port. */
function kubeconfigFor(harness: Harness, name: string, port: number): string {
  const config = readFileSync(harness.plane.kubeconfig, "utf8").replace(
    /127\.0\.0\.1:\d+/,
    `127.0.0.1:${port}`,
  );
  const folder = join(harness.plane.folder, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "kubeconfig"), config);
  return join(folder, "kubeconfig");
}

const leads = async (controller: ControllerProcess) =>
  await controller.metric("leader_election_master_status") === 1;

if (binariesFolder() === undefined) {
  test.skip(`the shipped controller (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  test.before(async (context) => {
    context.harness = await startHarness();
    context.player = await startPlayer(context.harness.plane.admin, NAMESPACE);
    context.certificates = await certificateFolder(context.harness.plane);
  });
  test.after(async ({ harness, player }) => {
    await player?.stop();
    await harness?.stop();
  });

  test("it makes its authority, and a policy becomes active", async ({ harness, certificates }) => {
    const { kubeconfig } = harness.plane;
    const controller = await startProcess({ kubeconfig, certificates });
    const secret = await harness.client.get<Any>(SECRETS, NAMESPACE, "kubewarden-ca");
    assert.match(atob(secret.data["ca.crt"]), /BEGIN CERTIFICATE/);
    await create(harness, server("shipped"), cap("shipped", { policyServer: "shipped" }));
    await when(harness, cap("shipped", { policyServer: "shipped" }), "is active", isStatus("active"));
    assert.is(await controller.stop(), 0);
  });

  test("with the unified chart's flags it rejects policies of a namespace until its ConfigMap allows them", async ({ harness, certificates }) => {
    const { kubeconfig } = harness.plane;
    const name = "kubewarden-controller-config";
    const controller = await startProcess({
      kubeconfig,
      certificates,
      args: [
        "--leader-elect",
        "--defaults-configmap-name=kubewarden-defaults",
        `--controller-configmap-name=${name}`,
      ],
    });
    const policy = ap("listed", { policyServer: "listed" });
    await create(harness, server("listed"), policy);
    const rejected = await when(harness, policy, "is rejected", isStatus("rejected"));
    assert.match(condition(rejected, "PolicyActive").message, new RegExp(`in the ConfigMap ${name}\\. `));
    // The log comes by a pipe of its own, maybe after the status.
    await until(
      "the log says it too",
      () => /the allow list of resources for namespaced policies has a problem/.test(controller.log()),
    );
    await harness.client.create<Any>(CONFIG_MAPS, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace: NAMESPACE },
      data: { "config.yaml": 'namespacedPoliciesAllowedResources: [{apiGroups: [""], resources: [pods]}]' },
    } as Any);
    await when(harness, policy, "is active", isStatus("active"));
    assert.is(await controller.stop(), 0);
  });

  test("without its namespace it is not ready and says why; with it, it is", async ({ harness, certificates }) => {
    const { kubeconfig } = harness.plane;
    const controller = await startProcess({
      kubeconfig,
      certificates,
      args: ["--leader-elect=false", "--deployments-namespace=not-there"],
      until: "alive",
    });
    const body = await until("it says what is missing", async () => {
      const { status, body } = await readiness(controller);
      assert.is(status, 500);
      return /making one failed/.test(body) && body;
    });
    assert.match(
      body,
      /Secret kubewarden-ca does not exist in namespace not-there.*namespaces "not-there" not found/,
    );
    await harness.plane.admin.request({
      method: "POST",
      path: "/api/v1/namespaces",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: "not-there" } }),
    });
    await until("it is ready", async () => (await readiness(controller)).status === 200, { limitMs: 60_000 });
    assert.is(await controller.stop(), 0);
  });

  test("a leader whose link freezes ends before another leads, and what it had begun is not written later", async ({ harness, certificates }) => {
    const proxy = await startFreezingProxy(Number(new URL(harness.plane.url).port));
    const started: ControllerProcess[] = [];
    const start = async (setting: Parameters<typeof startProcess>[0]) => {
      const controller = await startProcess(setting);
      started.push(controller);
      return controller;
    };
    try {
      const first = await start({
        kubeconfig: kubeconfigFor(harness, "frozen", proxy.port),
        certificates,
      });
      await until("the first leads", () => leads(first));
      const second = await start({ kubeconfig: harness.plane.kubeconfig, certificates });
      assert.not(await leads(second));
      let firstEnded = false;
      void first.ended().then(() => firstEnded = true);
      let overlap = false;
      proxy.freeze();
      // Work that the first begins and can't finish.
      await create(harness, server("orphaned"), cap("orphaned", { policyServer: "orphaned" }));
      await until("the second leads", async () => {
        const now = await leads(second);
        const other = await leads(first).catch(() => false);
        overlap ||= now && other;
        return now;
      }, { limitMs: 60_000 });
      assert.not(overlap, "both lead");
      assert.ok(firstEnded, "the first had ended before the second led");
      assert.is(await first.ended(), 1);
      assert.match(first.log(), /lost the leader's Lease/);
      proxy.thaw();
      await when(harness, cap("orphaned", { policyServer: "orphaned" }), "is active", isStatus("active"));
      const lease = await harness.client.get<Any>(LEASES, NAMESPACE, "a4ddbf36.kubewarden.io");
      assert.ok(lease.spec.leaseTransitions >= 1);
      assert.is(await second.stop(), 0);
    } finally {
      // What fails above is to be told, and what still runs would keep this process from its end.
      for (const controller of started) await controller.stop("SIGKILL");
      await proxy.stop();
    }
  });
}

test.run();
