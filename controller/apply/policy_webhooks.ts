/** The webhook configurations of policies as the cluster holds them: of now, and those that earlier releases left. */
import { legacyPolicyId, type Policy, policyId } from "../../crd/types.ts";
import { needsApply, removeForeign } from "../render/differences.ts";
import { POLICY_NAME_ANNOTATION, POLICY_NAMESPACE_ANNOTATION } from "../render/names.ts";
import { renderWebhookConfiguration, webhookKind } from "../render/webhook_configuration.ts";
import type { WebhookConfiguration, WebhookKind } from "../types/objects.ts";
import { WEBHOOK_KINDS, WEBHOOK_RESOURCES } from "../types/resources.ts";
import { caBundle } from "./authority.ts";
import { ensure, ensureAbsent } from "./ensure.ts";
import type { World } from "./world.ts";

/** Where a webhook configuration of ours holds what we say and nothing else. */
const EXACT = [["metadata", "labels"], ["metadata", "annotations"], ["webhooks"]];

/** Whether the policy has a webhook configuration, of whatever kind. */
export function webhookExists({ stores }: World, policy: Policy): boolean {
  return WEBHOOK_KINDS.some((kind) => stores.webhooks[kind].get(policyId(policy)) !== undefined);
}

/** Kinds in which a webhook configuration that an earlier release made for this very policy still exists. */
export function legacyWebhooks({ stores }: World, policy: Policy): readonly WebhookKind[] {
  return WEBHOOK_KINDS.filter((kind) => {
    const annotations = stores.webhooks[kind].get(legacyPolicyId(policy))?.metadata.annotations;
    return annotations?.[POLICY_NAME_ANNOTATION] === policy.metadata.name &&
      (annotations[POLICY_NAMESPACE_ANNOTATION] ?? "") === (policy.metadata.namespace ?? "");
  });
}

function desiredWebhook(world: World, policy: Policy): WebhookConfiguration & { readonly kind: WebhookKind } {
  return renderWebhookConfiguration(policy, {
    namespace: world.settings.namespace,
    caBundle: caBundle(world),
  });
}

/** Webhook configurations that were found to be as they should, with what they were compared with. */
const compared = new WeakMap<WebhookConfiguration, { readonly policy: string; readonly caBundle: string }>();

/** Whether the policy's webhook configuration exists and is as it should be. */
export function webhookIsCurrent(world: World, policy: Policy): boolean {
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

/** Has the API server ask the policy. */
export async function applyWebhook(world: World, policy: Policy): Promise<void> {
  const object = desiredWebhook(world, policy);
  const store = world.stores.webhooks[object.kind];
  await ensure(world, { resource: WEBHOOK_RESOURCES[object.kind], store, object, exact: EXACT });
}

/** Has the API server no longer ask the policy; `except` is the kind that stays. */
export async function removeWebhooks(world: World, policy: Policy, except?: WebhookKind): Promise<void> {
  const remove = (kind: WebhookKind, id: string) =>
    ensureAbsent(world, WEBHOOK_RESOURCES[kind], world.stores.webhooks[kind], id);
  for (const kind of WEBHOOK_KINDS) if (kind !== except) await remove(kind, policyId(policy));
  for (const kind of legacyWebhooks(world, policy)) await remove(kind, legacyPolicyId(policy));
}
