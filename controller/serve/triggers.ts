/** What has to be looked at when something changes: from events of any object to the keys of the work queues. */
import {
  isNamespaced,
  kindDescription,
  type Policy,
  POLICY_KINDS,
  policyId,
  type PolicyKind,
} from "../../crd/types.ts";
import { rejectionOf } from "../apply/allowed_resources.ts";
import { policyOfWebhook } from "../apply/remove_orphans.ts";
import { boundPolicies, policyStore, type World } from "../apply/world.ts";
import {
  AUDIT_SCANNER_SECRET,
  CA_SECRET,
  hasLabels,
  PART_OF,
  POLICY_NAME_ANNOTATION,
  POLICY_NAMESPACE_ANNOTATION,
  POLICY_SERVER_LABEL,
  serverObjectName,
  WEBHOOK_SERVER_SECRET,
} from "../render/names.ts";
import { DEFAULTS_LABEL } from "../render/read_defaults.ts";
import type { WebhookConfiguration, WebhookKind } from "../types/objects.ts";
import { WEBHOOK_KINDS } from "../types/resources.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";

/** Where keys of each kind of work go. */
export type Triggers = {
  server(name: string, afterMs?: number): void;
  policy(kind: PolicyKind, name: string, namespace: string | undefined): void;
  certificates(): void;
  /** The default resources. */
  defaults(): void;
  orphan(kind: WebhookKind, name: string): void;
};

const SERVER_PREFIX = serverObjectName("");
/** Time, in milliseconds, for the policies of one manifest to arrive before their server is rolled. */
const GATHER_MS = 100;
/** Time, in milliseconds, for the changes of one server's objects to arrive before its policies are looked at. */
const BOUND_MS = 50;

/** Whether something besides the status changed. */
function changed(now: KubeObject | undefined, before: KubeObject | undefined): boolean {
  return now === undefined || before === undefined || now.metadata.uid !== before.metadata.uid ||
    now.metadata.generation !== before.metadata.generation ||
    now.metadata.deletionTimestamp !== before.metadata.deletionTimestamp ||
    (now.metadata.finalizers ?? []).length !== (before.metadata.finalizers ?? []).length;
}

function everyServer({ stores }: World, triggers: Triggers): void {
  for (const { metadata } of stores.policyServers.all()) triggers.server(metadata.name);
}

function everyPolicy({ stores }: World, kind: PolicyKind, triggers: Triggers): void {
  for (const { metadata } of policyStore(stores, kind).all()) {
    triggers.policy(kind, metadata.name, metadata.namespace);
  }
}

/** Everything at once: after becoming the leader, and from time to time. */
export function triggerAll(world: World, triggers: Triggers): void {
  triggers.certificates();
  triggers.defaults();
  everyServer(world, triggers);
  for (const kind of POLICY_KINDS) everyPolicy(world, kind, triggers);
  for (const kind of WEBHOOK_KINDS) {
    for (const configuration of world.stores.webhooks[kind].all()) {
      if (policyOfWebhook(configuration) !== undefined) triggers.orphan(kind, configuration.metadata.name);
    }
  }
}

/** Connects the stores to the triggers. */
export function connectTriggers(world: World, triggers: Triggers): void {
  new EventHandlers(world, triggers).connect();
}

/** A listener to which the name of what changed says enough. */
const byName =
  (handle: (name: string) => void) => (now: KubeObject | undefined, before: KubeObject | undefined) =>
    handle((now ?? before)!.metadata.name);

class EventHandlers {
  readonly #world: World;
  readonly #triggers: Triggers;
  /** Servers whose policies are about to be looked at. */
  readonly #waiting = new Set<string>();

  constructor(world: World, triggers: Triggers) {
    this.#world = world;
    this.#triggers = triggers;
  }

