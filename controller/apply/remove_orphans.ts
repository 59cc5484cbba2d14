/** Webhook configurations whose policy is gone although its finalizer should have seen to them. */
import { customResource, type Policy, POLICY_KINDS, policyId, type PolicyKind } from "../../crd/types.ts";
import { POLICY_NAME_ANNOTATION, POLICY_NAMESPACE_ANNOTATION } from "../render/names.ts";
import type { WebhookConfiguration, WebhookKind } from "../types/objects.ts";
import { WEBHOOK_RESOURCES } from "../types/resources.ts";
import { ensureAbsent } from "./ensure.ts";
import { isNotFound } from "../../kubernetes/apply/kube_client.ts";
import { policyStore, type World } from "./world.ts";

/** The policy that a webhook configuration of ours belongs to, by its annotations and its name. */
export function policyOfWebhook(
  configuration: WebhookConfiguration,
): { readonly kind: PolicyKind; readonly name: string; readonly namespace: string | undefined } | undefined {
  const name = configuration.metadata.annotations?.[POLICY_NAME_ANNOTATION];
  if (name === undefined) return undefined;
  const namespace = configuration.metadata.annotations?.[POLICY_NAMESPACE_ANNOTATION] || undefined;
  const kind = POLICY_KINDS.find((candidate) =>
    policyId({ kind: candidate, metadata: { name, namespace } }) === configuration.metadata.name
  );
  return kind === undefined ? undefined : { kind, name, namespace };
}

/** Deletes a webhook configuration of ours when the API server confirms that its policy does not exist. */
export async function removeOrphan(world: World, kind: WebhookKind, name: string): Promise<void> {
  const configuration = world.stores.webhooks[kind].get(name);
  if (configuration === undefined) return;
  const policy = policyOfWebhook(configuration);
  if (policy === undefined) return;
  if (policyStore(world.stores, policy.kind).get(policy.name, policy.namespace) !== undefined) return;
  try {
    await world.client.get<Policy>(customResource(policy.kind), policy.namespace, policy.name);
    return;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  world.log("info", "removing a webhook configuration whose policy is gone", { kind, name });
  await ensureAbsent(world, WEBHOOK_RESOURCES[kind], world.stores.webhooks[kind], name);
}
