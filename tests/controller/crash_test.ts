// The controller is cut off from the API server after its n-th write, for every n of a whole life of resources, and another one
// takes over: the end is always the same, and at no time does a webhook point at a server that could not answer.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createStore } from "../../controller/apply/store.ts";
import type { Controller } from "../../controller/serve/controller.ts";
import { follow } from "../../controller/serve/reflector.ts";
import {
  CONFIG_MAPS,
  customResource,
  MUTATING,
  SERVICES,
  VALIDATING,
} from "../../controller/types/resources.ts";
import type { ApiTransport } from "../../kubernetes/apply/api_transport.ts";
import type { Kind } from "../../crd/types.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { type Any, type Harness, NAMESPACE, startHarness, until } from "./harness.ts";
import { type Player, startPlayer } from "./player.ts";

type Context = { harness: Harness; player: Player };
const test = suite<Context>("crash", {} as Context);
const V1 = "policies.kubewarden.io/v1";
/** More than the writes of one whole life; the loop ends at the first n that is never reached. */
const MOST_WRITES = 60;

/** A transport that answers nothing any more once it has passed on `limit` writes. */
function cutAfter(
  transport: ApiTransport,
  limit: number,
): { transport: ApiTransport; cut: Promise<void>; writes(): number } {
  let writes = 0;
  let broken = false;
  let tell = () => {};
  const cut = new Promise<void>((resolve) => tell = resolve);
  return {
    cut,
    writes: () => writes,
    transport: {
      ...transport,
      async request(request) {
        const writing = request.method !== "GET";
        if (broken || (writing && writes >= limit)) {
          broken = true;
          tell();
          throw new Error("the connection was cut");
        }
        if (writing) writes += 1;
        const answer = await transport.request(request);
        // The write has happened, but its answer never arrives.
        if (writing && writes >= limit) {
          broken = true;
          tell();
          await answer.text();
          throw new Error("the connection was cut");
        }
        return answer;
      },
    },
  };
}

const server = (name: string) => ({
  apiVersion: V1,
  kind: "PolicyServer",
  metadata: { name },
  spec: { image: "i:1", replicas: 1, minAvailable: 1 },
});
const policy = (name: string) => ({
  apiVersion: V1,
  kind: "ClusterAdmissionPolicy",
  metadata: { name },
  spec: {
    policyServer: name,
    module: "m:v1",
    mutating: false,
    rules: [{ apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] }],
  },
});

async function live(harness: Harness, name: string): Promise<void> {
  const { client } = harness;
  const of = (object: Any) => customResource(object.kind as Kind);
  assert.is((await harness.create(server(name))).kind, "PolicyServer");
  assert.is((await harness.create(policy(name))).kind, "ClusterAdmissionPolicy");
  const status = (wanted: string) => async () =>
    (await harness.read(policy(name))).status?.policyStatus === wanted;
  const webhook = (kind: Any) => client.get<Any>(kind, undefined, `kw.cap.${name}`).catch(() => undefined);
  await until(`${name} is active`, status("active"));
  await client.patch(of(policy(name)), undefined, name, "merge", { spec: { mutating: true } });
  await until(
    `${name} mutates`,
    async () => await webhook(MUTATING) !== undefined && await webhook(VALIDATING) === undefined,
  );
  await client.remove(of(server(name)), undefined, name);
  await until(`${name}'s server is gone`, async () => (await harness.read(server(name))).code === 404);
  await until(`${name} is scheduled`, status("scheduled"));
  assert.is(await webhook(MUTATING), undefined);
  await client.remove(of(policy(name)), undefined, name);
  await until(`${name} is gone`, async () => (await harness.read(policy(name))).code === 404);
}

if (binariesFolder() === undefined) {
  test.skip(`cut off after every write (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  test.before(async (context) => {
    context.harness = await startHarness();
    context.player = await startPlayer(context.harness.plane.admin, NAMESPACE);
  });
  test.after(async ({ harness, player }) => {
    await player?.stop();
    await harness?.stop();
  });

  test("the end is the same wherever it is cut off", async ({ harness }) => {
    const services = createStore<Any>();
    const configMaps = createStore<Any>();
    const webhooks = [VALIDATING, MUTATING].map((resource) => ({ resource, store: createStore<Any>() }));
    const violations: string[] = [];
    const ending = new AbortController();
    const check = (configuration: Any) => {
      const { name } = configuration.metadata;
      if (!name.startsWith("kw.")) return;
      for (const { clientConfig } of configuration.webhooks) {
        const object = services.get(clientConfig.service.name, NAMESPACE);
        const served = configMaps.get(clientConfig.service.name, NAMESPACE)?.data["policies.yml"] ?? "";
        if (object === undefined) violations.push(`${name} points at a Service that does not exist`);
        if (!served.includes(`"${name}":`)) violations.push(`${name} is not served`);
      }
    };
    const options = { client: harness.client, signal: ending.signal, log: () => {} };
    await follow({ ...options, resource: SERVICES, namespace: NAMESPACE, store: services });
    await follow({ ...options, resource: CONFIG_MAPS, namespace: NAMESPACE, store: configMaps });
    for (const { resource, store } of webhooks) await follow({ ...options, resource, store });
    for (const { store } of webhooks) store.listen((now) => now !== undefined && check(now));
    services.listen((now, before) => {
      if (now !== undefined) return;
      for (const { store } of webhooks) {
        for (const configuration of store.all()) {
          const used = configuration.webhooks.some((entry: Any) =>
            entry.clientConfig.service?.name === before.metadata.name
          );
          if (used) {
            violations.push(
              `${before.metadata.name} vanished while ${configuration.metadata.name} points at it`,
            );
          }
        }
      }
    });

    let n = 1;
    for (; n <= MOST_WRITES; n++) {
      const name = `c${n}`;
      const cutting = cutAfter(harness.plane.admin, n);
      const first = await harness.startController({}, { transport: cutting.transport });
      let second: Promise<Controller> | undefined;
      void cutting.cut.then(() => second = first.stop().then(() => harness.startController()));
      await live(harness, name);
      assert.equal(violations, [], `cut off after ${n} writes`);
      if (second === undefined) {
        await first.stop();
        break;
      }
      await (await second).stop();
    }
    ending.abort();
    console.log(`\none life takes ${n - 1} writes; cut off after each of them`);
    assert.ok(n > 15 && n < MOST_WRITES, `${n} writes`);
  });
}

test.run();
