// The Kubernetes client on our transport: private authority and client certificate from a kubeconfig, on Node and on Bun alike; and
// the controller's process from start to signal.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { LEASES } from "../../controller/types/resources.ts";
import { connect } from "../../kubernetes/apply/api_transport.ts";
import { clientNodeHttp } from "../../kubernetes/apply/client_node_http.ts";
import { loadKubernetesClient } from "../../deps.ts";
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

  test("the client's own API classes work over the transport", async ({ harness }) => {
    const transport = await connect({ kubeconfig: harness.plane.kubeconfig });
    const { CoreV1Api, createConfiguration, ServerConfiguration } = await loadKubernetesClient();
    const api = new CoreV1Api(createConfiguration({
      baseServer: new ServerConfiguration(transport.server, {}),
      httpApi: await clientNodeHttp(transport),
    }));
    const { items } = await api.listNamespace();
    assert.ok(items.some(({ metadata }) => metadata?.name === NAMESPACE));
    const created = await api.createNamespacedConfigMap({
      namespace: NAMESPACE,
      body: { metadata: { name: "made" }, data: { u: "ü" } },
    });
    assert.equal(created.data, { u: "ü" });
    const missing = await api.readNamespacedSecret({ namespace: NAMESPACE, name: "absent" }).catch((error) =>
      error
    );
    assert.is(missing.code, 404);
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
