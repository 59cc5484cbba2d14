/** PolicyServer: from the resource to its Secret, ConfigMap, budget, Deployment and Service (spec/controller.md §4). */
import { createHash } from "node:crypto";
import { own } from "../../program/types/own.ts";
import {
  FINALIZER,
  LEGACY_FINALIZER,
  legacyPolicyId,
  type Policy,
  policyId,
  type PolicyServer,
} from "../../crd/types.ts";
import { renderConfiguration } from "../render/config_map.ts";
import { renderDeployment } from "../render/deployment.ts";
import { hostPortProblems } from "../render/host_network.ts";
import { CA_SECRET, POLICY_SERVER_LABEL, serverObjectName, serviceHost } from "../render/names.ts";
import { renderPodDisruptionBudget } from "../render/pod_disruption_budget.ts";
import { append } from "../../program/types/lists.ts";
import { missingInputs, podProblems } from "../render/pod_problems.ts";
import { renderServerSecret, usablePair } from "../render/secret.ts";
import { renderService } from "../render/service.ts";
import {
  type Finding,
  hostPortsFinding,
  podsFinding,
  sameConditions,
  serverConditions,
  type ServerStep,
  serverStepFinding,
  webhooksCleanedUpFinding,
} from "../render/status.ts";
import type { WebhookKind } from "../types/objects.ts";
import { BUDGETS, CONFIG_MAPS, customResource, DEPLOYMENTS, SECRETS, SERVICES } from "../types/resources.ts";
import { rejectionOf } from "./allowed_resources.ts";
import { currentAuthority, encode, hasOldAuthority } from "./authority.ts";
import { issueLeaf } from "./certificates.ts";
import { ensure, ensureAbsent, setFinalizers } from "./ensure.ts";
import { ApiError } from "../../kubernetes/apply/kube_client.ts";
import { boundPolicies, type World } from "./world.ts";

/** When to look again although nothing has changed, in milliseconds; `undefined`: not at all. */
export type Again = number | undefined;

const CLEANUP_PAUSE_MS = 2000;
const RESOURCE = customResource("PolicyServer");

/** Time as conditions carry it: RFC 3339, whole seconds. */
export function timestamp(now: number): string {
  return new Date(now).toISOString().replace(/\.\d+Z$/, "Z");
}

export function errorText(error: unknown): string {
  return error instanceof ApiError ? error.answer : error instanceof Error ? error.message : String(error);
}

async function writeConditions(
  world: World,
  server: PolicyServer,
  findings: readonly Finding[],
): Promise<void> {
  const previous = server.status?.conditions ?? [];
  const conditions = serverConditions(findings, previous, timestamp(world.now()));
  if (server.status !== undefined && sameConditions(conditions, previous)) return;
  const { name } = server.metadata;
  const result = await world.client.patch<PolicyServer>(
    RESOURCE,
    undefined,
    name,
    "merge",
    { status: { conditions } },
    { subresource: "status" },
  );
  world.stores.policyServers.put(result);
  for (const finding of findings) {
    const before = previous.find(({ type }) => type === finding.type);
    if (finding.status === "False" && (before?.status !== "False" || before.message !== finding.message)) {
      world.note(server, { type: "Warning", reason: finding.reason, message: finding.message });
    }
  }
}

const WEBHOOK_KINDS: readonly WebhookKind[] = [
  "ValidatingWebhookConfiguration",
  "MutatingWebhookConfiguration",
];

/** Ids, new and of before 1.37, under which webhook configurations of these policies exist. */
function remainingWebhooks(world: World, policies: readonly Policy[]): string[] {
  return policies.flatMap((policy) => {
    const legacy = legacyWebhooks(world, policy);
    const current = WEBHOOK_KINDS.some((kind) =>
      world.stores.webhooks[kind].get(policyId(policy)) !== undefined
    );
    return current || legacy.length > 0 ? [policyId(policy)] : [];
  });
}

/**
 * The policies that a server is to serve. One that the allow list rejects is served as long as the API server may still ask it:
 * without an answer the requests of its namespace would be refused.
 */
function deployedPolicies(world: World, policies: readonly Policy[]): readonly Policy[] {
  return policies.filter((policy) =>
    rejectionOf(world, policy) === undefined || remainingWebhooks(world, [policy]).length > 0
  );
}

