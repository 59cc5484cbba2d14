/** Defaulting and validating one admission request of our own kinds (spec/controller.md §2.3). */
import { isObject } from "../../program/types/json_object.ts";
import { defaultingPatch } from "../../crd/render/defaults.ts";
import { validatePolicy } from "../../crd/render/validate_policy.ts";
import { type Found, validatePolicyServer } from "../../crd/render/validate_policy_server.ts";
import {
  isNamespaced,
  type Json,
  type Kind,
  kindDescription,
  type Policy,
  type PolicyServer,
} from "../../crd/types.ts";
import type { AdmissionRequest, Verdict } from "../render/admission_review.ts";
import { hostPortProblems } from "../render/host_network.ts";
import type { ConfigMap, Secret } from "../types/objects.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import { CONFIG_MAPS, SECRETS } from "../types/resources.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import { ApiError, isNotFound } from "../../kubernetes/apply/kube_client.ts";
import { checkMatchConditions } from "./match_conditions.ts";
import type { Store } from "./store.ts";
import type { World } from "./world.ts";

type Review = Pick<AdmissionRequest, "operation" | "object" | "oldObject" | "name">;

function isKubeObject(value: unknown): value is KubeObject & { readonly spec?: object } {
  if (!isObject(value)) return false;
  const { metadata, spec } = value;
  return typeof metadata === "object" && metadata !== null &&
    (spec === undefined || spec === null || (typeof spec === "object" && !Array.isArray(spec)));
}

/** An object as our types promise it: nothing in the API requires `spec`. */
function withSpec<T>(kind: Kind, object: KubeObject & { readonly spec?: object }): T {
  return { ...object, kind, spec: object.spec ?? {} } as T;
}

/**
 * The defaulting webhook's answer. It never refuses: what it cannot read, the API server's schema will. Where an allow list may
 * reject policies of a namespace, these get their finalizer only with their webhook: it is taken from rejected ones, and every
 * change of such a policy comes by here.
 */
export function admitDefaults(
  { settings }: Pick<World, "settings">,
  kind: Kind,
  { operation, object }: Review,
): Verdict {
  if (operation === "DELETE" || object === undefined) return { allowed: true };
  const finalizer = settings.controllerConfigMap === undefined || !kindDescription(kind).namespaced;
  return { allowed: true, patch: defaultingPatch(kind, object as Json, { finalizer }) };
}

/** Looks an object up in the deployments namespace: what is known, or else what the API server says now. */
async function find<T extends KubeObject>(
  world: World,
  resource: Resource,
  store: Store<T>,
  name: string | undefined,
): Promise<Found<T> | undefined> {
  if (name === undefined || name === "") return undefined;
  const { namespace } = world.settings;
  const known = store.get(name, namespace);
  if (known !== undefined) return { found: known };
  try {
    return { found: await world.client.get<T>(resource, namespace, name) };
  } catch (error) {
    if (isNotFound(error)) return { problem: `${resource.kind} "${name}" not found` };
    return { problem: error instanceof ApiError ? error.answer : String(error) };
  }
}

async function validateServer(
  world: World,
  server: PolicyServer,
  old: PolicyServer | undefined,
): Promise<Verdict> {
  const deleting = server.metadata.deletionTimestamp !== undefined;
  const [imagePullSecret, sigstoreTrustConfig] = deleting ? [undefined, undefined] : await Promise.all([
    find<Secret>(world, SECRETS, world.stores.secrets, server.spec.imagePullSecret),
    find<ConfigMap>(world, CONFIG_MAPS, world.stores.configMaps, server.spec.sigstoreTrustConfig),
  ]);
  const errors = validatePolicyServer(server, { old, imagePullSecret, sigstoreTrustConfig });
  const warnings = deleting
    ? []
    : hostPortProblems(server, [...world.stores.policyServers.all()], world.settings);
  if (errors.length === 0) return { allowed: true, warnings };
  return { allowed: false, kind: "PolicyServer", name: server.metadata.name, errors, warnings };
}

function policyWarnings(world: World, policy: Policy): readonly string[] {
  if (!isNamespaced(policy) || policy.metadata.namespace !== world.settings.namespace) return [];
  return [
    `the policy evaluates requests in ${world.settings.namespace}, where its own policy server runs: while that server ` +
    "cannot answer, its pods cannot be replaced unless failurePolicy is Ignore",
  ];
}

async function validateOne(world: World, policy: Policy, old: Policy | undefined): Promise<Verdict> {
  const deleting = policy.metadata.deletionTimestamp !== undefined;
  const matchConditionErrors = deleting
    ? []
    : await checkMatchConditions(world.client, policy.spec.matchConditions);
  const errors = validatePolicy(policy, { old, matchConditionErrors });
  if (errors.length > 0) return { allowed: false, kind: policy.kind, name: policy.metadata.name, errors };
  return { allowed: true, warnings: deleting ? [] : policyWarnings(world, policy) };
}

/** The validating webhook's answer. */
export async function admitValid(world: World, kind: Kind, review: Review): Promise<Verdict> {
  if (review.operation === "DELETE") return { allowed: true };
  if (!isKubeObject(review.object)) {
    return { allowed: false, code: 400, message: `the request's object is no ${kind}` };
  }
  const updating = review.operation === "UPDATE" && isKubeObject(review.oldObject);
  const old = updating ? review.oldObject as KubeObject & { readonly spec?: object } : undefined;
  if (kind === "PolicyServer") {
    return await validateServer(
      world,
      withSpec<PolicyServer>(kind, review.object),
      old === undefined ? undefined : withSpec<PolicyServer>(kind, old),
    );
  }
  return await validateOne(
    world,
    withSpec<Policy>(kind, review.object),
    old === undefined ? undefined : withSpec<Policy>(kind, old),
  );
}
