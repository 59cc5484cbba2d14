/** What people see of a run on a terminal, and what machines see of its end. */
import { oneLine } from "../../program/render/terminal_text.ts";
import type { PolicyTally, Tally } from "../types/tally.ts";
import { greatest } from "../../program/types/lists.ts";

const BAR_CELLS = 24;

export type PhaseView = {
  /** A namespace, or `undefined` for the cluster-scoped objects. */
  readonly namespace: string | undefined;
  readonly done: number;
  readonly expected: number;
  /** Which of how many namespaces. */
  readonly number: number;
  readonly of: number;
};

/** One line, no wider than `columns`. */
export function progressLine({ namespace, done, expected, number, of }: PhaseView, columns: number): string {
  const share = expected === 0 ? 0 : Math.min(done / expected, 1);
  const full = Math.round(share * BAR_CELLS);
  const bar = "█".repeat(full) + "░".repeat(BAR_CELLS - full);
  const name = namespace === undefined
    ? "cluster-wide"
    : `${of > 1 ? `[${number}/${of}] ` : ""}${oneLine(namespace)}`;
  return `${bar} ${done}/${Math.max(expected, done)}  ${name}`.slice(0, Math.max(columns - 1, 0));
}

const HEADINGS = ["POLICY", "PASS", "FAIL", "ERROR"] as const;

function sum(policies: Iterable<PolicyTally>): PolicyTally {
  const total = { pass: 0, fail: 0, error: 0 };
  for (const { pass, fail, error } of policies) {
    total.pass += pass;
    total.fail += fail;
    total.error += error;
  }
  return total;
}

const sorted = ({ policies }: Tally) => [...policies].sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);

/** The closing table: policy by pass, fail and error, and one line about the reports. */
export function closingTable(tally: Tally, milliseconds: number): string {
  const row = (name: string, { pass, fail, error }: PolicyTally) =>
    [oneLine(name), pass, fail, error].map(String);
  const rows = [
    [...HEADINGS],
    ...sorted(tally).map(([id, counts]) => row(id, counts)),
    row("total", sum(tally.policies.values())),
  ];
  const widths = HEADINGS.map((_, column) => greatest(rows.map((cells) => cells[column]!.length)));
  const lines = rows.map((cells) =>
    cells.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)).join(
      "  ",
    )
  );
  const { resources, namespaces, written, kept, removed, unwritten, unlisted, failedNamespaces } =
    tally.totals;
  const parts = [
    `${written} written`,
    ...(kept > 0 ? [`${kept} kept`] : []),
    ...(removed > 0 ? [`${removed} removed`] : []),
    ...(unwritten > 0 ? [`${unwritten} could not be written`] : []),
  ];
  const troubles = [
    ...(unlisted > 0 ? [`${unlisted} kinds could not be listed`] : []),
    ...(failedNamespaces > 0 ? [`${failedNamespaces} namespaces failed`] : []),
  ];
  const seconds = (milliseconds / 1000).toFixed(1);
  return [
    ...lines,
    "",
    `${resources} resources in ${namespaces} namespaces in ${seconds} s; reports: ${parts.join(", ")}`,
    ...(troubles.length > 0 ? [troubles.join(", ")] : []),
    "",
  ].join("\n");
}

/** The same for machines: fields of the one log line that closes a run. */
export function summaryFields(
  tally: Tally,
  runUid: string,
  milliseconds: number,
): { readonly [name: string]: unknown } {
  return {
    component: "scanner",
    RunUID: runUid,
    seconds: Math.round(milliseconds) / 1000,
    ...tally.totals,
    ...sum(tally.policies.values()),
    policies: Object.fromEntries(sorted(tally)),
  };
}
