/**
 * Whether every pod of a policy server serves a policy (spec/controller.md §7), and the Service is there that leads to them: only then
 * may the API server be told to ask, since a pod with an older configuration would answer that it knows no such policy, and where no
 * Service is, everything that the policy looks at would be refused.
 */
import type { ConfigMap, Deployment, Pod, ReplicaSet, Service } from "../types/objects.ts";
import type { ServedPolicy } from "./config_map.ts";
import { CONFIG_VERSION, POLICY_SERVER_LABEL } from "./names.ts";

const REVISION = "deployment.kubernetes.io/revision";
const TEMPLATE_HASH = "pod-template-hash";

/** What the cluster holds of one policy server, as far as serving goes. */
export type ServerView = {
  readonly configMap: ConfigMap | undefined;
  /** The ConfigMap's policies; `undefined` when they cannot be read. */
  readonly served: ReadonlyMap<string, ServedPolicy> | undefined;
  readonly deployment: Deployment | undefined;
  readonly service: Service | undefined;
  readonly replicaSets: readonly ReplicaSet[];
  readonly pods: readonly Pod[];
};

/** How far the rollout of the current configuration has come. */
export type Rollout =
  /** Every pod runs the current configuration and is ready, and can be reached. */
  | { readonly state: "served" }
  /** Old pods remain, or new ones are not there yet, or no Service; `someReady`: at least one pod answers whoever asks. */
  | { readonly state: "rolling"; readonly someReady: boolean };

function isReady(pod: Pod): boolean {
  return (pod.status?.conditions ?? []).some(({ type, status }) => type === "Ready" && status === "True");
}

/** Pods that ended on their own (evicted, completed) serve nobody and block nothing. */
function isFinished(pod: Pod): boolean {
  return pod.status?.phase === "Failed" || pod.status?.phase === "Succeeded";
}

/** The template hash of the pods that run the Deployment's current configuration, if its ReplicaSet exists. */
export function currentTemplateHash(view: ServerView): string | undefined {
  const { configMap, deployment, replicaSets } = view;
  const server = deployment?.metadata.labels?.[POLICY_SERVER_LABEL];
  const revision = deployment?.metadata.annotations?.[REVISION];
  const version = configMap?.metadata.resourceVersion;
  if (server === undefined || version === undefined) return undefined;
  const current = replicaSets.find(({ metadata }) =>
    metadata.labels?.[POLICY_SERVER_LABEL] === server && metadata.annotations?.[REVISION] === revision &&
    metadata.annotations?.[CONFIG_VERSION] === version
  );
  const hash = current?.metadata.labels?.[TEMPLATE_HASH] ?? "";
  return hash === "" ? undefined : hash;
}

/** How far the rollout has come. */
export function rollout(view: ServerView): Rollout {
  if (view.service === undefined) return { state: "rolling", someReady: false };
  const pods = view.pods.filter((pod) => !isFinished(pod));
  const hash = currentTemplateHash(view);
  const served = hash !== undefined && pods.length > 0 &&
    pods.every((pod) => pod.metadata.labels?.[TEMPLATE_HASH] === hash && isReady(pod));
  return served ? { state: "served" } : { state: "rolling", someReady: pods.some(isReady) };
}
