/** What has to be looked at when something changes: from events of any object to the keys of the work queues. */
import { own } from "../../program/types/own.ts";
import { isNamespaced, kindDescription, type Policy, policyId, type PolicyKind } from "../../crd/types.ts";
import { rejectionOf } from "../apply/allowed_resources.ts";
import { policyOfWebhook } from "../apply/remove_orphans.ts";
import { boundPolicies, policyStore, type World } from "../apply/world.ts";
import {
  AUDIT_SCANNER_SECRET,
  CA_SECRET,
  PART_OF,
  POLICY_NAME_ANNOTATION,
  POLICY_NAMESPACE_ANNOTATION,
  POLICY_SERVER_LABEL,
  serverObjectName,
  WEBHOOK_SERVER_SECRET,
} from "../render/names.ts";
import { DEFAULTS_LABEL } from "../render/read_defaults.ts";
import type { WebhookConfiguration, WebhookKind } from "../types/objects.ts";
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

const POLICY_KINDS: readonly PolicyKind[] = [
  "AdmissionPolicy",
  "ClusterAdmissionPolicy",
  "AdmissionPolicyGroup",
  "ClusterAdmissionPolicyGroup",
];
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

/** Whether the controller applied it as one of the chart's default resources. */
const isDefault = ({ metadata: { labels } }: KubeObject) =>
  Object.entries(DEFAULTS_LABEL).every(([label, value]) => own(labels, label) === value);

/** Everything at once: after becoming the leader, and from time to time. */
export function triggerAll({ stores }: World, triggers: Triggers): void {
  triggers.certificates();
  triggers.defaults();
  for (const { metadata } of stores.policyServers.all()) triggers.server(metadata.name);
  for (const kind of POLICY_KINDS) {
    for (const { metadata } of policyStore(stores, kind).all()) {
      triggers.policy(kind, metadata.name, metadata.namespace);
    }
  }
  for (const kind of ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] as const) {
    for (const configuration of stores.webhooks[kind].all()) {
      if (policyOfWebhook(configuration) !== undefined) triggers.orphan(kind, configuration.metadata.name);
    }
  }
}

