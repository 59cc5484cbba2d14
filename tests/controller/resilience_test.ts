// A cluster that misbehaves: leaders that die, an API server that restarts, throttles or forgets, objects that no rule ever checked,
// and what an earlier release left behind.
import { customResource } from "../../crd/types.ts";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  CONFIG_MAPS,
  DEPLOYMENTS,
  LEASES,
  MUTATING,
  PODS,
  SECRETS,
  VALIDATING,
} from "../../controller/types/resources.ts";
import type { ApiTransport } from "../../kubernetes/apply/api_transport.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { type Any, type Harness, NAMESPACE, objectPath, startHarness, until } from "./harness.ts";
import { type Player, startPlayer } from "./player.ts";
import { cap as boundTo, create, RULES, server, V1 as apiVersion } from "./resources.ts";

type Context = { harness: Harness; player: Player };
const test = suite<Context>("resilience", {} as Context);
const cap = (name: string, policyServer: string, spec: Any = {}) => boundTo(name, { policyServer, ...spec });

const isActive = (harness: Harness, object: Any) =>
  until(
    `${object.metadata.name} is active`,
    async () => (await harness.read(object)).status?.policyStatus === "active",
  );

/** What was waited for in vain is told with what the controllers logged. */
const scenario = (name: string, run: (context: Context) => Promise<void>) =>
  test(name, async (context) => {
    try {
      await run(context);
    } catch (error) {
      if (error instanceof Error && error.message.startsWith("waited ")) {
        error.message += `\n${context.harness.recent()}`;
      }
      throw error;
    }
  });

const FAST = { leaseSeconds: 3, renewSeconds: 2, retrySeconds: 0.3 };

/** A transport whose answers a test may replace. */
function meddling(
  transport: ApiTransport,
  meddle: (
    method: string,
    path: string,
  ) => { status: number; body: Any; headers?: { [name: string]: string } } | undefined,
): ApiTransport {
  return {
    ...transport,
    async request(request) {
      const answer = meddle(request.method, request.path);
      if (answer === undefined) return await transport.request(request);
      const body = JSON.stringify(answer.body);
      return {
        status: answer.status,
        headers: answer.headers ?? {},
        text: () => Promise.resolve(body),
        async *chunks() {
          yield new TextEncoder().encode(`${body}\n`);
        },
      };
    },
  };
}

