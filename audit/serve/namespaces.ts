/**
 * One namespace, or all (spec/audit.md §4.1, §4.2). While a namespace is audited, the policies of the next are read and the stale
 * reports of the one before are removed.
 */
import type { KubeObject } from "../../kubernetes/types/object.ts";
import { openGate } from "../apply/gate.ts";
import { policyCounts } from "../render/classify.ts";
import { errorText } from "../render/log_line.ts";
import { NAMESPACES, type Plan } from "../types/policies.ts";
import { auditPhase, removeStaleReports } from "./phase.ts";
import type { Phase, Run } from "./run.ts";

const SCANNER = { component: "scanner" };

/** Audits the namespace that the flags name. */
export async function scanNamespace(run: Run, name: string): Promise<void> {
  await finish(await audit(run, name, planFor(run, name), 1));
}

/** Audits all namespaces that are not skipped. Fails at the end if any did; the others are audited all the same. */
export async function scanAllNamespaces(run: Run): Promise<void> {
  const { settings: { parallelNamespaces: parallel }, log, counter } = run;
  log("info", "all-namespaces scan started", {
    ...SCANNER,
    dict: { "parallel-namespaces-audits": parallel },
  });
  const names = await listNamespaces(run);
  const takePlan = planAhead(run, names, parallel);
  const auditing = openGate({ first: parallel });
  const finishing = openGate({ first: parallel });
  const ends: Promise<void>[] = [];
  const failures: string[] = [];

  const scanOne = async (name: string, index: number): Promise<void> => {
    try {
      const phase = await auditing.pass(async () => {
        // No more of them than this wait to be finished.
        await ends[index - 2 * parallel];
        return await audit(run, name, takePlan(index), names.length);
      });
      await finishing.pass(() => finish(phase));
    } catch (error) {
      counter.add("failedNamespaces");
      failures.push(errorText(error));
      log("error", "error scanning namespace", { ...SCANNER, error: errorText(error), ns: name });
    }
  };
  for (const [index, name] of names.entries()) ends.push(scanOne(name, index));
  await Promise.all(ends);
  if (failures.length > 0) throw new Error(`error scanning all namespaces: ${failures.join("\n")}`);
  log("info", "all-namespaces scan finished", SCANNER);
}

/** The names of all namespaces but the skipped ones. */
async function listNamespaces({ client, settings, log }: Run): Promise<readonly string[]> {
  const skipped = [...settings.ignoreNamespaces, settings.kubewardenNamespace];
  for (const ns of skipped) log("debug", "skipping ns", { ...SCANNER, ns });
  try {
    const fieldSelector = skipped.map((name) => `metadata.name!=${name}`).join(",");
    const { items } = await client.list(NAMESPACES, undefined, { fieldSelector, metadataOnly: true });
    return items.map(({ metadata }) => metadata.name);
  } catch (error) {
    throw new Error(`error scanning all namespaces: ${errorText(error)}`);
  }
}

/** Gives the plan of each namespace by its index; to take one begins that of the namespace `ahead` places after it. */
function planAhead(run: Run, names: readonly string[], ahead: number): (index: number) => Promise<Plan> {
  const begun = new Map<number, Promise<Plan>>();
  const begin = (index: number): Promise<Plan> => {
    let plan = begun.get(index);
    if (plan === undefined) {
      begun.set(index, plan = planFor(run, names[index]!));
      // Its failure is met when its turn comes.
      plan.catch(() => {});
    }
    return plan;
  };
  return (index) => {
    const plan = begin(index);
    begun.delete(index);
    if (index + ahead < names.length) void begin(index + ahead);
    return plan;
  };
}

/** What is audited in a namespace. */
async function planFor({ client, policies }: Run, name: string): Promise<Plan> {
  let namespace: KubeObject;
  try {
    namespace = await client.get<KubeObject>(NAMESPACES, undefined, name);
  } catch (error) {
    throw new Error(`failed to get namespace ${name}: can't get namespace ${name}: ${errorText(error)}`);
  }
  try {
    return await policies.plan({ namespace: name, labels: namespace.metadata.labels });
  } catch (error) {
    throw new Error(`failed to obtain auditable policies for namespace ${name}: ${errorText(error)}`);
  }
}

/** Audits the objects of a namespace, one `of` so many. */
async function audit(run: Run, namespace: string, coming: Promise<Plan>, of: number): Promise<Phase> {
  const { settings, log } = run;
  log("info", "namespace scan started", {
    ...SCANNER,
    namespace,
    RunUID: run.uid,
    "parallel-resources-audits": settings.parallelResources,
  });
  const plan = await coming;
  log("info", "policy count", { ...SCANNER, namespace, ...policyCounts(plan) });
  return await auditPhase(run, namespace, plan, of);
}

/** Does what is left once the objects of a namespace are audited. */
async function finish(phase: Phase): Promise<void> {
  const { run: { counter, log }, namespace } = phase;
  await removeStaleReports(phase);
  counter.add("namespaces");
  log("info", "Namespaced resources scan finished", { ...SCANNER, namespace });
}
