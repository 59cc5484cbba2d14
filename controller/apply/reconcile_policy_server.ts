/** PolicyServer: from the resource to its Secret, ConfigMap, budget, Deployment and Service (spec/controller.md §4). */
import { createHash } from "node:crypto";
import { own } from "../../program/types/own.ts";
import { type Policy, policyId, type PolicyServer } from "../../crd/types.ts";
import { renderConfiguration } from "../render/config_map.ts";
import { renderDeployment } from "../render/deployment.ts";
import { hostPortProblems } from "../render/host_network.ts";
import { CA_SECRET, serverObjectName, serviceHost } from "../render/names.ts";
import { renderPodDisruptionBudget } from "../render/pod_disruption_budget.ts";
import { missingInputs, podProblems } from "../render/pod_problems.ts";
import { renderServerSecret, usablePair } from "../render/secret.ts";
import { renderService } from "../render/service.ts";
import {
  type Finding,
  hostPortsFinding,
  podsFinding,
  sameConditions,
  SERVER_STEPS,
  serverConditions,
  type ServerStep,
  serverStepFinding,
  webhooksCleanedUpFinding,
} from "../render/status.ts";
import { BUDGETS, CONFIG_MAPS, DEPLOYMENTS, SECRETS, SERVICES } from "../types/resources.ts";
import { rejectionOf } from "./allowed_resources.ts";
import { currentAuthority, encode, hasOldAuthority } from "./authority.ts";
import { issueLeaf } from "./certificates.ts";
import { ensure, ensureAbsent } from "./ensure.ts";
import { addFinalizer, hasOurFinalizer, removeFinalizers, writeStatus } from "./custom_resources.ts";
import { legacyWebhooks, webhookExists } from "./policy_webhooks.ts";
import { ApiError } from "../../kubernetes/apply/kube_client.ts";
import { boundPolicies, perWorld, serverState, type World } from "./world.ts";

/** When to look again although nothing has changed, in milliseconds; `undefined`: not at all. */
export type Again = number | undefined;

const CLEANUP_PAUSE_MS = 2000;

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
  await writeStatus(world, server, { conditions });
  for (const finding of findings) {
    const before = previous.find(({ type }) => type === finding.type);
    if (finding.status === "False" && (before?.status !== "False" || before.message !== finding.message)) {
      world.note(server, { type: "Warning", reason: finding.reason, message: finding.message });
    }
  }
}

/** Whether the API server may still ask a policy, by a webhook configuration of now or of before 1.37. */
function isAsked(world: World, policy: Policy): boolean {
  return webhookExists(world, policy) || legacyWebhooks(world, policy).length > 0;
}

/**
 * The policies that a server is to serve. One that the allow list rejects is served as long as the API server may still ask it:
 * without an answer the requests of its namespace would be refused.
 */
function deployedPolicies(world: World, policies: readonly Policy[]): readonly Policy[] {
  return policies.filter((policy) => rejectionOf(world, policy) === undefined || isAsked(world, policy));
}

/** How many webhooks that point at each policy server are being written. */
const holdsOf = perWorld(() => new Map<string, number>());

/** Keeps a policy server from being let go while a webhook that points at it is being written. */
export async function holdingServer<T>(
  world: World,
  policyServer: string,
  work: () => Promise<T>,
): Promise<T> {
  const held = holdsOf(world);
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
  const remaining = boundPolicies(world.stores, server.metadata.name)
    .filter((policy) => isAsked(world, policy)).map(policyId);
  await writeConditions(world, server, [webhooksCleanedUpFinding(remaining)]);
  if (remaining.length > 0 || (holdsOf(world).get(server.metadata.name) ?? 0) > 0) return CLEANUP_PAUSE_MS;
  await removeFinalizers(world, world.stores.policyServers.get(server.metadata.name) ?? server);
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

const leftOutOf = perWorld(() => new Map<string, ReadonlyMap<string, string>>());

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

async function reconcileService(world: World, server: PolicyServer): Promise<void> {
  await ensure(world, {
    resource: SERVICES,
    store: world.stores.services,
    object: renderService(server, world.settings),
    exact: [["metadata", "labels"], ["spec", "selector"], ["spec", "ports"]],
  });
}

/** What the steps of a pass came to, and what the last of them failed with. */
type Outcome = { readonly findings: readonly Finding[]; readonly failure?: unknown };

/** Brings a server's objects to what they should be, one after the other; the first failure ends the pass. */
async function reconcileObjects(world: World, server: PolicyServer): Promise<Outcome> {
  const policies = deployedPolicies(world, boundPolicies(world.stores, server.metadata.name));
  let configVersion = "";
  const steps: { readonly [S in ServerStep]: () => Promise<unknown> } = {
    secret: () => reconcileSecret(world, server),
    configMap: async () => configVersion = await reconcileConfigMap(world, server, policies),
    budget: () => reconcileBudget(world, server),
    deployment: () => reconcileDeployment(world, server, configVersion),
    service: () => reconcileService(world, server),
  };
  const findings: Finding[] = [];
  for (const step of SERVER_STEPS) {
    try {
      await steps[step]();
      findings.push(serverStepFinding(step));
    } catch (failure) {
      return { findings: [...findings, serverStepFinding(step, errorText(failure))], failure };
    }
  }
  return { findings };
}

/** Why pods of a server don't run, or can't on the host's network. */
function podFindings(world: World, server: PolicyServer): readonly Finding[] {
  const { stores, settings, settings: { hostNetwork, namespace } } = world;
  const { pods, deployment } = serverState(world, server.metadata.name).view;
  const missing = missingInputs(server, {
    configMap: (wanted) => stores.configMaps.get(wanted, namespace) !== undefined,
    secret: (wanted) => stores.secrets.get(wanted, namespace) !== undefined,
  });
  return [
    ...(hostNetwork
      ? [hostPortsFinding(hostPortProblems(server, [...stores.policyServers.all()], settings))]
      : []),
    ...podsFinding([
      // It matters to pods that wait for it.
      ...(pods.length === 0 ? [] : missing),
      ...podProblems(server, deployment, pods),
    ]),
  ];
}

/** Brings everything that a PolicyServer stands for to what it should be. */
export async function reconcilePolicyServer(world: World, name: string): Promise<Again> {
  const { policyServers } = world.stores;
  const found = policyServers.get(name);
  if (found === undefined) return undefined;
  if (found.metadata.deletionTimestamp !== undefined) {
    return hasOurFinalizer(found) ? await finalize(world, found) : undefined;
  }
  const server = await addFinalizer(world, found);
  const { findings, failure } = await reconcileObjects(world, server);
  await writeConditions(world, policyServers.get(name) ?? server, [
    ...findings,
    ...podFindings(world, server),
  ]);
  if (failure !== undefined) throw failure;
  return undefined;
}
