/** What the project wants the policy server to reach, on Node and on Bun, and whether a run's rows do. */
import type { Row, Workload } from "../types/measurement.ts";
import { floorRow, table } from "./report.ts";
import { labelOf } from "./summary.ts";

/** A goal that `rows` can tell of. */
export type Goal = {
  readonly text: string;
  readonly measured: number;
  readonly limit: number;
  readonly held: boolean;
};

/** What a request may cost with a machine whose `node:https` takes `FLOOR_US` for it: other machines' limit goes with their floor. */
const REQUEST_US = 110;
const FLOOR_US = 30;
/** Of the original. */
const TIMES_REQUESTS = 5, P99_SHARE_AT_32 = 0.5, P50_SHARE_AT_1 = 1 / 3, P99_SHARE_AT_1 = 1;
/** Of the floor. */
const TIMES_P50 = 2, TIMES_RSS = 1.2;

/** Quotients of binary fractions lie beside a limit that they are equal to. */
const ROUNDING = 1 + 1e-9;

const isOurs = ({ subject }: Row) => subject === "node" || subject === "bun";

function nameOf(row: Row): string {
  const server = labelOf({ name: row.subject, workers: row.workers });
  return `${row.policy} on ${server}, ${row.connections} connection${row.connections === 1 ? "" : "s"}: `;
}

const atLeast = (text: string, measured: number, limit: number): Goal => ({
  text: `${text}, at least`,
  measured,
  limit,
  held: measured * ROUNDING >= limit,
});
const atMost = (text: string, measured: number, limit: number): Goal => ({
  text: `${text}, at most`,
  measured,
  limit,
  held: measured <= limit * ROUNDING,
});

/** The row of a subject under the same load as `row`. */
function beside(row: Row, rows: readonly Row[], subject: string | undefined): Row | undefined {
  return rows.find((other) =>
    other.subject === subject && other.policy === row.policy && other.connections === row.connections
  );
}

/** The goals of one row of the policy that the project's goals speak of. */
function requestGoals(row: Row, rows: readonly Row[], original: string | undefined): Goal[] {
  const name = nameOf(row);
  const theirs = beside(row, rows, original);
  const floor = floorRow(row, rows);
  if (row.connections === 1) {
    return [
      ...floor === undefined ? [] : [atMost(`${name}p50 in floors`, row.p50Ms / floor.p50Ms, TIMES_P50)],
      ...theirs === undefined ? [] : [
        atMost(`${name}p50 as a share of the original's`, row.p50Ms / theirs.p50Ms, P50_SHARE_AT_1),
        atMost(`${name}p99 as a share of the original's`, row.p99Ms / theirs.p99Ms, P99_SHARE_AT_1),
      ],
    ];
  }
  if (row.connections !== 32) return [];
  const node = beside(row, rows, "floor-node")?.processorUs ?? null;
  return [
    ...theirs === undefined ? [] : [
      atLeast(
        `${name}times the original's requests`,
        row.requestsPerSecond / theirs.requestsPerSecond,
        TIMES_REQUESTS,
      ),
      atMost(`${name}p99 as a share of the original's`, row.p99Ms / theirs.p99Ms, P99_SHARE_AT_32),
    ],
    ...node === null || row.processorUs === null
      ? []
      : [atMost(`${name}CPU us/req`, row.processorUs, node * REQUEST_US / FLOOR_US)],
  ];
}

/** The goals that a workload has of its own. */
function workloadGoals(row: Row, { goals = {} }: Workload): Goal[] {
  const { floorShare, requestsPerSecond, p50Ms } = goals;
  const name = nameOf(row);
  if (row.connections === 32 && floorShare !== undefined && row.ratioToFloor !== null) {
    return [atLeast(`${name}share of the floor's requests`, row.ratioToFloor, floorShare)];
  }
  if (row.connections === 8 && requestsPerSecond !== undefined) {
    return [atLeast(`${name}requests per second`, row.requestsPerSecond, requestsPerSecond)];
  }
  if (row.connections === 1 && p50Ms !== undefined) {
    return [{ text: `${name}p50 in ms, below`, measured: row.p50Ms, limit: p50Ms, held: row.p50Ms < p50Ms }];
  }
  return [];
}

/** What servers with one policy hold under load, against their runtime's floor; nothing where a server had several policies. */
function memoryGoals(rows: readonly Row[]): Goal[] {
  if (new Set(rows.map(({ policy }) => policy)).size !== 1) return [];
  const held = (chosen: readonly Row[]) => Math.max(...chosen.map(({ rssMb }) => rssMb ?? NaN));
  const servers = new Map(rows.filter(isOurs).map((row) => [`${row.subject} ${row.workers}`, row]));
  return [...servers.values()].flatMap((row) => {
    const floor = floorRow(row, rows);
    const ours = held(
      rows.filter(({ subject, workers }) => subject === row.subject && workers === row.workers),
    );
    const theirs = held(rows.filter(({ subject }) => subject === floor?.subject));
    if (!(ours > 0 && theirs > 0)) return [];
    const server = labelOf({ name: row.subject, workers: row.workers });
    return [atMost(`${row.policy} on ${server}: RSS in floors`, ours / theirs, TIMES_RSS)];
  });
}

/**
 * The goals that `rows` can tell of. `workloads` begins with the one that the project's goals speak of; `original` is the subject
 * that is Kubewarden's own policy server. A comparison with something that answered nothing is left out.
 */
export function goalsOf(rows: readonly Row[], workloads: readonly Workload[], original?: string): Goal[] {
  const [first] = workloads;
  const ours = rows.filter(isOurs);
  return [
    ...ours.filter(({ policy }) => policy === first?.policy)
      .flatMap((row) => requestGoals(row, rows, original)),
    ...workloads.flatMap((workload) =>
      ours.filter(({ policy }) => policy === workload.policy).flatMap((row) => workloadGoals(row, workload))
    ),
    ...memoryGoals(rows),
  ].filter(({ measured, limit }) => Number.isFinite(measured) && Number.isFinite(limit));
}

/** The goals as a table. Where they are not judged (the machine was busy), no goal is called held or missed. */
export function goalsTable(list: readonly Goal[], judged: boolean): string {
  return table(
    ["goal", "limit", "measured", ""],
    list.map(({ text, limit, measured, held }) => [
      text,
      String(Number(limit.toFixed(2))),
      measured.toFixed(2),
      !judged ? "not judged" : held ? "held" : "MISSED",
    ]),
  );
}
