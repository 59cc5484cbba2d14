/** The work queues of the controller, what is done with their keys, and how keys come into them. */
import type { PolicyKind } from "../../crd/types.ts";
import { applyDefaults } from "../apply/apply_defaults.ts";
import { reconcilePolicy } from "../apply/reconcile_policy.ts";
import { reconcilePolicyServer } from "../apply/reconcile_policy_server.ts";
import { removeOrphan } from "../apply/remove_orphans.ts";
import { rotateCertificates } from "../apply/rotate_certificates.ts";
import type { World } from "../apply/world.ts";
import { errorFields } from "../render/error_fields.ts";
import type { Metrics } from "../render/metrics.ts";
import type { WebhookKind } from "../types/objects.ts";
import { createQueue, type QueueOptions, type WorkQueue } from "./queue.ts";
import { queueMetrics } from "./queue_metrics.ts";
import type { Triggers } from "./triggers.ts";

const SERVER_WORKERS = 4;
const POLICY_WORKERS = 12;
/** A server whose policies keep coming is rolled after this time and then ever less often, in milliseconds. */
const ROLL_PAUSE_MS = 1_000;
const LONGEST_ROLL_PAUSE_MS = 4_000;

/** What the kinds are called in metrics. */
const METRIC_NAMES: { readonly [K in PolicyKind]: string } = {
  AdmissionPolicy: "admissionpolicy",
  ClusterAdmissionPolicy: "clusteradmissionpolicy",
  AdmissionPolicyGroup: "admissionpolicygroup",
  ClusterAdmissionPolicyGroup: "clusteradmissionpolicygroup",
};

export type Queues = {
  readonly servers: WorkQueue;
  readonly policies: WorkQueue;
  readonly certificates: WorkQueue;
  readonly orphans: WorkQueue;
  readonly defaults: WorkQueue;
};

export type StartedQueues = {
  readonly queues: Queues;
  refreshMetrics(): void;
  /** Why the last run over the certificates failed; undefined when it did not. */
  certificateProblem(): string | undefined;
};

/** Starts to work on what is added to the queues. */
export function startQueues(world: World, metrics: Metrics): StartedQueues {
  const refreshes: (() => void)[] = [];
  let certificateProblem: string | undefined;
  const queue = (
    names: readonly string[],
    nameOf: (key: string) => string,
    workers: number,
    work: QueueOptions["work"],
  ): WorkQueue => {
    const { hooks, refresh } = queueMetrics(metrics, names, workers, nameOf);
    refreshes.push(refresh);
    return createQueue({
      workers,
      work,
      ...hooks,
      done(key, result, seconds, error) {
        hooks.done(key, result, seconds, error);
        if (error === undefined) return;
        world.log("error", "Reconciler error", { controller: nameOf(key), key, ...errorFields(error) });
      },
    });
  };
  const one = (name: string, workers: number, work: QueueOptions["work"]) =>
    queue([name], () => name, workers, work);
  const kindOf = (key: string) => METRIC_NAMES[key.split("|")[0] as PolicyKind];
  const queues: Queues = {
    servers: one("policyserver", SERVER_WORKERS, (name) => reconcilePolicyServer(world, name)),
    policies: queue(Object.values(METRIC_NAMES), kindOf, POLICY_WORKERS, (key) => {
      const [kind, name, namespace] = key.split("|") as [PolicyKind, string, string];
      return reconcilePolicy(world, kind, name, namespace === "" ? undefined : namespace);
    }),
    certificates: one("certificates", 1, async () => {
      try {
        await rotateCertificates(world);
        certificateProblem = undefined;
      } catch (error) {
        certificateProblem = error instanceof Error ? error.message : String(error);
        throw error;
      }
      return undefined;
    }),
    defaults: one("defaults", 1, async () => {
      await applyDefaults(world);
      return undefined;
    }),
    orphans: one("orphans", 1, async (key) => {
      const [kind, name] = key.split("|") as [WebhookKind, string];
      await removeOrphan(world, kind, name);
      return undefined;
    }),
  };
  return {
    queues,
    refreshMetrics: () => {
      for (const refresh of refreshes) refresh();
    },
    certificateProblem: () => certificateProblem,
  };
}

/** Triggers that add to the queues. */
export function triggersInto(queues: Queues): Triggers {
  const rolls = new Map<string, { readonly last: number; readonly pause: number }>();
  return {
    server(name, afterMs = 0) {
      // Only changes of policies may wait for others of their kind; what was damaged is repaired at once.
      if (afterMs === 0) return queues.servers.add(name);
      const now = performance.now();
      const known = rolls.get(name);
      const fresh = known !== undefined && now < known.last + known.pause + LONGEST_ROLL_PAUSE_MS;
      if (!fresh) {
        rolls.set(name, { last: now + afterMs, pause: ROLL_PAUSE_MS });
        return queues.servers.add(name, afterMs);
      }
      // The pass at that time may have been joined with an earlier one, which is over: then this change would wait for ever.
      if (now < known.last) return queues.servers.add(name, known.last - now);
      rolls.set(name, { last: now + known.pause, pause: Math.min(known.pause * 2, LONGEST_ROLL_PAUSE_MS) });
      queues.servers.add(name, known.pause);
    },
    policy: (kind, name, namespace) => queues.policies.add(`${kind}|${name}|${namespace ?? ""}`),
    certificates: () => queues.certificates.add("certificates"),
    defaults: () => queues.defaults.add("defaults"),
    orphan: (kind, name) => queues.orphans.add(`${kind}|${name}`),
  };
}
