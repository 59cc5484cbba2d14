/** `--check-admission`: has a policy reject a Pod through the API server, as `helm test` does, and leaves nothing behind. */
import { type ClusterAdmissionPolicy, customResource } from "../../crd/types.ts";
import { ApiError, type KubeClient } from "../../kubernetes/apply/kube_client.ts";
import { sleep } from "../../program/apply/sleep.ts";
import { checkPod, checkPolicy } from "../render/admission_check.ts";
import type { Values } from "../render/flags.ts";
import { PODS } from "../types/resources.ts";
import type { ControllerSettings } from "../types/settings.ts";
import { withClient } from "./one_off.ts";
import type { World } from "./world.ts";

export type AdmissionCheck = {
  readonly client: KubeClient;
  /** Module of a policy that rejects privileged Pods. */
  readonly module: string;
  /** Where Pods are tried; not the deployments namespace, whose Pods are always accepted. */
  readonly namespace: string;
  /** Name of the policy and the Pods; nothing else may have it. */
  readonly id: string;
  readonly log: (message: string) => void;
  /** How long the policy may take until it is active, in milliseconds. */
  readonly activeWithinMs: number;
  /** How long the API server may take to learn of an active policy, in milliseconds. */
  readonly enforcedWithinMs: number;
};

const PAUSE_MS = 500;
/** `helm test` gives up after five minutes: this comes first, since it can say why. */
const ACTIVE_WITHIN_MS = 240_000;
const ENFORCED_WITHIN_MS = 10_000;
const POLICIES = customResource("ClusterAdmissionPolicy");

async function waitUntilActive({ client, id, activeWithinMs }: AdmissionCheck): Promise<void> {
  const limit = performance.now() + activeWithinMs;
  for (;;) {
    const { status } = await client.get<ClusterAdmissionPolicy>(POLICIES, undefined, id);
    if (status?.policyStatus === "active") return;
    if (performance.now() >= limit) {
      const reasons = (status?.conditions ?? [])
        .filter((condition) => condition.status === "False")
        .map(({ type, reason, message }) => `${type}=False (${reason}: ${message})`);
      throw new Error(
        `ClusterAdmissionPolicy ${id} is ${status?.policyStatus ?? "without a status"} after ` +
          `${activeWithinMs / 1000} s: ${reasons.join("; ") || "the controller said nothing of it"}`,
      );
    }
    await sleep(PAUSE_MS);
  }
}

/** Why the API server refuses a Pod; undefined when it accepts it. */
async function refusal(check: AdmissionCheck, privileged: boolean): Promise<string | undefined> {
  try {
    await check.client.create(PODS, checkPod(check.id, check.namespace, privileged), { dryRun: true });
    return undefined;
  } catch (error) {
    if (error instanceof ApiError) return error.answer;
    throw error;
  }
}

/** Whether a policy of the stack denied the Pod, be it the check's own. */
const byPolicy = (said: string): boolean => /\.kubewarden\.admission" denied the request/.test(said);

/**
 * Waits until the check's policy is seen to reject the Pod. Of several policies that reject it the API server names any one: if it
 * names only others until the time is up, the stack rejects Pods all the same, and the answer says by which policy.
 */
async function waitUntilRejected(check: AdmissionCheck): Promise<string> {
  const limit = performance.now() + check.enforcedWithinMs;
  for (;;) {
    const said = await refusal(check, true);
    const ours = said !== undefined && byPolicy(said);
    if (ours && said.includes(check.id)) return said;
    // A webhook that does not answer in time may do so the next time.
    const unanswered = said?.includes("failed calling webhook") ?? false;
    if (said !== undefined && !ours && !unanswered) {
      throw new Error(
        `a privileged Pod in namespace ${check.namespace} was refused, but not by a policy of this stack: ${said}; set ` +
          "helmTest.namespace to a namespace in which nothing else refuses it",
      );
    }
    if (performance.now() >= limit) {
      if (ours) return `${said} (by another policy than the test's, which refuses it as well)`;
      if (unanswered) {
        throw new Error(
          `a privileged Pod in namespace ${check.namespace} was refused for want of an answer: ${said}`,
        );
      }
      throw new Error(
        `a privileged Pod in namespace ${check.namespace} is accepted, though the policy has been active for ` +
          `${check.enforcedWithinMs / 1000} s`,
      );
    }
    await sleep(PAUSE_MS);
  }
}

/** Creates the policy; right after an installation the controller's own webhook may not answer yet. */
async function createPolicy({ client, id, module, activeWithinMs }: AdmissionCheck): Promise<void> {
  const limit = performance.now() + activeWithinMs;
  for (;;) {
    try {
      await client.create(POLICIES, checkPolicy(id, module));
      return;
    } catch (error) {
      const unanswered = error instanceof ApiError && error.status === 500 &&
        error.answer.includes("failed calling webhook");
      if (!unanswered || performance.now() >= limit) throw error;
    }
    await sleep(PAUSE_MS);
  }
}

/** Throws when a privileged Pod is not rejected by the policy, or a harmless one is. */
export async function checkAdmission(check: AdmissionCheck): Promise<void> {
  const { client, id, log } = check;
  await createPolicy(check);
  try {
    await waitUntilActive(check);
    log("the policy is active");
    log(`a privileged Pod is rejected: ${await waitUntilRejected(check)}`);
    const said = await refusal(check, false);
    if (said !== undefined && said.includes(id)) {
      throw new Error(`a harmless Pod in namespace ${check.namespace} was refused: ${said}`);
    }
    log(
      said === undefined
        ? "a harmless Pod is accepted"
        : `a harmless Pod is not refused by the test's policy, but by something else in namespace ${check.namespace}: ${said}`,
    );
  } finally {
    await client.remove(POLICIES, undefined, id);
  }
}

/** Runs the check with the process's flags; resolves to its exit code. */
export async function runAdmissionCheck(
  values: Values,
  settings: ControllerSettings,
  log: World["log"],
): Promise<number> {
  const namespace = values["check-admission-namespace"] ?? "";
  if (settings.alwaysAcceptReviewsInNamespace && namespace === settings.namespace) {
    log("error", "the admission check needs another namespace", {
      error:
        `every Pod of namespace ${namespace} is accepted, since it is the policy servers' own: set helmTest.namespace`,
    });
    return 1;
  }
  return await withClient(values, log, "the admission check", (client) =>
    checkAdmission({
      client,
      module: values["check-admission"] ?? "",
      namespace,
      id: `helm-test-${crypto.randomUUID().slice(0, 8)}`,
      log: (message) => log("info", message),
      activeWithinMs: ACTIVE_WITHIN_MS,
      enforcedWithinMs: ENFORCED_WITHIN_MS,
    }));
}
