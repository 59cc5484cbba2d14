/** Policies of all four kinds: their webhook configuration and their status (spec/controller.md §6). */
import {
  FINALIZER,
  LEGACY_FINALIZER,
  legacyPolicyId,
  type Policy,
  policyId,
  type PolicyKind,
  type PolicyServer,
  type PolicyStatus,
} from "../../crd/types.ts";
import { isServable, wantedEntry } from "../render/config_map.ts";
import { needsApply, removeForeign } from "../render/differences.ts";
import { loadErrors } from "../render/load_errors.ts";
import { serverObjectName } from "../render/names.ts";
import type { Rollout } from "../render/reachability.ts";
import {
  configurationState,
  POLICY_LOADED,
  type PolicyFindings,
  renderPolicyStatus,
  samePolicyStatus,
  UNIQUELY_REACHABLE,
} from "../render/status.ts";
import { renderWebhookConfiguration, webhookKind } from "../render/webhook_configuration.ts";
import type { WebhookConfiguration, WebhookKind } from "../types/objects.ts";
import { customResource, MUTATING, VALIDATING } from "../types/resources.ts";
import { rejectionOf } from "./allowed_resources.ts";
import { caBundle } from "./authority.ts";
import { ensure, ensureAbsent, setFinalizers } from "./ensure.ts";
import {
  type Again,
  holdingServer,
  legacyWebhooks,
  timestamp,
  whyLeftOut,
} from "./reconcile_policy_server.ts";
import { policyStore, serverState, type World } from "./world.ts";

/** Details of a policy that waits for its server are written at most once in this time, in milliseconds. */
const PENDING_UPDATE_MS = 4_000;
/** How long the first status of a policy waits for its server's configuration to hold it, in milliseconds. */
const FIRST_STATUS_MS = 5_000;
/** How long a state that passes by itself (old configuration, no pod ready) is not yet reported, in milliseconds. */
const PASSING_STATE_MS = 5_000;

/** What is remembered of a policy between passes. Losing it costs a status write, never a wrong webhook. */
type Memory = {
  /** The entry with which the policy was last seen on every pod. */
  reachedWith?: string;
  /** Since when something is not as it should be. */
  unsettledSince?: number;
  writtenAt?: number;
  seenAt?: number;
};

const memories = new WeakMap<World, Map<string, Memory>>();

function memoryOf(world: World, id: string): Memory {
  let all = memories.get(world);
  if (all === undefined) memories.set(world, all = new Map());
  let memory = all.get(id);
  if (memory === undefined) all.set(id, memory = {});
  return memory;
}

const RESOURCES: { readonly [K in WebhookKind]: typeof VALIDATING } = {
  ValidatingWebhookConfiguration: VALIDATING,
  MutatingWebhookConfiguration: MUTATING,
};
/** Where a webhook configuration of ours holds what we say and nothing else. */
const EXACT = [["metadata", "labels"], ["metadata", "annotations"], ["webhooks"]];
const KINDS: readonly WebhookKind[] = ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];

async function removeWebhooks(world: World, policy: Policy, except?: WebhookKind): Promise<void> {
  for (const kind of KINDS) {
    if (kind !== except) {
      await ensureAbsent(world, RESOURCES[kind], world.stores.webhooks[kind], policyId(policy));
    }
  }
  for (const kind of legacyWebhooks(world, policy)) {
    await ensureAbsent(world, RESOURCES[kind], world.stores.webhooks[kind], legacyPolicyId(policy));
  }
}

/** Deletion (spec/controller.md §6.4): first the API server stops asking, then the policy may go; its server forgets it after that. */
async function finalize(world: World, policy: Policy): Promise<void> {
  await removeWebhooks(world, policy);
  await removeFinalizers(world, policy);
  memories.get(world)?.delete(policyId(policy));
}

async function removeFinalizers(world: World, policy: Policy): Promise<void> {
  const finalizers = policy.metadata.finalizers ?? [];
  const kept = finalizers.filter((name) => name !== FINALIZER && name !== LEGACY_FINALIZER);
  if (kept.length === finalizers.length) return;
  const store = policyStore(world.stores, policy.kind);
  await setFinalizers(world, customResource(policy.kind), store, policy, kept);
}

/**
 * A policy that must not be deployed: nothing is to be asked of it, and it holds nothing any more that its deletion would have to
 * wait for. Its server forgets it when its webhook is gone.
 */
async function reject(world: World, policy: Policy, message: string): Promise<void> {
  await removeWebhooks(world, policy);
  memories.get(world)?.delete(policyId(policy));
  await writeStatus(world, policy, { state: "rejected", message });
  const { name, namespace } = policy.metadata;
  await removeFinalizers(world, policyStore(world.stores, policy.kind).get(name, namespace) ?? policy);
}

