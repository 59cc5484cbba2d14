/** Policies of all four kinds: their webhook configuration and their status (spec/controller.md §6). */
import {
  type Policy,
  policyId,
  type PolicyKind,
  type PolicyServer,
  type PolicyStatus,
} from "../../crd/types.ts";
import { isServable, type ServedPolicy, wantedEntry } from "../render/config_map.ts";
import { loadErrors } from "../render/load_errors.ts";
import { serverObjectName } from "../render/names.ts";
import type { Rollout } from "../render/reachability.ts";
import {
  type ConfigurationState,
  configurationState,
  POLICY_LOADED,
  type PolicyFindings,
  renderPolicyStatus,
  samePolicyStatus,
  UNIQUELY_REACHABLE,
} from "../render/status.ts";
import { webhookKind } from "../render/webhook_configuration.ts";
import type { Pod } from "../types/objects.ts";
import { rejectionOf } from "./allowed_resources.ts";
import { addFinalizer, removeFinalizers, writeStatus } from "./custom_resources.ts";
import { applyWebhook, removeWebhooks, webhookExists, webhookIsCurrent } from "./policy_webhooks.ts";
import { type Again, holdingServer, timestamp, whyLeftOut } from "./reconcile_policy_server.ts";
import { perWorld, policyStore, serverState, type World } from "./world.ts";

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

const memoriesOf = perWorld(() => new Map<string, Memory>());

function memoryOf(world: World, policy: Policy): Memory {
  const memories = memoriesOf(world);
  let memory = memories.get(policyId(policy));
  if (memory === undefined) memories.set(policyId(policy), memory = {});
  return memory;
}

function forget(world: World, policy: Policy): void {
  memoriesOf(world).delete(policyId(policy));
}

/** The policy as it is known now, after what this pass may have written of it. */
function latest({ stores }: World, policy: Policy): Policy {
  return policyStore(stores, policy.kind).get(policy.metadata.name, policy.metadata.namespace) ?? policy;
}

/** Deletion (spec/controller.md §6.4): first the API server stops asking, then the policy may go; its server forgets it after that. */
async function finalize(world: World, policy: Policy): Promise<void> {
  await removeWebhooks(world, policy);
  await removeFinalizers(world, policy);
  forget(world, policy);
}

/**
 * A policy that must not be deployed: nothing is to be asked of it, and it holds nothing any more that its deletion would have to
 * wait for. Its server forgets it when its webhook is gone.
 */
async function reject(world: World, policy: Policy, message: string): Promise<void> {
  await removeWebhooks(world, policy);
  forget(world, policy);
  await report(world, policy, { state: "rejected", message });
  await removeFinalizers(world, latest(world, policy));
}

