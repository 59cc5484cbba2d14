/** One phase: the objects of a namespace, or the cluster-scoped ones (spec/audit.md §4.2, §4.3). */
import { createHash } from "node:crypto";
import { isUnserved, type StoredReport } from "../apply/report_store.ts";
import { basisOf, policiesOf } from "../render/inputs.ts";
import { auditedOf } from "../render/list_page.ts";
import { errorText } from "../render/log_line.ts";
import type { Audited } from "../types/judgement.ts";
import type { Plan, Subject } from "../types/policies.ts";
import { auditObject, type ObjectAudit, type PhaseContext, reportsName } from "./object_report.ts";
import { pages } from "./pages.ts";
import { createSlots } from "./slots.ts";

/** Hears how far a phase is. */
export type PhaseProgress = {
  /** So many more objects are known of. */
  expect(count: number): void;
  /** One is done. */
  done(): void;
};

type Stored = ReadonlyMap<string, StoredReport>;

const digest = (text: string) => createHash("sha256").update(text).digest("base64url").slice(0, 22);

/** Removes the reports of what is no longer judged. */
export type Collect = () => Promise<void>;

/**
 * Audits a phase; resolves to what has to be done last. Trouble with single kinds, objects and reports is logged; the phase
 * goes on.
 */
export async function auditPhase(
  context: PhaseContext,
  namespace: string | undefined,
  plan: Plan,
  progress: PhaseProgress,
): Promise<Collect> {
  const { client, store, settings, runUid, log, counter } = context;
  const slots = createSlots(settings.parallelResources);
  /** Names of the reports that are as they should be. */
  const current = new Set<string>();
  /** What was stored before, where that matters. */
  let known: Stored | undefined;

  async function storedReports(notOf?: string): Promise<Stored> {
    const found = new Map<string, StoredReport>();
    if (settings.disableStore) return found;
    for await (const report of store.list(namespace, notOf)) found.set(report.name, report);
    return found;
  }

  async function audit(text: string, about: Omit<ObjectAudit, "object" | "known">): Promise<void> {
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
      const right = await auditObject(context, namespace, {
        ...about,
        object,
        known: known?.get(object.uid),
      });
      if (right) current.add(object.uid);
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

  async function auditSubject(subject: Subject): Promise<void> {
    const { served } = subject.primary;
    const about = { subject, plan, policies: policiesOf(subject), basis: digest(basisOf(subject, plan)) };
    let first = true;
    try {
      for await (const page of pages(client, served, namespace, settings.pageSize)) {
        if (first) progress.expect(page.items.length + page.remaining);
        first = false;
        for (const text of page.items) await slots.begin(() => audit(text, about));
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

  /** Reports that this run neither wrote nor kept are of objects that are no longer judged (spec/audit.md §13.3). */
  async function collect(): Promise<void> {
    if (settings.disableStore) return;
    const failed = (error: unknown, name?: string) =>
      log("error", `error deleting old ${namespace === undefined ? "ClusterReports" : "reports"}`, {
        error: errorText(error),
        RunUID: runUid,
        ...(name === undefined ? {} : { "report-name": name }),
      });
    try {
      for (const report of (known ?? await storedReports(runUid)).values()) {
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

  if (settings.incremental) {
    try {
      known = await storedReports();
    } catch (error) {
      log("warning", "the stored reports cannot be listed, so that everything is judged anew", {
        error: errorText(error),
      });
    }
  }
  for (const subject of plan.subjects) await auditSubject(subject);
  await slots.drained();
  return collect;
}