async function writeStatus(world: World, policy: Policy, found: PolicyFindings): Promise<void> {
  const status = renderPolicyStatus(found, policy.status, timestamp(world.now()));
  if (samePolicyStatus(status, policy.status)) return;
  const { name, namespace } = policy.metadata;
  // A merge patch keeps what it does not name: a mode that is no longer known has to be taken away by name.
  const body = { status: { ...status, mode: status.mode ?? null } };
  const store = policyStore(world.stores, policy.kind);
  store.put(
    await world.client.patch<Policy>(customResource(policy.kind), namespace, name, "merge", body, {
      subresource: "status",
    }),
  );
  memoryOf(world, policyId(policy)).writtenAt = world.now();
  noteTransition(world, policy, status);
}

/** Events tell of what somebody has to look at; that all is well is in the status. */
function noteTransition(world: World, policy: Policy, status: PolicyStatus): void {
  if (status.policyStatus === "rejected") {
    const [{ reason, message } = { reason: "", message: "" }] = status.conditions ?? [];
    return world.note(policy, { type: "Warning", reason, message });
  }
  if (policy.status?.policyStatus === "active" && status.policyStatus !== "active") {
    const message =
      `The policy is no longer enforced: its PolicyServer "${policy.spec.policyServer}" is gone or being deleted`;
    world.note(policy, { type: "Warning", reason: "PolicyInactive", message });
  }
  const broken = status.conditions?.find(({ type }) => type === POLICY_LOADED);
  const known = policy.status?.conditions?.find(({ type }) => type === POLICY_LOADED);
  if (broken !== undefined && known?.message !== broken.message) {
    world.note(policy, { type: "Warning", reason: broken.reason, message: broken.message });
  }
}

function desiredWebhook(world: World, policy: Policy): WebhookConfiguration & { readonly kind: WebhookKind } {
  return renderWebhookConfiguration(policy, {
    namespace: world.settings.namespace,
    caBundle: caBundle(world),
  });
}

const webhookExists = ({ stores }: World, policy: Policy) =>
  KINDS.some((kind) => stores.webhooks[kind].get(policyId(policy)) !== undefined);

/** Webhook configurations that were found to be as they should, with what they were compared with. */
const compared = new WeakMap<WebhookConfiguration, { readonly policy: string; readonly caBundle: string }>();

/** Whether the policy's webhook configuration exists and is as it should be. */
function webhookIsCurrent(world: World, policy: Policy): boolean {
  const live = world.stores.webhooks[webhookKind(policy)].get(policyId(policy));
  if (live === undefined) return false;
  const version = `${policy.metadata.uid}/${policy.metadata.generation}`;
  const before = compared.get(live);
  if (before?.policy === version && before.caBundle === caBundle(world)) return true;
  const desired = desiredWebhook(world, policy);
  if (needsApply(live, desired) || removeForeign(live, desired, EXACT) !== undefined) return false;
  compared.set(live, { policy: version, caBundle: caBundle(world) });
  return true;
}

const entries = new WeakMap<Policy, { readonly server: PolicyServer; readonly text: string }>();

/** The entry that the server is to have of the policy; of one that cannot be served, a text that no server has. */
function entryFor(server: PolicyServer, policy: Policy): string {
  const known = entries.get(policy);
  if (known?.server === server) return known.text;
  const text = isServable(policy) ? wantedEntry(server, policy) : "";
  entries.set(policy, { server, text });
  return text;
}

/**
 * Whether the policy counts as reachable. While other policies roll the server, the pods that still run the former
 * configuration serve this one's unchanged entry all the same, so its condition stays and nothing is written.
 */
function stillReachable(world: World, policy: Policy, state: Rollout, wanted: string): boolean {
  const said = policy.status?.conditions?.find(({ type }) => type === UNIQUELY_REACHABLE)?.status === "True";
  if (!said) return false;
  const { reachedWith, unsettledSince } = memoryOf(world, policyId(policy));
  // After a restart it is not known with what the policy was reached: that its webhook is as it should be has to do.
  if (reachedWith === undefined ? !webhookIsCurrent(world, policy) : reachedWith !== wanted) return false;
  if (state.state === "served" || state.someReady) return true;
  return unsettledSince === undefined || world.now() - unsettledSince < PASSING_STATE_MS;
}