async function report(world: World, policy: Policy, found: PolicyFindings): Promise<void> {
  const status = renderPolicyStatus(found, policy.status, timestamp(world.now()));
  if (samePolicyStatus(status, policy.status)) return;
  // A merge patch keeps what it does not name: a mode that is no longer known has to be taken away by name.
  await writeStatus(world, policy, { ...status, mode: status.mode ?? null });
  memoryOf(world, policy).writtenAt = world.now();
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

/** Rendered once for each version of a policy and its server: every pass over thousands of policies compares it. */
const entries = new WeakMap<Policy, { readonly server: PolicyServer; readonly text: string }>();

/** The entry that the server is to have of the policy; of one that cannot be served, a text that no server has. */
function entryFor(server: PolicyServer, policy: Policy): string {
  const known = entries.get(policy);
  if (known?.server === server) return known.text;
  const text = isServable(policy) ? wantedEntry(server, policy) : "";
  entries.set(policy, { server, text });
  return text;
}

/** What a pass finds of a policy and its server before it writes anything. */
type Observed = {
  readonly server: string;
  /** The policy's entry in the server's configuration, as it should be. */
  readonly wanted: string;
  /** That entry as it is. */
  readonly served: ServedPolicy | undefined;
  readonly rollout: Rollout;
  readonly pods: readonly Pod[];
  /** Absent while the server's Deployment or its ConfigMap is. */
  readonly configuration: ConfigurationState | undefined;
  /** Whether every pod of the server serves the policy as it should be. */
  readonly reachable: boolean;
};

function observe(world: World, policy: Policy, server: PolicyServer): Observed {
  const { view: { served: all, deployment, configMap, pods }, rollout } = serverState(
    world,
    server.metadata.name,
  );
  const wanted = entryFor(server, policy);
  const served = all?.get(policyId(policy));
  return {
    server: server.metadata.name,
    wanted,
    served,
    rollout,
    pods,
    configuration: deployment === undefined || configMap === undefined
      ? undefined
      : configurationState(deployment, configMap),
    reachable: served?.text === wanted && rollout.state === "served",
  };
}

/** How long, in milliseconds, a first status is still put off: its server is just being told of it, and one then says what two would. */
function firstStatusPause(world: World, policy: Policy, { served }: Observed): number {
  if (policy.status !== undefined) return 0;
  const memory = memoryOf(world, policy);
  memory.seenAt ??= world.now();
  return served === undefined ? Math.max(memory.seenAt + FIRST_STATUS_MS - world.now(), 0) : 0;
}

/** Has the API server ask a policy that every pod serves; returns the policy as it is then. */
async function activate(world: World, policy: Policy, { server, wanted }: Observed): Promise<Policy> {
  const before = policy.status?.policyStatus;
  if (before !== "active" && before !== "pending") {
    // People and scripts wait for `pending` before `active`: it is said even when it lasts only a moment.
    await report(world, policy, { state: "pending", webhook: webhookExists(world, policy) });
  }
  memoryOf(world, policy).reachedWith = wanted;
  const current = await addFinalizer(world, latest(world, policy));
  if (!webhookIsCurrent(world, policy)) await holdingServer(world, server, () => applyWebhook(world, policy));
  // Only now: a policy that changed from validating to mutating is never without a webhook.
  await removeWebhooks(world, policy, webhookKind(policy));
  return current;
}

/** How long, in milliseconds, what is not as it should be may yet pass by itself before it is reported. */
function passingFor(world: World, policy: Policy, settled: boolean): number {
  const memory = memoryOf(world, policy);
  if (settled) {
    delete memory.unsettledSince;
    return PASSING_STATE_MS;
  }
  memory.unsettledSince ??= world.now();
  return Math.max(memory.unsettledSince + PASSING_STATE_MS - world.now(), 0);
}

/**
 * Whether the policy counts as reachable. While other policies roll the server, the pods that still run the former
 * configuration serve this one's unchanged entry all the same, so its condition stays and nothing is written.
 */
function stillReachable(
  world: World,
  policy: Policy,
  { rollout, wanted }: Observed,
  passing: boolean,
): boolean {
  const said = policy.status?.conditions?.find(({ type }) => type === UNIQUELY_REACHABLE)?.status === "True";
  if (!said) return false;
  const { reachedWith } = memoryOf(world, policy);
  // After a restart it is not known with what the policy was reached: that its webhook is as it should be has to do.
  if (reachedWith === undefined ? !webhookIsCurrent(world, policy) : reachedWith !== wanted) return false;
  return rollout.state === "served" || rollout.someReady || passing;
}

type BoundFindings = Extract<PolicyFindings, { readonly webhook: boolean }>;

function findingsOf(world: World, policy: Policy, observed: Observed, passing: boolean): BoundFindings {
  const { server, served, pods, configuration, reachable } = observed;
  const webhook = reachable || webhookExists(world, policy);
  return {
    state: webhook || policy.status?.policyStatus === "active" ? "active" : "pending",
    webhook,
    ...(configuration === undefined ? {} : {
      server: {
        deployment: serverObjectName(server),
        reachable: reachable || stillReachable(world, policy, observed, passing),
        configuration: configuration === "mismatch" && passing ? "match" : configuration,
        mode: served?.mode,
      },
    }),
    loadError: reachable
      ? undefined
      : whyLeftOut(world, server, policyId(policy)) ?? loadErrors(pods).get(policyId(policy)),
  };
}

/**
 * How long, in milliseconds, a status is not yet written. Details of a policy that waits change with every rollout of its server:
 * they are written when they have lasted.
 */
function heldBackFor(world: World, policy: Policy, { state, loadError }: BoundFindings): number {
  const known = policy.status?.conditions?.find(({ type }) => type === POLICY_LOADED)?.message;
  if (state !== "pending" || policy.status?.policyStatus !== state || known !== loadError) return 0;
  return Math.max((memoryOf(world, policy).writtenAt ?? 0) + PENDING_UPDATE_MS - world.now(), 0);
}

async function reconcileBound(world: World, policy: Policy, server: PolicyServer): Promise<Again> {
  const observed = observe(world, policy, server);
  const pause = firstStatusPause(world, policy, observed);
  if (pause > 0) return pause;
  const current = observed.reachable ? await activate(world, policy, observed) : policy;
  const settled = observed.reachable && observed.configuration === "match";
  const passing = passingFor(world, policy, settled);
  const found = findingsOf(world, policy, observed, passing > 0);
  const heldBack = heldBackFor(world, policy, found);
  if (heldBack === 0) await report(world, latest(world, current), found);
  return settled ? undefined : Math.max(passing, heldBack) || undefined;
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
    forget(world, policy);
    await report(world, policy, { state: serverName === "" ? "unscheduled" : "scheduled" });
    return undefined;
  }
  return await reconcileBound(world, policy, server);
}
