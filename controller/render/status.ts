/** Status of policies and PolicyServers (spec/controller.md §4.3, §6.3; spec/crds.md §6). */
import type { Condition, PolicyStatus } from "../../crd/types.ts";
import type { ConfigMap, Deployment } from "../types/objects.ts";
import { RESOURCES_NOT_ALLOWED } from "./allowed_resources.ts";
import { CONFIG_VERSION } from "./names.ts";
import { problemText } from "./pod_problems.ts";

/** A condition before it is known since when it holds. */
export type Finding = Omit<Condition, "lastTransitionTime" | "observedGeneration">;

/** Conditions as they are stored: the time moves only when the status does. `now` is in RFC 3339 with whole seconds. */
export function stampConditions(
  findings: readonly Finding[],
  previous: readonly Condition[],
  now: string,
): readonly Condition[] {
  return findings.map((finding) => {
    const before = previous.find(({ type }) => type === finding.type);
    const lastTransitionTime = before?.status === finding.status ? before.lastTransitionTime : now;
    return { lastTransitionTime, ...finding };
  });
}

/** Whether two lists of conditions say the same; the order does not matter. */
export function sameConditions(a: readonly Condition[], b: readonly Condition[]): boolean {
  return a.length === b.length && a.every((one) => {
    const other = b.find(({ type }) => type === one.type);
    return other !== undefined && other.status === one.status && other.reason === one.reason &&
      other.message === one.message && other.lastTransitionTime === one.lastTransitionTime;
  });
}

// Policies.

export const POLICY_ACTIVE = "PolicyActive";
export const UNIQUELY_REACHABLE = "PolicyUniquelyReachable";
export const CONFIGURATION_UP_TO_DATE = "PolicyServerConfigurationUpToDate";
/** Only while a policy server says that it cannot load the policy (spec/decisions.md §4). */
export const POLICY_LOADED = "PolicyLoaded";
/** Longest part of a load error that a condition repeats; the API's own limit is 32768. */
const LOAD_ERROR_LIMIT = 4096;

function finding(type: string, holds: boolean, reason: string, message: string): Finding {
  return { type, status: holds ? "True" : "False", reason, message };
}

function activeFinding(active: boolean): Finding {
  const message = `The policy webhook has ${active ? "" : "not "}been created`;
  return finding(POLICY_ACTIVE, active, POLICY_ACTIVE, message);
}

function reachableFinding(reachable: boolean): Finding {
  const reason = reachable ? "LatestReplicaSetIsUniquelyReachable" : "LatestReplicaSetIsNotUniquelyReachable";
  const message = `The latest replica set is ${reachable ? "" : "not "}uniquely reachable`;
  return finding(UNIQUELY_REACHABLE, reachable, reason, message);
}

export type ConfigurationState = "match" | "mismatch" | "unknown";

/** Whether the Deployment was told of the ConfigMap as it is now. */
export function configurationState(deployment: Deployment, configMap: ConfigMap): ConfigurationState {
  const version = deployment.metadata.annotations?.[CONFIG_VERSION];
  if (version === undefined) return "unknown";
  return version === configMap.metadata.resourceVersion ? "match" : "mismatch";
}

function configurationFinding(state: ConfigurationState, deployment: string): Finding {
  const [reason, message] = {
    match: ["ConfigurationVersionMatch", "Configuration for this policy is up to date"],
    mismatch: ["ConfigurationVersionMismatch", "Configuration for this policy is not up to date"],
    unknown: [
      "UnknownConfigurationVersion",
      `Configuration version annotation (${CONFIG_VERSION}) in deployment ${deployment} is missing`,
    ],
  }[state] as [string, string];
  return finding(CONFIGURATION_UP_TO_DATE, state === "match", reason, message);
}

function loadedFinding(error: string): Finding {
  const message = error.length > LOAD_ERROR_LIMIT ? `${error.slice(0, LOAD_ERROR_LIMIT)}…` : error;
  return finding(POLICY_LOADED, false, "PolicyLoadFailed", message);
}

/** What was found about a policy; it alone decides the status. */
export type PolicyFindings =
  | { readonly state: "unscheduled" | "scheduled" }
  /** It targets what policies of a namespace may not; `message` says what. */
  | { readonly state: "rejected"; readonly message: string }
  | {
    readonly state: "pending" | "active";
    /** Whether the webhook configuration exists. */
    readonly webhook: boolean;
    /** Absent while the server's Deployment is. */
    readonly server?: {
      readonly deployment: string;
      readonly reachable: boolean;
      readonly configuration: ConfigurationState;
      /** Mode in which the server runs the policy; `undefined` when its configuration has no such policy. */
      readonly mode: string | undefined;
    };
    readonly loadError?: string | undefined;
  };

