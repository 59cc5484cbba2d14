/** One run: the phases that the flags ask for, in their order (spec/audit.md §4). */
import { removeLegacyReports } from "../apply/legacy_reports.ts";
import { policyServerClient } from "../apply/policy_server_client.ts";
import { policyCounts } from "../render/classify.ts";
import { errorText } from "../render/log_line.ts";
import type { Tally } from "../types/tally.ts";
import { scanAllNamespaces, scanNamespace } from "./namespaces.ts";
import { auditPhase, removeStaleReports } from "./phase.ts";
import { createRun, type Run, type ScanParts } from "./run.ts";

/** Requests on the way to one policy server, whatever the flags say: each is a connection. */
const MAX_REQUESTS = 1024;

/** What a run came to; `error` is why it failed, if it did. */
export type ScanOutcome = {
  readonly runUid: string;
  readonly tally: Tally;
  readonly error: string | undefined;
};

/** Runs the phases that the settings ask for. */
export async function scan(parts: ScanParts): Promise<ScanOutcome> {
  const { client, settings, log } = parts;
  const { parallelNamespaces, parallelResources, parallelPolicies } = settings;
  const inFlight = parallelNamespaces * parallelResources * parallelPolicies;
  await using servers = await policyServerClient(parts.tls, Math.min(inFlight, MAX_REQUESTS));
  const run = createRun(parts, servers);
  let error: string | undefined;
  try {
    if (settings.reportKind === "openreports" && !settings.disableStore) {
      await removeLegacyReports(client, parts.uuid(), log);
    }
    if (settings.namespace !== undefined) {
      await scanNamespace(run, settings.namespace);
    } else {
      await scanClusterWide(run);
      if (!settings.clusterOnly) await scanAllNamespaces(run);
    }
  } catch (failure) {
    error = errorText(failure);
  }
  return { runUid: run.uid, tally: run.counter.tally(), error };
}

/** Audits the cluster-scoped objects (spec/audit.md §4.3). */
async function scanClusterWide(run: Run): Promise<void> {
  const { settings, log } = run;
  const scanner = { component: "scanner" };
  log("info", "clusterwide resources scan started", { ...scanner, RunUID: run.uid });
  const plan = await run.policies.plan(undefined);
  log("info", "cluster admission policies count", {
    ...scanner,
    ...policyCounts(plan),
    "parallel-resources-audits": settings.parallelResources,
  });
  await removeStaleReports(await auditPhase(run, undefined, plan, 0));
  log("info", "Cluster-wide resources scan finished", scanner);
}
