// What happens to resources over their lives, through a real API server: conditions, deletion order, repair of what was damaged by
// hand, and what others may change without being undone.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Controller } from "../../controller/serve/controller.ts";
import {
  BUDGETS,
  CONFIG_MAPS,
  DEPLOYMENTS,
  EVENTS,
  MUTATING,
  SECRETS,
  SERVICES,
  VALIDATING,
} from "../../controller/types/resources.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { type Any, type Harness, NAMESPACE, startHarness, startWithWebhooks, until } from "./harness.ts";
import {
  active,
  ap,
  cap,
  condition,
  create,
  get,
  gone,
  isStatus,
  patch,
  remove,
  server,
  V1,
  when,
} from "./resources.ts";
import { type Player, startPlayer } from "./player.ts";

type Context = { harness: Harness; player: Player; controller: Controller };
const test = suite<Context>("lifecycle", {} as Context);
if (binariesFolder() === undefined) {
  test.skip(`the life of resources (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  test.before(async (context) => {
    context.harness = await startHarness();
    context.player = await startPlayer(context.harness.plane.admin, NAMESPACE);
    context.controller = await startWithWebhooks(context.harness, { alwaysAcceptReviewsInNamespace: true });
  });
  test.after(async ({ harness, player }) => {
    await player?.stop();
    await harness?.stop();
  });

  test("a policy is scheduled, then pending, then active, then scheduled again", async ({ harness, player }) => {
    const policy = cap("steps", { policyServer: "steps" });
    await create(harness, policy);
    const scheduled = await when(harness, policy, "is scheduled", isStatus("scheduled"));
    assert.is(condition(scheduled, "PolicyActive").status, "False");
    assert.is(scheduled.status.mode, undefined);

    player.freeze(true);
    await create(harness, server("steps"));
    const pending = await when(
      harness,
      policy,
      "is pending",
      (found) => isStatus("pending")(found) && found.status.mode === "protect",
    );
    assert.is(condition(pending, "PolicyActive").message, "The policy webhook has not been created");
    assert.is(condition(pending, "PolicyUniquelyReachable").reason, "LatestReplicaSetIsNotUniquelyReachable");
    assert.is(condition(pending, "PolicyServerConfigurationUpToDate").reason, "ConfigurationVersionMatch");
    assert.is(
      await get(harness, VALIDATING, "kw.cap.steps"),
      undefined,
      "nobody is asked before pods serve it",
    );

    player.freeze(false);
    const now = await active(harness, policy);
    assert.is(condition(now, "PolicyActive").status, "True");
    assert.is(condition(now, "PolicyUniquelyReachable").status, "True");
    assert.ok(await get(harness, VALIDATING, "kw.cap.steps"));

    await remove(harness, server("steps"));
    const again = await when(harness, policy, "is scheduled", isStatus("scheduled"));
    assert.equal(again.status.conditions.map(({ type, status }: Any) => [type, status]), [[
      "PolicyActive",
      "False",
    ]]);
    await gone(harness, server("steps"));
    assert.is(await get(harness, VALIDATING, "kw.cap.steps"), undefined);
    await until(
      "its Service is gone too",
      async () => await get(harness, SERVICES, "policy-server-steps") === undefined,
    );

    await create(harness, server("steps"));
    await active(harness, policy);
    await remove(harness, policy);
    await gone(harness, policy);
  });

  test("what is damaged by hand is repaired", async ({ harness }) => {
    const policy = cap("repair", { policyServer: "repair" });
    await create(harness, server("repair", { minAvailable: 1 }), policy);
    await active(harness, policy);
    const { client } = harness;
    const before = await get(harness, VALIDATING, "kw.cap.repair");
    const restored = (what: string, resource: Resource, name: string, holds: (found: Any) => unknown) =>
      until(what, async () => {
        const found = await get(harness, resource, name);
        return found !== undefined && holds(found);
      });

    await client.patch(VALIDATING, undefined, "kw.cap.repair", "merge", {
      metadata: { labels: null, annotations: null },
    });
    await restored(
      "labels and annotations return",
      VALIDATING,
      "kw.cap.repair",
      ({ metadata }) =>
        metadata.labels?.["app.kubernetes.io/part-of"] === "kubewarden" &&
        metadata.annotations?.kubewardenPolicyName === "repair",
    );

    const [webhook] = before.webhooks;
    await client.patch(VALIDATING, undefined, "kw.cap.repair", "merge", {
      metadata: { labels: { foreign: "1" } },
      webhooks: [{
        ...webhook,
        failurePolicy: "Ignore",
        clientConfig: { ...webhook.clientConfig, caBundle: "" },
      }, {
        ...webhook,
        name: "another.kubewarden.admission",
      }],
    });
    await restored(
      "the one webhook is as before",
      VALIDATING,
      "kw.cap.repair",
      ({ webhooks, metadata }) =>
        webhooks.length === 1 && webhooks[0].failurePolicy === webhook.failurePolicy &&
        webhooks[0].clientConfig.caBundle === webhook.clientConfig.caBundle &&
        metadata.labels.foreign === undefined,
    );

    await client.remove(VALIDATING, undefined, "kw.cap.repair");
    await restored("a deleted webhook configuration returns", VALIDATING, "kw.cap.repair", () => true);
    await client.remove(DEPLOYMENTS, NAMESPACE, "policy-server-repair");
    await restored("a deleted Deployment returns", DEPLOYMENTS, "policy-server-repair", () => true);
    await client.remove(SECRETS, NAMESPACE, "policy-server-repair");
    await restored(
      "a deleted Secret returns",
      SECRETS,
      "policy-server-repair",
      ({ data }) => data["tls.crt"],
    );
    await client.remove(BUDGETS, NAMESPACE, "policy-server-repair");
    await restored("a deleted budget returns", BUDGETS, "policy-server-repair", () => true);
    await client.patch(SERVICES, NAMESPACE, "policy-server-repair", "merge", {
      spec: { selector: { extra: "1" }, ports: [{ port: 444, targetPort: 1, name: "x" }] },
    });
    await restored(
      "the Service leads to the pods again",
      SERVICES,
      "policy-server-repair",
      ({ spec }) =>
        spec.selector.extra === undefined && spec.ports.length === 1 && spec.ports[0].port === 443,
    );
    await client.patch(CONFIG_MAPS, NAMESPACE, "policy-server-repair", "merge", {
      data: { "policies.yml": "not: [json", more: "x" },
    });
    await restored(
      "the ConfigMap is as before",
      CONFIG_MAPS,
      "policy-server-repair",
      ({ data }) =>
        Object.keys(data).length === 2 && JSON.parse(data["policies.yml"])["kw.cap.repair"] !== undefined,
    );
    await client.remove(CONFIG_MAPS, NAMESPACE, "policy-server-repair");
    await restored("a deleted ConfigMap returns", CONFIG_MAPS, "policy-server-repair", () => true);
    await active(harness, policy);
    await patch(harness, server("repair"), { spec: { minAvailable: null } });
    await until(
      "the budget goes when it is no longer wanted",
      async () => await get(harness, BUDGETS, "policy-server-repair") === undefined,
    );
  });

  test("a manual scale, a restart and foreign annotations survive; a changed spec counts", async ({ harness, controller }) => {
    await create(harness, server("scaled", { annotations: { "a/b": "1" }, labels: { team: "blue" } }));
    const deployment = () => get(harness, DEPLOYMENTS, "policy-server-scaled");
    await until("the Deployment exists", async () => await deployment() !== undefined);
    const { admin } = harness.plane;
    const scale = await admin.request({
      method: "PATCH",
      path:
        `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/policy-server-scaled/scale?fieldManager=kubectl`,
      headers: { "content-type": "application/merge-patch+json" },
      body: JSON.stringify({ spec: { replicas: 5 } }),
    });
    assert.is(scale.status, 200, await scale.text());
    const restarted = {
      spec: { template: { metadata: { annotations: { "kubectl.kubernetes.io/restartedAt": "now" } } } },
    };
    const answer = await admin.request({
      method: "PATCH",
      path:
        `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/policy-server-scaled?fieldManager=kubectl-rollout`,
      headers: { "content-type": "application/merge-patch+json" },
      body: JSON.stringify({ ...restarted, metadata: { annotations: { foreign: "kept" } } }),
    });
    assert.is(answer.status, 200, await answer.text());
    // A policy arrives: the Deployment is written for another reason.
    const policy = cap("scaled", { policyServer: "scaled" });
    await create(harness, policy);
    await active(harness, policy);
    controller.resync();
    await controller.idle();
    const live = await deployment();
    assert.is(live.spec.replicas, 5);
    assert.is(live.spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"], "now");
    assert.is(live.metadata.annotations.foreign, "kept");

    await patch(harness, server("scaled"), {
      spec: { replicas: 3, annotations: null, labels: { team: "red" } },
    });
    await until("the spec's replicas count again", async () => (await deployment()).spec.replicas === 3);
    const after = await deployment();
    assert.is(
      after.metadata.annotations["a/b"],
      undefined,
      "an annotation that left the spec leaves the object",
    );
    assert.is(after.metadata.annotations["kubewarden.io/managed-annotation-keys"], "");
    assert.is(after.metadata.labels.team, "red");
    assert.is(after.metadata.annotations.foreign, "kept");
    assert.is(after.spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"], "now");
  });

  test("a policy that starts to mutate changes its webhook's kind and leaves none behind", async ({ harness }) => {
    const policy = cap("flip", { policyServer: "flip" });
    await create(harness, server("flip"), policy);
    await active(harness, policy);
    await patch(harness, policy, { spec: { mutating: true } });
    await until(
      "the mutating one exists and the validating one is gone",
      async () =>
        await get(harness, MUTATING, "kw.cap.flip") !== undefined &&
        await get(harness, VALIDATING, "kw.cap.flip") === undefined,
    );
    await remove(harness, policy);
    await gone(harness, policy);
    assert.is(await get(harness, MUTATING, "kw.cap.flip"), undefined);
  });

  test("a changed policy keeps its webhook as it was until every pod serves the change", async ({ harness, player }) => {
    const policy = cap("change", { policyServer: "change" });
    await create(harness, server("change"), policy);
    await active(harness, policy);
    player.freeze(true);
    await patch(harness, policy, { spec: { module: "registry://example.org/p:v2", timeoutSeconds: 20 } });
    const waiting = await when(
      harness,
      policy,
      "is not reachable with its change",
      (found) => condition(found, "PolicyUniquelyReachable").status === "False",
    );
    assert.is(waiting.status.policyStatus, "active", "an active policy stays active");
    assert.is(condition(waiting, "PolicyActive").status, "True");
    assert.is((await get(harness, VALIDATING, "kw.cap.change")).webhooks[0].timeoutSeconds, 10);
    player.freeze(false);
    await until(
      "the webhook follows",
      async () => (await get(harness, VALIDATING, "kw.cap.change")).webhooks[0].timeoutSeconds === 20,
    );
    await when(
      harness,
      policy,
      "is reachable",
      (found) => condition(found, "PolicyUniquelyReachable").status === "True",
    );
  });

  test("a policy that its server cannot load says why, on its status and in an Event", async ({ harness, player }) => {
    const policy = cap("broken", { policyServer: "broken" });
    const error = "failed to fetch module: 404 Not Found";
    player.fail(`starting\n${JSON.stringify({ policy: "kw.cap.broken", reason: error })}\n`);
    await create(harness, server("broken"), policy);
    const found = await when(harness, policy, "has the reason", (seen) => condition(seen, "PolicyLoaded"));
    assert.is(condition(found, "PolicyLoaded").status, "False");
    assert.is(condition(found, "PolicyLoaded").message, error);
    assert.is(found.status.policyStatus, "pending");
    const event = await until(
      "the Event exists",
      async () =>
        (await harness.client.list<Any>(EVENTS, "default", {})).items
          .find(({ involvedObject }) =>
            involvedObject.name === "broken" && involvedObject.kind === policy.kind
          ),
    );
    assert.is(event.reason, "PolicyLoadFailed");
    assert.is(event.message, error);
    assert.is(event.type, "Warning");
    player.fail(undefined);
    const healed = await active(harness, policy);
    assert.is(condition(healed, "PolicyLoaded"), undefined);
  });

  test("what is written in v1alpha2 is read in v1 with v1's defaults, and back", async ({ harness }) => {
    const old = { ...cap("old", { policyServer: "old" }), apiVersion: "policies.kubewarden.io/v1alpha2" };
    const oldServer = { ...server("old"), apiVersion: "policies.kubewarden.io/v1alpha2" };
    await create(harness, oldServer, old);
    const now = await harness.read(cap("old"));
    assert.is(now.apiVersion, V1);
    assert.is(
      now.spec.backgroundAudit,
      true,
      "the original stores false here and drops the policy from audits",
    );
    assert.is(now.spec.timeoutSeconds, 10);
    await create(harness, cap("new", { policyServer: "old", message: "m", timeoutEvalSeconds: 5 }));
    const back = await harness.read({ ...cap("new"), apiVersion: "policies.kubewarden.io/v1alpha2" });
    assert.is(back.apiVersion, "policies.kubewarden.io/v1alpha2");
    assert.is(back.spec.message, undefined);
    assert.is(back.spec.module, "registry://example.org/p:v1");
    await active(harness, cap("old"));
  });

  test("a step that fails is said in the server's conditions and in an Event, and the next success takes it back", async ({ harness }) => {
    const broken = server("failing", { labels: { "not a label": "x" } });
    await create(harness, broken);
    const found = await when(
      harness,
      broken,
      "says what failed",
      (seen) => condition(seen, "DeploymentReconciled")?.status === "False",
    );
    assert.match(
      condition(found, "DeploymentReconciled").message,
      /^error reconciling deployment: .*not a label/s,
    );
    assert.is(condition(found, "DeploymentReconciled").reason, "ReconciliationFailed");
    assert.is(condition(found, "ConfigMapReconciled").status, "True");
    await until("the Event exists", async () =>
      (await harness.client.list<Any>(EVENTS, "default", {})).items
        .some(({ involvedObject }) => involvedObject.name === "failing"));
    await patch(harness, broken, { spec: { labels: null } });
    await when(harness, broken, "is well", (seen) => condition(seen, "ServiceReconciled")?.status === "True");
  });

  test("policies that share an old id have ids of their own", async ({ harness }) => {
    await create(harness, server("twins"));
    const first = {
      ...ap("b-c", { policyServer: "twins" }),
      metadata: { name: "b-c", namespace: "default" },
    };
    await harness.plane.admin.request({
      method: "POST",
      path: "/api/v1/namespaces",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: "default-b" } }),
    }).then((answer) => answer.text());
    const second = { ...first, metadata: { name: "c", namespace: "default-b" } };
    await create(harness, first, second);
    await active(harness, first);
    await active(harness, second);
    assert.ok(await get(harness, VALIDATING, "kw.ap.default.b-c"));
    assert.ok(await get(harness, VALIDATING, "kw.ap.default-b.c"));
  });
}

test.run();
