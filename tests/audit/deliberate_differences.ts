/**
 * Where the scanner writes something else than Kubewarden 1.36 on purpose. The replay of `tests/vectors/audit` applies these and
 * nothing else; whatever else differs fails the test.
 */
import { INPUTS_ANNOTATION } from "../../audit/render/report.ts";
import type { ReportKind } from "../../audit/types/settings.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

export type ReportDifference = {
  readonly name: string;
  readonly reason: string;
  /** The report kind in which it shows; both by default. */
  readonly only?: ReportKind;
  /** Whether a recorded report differs. */
  readonly differs: (report: Any) => boolean;
  /** What is written in its place; `ids` are ours by those of 1.36. */
  readonly ours: (report: Any, ids: ReadonlyMap<string, string>) => Any;
};

/** The recordings' policy with a condition: it looks at objects of this name only. */
const CONDITIONED = { id: "kw.cap.conditions", name: "no" } as const;

function withoutCondition(report: Any): Any {
  const dropped = report.results.find((result: Any) => result.policy === CONDITIONED.id);
  return {
    ...report,
    results: report.results.filter((result: Any) => result !== dropped),
    summary: { ...report.summary, [dropped.result]: report.summary[dropped.result] - 1 },
  };
}

/** In this order. */
export const REPORT_DIFFERENCES: readonly ReportDifference[] = [{
  name: "policy ids",
  reason: "spec/decisions.md §3: kw.cap.<name> and so on, as the policy server and the webhooks have them",
  differs: (report) => report.results.length > 0,
  ours: (report, ids) => ({
    ...report,
    results: report.results.map((result: Any) => ({ ...result, policy: ids.get(result.policy) })),
  }),
}, {
  name: "matchConditions",
  reason: "the original ignores them and so reports on objects that admission never shows to the policy",
  differs: (report) =>
    report.scope.name !== CONDITIONED.name &&
    report.results.some((result: Any) => result.policy === CONDITIONED.id),
  ours: withoutCondition,
}, {
  name: "source",
  reason: "spec/audit.md §12.2: the original writes an empty top-level source, which says nothing",
  only: "openreports",
  differs: (report) => report.source === "",
  ours: ({ source: _, ...report }) => report,
}, {
  name: "inputs",
  reason: "--incremental must know what a report was made from without reading it all",
  differs: () => true,
  ours: (report) => ({
    ...report,
    metadata: { ...report.metadata, annotations: { [INPUTS_ANNOTATION]: "" } },
  }),
}];
