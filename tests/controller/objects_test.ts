// The recorded resources, created in a real API server with our controller running: what it makes of them is what the original
// made of them, field by field as the API server stores it, and the statuses are the same.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  BUDGETS,
  CONFIG_MAPS,
  DEPLOYMENTS,
  MUTATING,
  SECRETS,
  SERVICES,
  VALIDATING,
} from "../../controller/types/resources.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import type { Controller } from "../../controller/serve/controller.ts";
import { customResource, type Kind, KINDS, type Policy, policyId } from "../../crd/types.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { STATUS_DIFFERENCES } from "./deliberate_differences.ts";
import { type Any, type Harness, NAMESPACE, startHarness, startWithWebhooks, until } from "./harness.ts";
import { type Player, startPlayer } from "./player.ts";
import { contradictions, policiesOf, recordedSettings, type Vector, vectors, withOurIds } from "./vectors.ts";

const RESOURCES: { readonly [kind: string]: Resource } = Object.fromEntries(
  [BUDGETS, CONFIG_MAPS, DEPLOYMENTS, MUTATING, SECRETS, SERVICES, VALIDATING].map((resource) => [
    resource.kind,
    resource,
  ]),
);

/** What differs on purpose, or from cluster to cluster, is made alike; the rest has to be. */
function comparable(object: Any, policies: readonly Policy[], hostNetwork: boolean): Any {
  const copy = structuredClone(object);
  delete copy.status;
  const { name, namespace, labels, annotations, ownerReferences } = copy.metadata;
  copy.metadata = { name, namespace, labels, annotations };
  if (ownerReferences !== undefined) {
    copy.metadata.ownerReferences = ownerReferences.map((reference: Any) => ({ ...reference, uid: "UID" }));
  }
  if (copy.kind === "Secret") copy.data = { "tls.crt": "BASE64", "tls.key": "BASE64" };
  if (copy.kind === "ConfigMap") {
    // Sorted by id, and ours sort otherwise: compared entry by entry, each as text.
    copy.data["policies.yml"] = copy.data["policies.yml"].slice(1, -1).split(
      /,(?="(?:kw\.|clusterwide|namespaced))/,
    ).sort();
  }
  if (copy.kind === "Deployment") {
    delete annotations["deployment.kubernetes.io/revision"];
    delete annotations["kubewarden.io/applied-replicas"];
    const template = copy.spec.template.metadata;
    delete template.annotations?.["kubewarden.io/inputs-digest"];
    if (Object.keys(template.annotations ?? {}).length === 0) delete template.annotations;
    for (const list of ["kubewarden.io/managed-annotation-keys", "kubewarden.io/managed-label-keys"]) {
      annotations[list] = annotations[list].split(",").sort().join(",");
    }
    annotations["kubewarden/config-version"] = "VERSION";
    copy.spec.template.metadata.labels["kubewarden/config-version"] = "VERSION";
    if (hostNetwork) delete copy.spec.strategy.rollingUpdate;
  }
  if (copy.kind === "Service") { for (const field of ["clusterIP", "clusterIPs"]) delete copy.spec[field]; }
  for (const webhook of copy.webhooks ?? []) {
    webhook.clientConfig.caBundle = "BASE64";
    const policy = policies.find((candidate) => policyId(candidate) === name);
    if (
      policy !== undefined && "namespaceSelector" in policy.spec && policy.spec.namespaceSelector?.matchLabels
    ) {
      webhook.namespaceSelector.matchLabels = policy.spec.namespaceSelector.matchLabels;
    }
  }
  return copy;
}

function comparableStatus({ status }: Any): Any {
  const copy = structuredClone(status);
  for (const condition of copy.conditions) delete condition.lastTransitionTime;
  copy.conditions = copy.conditions.filter(({ type }: Any) => type !== "HostPortsAvailable");
  return copy;
}

/** The recorded status, as it would be without the original's flaw (see STATUS_DIFFERENCES). */
function settledStatus(recorded: Any): Any {
  const status = comparableStatus(recorded);
  if (status.policyStatus !== "active" || status.conditions[0].status === "True") return status;
  assert.ok(STATUS_DIFFERENCES.settled);
  return {
    ...status,
    conditions: [
      {
        type: "PolicyActive",
        status: "True",
        reason: "PolicyActive",
        message: "The policy webhook has been created",
      },
      {
        type: "PolicyUniquelyReachable",
        status: "True",
        reason: "LatestReplicaSetIsUniquelyReachable",
        message: "The latest replica set is uniquely reachable",
      },
      status.conditions[2],
    ],
  };
}

type Context = { harness?: Harness; player?: Player };

const test = suite<Context>("objects", {});
const all = vectors();

if (binariesFolder() === undefined) {
  test.skip(`${all.length} recorded cases (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  test.before(async (context) => {
    const harness = context.harness = await startHarness();
    context.player = await startPlayer(harness.plane.admin, NAMESPACE);
    await harness.client.create(SECRETS, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "pull-secret", namespace: NAMESPACE },
      type: "kubernetes.io/dockerconfigjson",
      data: { ".dockerconfigjson": btoa('{"auths":{}}') },
    } as Any);
  });
  test.after(async ({ harness, player }) => {
    await player?.stop();
    await harness?.stop();
  });
  for (const family of ["base", "host"]) {
    let controller: Controller;
    test(`${family}: the controller starts`, async ({ harness }) => {
      const { namespace: _, ...settings } = recordedSettings(family);
      controller = await startWithWebhooks(harness!, settings);
    });
    for (const vector of all.filter(({ name }) => name.startsWith(family))) {
      test(vector.name, async ({ harness, player }) => await replayCase(vector, harness!, player!));
    }
    test(`${family}: everything is deleted, nothing is left`, async ({ harness }) => {
      await deleteEverything(harness!);
      await controller.stop();
    });
  }
}

async function deleteEverything({ client }: Harness): Promise<void> {
  const kinds = KINDS.map(({ kind }) => customResource(kind));
  for (const resource of kinds) {
    for (const { metadata } of (await client.list<Any>(resource, undefined, {})).items) {
      await client.remove(resource, metadata.namespace, metadata.name);
    }
  }
  for (const resource of [...kinds, ...[CONFIG_MAPS, SERVICES, DEPLOYMENTS, BUDGETS]]) {
    await until(`no ${resource.plural} are left`, async () => {
      const { items } = await client.list<Any>(
        resource,
        resource.apiVersion.startsWith("policies.") ? undefined : NAMESPACE,
        {},
      );
      return items.filter(({ metadata }) => metadata.name !== "kube-root-ca.crt").length === 0;
    });
  }
  for (const resource of [VALIDATING, MUTATING]) {
    const { items } = await client.list<Any>(resource, undefined, {});
    assert.equal(items.map(({ metadata }) => metadata.name).filter((name) => name.startsWith("kw.")), []);
    for (const { metadata } of items) await client.remove(resource, undefined, metadata.name);
  }
}

async function replayCase(vector: Vector, harness: Harness, player: Player): Promise<void> {
  const policies = policiesOf(vector.after);
  const { hostNetwork } = vector.settings;
  // In this one the recorded server's ports were taken: its pod never became ready.
  player.fail(vector.name === "host-settings" ? "" : undefined);
  for (const object of vector.given) {
    const answer = await harness.create(object);
    assert.is(answer.kind, object.kind, answer.message);
  }
  for (const recorded of vector.after) {
    const { kind, metadata } = recorded;
    const wanted = settledStatus(recorded);
    let seen: Any;
    await until(`${kind} ${metadata.name} has its status`, async () => {
      seen = await harness.client.get(customResource(kind as Kind), metadata.namespace, metadata.name);
      return seen.status !== undefined && contradictions(wanted, comparableStatus(seen)).length === 0;
    }, { limitMs: 20_000 }).catch(() =>
      assert.equal(comparableStatus(seen), wanted, `${kind} ${metadata.name}`)
    );
    assert.equal(comparableStatus(seen), wanted);
    assert.equal(seen.metadata.finalizers, metadata.finalizers);
  }
  for (const original of vector.objects.filter(({ kind }) => kind !== "Pod")) {
    const recorded = JSON.parse(withOurIds(JSON.stringify(original), policies));
    const { name, namespace } = recorded.metadata;
    const ours = await harness.client.get<Any>(RESOURCES[recorded.kind]!, namespace, name);
    // An answer to a GET names its kind; so does the recording.
    assert.equal(
      comparable(ours, policies, hostNetwork),
      comparable(recorded, policies, hostNetwork),
      `${recorded.kind} ${name}`,
    );
  }
  const webhooks = vector.objects.filter(({ kind }) => kind.endsWith("WebhookConfiguration")).length;
  let found = 0;
  for (const resource of [VALIDATING, MUTATING]) {
    const { items } = await harness.client.list<Any>(resource, undefined, {});
    found += items.filter(({ metadata }) =>
      policies.some((policy) => policyId(policy) === metadata.name)
    ).length;
  }
  assert.is(found, webhooks, "as many webhook configurations as the original made");
}

test.run();