  connect(): void {
    const { stores } = this.#world;
    stores.policyServers.listen((now, before) => this.#policyServer(now, before));
    for (const kind of POLICY_KINDS) {
      policyStore(stores, kind).listen((now, before) => this.#policy(kind, now, before));
    }
    stores.configMaps.listen(byName((name) => this.#configMap(name)));
    stores.secrets.listen(byName((name) => this.#secret(name)));
    stores.deployments.listen(byName((name) => this.#dependent(name, true)));
    stores.services.listen(byName((name) => this.#dependent(name, true)));
    stores.budgets.listen(byName((name) => this.#dependent(name, false)));
    stores.replicaSets.listen((now, before) => this.#labelled(now, before));
    stores.pods.listen((now, before) => this.#pod(now, before));
    for (const kind of WEBHOOK_KINDS) {
      stores.webhooks[kind].listen((now, before) => this.#webhook(kind, now, before));
    }
  }

  /** All policies of a server, a moment later: one rollout changes many objects. */
  #bound(server: string): void {
    if (this.#waiting.has(server)) return;
    this.#waiting.add(server);
    setTimeout(() => {
      this.#waiting.delete(server);
      for (const { kind, metadata } of boundPolicies(this.#world.stores, server)) {
        this.#triggers.policy(kind, metadata.name, metadata.namespace);
      }
    }, BOUND_MS);
  }

  /** A default resource that somebody changed or deleted is applied again. */
  #defaultResource(now: KubeObject | undefined, before: KubeObject | undefined): void {
    if (before !== undefined && hasLabels(before, DEFAULTS_LABEL) && changed(now, before)) {
      this.#triggers.defaults();
    }
  }

  #policyServer(now: KubeObject | undefined, before: KubeObject | undefined): void {
    const { name } = (now ?? before)!.metadata;
    this.#defaultResource(now, before);
    if (changed(now, before)) {
      // On the host's network every server's ports matter to every other.
      if (this.#world.settings.hostNetwork) everyServer(this.#world, this.#triggers);
      this.#bound(name);
    }
    this.#triggers.server(name);
  }

  #policy(kind: PolicyKind, now: Policy | undefined, before: Policy | undefined): void {
    const policy = (now ?? before)!;
    this.#defaultResource(now, before);
    this.#triggers.policy(kind, policy.metadata.name, policy.metadata.namespace);
    if (!changed(now, before)) return;
    const servers = new Set([now?.spec.policyServer, before?.spec.policyServer]);
    for (const server of servers) if (server !== undefined) this.#triggers.server(server, GATHER_MS);
    if (now !== undefined) return;
    for (const webhook of WEBHOOK_KINDS) {
      const left = this.#world.stores.webhooks[webhook].get(policyId(policy));
      if (left !== undefined) this.#triggers.orphan(webhook, policyId(policy));
    }
  }

  /** A dependent of a server, whose policies it may matter to, or something that servers may be configured with. */
  #dependent(name: string, policies: boolean): void {
    if (!name.startsWith(SERVER_PREFIX)) return everyServer(this.#world, this.#triggers);
    const server = name.slice(SERVER_PREFIX.length);
    this.#triggers.server(server);
    if (policies) this.#bound(server);
  }

  #configMap(name: string): void {
    const { controllerConfigMap, defaultsConfigMap } = this.#world.settings;
    if (name === controllerConfigMap) {
      for (const kind of POLICY_KINDS) {
        if (kindDescription(kind).namespaced) everyPolicy(this.#world, kind, this.#triggers);
      }
    }
    if (name === defaultsConfigMap) this.#triggers.defaults();
    else this.#dependent(name, true);
  }

  #secret(name: string): void {
    this.#dependent(name, false);
    if (name === CA_SECRET) {
      for (const { metadata } of this.#world.stores.policyServers.all()) this.#bound(metadata.name);
    }
    if (
      [CA_SECRET, WEBHOOK_SERVER_SECRET, AUDIT_SCANNER_SECRET].includes(name) ||
      name.startsWith(SERVER_PREFIX)
    ) {
      this.#triggers.certificates();
    }
  }

  /** What a server's Deployment has made. */
  #labelled(now: KubeObject | undefined, before: KubeObject | undefined): void {
    const labels = [now, before].map((object) => object?.metadata.labels?.[POLICY_SERVER_LABEL]);
    for (const server of new Set(labels)) if (server !== undefined) this.#bound(server);
  }

  #pod(now: KubeObject | undefined, before: KubeObject | undefined): void {
    this.#labelled(now, before);
    // The server's status tells why pods don't run.
    const server = (now ?? before)!.metadata.labels?.[POLICY_SERVER_LABEL];
    if (server !== undefined) this.#triggers.server(server, GATHER_MS);
  }

  #webhook(
    kind: WebhookKind,
    now: WebhookConfiguration | undefined,
    before: WebhookConfiguration | undefined,
  ): void {
    // Labels and annotations may have been taken away by hand: what was known before counts too.
    for (const configuration of [now, before]) {
      if (configuration === undefined) continue;
      const name = configuration.metadata.annotations?.[POLICY_NAME_ANNOTATION];
      if (name !== undefined) this.#webhookOfPolicy(kind, configuration, name, now === undefined);
      else if (hasLabels(configuration, PART_OF)) this.#triggers.certificates();
    }
  }

  #webhookOfPolicy(
    kind: WebhookKind,
    configuration: WebhookConfiguration,
    name: string,
    ended: boolean,
  ): void {
    const { metadata } = configuration;
    const namespace = metadata.annotations?.[POLICY_NAMESPACE_ANNOTATION] || undefined;
    let known = false;
    for (const policyKind of POLICY_KINDS) {
      const policy = policyStore(this.#world.stores, policyKind).get(name, namespace);
      if (policy === undefined || isNamespaced(policy) !== (namespace !== undefined)) continue;
      const current = policyId(policy) === metadata.name;
      known ||= current;
      this.#triggers.policy(policyKind, name, namespace);
      this.#serverOfWebhook(policy, !current, ended);
    }
    if (!known && policyOfWebhook(configuration) !== undefined) this.#triggers.orphan(kind, metadata.name);
  }

  /** `old`: the webhook is of before the upgrade. */
  #serverOfWebhook(policy: Policy, old: boolean, ended: boolean): void {
    const server = policy.spec.policyServer ?? "";
    // A server that is being deleted waits for the last webhook to go.
    if (this.#world.stores.policyServers.get(server)?.metadata.deletionTimestamp !== undefined) {
      this.#triggers.server(server);
    }
    const rejected = ended && rejectionOf(this.#world, policy) !== undefined;
    if ((old || rejected) && server !== "") {
      // A webhook of before the upgrade decides whether its old id is still served, any webhook whether a rejected policy is.
      this.#triggers.server(server, GATHER_MS);
    }
  }
}
