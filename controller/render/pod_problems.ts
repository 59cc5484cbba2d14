/** Why pods of a policy server don't run, so that nobody needs to look for them to learn it. */
import type { PolicyServer } from "../../crd/types.ts";
import type { Deployment, Pod } from "../types/objects.ts";

/** Each problem once; the API server takes no more than 32 KiB in a condition, and nobody reads as much. */
const MAX_LENGTH = 2_000;
/** What containers wait for that does not pass by itself. */
const STUCK = new Set([
  "CreateContainerConfigError",
  "CreateContainerError",
  "ErrImageNeverPull",
  "ErrImagePull",
  "ImageInspectError",
  "ImagePullBackOff",
  "InvalidImageName",
  "RunContainerError",
]);

const isJson = (text: string) => text.trimStart().startsWith("{");

function ofPod({ metadata, status = {} }: Pod, image: string): readonly string[] {
  if (metadata.deletionTimestamp !== undefined) return [];
  const unscheduled = (status.conditions ?? []).find(({ type, status }) =>
    type === "PodScheduled" && status === "False"
  );
  const containers = (status.containerStatuses ?? []).flatMap(({ state, lastState }) => {
    const waiting = state?.waiting;
    if (waiting?.reason !== undefined && STUCK.has(waiting.reason)) {
      return [`image ${image}: ${waiting.reason}: ${waiting.message ?? ""}`];
    }
    // Policies that could not be loaded are told on the policies. The original's server ends without a word, and its
    // controller says nothing of it either.
    const end = state?.terminated ?? (waiting === undefined ? undefined : lastState?.terminated);
    const said = end?.message?.trim() ?? "";
    return end === undefined || said === "" || isJson(said)
      ? []
      : [`the container ended with code ${end.exitCode}: ${said}`];
  });
  return [
    ...(unscheduled === undefined
      ? []
      : [`no node takes the pod: ${unscheduled.message ?? unscheduled.reason}`]),
    ...containers,
  ];
}

/** What a PolicyServer names and the deployments namespace does not have: pods wait for it before they start. */
export function missingInputs(
  { spec }: PolicyServer,
  has: { configMap(name: string): boolean; secret(name: string): boolean },
): readonly string[] {
  const missing = (field: string, kind: string, name: string | undefined, there: (name: string) => boolean) =>
    name === undefined || name === "" || there(name) ? [] : [
      `spec.${field} names ${kind} "${name}", which does not exist: pods don't start before you create it`,
    ];
  return [
    ...missing("verificationConfig", "ConfigMap", spec.verificationConfig, has.configMap),
    ...missing("sigstoreTrustConfig", "ConfigMap", spec.sigstoreTrustConfig, has.configMap),
    ...missing("imagePullSecret", "Secret", spec.imagePullSecret, has.secret),
  ];
}

/** Why the pods of a server that there are don't run, or why there are none; empty when there is nothing to say. */
export function podProblems(
  server: PolicyServer,
  deployment: Deployment | undefined,
  pods: readonly Pod[],
): readonly string[] {
  const refused = (deployment?.status?.conditions ?? []).flatMap(({ type, status, message = "" }) =>
    type === "ReplicaFailure" && status === "True" ? [`pods can't be created: ${message}`] : []
  );
  return [...new Set([...refused, ...pods.flatMap((pod) => ofPod(pod, server.spec.image)).sort()])];
}

/** The problems as one text of a bounded length. */
export function problemText(problems: readonly string[]): string {
  const text = problems.join("; ");
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH)}…`;
}
