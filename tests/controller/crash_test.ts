// The controller is cut off from the API server after its n-th write, for every n of a whole life of resources, and another one
// takes over: the end is always the same, and at no time does a webhook point at a server that could not answer.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Controller } from "../../controller/serve/controller.ts";
import { CONFIG_MAPS, MUTATING, SERVICES, VALIDATING } from "../../controller/types/resources.ts";
import type { ApiTransport } from "../../kubernetes/apply/api_transport.ts";
import { customResource, type Kind } from "../../crd/types.ts";
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

/** A state of an object, from the cluster's version `from` on and before `until`. */
type Lifetime = { readonly object: Any; readonly from: number; readonly until: number };
type Happening = { readonly type: string; readonly object: Any };

/**
 * Records what happens to Services, ConfigMaps and webhook configurations. Each kind is watched by itself, so the order of
 * arrival says nothing; the versions are the cluster's own and do.
 */
async function record({ client }: Harness, signal: AbortSignal): Promise<readonly Happening[]> {
  const history: Happening[] = [];
  for (const resource of [SERVICES, CONFIG_MAPS, VALIDATING, MUTATING]) {
    const namespace = resource.namespaced ? NAMESPACE : undefined;
    const { resourceVersion } = await client.list<Any>(resource, namespace, {});
    void (async () => {
      try {
        for await (
          const line of client.watch(resource, namespace, { resourceVersion, timeoutSeconds: 3600 }, signal)
        ) {
          const { type, object } = JSON.parse(line);
          if (type !== "BOOKMARK") history.push({ type, object: { ...object, kind: resource.kind } });
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    })();
  }
  return history;
}

/** The states of everything that the controller made, from what happened. */
function lifetimes(history: readonly Happening[]): Lifetime[] {
  const version = ({ object }: Happening) => Number(object.metadata.resourceVersion);
  return history.filter(({ type, object }) =>
    type !== "DELETED" && /^(kw\.|policy-server-)/.test(object.metadata.name)
  )
    .map((happening) => {
      const { kind, metadata: { name } } = happening.object;
      const later = history.filter(({ object }) => object.kind === kind && object.metadata.name === name)
        .map(version).filter((other) => other > version(happening));
      return { object: happening.object, from: version(happening), until: Math.min(...later) };
    });
}

/** Webhooks that at some time pointed at a Service that did not exist, or that the server had not been told to serve. */
function violations(history: readonly Happening[]): string[] {
  const states = lifetimes(history);
  return states.filter(({ object }) => object.webhooks !== undefined).flatMap(({ object, from, until }) => {
    const { name } = object.metadata;
    const { service } = object.webhooks[0].clientConfig;
    const overlapping = (kind: string) =>
      states.filter((state) =>
        state.object.kind === kind && state.object.metadata.name === service.name && state.from < until &&
        state.until > from
      );
    const throughout = (found: readonly Lifetime[]) =>
      found.some((state) => state.from < from) &&
      found.every((state) => state.until >= until || found.some((next) => next.from === state.until));
    const served = overlapping("ConfigMap");
    return [
      ...(throughout(overlapping("Service")) ? [] : [`${name} at ${from}: no Service`]),
      ...(throughout(served) &&
          served.every((state) => state.object.data["policies.yml"].includes(`"${name}":`))
        ? []
        : [`${name} at ${from}: not served`]),
    ];
  });
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

test("the record tells a webhook that outlives its Service, or comes before its policy is served", () => {
  const at = (type: string, kind: string, name: string, resourceVersion: number, more: Any = {}) => ({
    type,
    object: { kind, metadata: { name, resourceVersion: String(resourceVersion) }, ...more },
  });
  const own = "policy-server-x";
  const hook = { webhooks: [{ clientConfig: { service: { name: own } } }] };
  const file = (text: string) => ({ data: { "policies.yml": text } });
  const good = [
    at("ADDED", "ConfigMap", own, 1, file("{}")),
    at("ADDED", "Service", own, 2),
    at("MODIFIED", "ConfigMap", own, 3, file('{"kw.cap.x":{}}')),
    at("ADDED", VALIDATING.kind, "kw.cap.x", 4, hook),
    at("DELETED", VALIDATING.kind, "kw.cap.x", 5, hook),
    at("DELETED", "Service", own, 6),
    at("DELETED", "ConfigMap", own, 7, file("{}")),
  ];
  assert.equal(violations(good.toReversed()), [], "in whatever order it arrives");
  const renumbered = (from: number, to: number) =>
    good.map((happening) => {
      const { metadata } = happening.object;
      if (metadata.resourceVersion !== String(from)) return happening;
      return {
        ...happening,
        object: { ...happening.object, metadata: { ...metadata, resourceVersion: String(to) } },
      };
    });
  assert.equal(violations(renumbered(5, 6.5)), ["kw.cap.x at 4: no Service"]);
  assert.equal(violations(renumbered(3, 4.5)), ["kw.cap.x at 4: not served"]);
});

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
    const ending = new AbortController();
    const history = await record(harness, ending.signal);
    let n = 1;
    try {
      for (; n <= MOST_WRITES; n++) {
        const cutting = cutAfter(harness.plane.admin, n);
        const first = await harness.startController({}, { transport: cutting.transport });
        let second: Promise<Controller> | undefined;
        void cutting.cut.then(() => second = first.stop().then(() => harness.startController()));
        await live(harness, `c${n}`).catch((error) => {
          const taken = second === undefined ? "not cut off" : "cut off, another one started";
          throw new Error(`${error.message} (${taken})\n${harness.recent()}`);
        });
        if (second === undefined) {
          await first.stop();
          break;
        }
        await (await second).stop();
      }
      await until("everything is gone", () => !lifetimes(history).some(({ until }) => until === Infinity));
    } finally {
      ending.abort();
    }
    assert.equal(violations(history), []);
    console.log(`\none life takes ${n - 1} writes; cut off after each of them`);
    assert.ok(n > 15 && n < MOST_WRITES, `${n} writes`);
  });
}

test.run();