/** Connects the stores to the triggers. */
export function connectTriggers(world: World, triggers: Triggers): void {
  const { stores, settings } = world;
  const waiting = new Set<string>();
  /** All policies of a server, a moment later: one rollout changes many objects. */
  const bound = (server: string) => {
    if (waiting.has(server)) return;
    waiting.add(server);
    setTimeout(() => {
      waiting.delete(server);
      for (const { kind, metadata } of boundPolicies(stores, server)) {
        triggers.policy(kind, metadata.name, metadata.namespace);
      }
    }, BOUND_MS);
  };
  const everyServer = () => {
    for (const { metadata } of stores.policyServers.all()) triggers.server(metadata.name);
  };
  const everyNamespacedPolicy = () => {
    for (const kind of POLICY_KINDS) {
      if (!kindDescription(kind).namespaced) continue;
      for (const { metadata } of policyStore(stores, kind).all()) {
        triggers.policy(kind, metadata.name, metadata.namespace);
      }
    }
  };

  /** A default resource that somebody changed or deleted is applied again. */
  const ofDefaults = (now: KubeObject | undefined, before: KubeObject | undefined) => {
    if (before !== undefined && isDefault(before) && changed(now, before)) triggers.defaults();
  };

  stores.policyServers.listen((now, before) => {
    const { name } = (now ?? before)!.metadata;
    ofDefaults(now, before);
    if (changed(now, before)) {
      // On the host's network every server's ports matter to every other.
      if (settings.hostNetwork) everyServer();
      bound(name);
    }
    triggers.server(name);
  });

  for (const kind of POLICY_KINDS) {
    policyStore(stores, kind).listen((now, before) => {
      const policy = (now ?? before)!;
      ofDefaults(now, before);
      triggers.policy(kind, policy.metadata.name, policy.metadata.namespace);
      if (!changed(now, before)) return;
      const servers = new Set([now?.spec.policyServer, before?.spec.policyServer]);
      for (const server of servers) if (server !== undefined) triggers.server(server, GATHER_MS);
      if (now === undefined) orphans(policy);
    });
  }
  function orphans(policy: Policy): void {
    for (const kind of ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] as const) {
      if (stores.webhooks[kind].get(policyId(policy)) !== undefined) triggers.orphan(kind, policyId(policy));
    }
  }

  /** A dependent of a server, or something that servers may be configured with. */
  const dependent = (policies: boolean) => (now: KubeObject | undefined, before: KubeObject | undefined) => {
    const { name } = (now ?? before)!.metadata;
    if (!name.startsWith(SERVER_PREFIX)) return everyServer();
    const server = name.slice(SERVER_PREFIX.length);
    triggers.server(server);
    if (policies) bound(server);
  };
  stores.configMaps.listen((now, before) => {
    const { name } = (now ?? before)!.metadata;
    if (name === settings.controllerConfigMap) everyNamespacedPolicy();
    if (name === settings.defaultsConfigMap) return triggers.defaults();
    dependent(true)(now, before);
  });
  stores.deployments.listen(dependent(true));
  stores.services.listen(dependent(true));
  stores.budgets.listen(dependent(false));
  stores.secrets.listen((now, before) => {
    const { name } = (now ?? before)!.metadata;
    dependent(false)(now, before);
    if (name === CA_SECRET) {
      for (const { metadata } of stores.policyServers.all()) bound(metadata.name);
    }
    if (
      [CA_SECRET, WEBHOOK_SERVER_SECRET, AUDIT_SCANNER_SECRET].includes(name) ||
      name.startsWith(SERVER_PREFIX)
    ) {
      triggers.certificates();
    }
  });

  const ofServer = (now: KubeObject | undefined, before: KubeObject | undefined) => {
    for (
      const label of new Set([now, before].map((object) => object?.metadata.labels?.[POLICY_SERVER_LABEL]))
    ) {
      if (label !== undefined) bound(label);
    }
  };
  stores.pods.listen((now, before) => {
    ofServer(now, before);
    // The server's status tells why pods don't run.
    const label = (now ?? before)!.metadata.labels?.[POLICY_SERVER_LABEL];
    if (label !== undefined) triggers.server(label, GATHER_MS);
  });
  stores.replicaSets.listen(ofServer);

  const webhook =
    (kind: WebhookKind) =>
    (now: WebhookConfiguration | undefined, before: WebhookConfiguration | undefined) => {
      // Labels and annotations may have been taken away by hand: what was known before counts too.
      for (const configuration of [now, before]) {
        if (configuration !== undefined) ofWebhook(kind, configuration, now === undefined);
      }
    };
  function ofWebhook(kind: WebhookKind, configuration: WebhookConfiguration, ended: boolean): void {
    const { annotations, labels } = configuration.metadata;
    const name = annotations?.[POLICY_NAME_ANNOTATION];
    if (name !== undefined) {
      const namespace = annotations?.[POLICY_NAMESPACE_ANNOTATION] || undefined;
      let known = false;
      for (const policyKind of POLICY_KINDS) {
        const policy = policyStore(stores, policyKind).get(name, namespace);
        if (policy === undefined || isNamespaced(policy) !== (namespace !== undefined)) continue;
        known ||= policyId(policy) === configuration.metadata.name;
        triggers.policy(policyKind, name, namespace);
        const server = policy.spec.policyServer ?? "";
        // A server that is being deleted waits for the last webhook to go.
        if (stores.policyServers.get(server)?.metadata.deletionTimestamp !== undefined) {
          triggers.server(server);
        }
        const old = policyId(policy) !== configuration.metadata.name;
        const rejected = ended && rejectionOf(world, policy) !== undefined;
        if ((old || rejected) && server !== "") {
          // A webhook of before the upgrade decides whether its old id is still served, any webhook whether a rejected policy is.
          triggers.server(server, GATHER_MS);
        }
      }
      if (!known && policyOfWebhook(configuration) !== undefined) {
        triggers.orphan(kind, configuration.metadata.name);
      }
    } else if (Object.entries(PART_OF).every(([label, value]) => own(labels, label) === value)) {
      triggers.certificates();
    }
  }
  stores.webhooks.ValidatingWebhookConfiguration.listen(webhook("ValidatingWebhookConfiguration"));
  stores.webhooks.MutatingWebhookConfiguration.listen(webhook("MutatingWebhookConfiguration"));
}