if (binariesFolder() === undefined) {
  test.skip(`a misbehaving cluster (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  test.before(async (context) => {
    context.harness = await startHarness();
    context.player = await startPlayer(context.harness.plane.admin, NAMESPACE);
  });
  test.after(async ({ harness, player }) => {
    await player?.stop();
    await harness?.stop();
  });

  scenario(
    "only the leader writes; when it dies the other takes over within the lease's time",
    async ({ harness }) => {
      let cut = false;
      const dying = {
        ...harness.plane.admin,
        request: (request: Any) =>
          cut ? Promise.reject(new Error("dead")) : harness.plane.admin.request(request),
      };
      const first = await harness.startController({}, {
        transport: dying,
        election: { identity: "first", ...FAST },
      });
      await until("the first leads", () => first.leading());
      const second = await harness.startController({}, { election: { identity: "second", ...FAST } });
      await create(harness, server("led"), cap("led", "led"));
      await isActive(harness, cap("led", "led"));
      const writes = second.metrics.text().split("\n").filter((line) =>
        /method="(PATCH|PUT|POST|DELETE)"/.test(line)
      );
      assert.equal(writes, [], "the second has written nothing");
      assert.not(second.leading());
      const holder = async () =>
        (await harness.client.get<Any>(LEASES, NAMESPACE, "a4ddbf36.kubewarden.io")).spec.holderIdentity;
      assert.is(await holder(), "first");

      cut = true;
      await until("the first gives up by itself", () => first.lost.aborted);
      await until("the second leads", () => second.leading());
      assert.is(await holder(), "second");
      await create(harness, cap("led-2", "led"));
      await isActive(harness, cap("led-2", "led"));
      await first.stop();

      const third = await harness.startController({}, { election: { identity: "third", ...FAST } });
      await second.stop();
      await until("a Lease that is let go is taken at once", () => third.leading(), { limitMs: 2500 });
      await third.stop();
    },
  );

  scenario(
    "a controller that is told to end while it takes the Lease does not lead, and lets it go",
    async ({ harness }) => {
      let stopped: Promise<unknown> | undefined;
      const ended = {
        ...harness.plane.admin,
        request: (request: Any) => {
          if (request.path.includes("/leases") && request.method !== "GET") stopped ??= late.stop();
          return harness.plane.admin.request(request);
        },
      };
      const late: Any = await harness.startController({}, {
        transport: ended,
        election: { identity: "late", ...FAST },
      });
      await until("it was told to end", () => stopped !== undefined);
      await stopped;
      const holder = async () =>
        (await harness.client.get<Any>(LEASES, NAMESPACE, "a4ddbf36.kubewarden.io")).spec.holderIdentity;
      assert.is(await holder(), "", "once it has ended, nobody holds the Lease");
      assert.not(late.leading());
      const next = await harness.startController({}, { election: { identity: "next", ...FAST } });
      await until("the next leads at once", () => next.leading(), { limitMs: 2500 });
      await next.stop();
    },
  );

  scenario("a Lease whose last renewal comes between is let go all the same", async ({ harness }) => {
    let conflicts = 0;
    let ending = false;
    const leads = await harness.startController({}, {
      transport: meddling(
        harness.plane.admin,
        (method, path) =>
          ending && method === "PUT" && path.includes("/leases") && conflicts++ === 0
            ? { status: 409, body: { kind: "Status", code: 409, reason: "Conflict", message: "renewed" } }
            : undefined,
      ),
      election: { identity: "leads", ...FAST },
    });
    await until("it leads", () => leads.leading());
    ending = true;
    await leads.stop();
    assert.ok(conflicts > 1, "it was written again");
    const lease = await harness.client.get<Any>(LEASES, NAMESPACE, "a4ddbf36.kubewarden.io");
    assert.is(lease.spec.holderIdentity, "");
  });

  scenario("objects that no rule ever checked harm nobody else", async ({ harness }) => {
    const controller = await harness.startController();
    const odd: Any[] = [
      { apiVersion, kind: "ClusterAdmissionPolicy", metadata: { name: "no-spec" } },
      { apiVersion, kind: "PolicyServer", metadata: { name: "no-spec" } },
      cap("no-module", "odd", { module: "" }),
      cap("no-rules", "odd", { rules: [] }),
      cap("empty-rule", "odd", { rules: [{}] }),
      cap("nowhere", "absent"),
      cap("bad-words", "odd", { failurePolicy: "Perhaps", matchPolicy: "Mostly" }),
      cap("bad-condition", "odd", { matchConditions: [{ name: "a", expression: "nope(" }] }),
      cap("a".repeat(63), "odd"),
      cap("with.dots.in.it", "odd"),
      server("with.dots"),
      server("s".repeat(63)),
      {
        apiVersion,
        kind: "ClusterAdmissionPolicyGroup",
        metadata: { name: "no-members" },
        spec: { policyServer: "odd", rules: RULES, expression: "", message: "", policies: {} },
      },
    ];
    await create(harness, server("odd"), ...odd, cap("fine", "odd"));
    for (const name of ["fine", "a".repeat(63), "with.dots.in.it"]) await isActive(harness, cap(name, "odd"));
    const map = await harness.client.get<Any>(CONFIG_MAPS, NAMESPACE, "policy-server-odd");
    const served = JSON.parse(map.data["policies.yml"]);
    assert.is(
      served["kw.capg.no-members"],
      undefined,
      "a group without members would keep the server from starting",
    );
    assert.ok(served["kw.cap.no-module"]);
    for (const name of ["bad-words", "bad-condition"]) {
      assert.is((await harness.read(cap(name, "odd"))).status.policyStatus, "pending", name);
    }
    assert.is((await harness.read(cap("nowhere", "absent"))).status.policyStatus, "scheduled");
    const failed = await until("the server that cannot have a Service says so", async () => {
      const found = await harness.read(server("with.dots"));
      return found.status?.conditions?.find(({ status }: Any) => status === "False");
    });
    assert.match(failed.message, /^error reconciling/);
    for (const object of [...odd, server("odd"), cap("fine", "odd")]) {
      await harness.plane.admin.request({ method: "DELETE", path: objectPath(object) }).then((answer) =>
        answer.text()
      );
    }
    for (const object of [...odd, server("odd")]) {
      await until(
        `${object.kind} ${object.metadata.name} can be deleted`,
        async () => (await harness.read(object)).code === 404,
      );
    }
    await controller.stop();
  });

  scenario(
    "an API server that restarts, throttles, forgets or is slower than others is no obstacle",
    async ({ harness, player }) => {
      let throttled = 0;
      let gone = 0;
      let conflicts = 0;
      const transport = meddling(harness.plane.admin, (method, path) => {
        const status = (code: number, reason: string) => ({
          kind: "Status",
          code,
          reason,
          message: `${reason}, says the test`,
        });
        if (method === "PATCH" && path.includes("/configmaps/") && throttled++ < 2) {
          return { status: 429, headers: { "retry-after": "0" }, body: status(429, "TooManyRequests") };
        }
        if (path.includes("clusteradmissionpolicies?watch=true") && gone++ < 3) {
          return gone % 2 === 0
            ? { status: 410, body: status(410, "Expired") }
            : { status: 200, body: { type: "ERROR", object: status(410, "Expired") } };
        }
        if (method === "PATCH" && path.includes("/status") && conflicts++ < 2) {
          return { status: 409, body: status(409, "Conflict") };
        }
        return undefined;
      });
      const controller = await harness.startController({}, { transport });
      await create(harness, server("rough"), cap("rough", "rough"));
      await isActive(harness, cap("rough", "rough"));
      assert.ok(throttled > 2 && gone >= 3 && conflicts > 2, `${throttled} ${gone} ${conflicts}`);

      await harness.plane.restartApiServer();
      await create(harness, cap("after-restart", "rough"));
      await isActive(harness, cap("after-restart", "rough"));
      await player.idle();
      await controller.stop();
    },
  );

  scenario(
    "what 1.36 left is served until its successor is in force, then removed",
    async ({ harness, player }) => {
      const { client } = harness;
      const old = (name: string, annotation: string) =>
        ({
          apiVersion: "admissionregistration.k8s.io/v1",
          kind: "ValidatingWebhookConfiguration",
          metadata: {
            name,
            labels: { "app.kubernetes.io/part-of": "kubewarden" },
            annotations: { kubewardenPolicyName: annotation, kubewardenPolicyNamespace: "" },
          },
          webhooks: [{
            name: `${name}.kubewarden.admission`,
            clientConfig: {
              service: { name: "policy-server-upgraded", namespace: NAMESPACE, path: `/validate/${name}` },
            },
            rules: [{
              apiGroups: ["x.invalid"],
              apiVersions: ["v1"],
              operations: ["CREATE"],
              resources: ["x"],
            }],
            sideEffects: "None",
            admissionReviewVersions: ["v1"],
          }],
        }) as Any;
      await client.create(VALIDATING, old("clusterwide-upgraded", "upgraded"));
      // The original wrote its Deployment by plain updates, with a volume that is no longer wanted.
      const labels = { app: "kubewarden-policy-server-upgraded", stale: "1" };
      const made = await harness.plane.admin.request({
        method: "POST",
        path: `/apis/apps/v1/namespaces/${NAMESPACE}/deployments?fieldManager=controller`,
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          apiVersion: "apps/v1",
          kind: "Deployment",
          metadata: { name: "policy-server-upgraded", namespace: NAMESPACE, labels: { stale: "1" } },
          spec: {
            replicas: 1,
            selector: { matchLabels: { app: labels.app } },
            template: {
              metadata: { labels },
              spec: {
                containers: [{
                  name: "policy-server-upgraded",
                  image: "i:0",
                  env: [{ name: "STALE", value: "1" }],
                }],
                volumes: [{ name: "stale", emptyDir: {} }],
              },
            },
          },
        }),
      });
      assert.is(made.status, 201, await made.text());
      player.freeze(true);
      const legacyFinalizer = {
        ...cap("upgraded", "upgraded"),
        metadata: { name: "upgraded", finalizers: ["kubewarden"] },
      };
      const controller = await harness.startController();
      await create(harness, server("upgraded"), legacyFinalizer);
      const served = async () =>
        Object.keys(
          JSON.parse(
            (await client.get<Any>(CONFIG_MAPS, NAMESPACE, "policy-server-upgraded")).data["policies.yml"],
          ),
        );
      await until("both ids are served", async () => {
        const ids = await served().catch((): string[] => []);
        return ids.includes("clusterwide-upgraded") && ids.includes("kw.cap.upgraded");
      });
      assert.ok(
        await client.get(VALIDATING, undefined, "clusterwide-upgraded"),
        "the old webhook is still in force",
      );
      player.freeze(false);
      await isActive(harness, cap("upgraded", "upgraded"));
      await until("the old webhook is gone and its id with it", async () =>
        (await served()).length === 1 &&
        await client.get(VALIDATING, undefined, "clusterwide-upgraded").then(() => false, () => true));
      const deployment = await client.get<Any>(DEPLOYMENTS, NAMESPACE, "policy-server-upgraded");
      assert.is(deployment.metadata.labels.stale, undefined);
      assert.is(deployment.spec.template.metadata.labels.stale, undefined);
      assert.not(deployment.spec.template.spec.volumes.some(({ name }: Any) => name === "stale"));
      assert.not(deployment.spec.template.spec.containers[0].env.some(({ name }: Any) => name === "STALE"));
      await client.remove(customResource("ClusterAdmissionPolicy"), undefined, "upgraded");
      await until("both finalizers go", async () => (await harness.read(cap("upgraded", ""))).code === 404);

      const orphan = old("kw.cap.nobody", "nobody");
      await client.create(MUTATING, { ...orphan, kind: "MutatingWebhookConfiguration" });
      await until(
        "a webhook whose policy does not exist is removed",
        () => client.get(MUTATING, undefined, "kw.cap.nobody").then(() => false, () => true),
      );
      await controller.stop();
    },
  );

  scenario(
    "no webhook comes before the Service that it names, and its policy says that it waits",
    async ({ harness }) => {
      const { client } = harness;
      let refusing = true;
      const transport = meddling(
        harness.plane.admin,
        (method, path) =>
          refusing && method !== "GET" && /\/services\/policy-server-unreachable\b/.test(path)
            ? {
              status: 403,
              body: { kind: "Status", message: "exceeded quota: services=0", reason: "Forbidden", code: 403 },
            }
            : undefined,
      );
      const controller = await harness.startController({}, { transport });
      await create(harness, server("unreachable"), cap("waits", "unreachable"));
      const pods = async () => (await client.list<Any>(PODS, NAMESPACE, {})).items;
      await until(
        "the pods are ready",
        async () =>
          (await pods()).some(({ metadata, status }) =>
            metadata.labels["kubewarden/policy-server"] === "unreachable" &&
            status?.conditions?.some(({ type, status }: Any) => type === "Ready" && status === "True")
          ),
      );
      const condition = async () =>
        (await harness.read(server("unreachable"))).status?.conditions?.find(({ type }: Any) =>
          type === "ServiceReconciled"
        );
      await until(
        "the server says why",
        async () => /exceeded quota/.test((await condition())?.message ?? ""),
      );
      const policy = cap("waits", "unreachable");
      await until(
        "the policy waits",
        async () => (await harness.read(policy)).status?.policyStatus === "pending",
      );
      controller.resync();
      await controller.idle();
      for (const kind of [VALIDATING, MUTATING]) {
        assert.is(
          await client.get(kind, undefined, "kw.cap.waits").then(() => "there", () => "none"),
          "none",
        );
      }
      refusing = false;
      controller.resync();
      await isActive(harness, policy);
      await controller.stop();
    },
  );

  scenario(
    "mutual TLS waits for its authority and rolls the servers when it changes",
    async ({ harness }) => {
      const { client } = harness;
      const controller = await harness.startController({ clientCaConfigMap: "client-ca" });
      await create(harness, server("mutual"));
      const condition = async () =>
        (await harness.read(server("mutual"))).status?.conditions?.find(({ type }: Any) =>
          type === "DeploymentReconciled"
        );
      await until(
        "the missing authority is reported",
        async () =>
          /failed to configure mutual TLS: failed to fetch client CA config map/.test(
            (await condition())?.message ?? "",
          ),
      );
      const authority = (text: string) =>
        ({
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "client-ca", namespace: NAMESPACE },
          data: { "client-ca.crt": text },
        }) as Any;
      await client.create(CONFIG_MAPS, authority("one"));
      await until("and taken up when it comes", async () => (await condition())?.status === "True");
      const pod = async () =>
        (await client.get<Any>(DEPLOYMENTS, NAMESPACE, "policy-server-mutual")).spec.template;
      const before = await pod();
      assert.ok(
        before.spec.containers[0].env.some(({ name, value }: Any) =>
          name === "KUBEWARDEN_CLIENT_CA_FILE" && value === "/ca/ca.crt,/client-ca/client-ca.crt"
        ),
      );
      assert.equal(before.spec.volumes.slice(-2).map(({ name }: Any) => name), [
        "kubewarden-ca-cert",
        "client-ca-cert",
      ]);
      await client.patch(CONFIG_MAPS, NAMESPACE, "client-ca", "merge", { data: { "client-ca.crt": "two" } });
      await until(
        "its change rolls the server",
        async () =>
          (await pod()).metadata.annotations["kubewarden.io/inputs-digest"] !==
            before.metadata.annotations["kubewarden.io/inputs-digest"],
      );
      assert.ok(await client.get(SECRETS, NAMESPACE, "kubewarden-ca"));
      await controller.stop();
    },
  );

  scenario(
    "on the host's network a server whose ports are taken says so, and rolls without surge",
    async ({ harness }) => {
      const controller = await harness.startController({ hostNetwork: true });
      await create(harness, server("host-a"), server("host-b", { readinessProbePort: 9081 }));
      const available = (name: string, status: string) =>
        until(`${name} is ${status}`, async () => {
          const found = await harness.read(server(name));
          return found.status?.conditions?.find((entry: Any) =>
            entry.type === "HostPortsAvailable" && entry.status === status
          );
        });
      const clash = await available("host-b", "False");
      assert.match(clash.message, /webhookPort 8443 is also webhookPort of PolicyServer "host-a"/);
      await available("host-a", "False");
      const { spec } = await harness.client.get<Any>(DEPLOYMENTS, NAMESPACE, "policy-server-host-b");
      assert.equal(spec.strategy.rollingUpdate, { maxSurge: 0, maxUnavailable: 1 });
      assert.is(spec.template.spec.hostNetwork, true);
      assert.is(spec.template.spec.dnsPolicy, "ClusterFirstWithHostNet");
      const servers = customResource("PolicyServer");
      await harness.client.patch(servers, undefined, "host-b", "merge", { spec: { webhookPort: 9443 + 1 } });
      await available("host-b", "True");
      await harness.client.patch(servers, undefined, "host-a", "merge", {
        spec: { webhookPort: 9446, readinessProbePort: 9082 },
      });
      await available("host-a", "True");
      await controller.stop();
    },
  );
}

test.run();