/** Kinds in which a webhook configuration that an earlier release made for this very policy still exists. */
export function legacyWebhooks(world: World, policy: Policy): readonly WebhookKind[] {
  return WEBHOOK_KINDS.filter((kind) => {
    const annotations = world.stores.webhooks[kind].get(legacyPolicyId(policy))?.metadata.annotations;
    return annotations?.["kubewardenPolicyName"] === policy.metadata.name &&
      (annotations["kubewardenPolicyNamespace"] ?? "") === (policy.metadata.namespace ?? "");
  });
}

const holds = new WeakMap<World, Map<string, number>>();

/** Keeps a policy server from being let go while a webhook that points at it is being written. */
export async function holdingServer<T>(
  world: World,
  policyServer: string,
  work: () => Promise<T>,
): Promise<T> {
  let held = holds.get(world);
  if (held === undefined) holds.set(world, held = new Map());
  held.set(policyServer, (held.get(policyServer) ?? 0) + 1);
  try {
    return await work();
  } finally {
    held.set(policyServer, held.get(policyServer)! - 1);
  }
}

/**
 * Deletion (spec/controller.md §4.4): the policies are kept, but no webhook may point at a Service that is about to
 * vanish. Policies see their
 * server go and remove their webhooks; only when none is left does the finalizer go, and with it everything the server owns.
 */
async function finalize(world: World, server: PolicyServer): Promise<Again> {
  const remaining = remainingWebhooks(world, boundPolicies(world.stores, server.metadata.name));
  await writeConditions(world, server, [webhooksCleanedUpFinding(remaining)]);
  if (remaining.length > 0 || (holds.get(world)?.get(server.metadata.name) ?? 0) > 0) return CLEANUP_PAUSE_MS;
  const current = world.stores.policyServers.get(server.metadata.name) ?? server;
  const kept = (current.metadata.finalizers ?? []).filter((name) =>
    name !== FINALIZER && name !== LEGACY_FINALIZER
  );
  await setFinalizers(world, RESOURCE, world.stores.policyServers, current, kept);
  return undefined;
}

async function reconcileSecret(world: World, server: PolicyServer): Promise<void> {
  const { settings: { namespace }, stores } = world;
  const name = serverObjectName(server.metadata.name);
  const authority = currentAuthority(world);
  let pair = usablePair(stores.secrets.get(name, namespace));
  if (pair === undefined) {
    const host = serviceHost(name, namespace);
    const leaf = await issueLeaf(authority, { commonName: host, host }, world.now());
    pair = { "tls.crt": encode(leaf.cert), "tls.key": encode(leaf.key) };
  }
  await ensure(world, {
    resource: SECRETS,
    store: stores.secrets,
    object: renderServerSecret(server, namespace, pair),
    exact: [["metadata", "labels"]],
  });
}

const leftOut = new WeakMap<World, Map<string, ReadonlyMap<string, string>>>();

function leftOutOf(world: World): Map<string, ReadonlyMap<string, string>> {
  let servers = leftOut.get(world);
  if (servers === undefined) leftOut.set(world, servers = new Map());
  return servers;
}

/** Why a policy was not written into its server's configuration when that was last put together. */
export function whyLeftOut(world: World, policyServer: string, id: string): string | undefined {
  return leftOutOf(world).get(policyServer)?.get(id);
}

async function reconcileConfigMap(
  world: World,
  server: PolicyServer,
  policies: readonly Policy[],
): Promise<string> {
  const upgrading = new Set(
    policies.filter((policy) => legacyWebhooks(world, policy).length > 0).map(policyId),
  );
  const { configMap: object, leftOut: missing } = renderConfiguration(
    server,
    policies,
    world.settings,
    upgrading,
  );
  leftOutOf(world).set(server.metadata.name, missing);
  const configMap = await ensure(world, {
    resource: CONFIG_MAPS,
    store: world.stores.configMaps,
    object,
    exact: [["data"], ["metadata", "labels"]],
  });
  return configMap.metadata.resourceVersion!;
}

/**
 * Digest of what policy servers read only when they start. A ConfigMap or Secret that does not exist counts as such: the
 * server is rolled when it appears.
 */
function inputsDigest(world: World, { spec }: PolicyServer): string | undefined {
  const { stores, settings: { namespace, clientCaConfigMap } } = world;
  const configMap = (name: string | undefined, key: string) =>
    name === undefined || name === ""
      ? []
      : [[name, key, own(stores.configMaps.get(name, namespace)?.data, key) ?? null]];
  const secret = (name: string | undefined, key: string) =>
    name === undefined || name === ""
      ? []
      : [[name, key, own(stores.secrets.get(name, namespace)?.data, key) ?? null]];
  const inputs = [
    ...configMap(spec.verificationConfig, "verification-config"),
    ...configMap(spec.sigstoreTrustConfig, "sigstore-trust-config"),
    ...secret(spec.imagePullSecret, ".dockerconfigjson"),
    ...configMap(clientCaConfigMap, "client-ca.crt"),
    ...(clientCaConfigMap === undefined ? [] : secret(CA_SECRET, "ca.crt")),
  ];
  if (inputs.length === 0) return undefined;
  return createHash("sha256").update(JSON.stringify(inputs)).digest("hex").slice(0, 32);
}

