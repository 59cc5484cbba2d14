/** What the phases of a run share, and what a phase is. */
import type { KubeClient } from "../../kubernetes/apply/kube_client.ts";
import { createDiscovery } from "../apply/discovery.ts";
import { ObjectEvaluator } from "../apply/evaluate_object.ts";
import type { Tls } from "../apply/exchange.ts";
import type { Conditions } from "../apply/match_conditions.ts";
import { type PolicySource, policySource } from "../apply/policies.ts";
import type { PolicyServerClient } from "../apply/policy_server_client.ts";
import { type ReportStore, reportStore, type StoredReport } from "../apply/report_store.ts";
import { errorText } from "../render/log_line.ts";
import type { Log } from "../types/log.ts";
import type { Plan } from "../types/policies.ts";
import type { PhaseProgress, Progress } from "../types/progress.ts";
import type { AuditSettings } from "../types/settings.ts";
import { type Counter, createCounter } from "./tallying.ts";

/** What a run is made of. */
export type ScanParts = {
  readonly client: KubeClient;
  readonly tls: Tls;
  readonly conditions: Conditions;
  readonly settings: AuditSettings;
  readonly log: Log;
  readonly progress: Progress;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** A new UUID. */
  readonly uuid: () => string;
};

/** What all phases of a run share. */
export type Run = ScanParts & {
  readonly uid: string;
  readonly policies: PolicySource;
  readonly evaluator: ObjectEvaluator;
  readonly store: ReportStore;
  readonly counter: Counter;
  /** Kinds of reports that turned out not to be served: said once. */
  readonly unserved: Set<string>;
};

/** The objects of a namespace, or the cluster-scoped ones. */
export type Phase = {
  readonly run: Run;
  readonly namespace: string | undefined;
  readonly plan: Plan;
  readonly progress: PhaseProgress;
  /** The reports that were stored when it began, by name; absent where they were not listed. */
  readonly before: StoredReports | undefined;
  /** Names of the reports that are as they should be. */
  readonly current: Set<string>;
};

export type StoredReports = ReadonlyMap<string, StoredReport>;

/** A run that asks the policies of `servers`. */
export function createRun(parts: ScanParts, servers: PolicyServerClient): Run {
  const { client, conditions, settings, log, now } = parts;
  const discovery = createDiscovery(
    client,
    (groupVersion, error) =>
      log("error", "failed to ask the API server what it serves", { groupVersion, error: errorText(error) }),
  );
  return {
    ...parts,
    uid: parts.uuid(),
    policies: policySource(client, discovery, settings, log),
    evaluator: new ObjectEvaluator({ client, servers, conditions, log, now }),
    store: reportStore(client, settings.reportKind),
    counter: createCounter(),
    unserved: new Set(),
  };
}
