/** The result as text. */
import type { Row } from "../types/measurement.ts";
import { floorOf, isFloor } from "./summary.ts";

/** Cells in columns: the first column to the left, numbers to the right. */
export function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = head.map((cell, column) =>
    Math.max(cell.length, ...lines.map((line) => (line[column] ?? "").length))
  );
  const line = (cells: readonly string[]) =>
    cells.map((cell, column) => column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))
      .join("  ").trimEnd();
  return [line(head), widths.map((width) => "-".repeat(width)).join("  "), ...lines.map(line)].join("\n");
}

function milliseconds(value: number): string {
  return value.toFixed(value < 10 ? 2 : 1);
}

/** The row of a row's floor under the same load; its own for a floor's. */
export function floorRow(row: Row, rows: readonly Row[]): Row | undefined {
  const name = floorOf(row.subject, rows.map(({ subject }) => subject));
  return rows.find(({ subject, policy, connections }) =>
    subject === name && policy === row.policy && connections === row.connections
  );
}

/** Floors and servers that run already have none; a server of ours has as many as processors where no number was asked for. */
function workersCell({ subject, workers }: Row): string {
  if (workers !== null) return String(workers);
  return isFloor(subject) || subject.includes(":") ? "-" : "all";
}

const HEAD = [
  "subject",
  "workers",
  "policy",
  "conns",
  "req/s",
  "p50 ms",
  "p90 ms",
  "p99 ms",
  "p99.9 ms",
  "errors",
  "CPU us/req",
  "RSS MB",
  "of floor",
  "p50 x floor",
  "p99 x floor",
];

/** All rows as a table, with latencies as multiples of the floor's beside the share of its requests. */
export function rowsTable(rows: readonly Row[]): string {
  const times = (value: number, floor: number | undefined) =>
    floor === undefined ? "-" : `${(value / floor).toFixed(2)}`;
  return table(
    HEAD,
    rows.map((row) => {
      const floor = floorRow(row, rows);
      return [
        row.subject,
        workersCell(row),
        row.policy,
        String(row.connections),
        row.requestsPerSecond.toFixed(0),
        milliseconds(row.p50Ms),
        milliseconds(row.p90Ms),
        milliseconds(row.p99Ms),
        milliseconds(row.p999Ms),
        String(row.errors),
        row.processorUs?.toFixed(0) ?? "-",
        row.rssMb?.toFixed(0) ?? "-",
        row.ratioToFloor === null ? "-" : `${(row.ratioToFloor * 100).toFixed(1)}%`,
        times(row.p50Ms, floor?.p50Ms),
        times(row.p99Ms, floor?.p99Ms),
      ];
    }),
  );
}
