/** A plot of what requests cost, as SVG. */
import type { Row } from "../types/measurement.ts";
import type { RunHead } from "../types/run.ts";
import { barPlot } from "./bars.ts";
import { isFloor, labelOf } from "./summary.ts";
import { GREY } from "./svg.ts";

/** What is drawn of a run. */
export type Results = RunHead & {
  readonly rows: readonly Pick<Row, "subject" | "workers" | "policy" | "connections" | "processorUs">[];
};

const LABELS: ReadonlyMap<string, string> = new Map([
  ["floor-node", "bare node:https"],
  ["node", "policy server, Node"],
  ["floor-bun", "bare node:https on Bun"],
  ["floor-bun-serve", "bare Bun.serve"],
  ["bun", "policy server, Bun"],
  // Results of when the policy server could choose between both of Bun's servers have this name.
  ["bun-serve", "policy server, Bun"],
]);

/** What a subject is called in plots. */
export function plotLabel({ subject, workers }: Pick<Row, "subject" | "workers">): string {
  return labelOf({ name: LABELS.get(subject) ?? subject, workers });
}

/** Where a run was made; and with what and when. */
function footOf({ date, machine, versions, surroundings }: RunHead): string[] {
  const memory = machine.memoryGb === null ? [] : [`${machine.memoryGb} GB`];
  return [
    [`${machine.processors} x ${machine.processor}`, ...memory, machine.kernel].join(", "),
    [
      `Node ${versions.node}`,
      `Bun ${versions.bun}`,
      `load average ${surroundings.loadBefore.toFixed(0)} before it began`,
      date.slice(0, 10),
    ].join(", "),
  ];
}

/** Bars of the processor time of a request, by policy and subject, of the runs with most connections. Floors are grey. */
export function plot(run: Results): string {
  const connections = Math.max(...run.rows.map((row) => row.connections));
  const shown = run.rows.flatMap(({ processorUs, ...row }) =>
    row.connections === connections && processorUs !== null ? [{ ...row, processorUs }] : []
  );
  return barPlot({
    title: "Processor time of a request, all threads together",
    subtitle: `one review, ${connections} kept-alive TLS connections; less is better`,
    summary: "Processor time of a request",
    groups: [...new Set(shown.map(({ policy }) => policy))].map((policy) => ({
      name: policy,
      bars: shown.filter((row) => row.policy === policy).map((row) => ({
        label: plotLabel(row),
        value: row.processorUs,
        text: `${row.processorUs.toFixed(0)} µs`,
        colour: isFloor(row.subject) ? GREY : "#2f81f7",
      })),
    })),
    foot: footOf(run),
  });
}
