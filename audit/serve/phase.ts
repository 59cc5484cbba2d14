/** One phase: the objects of a namespace, or the cluster-scoped ones (spec/audit.md §4.2, §4.3). */
import { createHash } from "node:crypto";
import { isUnserved, type StoredReport } from "../apply/report_store.ts";
import { basisOf, policiesOf } from "../render/inputs.ts";
import { auditedOf } from "../render/list_page.ts";
import { errorText } from "../render/log_line.ts";
import { reportsName } from "../render/report.ts";
import type { Audited } from "../types/judgement.ts";
import type { Plan, Subject } from "../types/policies.ts";
import { auditObject, type SubjectAudit } from "./object_report.ts";
import { pages } from "./pages.ts";
import type { Phase, Run, StoredReports } from "./run.ts";
import { createSlots, type Slots } from "./slots.ts";

const digest = (text: string) => createHash("sha256").update(text).digest("base64url").slice(0, 22);

/**
 * Audits a phase; `of` namespaces are in the run. Errors with single kinds, objects and reports are logged, and the phase goes
 * on. What it resolves to has its stale reports still to be removed.
 */
export async function auditPhase(
  run: Run,
  namespace: string | undefined,
  plan: Plan,
  of: number,
): Promise<Phase> {
  for (const id of plan.evaluated) run.counter.policy(id);
  await run.conditions.prepare(plan.subjects.flatMap(policiesOf));
  const progress = run.progress.begin(namespace, of);
  try {
    const before = run.settings.incremental ? await reportsToKeep(run, namespace) : undefined;
    const phase: Phase = { run, namespace, plan, progress, before, current: new Set() };
    const slots = createSlots(run.settings.parallelResources);
    for (const subject of plan.subjects) await auditSubject(phase, subject, slots);
    await slots.drained();
    return phase;
  } finally {
    progress.end();
  }
}

async function reportsToKeep(run: Run, namespace: string | undefined): Promise<StoredReports | undefined> {
  try {
    return await storedReports(run, namespace);
  } catch (error) {
    run.log("warning", "the stored reports cannot be listed, so that everything is judged anew", {
      error: errorText(error),
    });
    return undefined;
  }
}

/** Begins to audit the objects of a kind, as far as they can be listed. */
async function auditSubject(phase: Phase, subject: Subject, slots: Slots): Promise<void> {
  const { run: { client, settings, log, counter }, namespace, plan, progress } = phase;
  const { served } = subject.primary;
  const about = { subject, policies: policiesOf(subject), basis: digest(basisOf(subject, plan)) };
  let first = true;
  try {
    for await (const page of pages(client, served, namespace, settings.pageSize)) {
      if (first) progress.expect(page.items.length + page.remaining);
      first = false;
      for (const text of page.items) await slots.begin(() => auditItem(phase, about, text));
    }
  } catch (error) {
    counter.add("unlisted");
    const { group, version, plural: resource } = served;
    log("warning", "Failed to list resources", {
      component: "k8sclient",
      error: errorText(error),
      "resource-GVK": `${group}/${version}, Resource=${resource}`,
      ...(namespace === undefined ? {} : { ns: namespace }),
    });
  }
}

/** Audits one item of a list. Never rejects. */
async function auditItem(phase: Phase, about: SubjectAudit, text: string): Promise<void> {
  const { run: { uid: runUid, log, counter }, progress, current } = phase;
  let object: Audited | undefined;
  try {
    object = auditedOf(text, about.subject.primary.served);
    counter.add("resources");
    if (object.uid === "") {
      log("warning", "the object has no uid, so that no report can be written on it, skipping", {
        resource: object.name,
        kind: object.kind,
      });
      return;
    }
    if (await auditObject(phase, about, object)) current.add(object.uid);
  } catch (error) {
    log("error", "error auditing resource", {
      error: errorText(error),
      RunUID: runUid,
      resource: object?.name ?? "",
    });
  } finally {
    progress.done();
  }
}

/**
 * Removes the reports that an audited phase neither wrote nor kept: their objects are no longer audited (spec/audit.md §13.3).
 * What can't be removed is logged.
 */
export async function removeStaleReports({ run, namespace, before, current }: Phase): Promise<void> {
  const { store, settings, log, counter } = run;
  if (settings.disableStore) return;
  const failed = (error: unknown, name?: string) =>
    log("error", `error deleting old ${namespace === undefined ? "ClusterReports" : "reports"}`, {
      error: errorText(error),
      RunUID: run.uid,
      ...(name === undefined ? {} : { "report-name": name }),
    });
  try {
    for (const report of (before ?? await storedReports(run, namespace, run.uid)).values()) {
      if (current.has(report.name)) continue;
      log("debug", `Deleting old ${reportsName(namespace)}s`, {
        component: "policyreportstore",
        "report-name": report.name,
      });
      await store.remove(namespace, report).then(
        () => counter.add("removed"),
        (error) => failed(error, report.name),
      );
    }
  } catch (error) {
    // Where the kind is not served there is nothing to remove.
    if (!isUnserved(error)) failed(error);
  }
}

/** The stored reports by name; without those that the run called `notOf` has written. */
async function storedReports(
  { settings, store }: Run,
  namespace: string | undefined,
  notOf?: string,
): Promise<StoredReports> {
  const found = new Map<string, StoredReport>();
  if (settings.disableStore) return found;
  for await (const report of store.list(namespace, notOf)) found.set(report.name, report);
  return found;
}
