/** The result as text. */
import type { Cost, Row, Workload } from "../types/measurement.ts";
import { floorOf } from "./summary.ts";

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

function floorRow(row: Row, rows: readonly Row[]): Row | undefined {
  const name = floorOf(row.subject, rows.map(({ subject }) => subject));
  return rows.find(({ subject, policy, connections }) =>
    subject === name && policy === row.policy && connections === row.connections
  );
}

const HEAD = [
  "subject",
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
export function rowsTable(rows: readonly Row[], costs: readonly Cost[]): string {
  const times = (value: number, floor: number | undefined) =>
    floor === undefined ? "-" : `${(value / floor).toFixed(2)}`;
  return table(
    HEAD,
    rows.map((row) => {
      const floor = floorRow(row, rows);
      const cost = costs.find(({ subject, policy, connections }) =>
        subject === row.subject && policy === row.policy && connections === row.connections
      );
      return [
        row.subject,
        row.policy,
        String(row.connections),
        row.requestsPerSecond.toFixed(0),
        milliseconds(row.p50Ms),
        milliseconds(row.p90Ms),
        milliseconds(row.p99Ms),
        milliseconds(row.p999Ms),
        String(row.errors),
        cost?.microseconds.toFixed(0) ?? "-",
        row.rssMb?.toFixed(0) ?? "-",
        row.ratioToFloor === null ? "-" : `${(row.ratioToFloor * 100).toFixed(1)}%`,
        times(row.p50Ms, floor?.p50Ms),
        times(row.p99Ms, floor?.p99Ms),
      ];
    }),
  );
}

type Goal = {
  readonly text: string;
  readonly measured: number;
  readonly limit: number;
  readonly held: boolean;
};

/**
 * The project's goals for one policy, as far as `rows` hold what they speak of: the share of the floor's requests at 32
 * connections (40% on Node, 30% on Bun), p50 at 1 connection and p99 at 32 at most 3 times the floor's.
 */
export function goals(rows: readonly Row[], policy: string): Goal[] {
  return rows.filter((row) => row.policy === policy && ["node", "bun"].includes(row.subject))
    .flatMap((row): Goal[] => {
      const floor = floorRow(row, rows);
      if (floor === undefined) return [];
      const atMost = (name: string, value: number, of: number): Goal => ({
        text: `${row.subject}, ${row.connections} connection${row.connections === 1 ? "" : "s"}: ${name}`,
        measured: value / of,
        limit: 3,
        held: value / of <= 3,
      });
      if (row.connections === 1) return [atMost("p50, times the floor's, at most", row.p50Ms, floor.p50Ms)];
      if (row.connections !== 32) return [];
      const limit = row.subject === "node" ? 0.4 : 0.3;
      const share = row.ratioToFloor ?? 0;
      return [
        {
          text: `${row.subject}, 32 connections: share of the floor's requests, at least`,
          measured: share,
          limit,
          held: share >= limit,
        },
        atMost("p99, times the floor's, at most", row.p99Ms, floor.p99Ms),
      ];
    });
}

/** The goals that a workload has of its own, as far as `rows` hold what they speak of. */
export function workloadGoals(rows: readonly Row[], { policy, goals = {} }: Workload): Goal[] {
  return rows.filter((row) => row.policy === policy && row.subject === "node").flatMap((row): Goal[] => {
    const { floorShare, requestsPerSecond, p50Ms } = goals;
    const name = `${policy} on ${row.subject}, ${row.connections} connection${
      row.connections === 1 ? "" : "s"
    }: `;
    const atLeast = (text: string, measured: number, limit: number): Goal => ({
      text: `${name}${text}, at least`,
      measured,
      limit,
      held: measured >= limit,
    });
    if (row.connections === 32 && floorShare !== undefined && row.ratioToFloor !== null) {
      return [atLeast("share of the floor's requests", row.ratioToFloor, floorShare)];
    }
    if (row.connections === 8 && requestsPerSecond !== undefined) {
      return [atLeast("requests per second", row.requestsPerSecond, requestsPerSecond)];
    }
    if (row.connections === 1 && p50Ms !== undefined) {
      return [{
        text: `${name}p50 in ms, below`,
        measured: row.p50Ms,
        limit: p50Ms,
        held: row.p50Ms < p50Ms,
      }];
    }
    return [];
  });
}

/** The goals as a table. */
export function goalsTable(list: readonly Goal[]): string {
  return table(
    ["goal", "limit", "measured", ""],
    list.map(({ text, limit, measured, held }) => [
      text,
      String(limit),
      measured.toFixed(2),
      held ? "held" : "MISSED",
    ]),
  );
}