type Mode = NonNullable<PolicyStatus["mode"]>;

function knownMode(mode: string | undefined): Mode {
  return mode === "protect" || mode === "monitor" ? mode : "unknown";
}

/** The status of a policy; what no longer holds of an earlier one is not kept. */
export function renderPolicyStatus(
  found: PolicyFindings,
  previous: PolicyStatus | undefined,
  now: string,
): PolicyStatus {
  const before = previous?.conditions ?? [];
  if (!("webhook" in found)) {
    const inactive = found.state === "rejected"
      ? finding(POLICY_ACTIVE, false, RESOURCES_NOT_ALLOWED, found.message)
      : activeFinding(false);
    return { policyStatus: found.state, conditions: stampConditions([inactive], before, now) };
  }
  const { server, loadError } = found;
  const findings = [
    activeFinding(found.webhook),
    ...(server === undefined ? [] : [
      reachableFinding(server.reachable),
      configurationFinding(server.configuration, server.deployment),
    ]),
    ...(loadError === undefined ? [] : [loadedFinding(loadError)]),
  ];
  const mode = server === undefined ? previous?.mode : knownMode(server.mode);
  return {
    policyStatus: found.state,
    ...(mode === undefined ? {} : { mode }),
    conditions: stampConditions(findings, before, now),
  };
}

/** Whether two statuses say the same. */
export function samePolicyStatus(a: PolicyStatus, b: PolicyStatus | undefined): boolean {
  return b !== undefined && a.policyStatus === b.policyStatus && a.mode === b.mode &&
    sameConditions(a.conditions ?? [], b.conditions ?? []);
}

// PolicyServers.

export const SERVER_STEPS = ["secret", "configMap", "budget", "deployment", "service"] as const;
export type ServerStep = (typeof SERVER_STEPS)[number];

const STEP_CONDITIONS: { readonly [S in ServerStep]: { readonly type: string; readonly subject: string } } = {
  secret: { type: "CertSecretReconciled", subject: "secret" },
  configMap: { type: "ConfigMapReconciled", subject: "configmap" },
  budget: { type: "PodDisruptionBudgetReconciled", subject: "policy server PodDisruptionBudget" },
  deployment: { type: "DeploymentReconciled", subject: "deployment" },
  service: { type: "ServiceReconciled", subject: "service" },
};

export const WEBHOOKS_CLEANED_UP = "PolicyWebhooksCleanedUp";
export const HOST_PORTS_AVAILABLE = "HostPortsAvailable";
export const PODS_RUNNING = "PodsRunning";

function outcome(type: string, problem: string | undefined): Finding {
  const reason = problem === undefined ? "ReconciliationSucceeded" : "ReconciliationFailed";
  return finding(type, problem === undefined, reason, problem ?? "");
}

/** Findings of a pass: one per step that was reached; the last may be the one that failed. */
export function serverStepFinding(step: ServerStep, error?: string): Finding {
  const { type, subject } = STEP_CONDITIONS[step];
  return outcome(type, error === undefined ? undefined : `error reconciling ${subject}: ${error}`);
}

/** Whether webhooks of the server's policies still exist while it is being deleted. */
export function webhooksCleanedUpFinding(remaining: readonly string[]): Finding {
  return outcome(
    WEBHOOKS_CLEANED_UP,
    remaining.length === 0 ? undefined : `Waiting for webhook cleanup of policies: ${remaining.join(", ")}`,
  );
}

/** Whether the server's ports can be bound on the host's network; only reported in that mode. */
export function hostPortsFinding(problems: readonly string[]): Finding {
  const free = problems.length === 0;
  return finding(HOST_PORTS_AVAILABLE, free, free ? "NoConflict" : "PortConflict", problems.join("; "));
}

/** Why pods don't run; there is no such condition while there is nothing to say. */
export function podsFinding(problems: readonly string[]): readonly Finding[] {
  if (problems.length === 0) return [];
  return [finding(PODS_RUNNING, false, "PodsNotRunning", problemText(problems))];
}

/** Conditions of a PolicyServer: those found now, and of the earlier ones those that this pass did not reach. */
export function serverConditions(
  findings: readonly Finding[],
  previous: readonly Condition[],
  now: string,
): readonly Condition[] {
  const reached = new Set(findings.map(({ type }) => type));
  const steps = Object.values(STEP_CONDITIONS).map(({ type }) => type);
  const kept = previous.filter(({ type }) => !reached.has(type) && steps.includes(type));
  const order = [...steps, WEBHOOKS_CLEANED_UP, HOST_PORTS_AVAILABLE, PODS_RUNNING];
  return [...kept, ...stampConditions(findings, previous, now)]
    .sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type));
}
