/** Everything that a reconcile works with: what the cluster holds, how to change it, and how to tell people. */
import type { KubeClient } from "../../kubernetes/apply/kube_client.ts";
import { createStore, type Store } from "./store.ts";
import type {
  AdmissionPolicy,
  AdmissionPolicyGroup,
  ClusterAdmissionPolicy,
  ClusterAdmissionPolicyGroup,
  Policy,
  PolicyKind,
  PolicyServer,
} from "../../crd/types.ts";
import { readPolicies, type ServedPolicy } from "../render/config_map.ts";
import { ORIGINAL_MANAGERS } from "../render/adoption.ts";
import { FIELD_MANAGER, POLICY_SERVER_LABEL, serverObjectName } from "../render/names.ts";
import { type Rollout, rollout, type ServerView } from "../render/reachability.ts";
import type {
  ConfigMap,
  Deployment,
  Pod,
  PodDisruptionBudget,
  ReplicaSet,
  Secret,
  Service,
  WebhookConfiguration,
  WebhookKind,
} from "../types/objects.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import type { ControllerSettings } from "../types/settings.ts";

export type Stores = {
  readonly policyServers: Store<PolicyServer>;
  readonly policies: {
    readonly AdmissionPolicy: Store<AdmissionPolicy>;
    readonly ClusterAdmissionPolicy: Store<ClusterAdmissionPolicy>;
    readonly AdmissionPolicyGroup: Store<AdmissionPolicyGroup>;
    readonly ClusterAdmissionPolicyGroup: Store<ClusterAdmissionPolicyGroup>;
  };
  readonly configMaps: Store<ConfigMap>;
  readonly secrets: Store<Secret>;
  readonly services: Store<Service>;
  readonly deployments: Store<Deployment>;
  readonly budgets: Store<PodDisruptionBudget>;
  readonly replicaSets: Store<ReplicaSet>;
  readonly pods: Store<Pod>;
  readonly webhooks: { readonly [K in WebhookKind]: Store<WebhookConfiguration> };
};

export type Note = {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
};

export type World = {
  readonly settings: ControllerSettings;
  readonly client: KubeClient;
  readonly stores: Stores;
  /** Milliseconds since the epoch. */
  now(): number;
  log(
    level: "debug" | "info" | "error",
    message: string,
    fields?: { readonly [name: string]: unknown },
  ): void;
  /** Hears of every policy that a pass has brought, with its status, to what it should be. */
  reconciled?(policy: Policy): void;
  /** Tells the people who look at an object, by an Event. */
  note(about: KubeObject, note: Note): void;
};

/** What is kept for each world: made when it is first asked for, gone with the world. */
export function perWorld<T>(make: () => T): (world: World) => T {
  const known = new WeakMap<World, T>();
  return (world) => {
    let value = known.get(world);
    if (value === undefined) known.set(world, value = make());
    return value;
  };
}

/** Our own kinds, without what is never read. Nothing in the API requires `spec`: old objects may lack it. */
function slimOwn<T extends KubeObject & { readonly spec: object }>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata, spec: object.spec ?? {} } as T;
}

/** Keeps of the field managers only those that decide what an apply would do. */
function withOwnManagers<T extends KubeObject>(object: T): T {
  const managedFields = (object.metadata.managedFields ?? []).filter(({ manager = "", operation }) =>
    manager === FIELD_MANAGER || (operation === "Update" && ORIGINAL_MANAGERS.includes(manager))
  );
  return { ...object, metadata: { ...object.metadata, managedFields } } as T;
}

function slimPod(pod: Pod): Pod {
  const { name, namespace, uid, resourceVersion, labels, deletionTimestamp, creationTimestamp } =
    pod.metadata;
  const metadata = { name, namespace, uid, resourceVersion, labels, deletionTimestamp, creationTimestamp };
  const { phase, conditions, containerStatuses } = pod.status ?? {};
  return {
    metadata,
    status: {
      phase,
      conditions: conditions?.map(({ type, status, reason, message }) => ({
        type,
        status,
        ...(type === "PodScheduled" && status === "False" ? { reason, message } : {}),
      })),
      containerStatuses: containerStatuses?.map(({ name, state, lastState }) => ({ name, state, lastState })),
    },
  } as Pod;
}

