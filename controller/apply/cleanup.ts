/**
 * Takes everything out of the cluster that would be left behind, or would stand in the way, once the controller is gone: what the
 * charts' hook runs before an uninstallation. Every step may be repeated, so a run that failed half-way is simply run again.
 */
import { customResource, type Kind, KINDS } from "../../crd/types.ts";
import { isConflict, isNotFound, type KubeClient } from "../../kubernetes/apply/kube_client.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import { sleep } from "../../program/apply/sleep.ts";
import { POLICY_SERVER_LABEL } from "../render/names.ts";
import { DEFAULTS_LABEL } from "../render/read_defaults.ts";
import {
  BUDGETS,
  CONFIG_MAPS,
  DEPLOYMENTS,
  MUTATING,
  PODS,
  SECRETS,
  SERVICES,
  VALIDATING,
} from "../types/resources.ts";
import { foreignFinalizers, hasOurFinalizer } from "./custom_resources.ts";

/** What {@link cleanUp} needs. */
export interface CleanupOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** The controller's own Deployment: it must not undo what is done here. */
  readonly deployment: string;
  /** Delete all policy servers too, where the CRDs are about to go and every resource with them. */
  readonly policyServers: boolean;
  log(level: "info" | "error", message: string, fields?: { readonly [name: string]: unknown }): void;
  /** Waits between two looks at the controller's pods, in milliseconds. */
  readonly pollMs?: number;
  /** How long the controller's pods may take to end, in milliseconds. */
  readonly endLimitMs?: number;
}

const CONTROLLER_PODS = "app.kubernetes.io/part-of=kubewarden,app.kubernetes.io/component=controller";
const PART_OF = "app.kubernetes.io/part-of=kubewarden";
/** A resource that somebody else writes at the same moment is read and written again, so often. */
const MAX_CONFLICTS = 10;
const PAGE = 500;

async function* all(
  client: KubeClient,
  resource: Resource,
  namespace: string | undefined,
  labelSelector?: string,
): AsyncGenerator<KubeObject> {
  let next: string | undefined;
  do {
    const page = await client.list<KubeObject>(resource, namespace, {
      limit: PAGE,
      next,
      metadataOnly: true,
      ...(labelSelector === undefined ? {} : { labelSelector }),
    });
    yield* page.items;
    next = page.next;
  } while (next !== undefined);
}

async function endController(
  { client, namespace, deployment, log, ...options }: CleanupOptions,
): Promise<void> {
  const { pollMs = 1_000, endLimitMs = 180_000 } = options;
  log("info", "deleting the controller's Deployment", { name: deployment });
  await client.remove(DEPLOYMENTS, namespace, deployment);
  const until = performance.now() + endLimitMs;
  for (;;) {
    const { items } = await client.list(PODS, namespace, {
      labelSelector: CONTROLLER_PODS,
      metadataOnly: true,
    });
    if (items.length === 0) return;
    if (performance.now() > until) {
      const names = items.map(({ metadata }) => metadata.name).join(", ");
      throw new Error(`the controller's pods have not ended after ${endLimitMs / 1000} s: ${names}`);
    }
    await sleep(pollMs);
  }
}

/** Takes our finalizers off an object; those of others stay. */
async function release(
  client: KubeClient,
  kind: Kind,
  name: string,
  namespace: string | undefined,
): Promise<void> {
  const resource = customResource(kind);
  for (let conflicts = 0;; conflicts++) {
    try {
      const object = await client.get<KubeObject>(resource, namespace, name);
      if (!hasOurFinalizer(object)) return;
      const foreign = foreignFinalizers(object);
      const { resourceVersion } = object.metadata;
      await client.patch(resource, namespace, name, "merge", {
        metadata: { resourceVersion, finalizers: foreign.length === 0 ? null : foreign },
      });
      return;
    } catch (error) {
      if (isNotFound(error)) return;
      if (!isConflict(error) || conflicts >= MAX_CONFLICTS) throw error;
    }
  }
}

async function removeEach(
  { client, namespace }: CleanupOptions,
  resource: Resource,
  labelSelector: string,
): Promise<void> {
  const where = resource.namespaced ? namespace : undefined;
  for await (const { metadata } of all(client, resource, where, labelSelector)) {
    await client.remove(resource, metadata.namespace, metadata.name);
  }
}

/** Runs all steps. Rejects with the first that fails. */
export async function cleanUp(options: CleanupOptions): Promise<void> {
  const { client, log } = options;
  await endController(options);
  log("info", "deleting the webhook configurations");
  for (const resource of [VALIDATING, MUTATING]) await removeEach(options, resource, PART_OF);
  log("info", "taking the finalizers off all policies and policy servers");
  for (const { kind } of KINDS) {
    for await (const { metadata } of all(client, customResource(kind), undefined)) {
      await release(client, kind, metadata.name, metadata.namespace);
    }
  }
  const ours = Object.entries(DEFAULTS_LABEL).map(([label, value]) => `${label}=${value}`).join();
  for (const { kind } of KINDS) {
    const selector = options.policyServers && kind === "PolicyServer" ? undefined : ours;
    for await (const { metadata } of all(client, customResource(kind), undefined, selector)) {
      await client.remove(customResource(kind), metadata.namespace, metadata.name);
    }
  }
  log("info", "deleting the policy servers' objects");
  const ofServers = `${PART_OF},app.kubernetes.io/component=policy-server`;
  for (const resource of [DEPLOYMENTS, SERVICES, SECRETS, CONFIG_MAPS, BUDGETS]) {
    await removeEach(options, resource, ofServers);
  }
  // Releases up to 1.36 wrote no other label on them.
  await removeEach(options, CONFIG_MAPS, POLICY_SERVER_LABEL);
  log("info", "cleaned up");
}

/** Has the controller's pods replaced, as `kubectl rollout restart` does. `now` is milliseconds since the epoch. */
export async function restartController(
  client: KubeClient,
  namespace: string,
  deployment: string,
  now: number,
): Promise<void> {
  const annotations = { "kubectl.kubernetes.io/restartedAt": new Date(now).toISOString() };
  await client.patch(DEPLOYMENTS, namespace, deployment, "merge", {
    spec: { template: { metadata: { annotations } } },
  });
}