async function reconcileBound(world: World, policy: Policy, server: PolicyServer): Promise<Again> {
  const id = policyId(policy);
  const memory = memoryOf(world, id);
  const { view, rollout } = serverState(world, server.metadata.name);
  const wanted = entryFor(server, policy);
  const served = view.served?.get(id);
  const reachable = served?.text === wanted && rollout.state === "served";
  const store = policyStore(world.stores, policy.kind);
  let current = policy;
  let exists = webhookExists(world, policy);
  if (policy.status === undefined) {
    memory.seenAt ??= world.now();
    const left = memory.seenAt + FIRST_STATUS_MS - world.now();
    // Its server is just being told of it: one status then says what two would.
    if (served === undefined && left > 0) return left;
  }
  if (reachable && policy.status?.policyStatus !== "active") {
    // People and scripts wait for `pending` before `active`: it is said even when it lasts only a moment.
    if (policy.status?.policyStatus !== "pending") {
      await writeStatus(world, policy, { state: "pending", webhook: exists });
      current = store.get(policy.metadata.name, policy.metadata.namespace) ?? policy;
    }
  }
  if (reachable) {
    memory.reachedWith = wanted;
    if (!(current.metadata.finalizers ?? []).includes(FINALIZER)) {
      const finalizers = [...(current.metadata.finalizers ?? []), FINALIZER];
      current = await setFinalizers(world, customResource(policy.kind), store, current, finalizers);
    }
    const kind = webhookKind(policy);
    if (!webhookIsCurrent(world, policy)) {
      const { webhooks } = world.stores;
      const object = desiredWebhook(world, policy);
      await holdingServer(
        world,
        server.metadata.name,
        () => ensure(world, { resource: RESOURCES[kind], store: webhooks[kind], object, exact: EXACT }),
      );
    }
    exists = true;
    // Only now: a policy that changed from validating to mutating is never without a webhook.
    await removeWebhooks(world, policy, kind);
  }
  const configuration = view.deployment === undefined || view.configMap === undefined
    ? undefined
    : configurationState(view.deployment, view.configMap);
  const settled = reachable && configuration === "match";
  if (settled) delete memory.unsettledSince;
  else memory.unsettledSince ??= world.now();
  const unsettledFor = world.now() - (memory.unsettledSince ?? world.now());
  const passing = unsettledFor < PASSING_STATE_MS;
  const wasActive = policy.status?.policyStatus === "active";
  const loadError = reachable
    ? undefined
    : whyLeftOut(world, server.metadata.name, id) ?? loadErrors(view.pods).get(id);
  const found: PolicyFindings = {
    state: wasActive || exists ? "active" : "pending",
    webhook: exists,
    ...(configuration === undefined ? {} : {
      server: {
        deployment: serverObjectName(server.metadata.name),
        reachable: reachable || stillReachable(world, policy, rollout, wanted),
        configuration: configuration === "mismatch" && passing ? "match" : configuration,
        mode: served?.mode,
      },
    }),
    loadError,
  };
  // Details of a policy that waits change with every rollout of its server: they are written when they have lasted.
  const status = renderPolicyStatus(found, policy.status, timestamp(world.now()));
  const transition = policy.status?.policyStatus !== status.policyStatus ||
    policy.status.conditions?.find(({ type }) => type === POLICY_LOADED)?.message !== loadError;
  const sinceWritten = world.now() - (memory.writtenAt ?? 0);
  const hold = !transition && found.state === "pending" && sinceWritten < PENDING_UPDATE_MS;
  if (!hold) {
    await writeStatus(world, store.get(policy.metadata.name, policy.metadata.namespace) ?? current, found);
  }
  if (settled) return undefined;
  return Math.max(
    passing ? PASSING_STATE_MS - unsettledFor : 0,
    hold ? PENDING_UPDATE_MS - sinceWritten : 0,
  ) || undefined;
}

/** Brings a policy's webhook configuration and status to what they should be. */
export async function reconcilePolicy(
  world: World,
  kind: PolicyKind,
  name: string,
  namespace: string | undefined,
): Promise<Again> {
  const store = policyStore(world.stores, kind);
  const policy = store.get(name, namespace);
  if (policy === undefined) return undefined;
  if (policy.metadata.deletionTimestamp !== undefined) {
    await finalize(world, policy);
    return undefined;
  }
  const again = await reconcileLive(world, policy);
  const now = store.get(name, namespace);
  if (now?.status !== undefined && now.metadata.deletionTimestamp === undefined) world.reconciled?.(now);
  return again;
}

async function reconcileLive(world: World, policy: Policy): Promise<Again> {
  const rejected = rejectionOf(world, policy);
  if (rejected !== undefined) {
    await reject(world, policy, rejected);
    return undefined;
  }
  const serverName = policy.spec.policyServer ?? "";
  const server = serverName === "" ? undefined : world.stores.policyServers.get(serverName);
  if (server === undefined || server.metadata.deletionTimestamp !== undefined) {
    await removeWebhooks(world, policy);
    memories.get(world)?.delete(policyId(policy));
    await writeStatus(world, policy, { state: serverName === "" ? "unscheduled" : "scheduled" });
    return undefined;
  }
  return await reconcileBound(world, policy, server);
}