async function reconcileDeployment(world: World, server: PolicyServer, configVersion: string): Promise<void> {
  const { stores, settings } = world;
  const { clientCaConfigMap, namespace } = settings;
  if (clientCaConfigMap !== undefined && stores.configMaps.get(clientCaConfigMap, namespace) === undefined) {
    throw new Error(
      `failed to configure mutual TLS: failed to fetch client CA config map: ConfigMap "${clientCaConfigMap}" not found`,
    );
  }
  const live = stores.deployments.get(serverObjectName(server.metadata.name), namespace);
  await ensure(world, {
    resource: DEPLOYMENTS,
    store: stores.deployments,
    object: renderDeployment({
      server,
      settings,
      configVersion,
      inputsDigest: inputsDigest(world, server),
      hasOldCa: hasOldAuthority(world),
      live,
    }),
  });
}

async function reconcileBudget(world: World, server: PolicyServer): Promise<void> {
  const { stores, settings: { namespace } } = world;
  const object = renderPodDisruptionBudget(server, namespace);
  if (object === undefined) {
    await ensureAbsent(world, BUDGETS, stores.budgets, serverObjectName(server.metadata.name), namespace);
  } else await ensure(world, { resource: BUDGETS, store: stores.budgets, object });
}

/** Brings everything that a PolicyServer stands for to what it should be. */
export async function reconcilePolicyServer(world: World, name: string): Promise<Again> {
  const { stores, settings } = world;
  let server = stores.policyServers.get(name);
  if (server === undefined) return undefined;
  if (server.metadata.deletionTimestamp !== undefined) {
    const ours = (server.metadata.finalizers ?? []).some((entry) =>
      entry === FINALIZER || entry === LEGACY_FINALIZER
    );
    return ours ? await finalize(world, server) : undefined;
  }
  if (!(server.metadata.finalizers ?? []).includes(FINALIZER)) {
    const finalizers = [...(server.metadata.finalizers ?? []), FINALIZER];
    server = await setFinalizers(world, RESOURCE, stores.policyServers, server, finalizers);
  }
  const current = server;
  const policies = deployedPolicies(world, boundPolicies(stores, name));
  const findings: Finding[] = [];
  let failure: unknown;
  const step = async (which: ServerStep, work: () => Promise<unknown>): Promise<boolean> => {
    if (failure !== undefined) return false;
    try {
      await work();
      findings.push(serverStepFinding(which));
      return true;
    } catch (error) {
      failure = error;
      findings.push(serverStepFinding(which, errorText(error)));
      return false;
    }
  };
  let configVersion = "";
  await step("secret", () => reconcileSecret(world, current));
  await step("configMap", async () => configVersion = await reconcileConfigMap(world, current, policies));
  await step("budget", () => reconcileBudget(world, current));
  await step("deployment", () => reconcileDeployment(world, current, configVersion));
  await step("service", () =>
    ensure(world, {
      resource: SERVICES,
      store: stores.services,
      object: renderService(current, settings),
      exact: [["metadata", "labels"], ["spec", "selector"], ["spec", "ports"]],
    }));
  if (settings.hostNetwork) {
    findings.push(hostPortsFinding(hostPortProblems(current, [...stores.policyServers.all()], settings)));
  }
  const { namespace } = settings;
  const pods = [...stores.pods.all()].filter(({ metadata }) =>
    metadata.labels?.[POLICY_SERVER_LABEL] === name
  );
  const missing = missingInputs(current, {
    configMap: (wanted) => stores.configMaps.get(wanted, namespace) !== undefined,
    secret: (wanted) => stores.secrets.get(wanted, namespace) !== undefined,
  });
  const running = podsFinding([
    // It matters to pods that wait for it.
    ...(pods.length === 0 ? [] : missing),
    ...podProblems(current, stores.deployments.get(serverObjectName(name), namespace), pods),
  ]);
  append(findings, running);
  await writeConditions(world, stores.policyServers.get(name) ?? current, findings);
  if (failure !== undefined) throw failure;
  return undefined;
}
