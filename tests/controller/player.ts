/**
 * Plays the parts of the cluster that the tests' API server lacks: the Deployment controller and the kubelet (ReplicaSets and
 * ready pods for each Deployment) and the garbage collector (what a PolicyServer owned goes with it).
 */
import { customResource } from "../../crd/types.ts";
import { FIELD_MANAGER } from "../../controller/render/names.ts";
import { kubeClient } from "../../kubernetes/apply/kube_client.ts";
import { createStore, type Store } from "../../controller/apply/store.ts";
import { createQueue } from "../../controller/serve/queue.ts";
import { follow } from "../../controller/serve/reflector.ts";
import {
  BUDGETS,
  CONFIG_MAPS,
  DEPLOYMENTS,
  PODS,
  REPLICA_SETS,
  SECRETS,
  SERVICES,
} from "../../controller/types/resources.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import type { ApiTransport } from "../../kubernetes/apply/api_transport.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

export type Player = {
  /** While set, new pods do not become ready; `message` is their containers' termination message. */
  fail(message: string | undefined): void;
  /** While true, pods stay as they are whatever the Deployments say. */
  freeze(frozen: boolean): void;
  idle(): Promise<void>;
  stop(): Promise<void>;
};

const REVISION = "deployment.kubernetes.io/revision";

function hash(text: string): string {
  let value = 5381;
  for (const character of text) value = (value * 33 + character.codePointAt(0)!) % 4_294_967_291;
  return value.toString(36);
}

/** Starts to play in a namespace. */
export async function startPlayer(transport: ApiTransport, namespace: string): Promise<Player> {
  const client = kubeClient(transport, FIELD_MANAGER);
  const ending = new AbortController();
  const deployments = createStore<Any>();
  const servers = createStore<Any>();
  const owned: (readonly [Resource, Store<Any>])[] = [CONFIG_MAPS, SECRETS, SERVICES, BUDGETS].map((
    resource,
  ) => [resource, createStore<Any>()] as const);
  let failure: string | undefined;
  let failing = false;
  let frozen = false;

  async function play(name: string): Promise<number | undefined> {
    const deployment = deployments.get(name, namespace);
    if (frozen) return undefined;
    const pods = (await client.list<Any>(PODS, namespace, {})).items.filter((pod) =>
      pod.metadata.labels.plays === name
    );
    if (deployment === undefined) {
      for (const pod of pods) await client.remove(PODS, namespace, pod.metadata.name);
      await client.remove(REPLICA_SETS, namespace, name);
      return undefined;
    }
    const { template } = deployment.spec;
    const templateHash = hash(JSON.stringify(template));
    const labels = { ...template.metadata.labels, "pod-template-hash": templateHash, plays: name };
    const version = deployment.metadata.annotations["kubewarden/config-version"];
    if (deployment.metadata.annotations[REVISION] !== templateHash) {
      await client.patch(DEPLOYMENTS, namespace, name, "merge", {
        metadata: { annotations: { [REVISION]: templateHash } },
      });
    }
    const set = {
      apiVersion: "apps/v1",
      kind: "ReplicaSet",
      metadata: {
        name: `${name}-${templateHash}`,
        namespace,
        labels,
        annotations: { [REVISION]: templateHash, "kubewarden/config-version": version },
      },
      spec: {
        replicas: 0,
        selector: { matchLabels: { "pod-template-hash": templateHash } },
        template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "i" }] } },
      },
    };
    await client.create(REPLICA_SETS, set as Any).catch(() => {});
    const wanted = deployment.spec.replicas;
    const current = pods.filter((pod) => pod.metadata.labels["pod-template-hash"] === templateHash);
    for (let index = current.length; index < wanted; index++) {
      const pod = {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: `${name}-${templateHash}-${index}`, namespace, labels },
        spec: { containers: [{ name: template.spec.containers[0].name, image: "i" }] },
      };
      await client.create(PODS, pod as Any).catch(() => {});
    }
    for (let index = 0; index < wanted; index++) {
      await client.patch(PODS, namespace, `${name}-${templateHash}-${index}`, "merge", {
        status: {
          phase: "Running",
          conditions: [{ type: "Ready", status: failing ? "False" : "True" }],
          ...(failure === undefined ? {} : {
            containerStatuses: [{
              name: template.spec.containers[0].name,
              ready: false,
              restartCount: 1,
              image: "i",
              imageID: "i",
              state: { waiting: { reason: "CrashLoopBackOff" } },
              lastState: {
                terminated: { exitCode: 1, message: failure, finishedAt: "2026-01-01T00:00:00Z" },
              },
            }],
          }),
        },
      }, { subresource: "status" });
    }
    if (failing) return undefined;
    const old = pods.filter((pod) => pod.metadata.labels["pod-template-hash"] !== templateHash);
    for (const pod of [...old, ...current.slice(wanted)]) {
      await client.remove(PODS, namespace, pod.metadata.name);
    }
    return undefined;
  }

  async function collect(): Promise<undefined> {
    for (const [resource, store] of [...owned, [DEPLOYMENTS, deployments] as const]) {
      for (const object of [...store.all()]) {
        const owner = (object.metadata.ownerReferences ?? []).find((reference: Any) =>
          reference.kind === "PolicyServer"
        );
        if (owner === undefined) continue;
        const live = servers.get(owner.name);
        if (live?.metadata.uid === owner.uid) continue;
        await client.remove(resource, namespace, object.metadata.name, object.metadata.uid);
      }
    }
    return undefined;
  }

  const queue = createQueue({ workers: 4, work: (key) => key === "collect" ? collect() : play(key) });
  deployments.listen((now, before) => queue.add((now ?? before).metadata.name));
  servers.listen((now) => now === undefined && queue.add("collect"));
  const problems = { failed: () => {}, follows: () => {}, current: () => undefined };
  const { signal } = ending;
  await Promise.all([
    follow({ client, resource: DEPLOYMENTS, namespace, store: deployments, signal, problems }),
    follow({ client, resource: customResource("PolicyServer"), store: servers, signal, problems }),
    ...owned.map(([resource, store]) => follow({ client, resource, namespace, store, signal, problems })),
  ]);
  const playAll = () => {
    for (const { metadata } of deployments.all()) queue.add(metadata.name);
  };
  return {
    fail(message) {
      failing = message !== undefined;
      failure = message;
      playAll();
    },
    freeze(value) {
      frozen = value;
      if (!frozen) playAll();
    },
    idle: () => queue.idle(),
    async stop() {
      ending.abort();
      await queue.stop();
    },
  };
}