function slimReplicaSet({ metadata }: ReplicaSet): ReplicaSet {
  const { name, namespace, uid, resourceVersion, labels, annotations } = metadata;
  return { metadata: { name, namespace, uid, resourceVersion, labels, annotations } } as ReplicaSet;
}

/** Empty stores of everything that the controller watches. */
export function createStores(): Stores {
  return {
    policyServers: createStore(slimOwn),
    policies: {
      AdmissionPolicy: createStore(slimOwn),
      ClusterAdmissionPolicy: createStore(slimOwn),
      AdmissionPolicyGroup: createStore(slimOwn),
      ClusterAdmissionPolicyGroup: createStore(slimOwn),
    },
    configMaps: createStore(withOwnManagers),
    secrets: createStore(withOwnManagers),
    services: createStore(withOwnManagers),
    deployments: createStore(withOwnManagers),
    budgets: createStore(withOwnManagers),
    replicaSets: createStore(slimReplicaSet),
    pods: createStore(slimPod),
    webhooks: {
      ValidatingWebhookConfiguration: createStore(withOwnManagers),
      MutatingWebhookConfiguration: createStore(withOwnManagers),
    },
  };
}

/** The store of one kind of policy. */
export function policyStore(stores: Stores, kind: PolicyKind): Store<Policy> {
  return stores.policies[kind] as unknown as Store<Policy>;
}

/** All policies that are bound to a policy server, those under deletion included until they are gone. */
export function boundPolicies(stores: Stores, policyServer: string): Policy[] {
  const bound: Policy[] = [];
  for (const store of Object.values(stores.policies)) {
    for (const policy of store.all()) if (policy.spec.policyServer === policyServer) bound.push(policy);
  }
  return bound;
}

/** Thousands of policies ask for what one ConfigMap holds. */
const readCache = new WeakMap<ConfigMap, ReadonlyMap<string, ServedPolicy> | undefined>();

/** The ConfigMap's policies, read once for each version of it. */
export function servedPolicies(configMap: ConfigMap): ReadonlyMap<string, ServedPolicy> | undefined {
  if (!readCache.has(configMap)) readCache.set(configMap, readPolicies(configMap));
  return readCache.get(configMap);
}

/** A server's view with what follows from it, and the state of the stores in which it was taken. */
type Taken = { readonly stamp: string; readonly view: ServerView; readonly rollout: Rollout };
const takenOf = perWorld(() => new Map<string, Taken>());

/**
 * What the cluster holds of one policy server, and how far its rollout is. Thousands of policies ask for it after one change: it
 * is put together once.
 */
export function serverState(world: World, policyServer: string): Omit<Taken, "stamp"> {
  const { stores, settings } = world;
  const stamp = [stores.configMaps, stores.deployments, stores.services, stores.replicaSets, stores.pods]
    .map(({ changes }) => changes).join();
  const known = takenOf(world).get(policyServer);
  if (known?.stamp === stamp) return known;
  const name = serverObjectName(policyServer);
  const configMap = stores.configMaps.get(name, settings.namespace);
  const belongs = (object: KubeObject) => object.metadata.labels?.[POLICY_SERVER_LABEL] === policyServer;
  const view: ServerView = {
    configMap,
    served: configMap === undefined ? undefined : servedPolicies(configMap),
    deployment: stores.deployments.get(name, settings.namespace),
    service: stores.services.get(name, settings.namespace),
    replicaSets: [...stores.replicaSets.all()].filter(belongs),
    pods: [...stores.pods.all()].filter(belongs),
  };
  const state = { stamp, view, rollout: rollout(view) };
  takenOf(world).set(policyServer, state);
  return state;
}
