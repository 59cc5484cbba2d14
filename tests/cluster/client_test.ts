// The Kubernetes client on our transport: private authority and client certificate from a kubeconfig, on Node and on Bun alike; and
// the controller's process from start to signal.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CONFIG_MAPS, LEASES, SECRETS } from "../../controller/types/resources.ts";
import { connect } from "../../kubernetes/apply/api_transport.ts";
import { isNotFound, kubeClient } from "../../kubernetes/apply/kube_client.ts";
import {
  type Any,
  certificateFolder,
  type Harness,
  NAMESPACE,
  startHarness,
  until,
} from "../controller/harness.ts";
import { startProcess } from "../controller/process.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "./binaries/locate.ts";

const test = suite<{ harness: Harness }>("client", {} as { harness: Harness });

if (binariesFolder() === undefined) {
  test.skip(`the client against an API server (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  test.before(async (context) => {
    context.harness = await startHarness();
  });
  test.after(async ({ harness }) => await harness?.stop());

  test("a kubeconfig's connection lists, creates, and tells what is not there", async ({ harness }) => {
    const transport = await connect({ kubeconfig: harness.plane.kubeconfig });
    const client = kubeClient(transport, "test");
    const namespaces = { apiVersion: "v1", kind: "Namespace", plural: "namespaces", namespaced: false };
    const { items } = await client.list(namespaces, undefined, {});
    assert.ok(items.some(({ metadata }) => metadata.name === NAMESPACE));
    const made = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "made", namespace: NAMESPACE },
      data: { u: "ü" },
    };
    const created = await client.create<Any>(CONFIG_MAPS, made);
    assert.equal(created.data, { u: "ü" });
    const missing = await client.get(SECRETS, NAMESPACE, "absent").catch((error) => error);
    assert.ok(isNotFound(missing));
    transport.close();
  });

  test("an API server of another authority is not talked to", async ({ harness }) => {
    const { openTransport } = await import("../../kubernetes/apply/api_transport.ts");
    const stranger = openTransport(
      harness.plane.url,
      () => Promise.resolve({ headers: {}, tls: { rejectUnauthorized: true } }),
    );
    const refused = await stranger.request({ method: "GET", path: "/version" }).then(() => false, () => true);
    assert.ok(refused);
    stranger.close();
    assert.ok(await connect({ kubeconfig: "/absent" }).then(() => false, () => true));
  });

  test("the process becomes ready, leads, and on SIGTERM lets its Lease go and exits 0", async ({ harness }) => {
    const { kubeconfig } = harness.plane;
    const controller = await startProcess({
      kubeconfig,
      certificates: await certificateFolder(harness.plane),
    });
    await until("it leads", async () => await controller.metric("leader_election_master_status") === 1);
    const holder = async () =>
      (await harness.client.get<Any>(LEASES, NAMESPACE, "a4ddbf36.kubewarden.io")).spec.holderIdentity;
    assert.is.not(await holder(), "");
    assert.is(await controller.stop("SIGTERM"), 0);
    assert.is(await holder() ?? "", "");
  });
}

test.run();
