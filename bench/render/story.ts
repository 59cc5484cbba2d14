/** A run in sentences: which runtime serves how much more, and whether more cores cost more a request. */
import type { PlannedSubject, Row, Sample } from "../types/measurement.ts";
import { differs, type Ratio, ratioOf } from "./comparison.ts";
import { isFloor, labelOf } from "./summary.ts";

/** How far the processor time of a request may move with the number of workers. */
const FLAT = 0.1;

const NAMES: ReadonlyMap<string, string> = new Map([
  ["node", "Node"],
  ["bun", "Bun"],
  ["floor-node", "node:https without a policy on Node"],
  ["floor-bun", "node:https without a policy on Bun"],
  ["floor-bun-serve", "Bun.serve without a policy"],
]);

/** A subject as a person calls it. */
export function spokenName(subject: string): string {
  return NAMES.get(subject) ?? subject;
}

/** `Node with 2 workers`. */
function spoken({ name, workers }: PlannedSubject): string {
  return labelOf({ name: spokenName(name), workers }).replace(/, (\d+ workers?)$/, " with $1");
}

const count = (value: number) => Math.round(value).toLocaleString("en-US");
const connectionsOf = (value: number) => `${value} connection${value === 1 ? "" : "s"}`;
const milliseconds = (value: number) => value.toFixed(value < 0.1 ? 3 : value < 10 ? 2 : 1);

/** The subjects of `rows`, each once. */
function subjectsOf(rows: readonly Row[]): PlannedSubject[] {
  const found = new Map(
    rows.map(({ subject, workers }) => [`${subject} ${workers}`, { name: subject, workers }]),
  );
  return [...found.values()];
}

function samplesOf(samples: readonly Sample[], { name, workers }: PlannedSubject, connections: number) {
  return samples.filter((sample) =>
    sample.subject === name && sample.workers === workers && sample.connections === connections
  );
}

/** The ratio of one value of two subjects under the same load, by round. */
function compared(
  samples: readonly Sample[],
  [a, b]: readonly [PlannedSubject, PlannedSubject],
  connections: number,
  value: (sample: Sample) => number,
): Ratio | undefined {
  const theirs = new Map(samplesOf(samples, b, connections).map((sample) => [sample.round, value(sample)]));
  return ratioOf(
    samplesOf(samples, a, connections).flatMap((sample) => {
      const other = theirs.get(sample.round);
      return other === undefined ? [] : [[value(sample), other] as const];
    }),
  );
}

/** What is known of how much a ratio scatters: the interval of one that differs from 1, else what the rounds were. */
function certainty(ratio: Ratio): string {
  const { interval, observed, rounds } = ratio;
  if (interval === null) return "one round can't tell this from noise";
  const [low, high] = (differs(ratio) ? interval : observed).map((value) => value.toFixed(2));
  return differs(ratio)
    ? `${low} to ${high} with 95% confidence, ${rounds} rounds`
    : `${low} to ${high} times in ${rounds} rounds`;
}

/** A sentence on two subjects with one policy. Undefined when there is no round in which both answered. */
function sentence(
  samples: readonly Sample[],
  rows: readonly Row[],
  pair: readonly [PlannedSubject, PlannedSubject],
): string | undefined {
  const all = rows.map(({ connections }) => connections);
  const [most, least] = [Math.max(...all), Math.min(...all)];
  const forward = compared(samples, pair, most, ({ requestsPerSecond }) => requestsPerSecond);
  if (forward === undefined) return undefined;
  // The quicker one is the subject of the sentence.
  const [a, b] = forward.ratio >= 1 ? pair : [pair[1], pair[0]];
  const ratio = compared(samples, [a, b], most, ({ requestsPerSecond }) => requestsPerSecond)!;
  const row = (subject: PlannedSubject, connections: number) =>
    rows.find((found) =>
      found.subject === subject.name && found.workers === subject.workers && found.connections === connections
    )!;
  const [first, second] = [a, b].map((subject) => count(row(subject, most).requestsPerSecond));
  const figures = `${first} and ${second} a second; ${certainty(ratio)}`;
  const serves = differs(ratio) === false
    ? `${spoken(a)} and ${spoken(b)} do not differ by more than noise at ${connectionsOf(most)} (${figures})`
    : `${spoken(a)} serves ${ratio.ratio.toFixed(2)} times what ${spoken(b)} does at ${
      connectionsOf(most)
    } (${figures})`;
  const latency = compared(samples, [a, b], least, ({ p50Ms }) => p50Ms);
  const [p50, otherP50] = [a, b].map((subject) => milliseconds(row(subject, least).p50Ms));
  const noise = latency !== undefined && differs(latency) === false ? ", no more than noise" : "";
  return `${serves}; at ${connectionsOf(least)} p50 is ${p50} and ${otherP50} ms${noise}`;
}

function alone(rows: readonly Row[], subject: PlannedSubject): string {
  const own = rows.filter((row) => row.subject === subject.name && row.workers === subject.workers);
  const [quickest] = [...own].sort((a, b) => b.connections - a.connections);
  const [calmest] = [...own].sort((a, b) => a.connections - b.connections);
  const share = quickest!.ratioToFloor === null
    ? ""
    : `, ${(quickest!.ratioToFloor * 100).toFixed(0)}% of its floor`;
  return `only ${spoken(subject)} was measured: ${count(quickest!.requestsPerSecond)} a second at ${
    connectionsOf(quickest!.connections)
  }${share}; at ${connectionsOf(calmest!.connections)} p50 is ${milliseconds(calmest!.p50Ms)} ms`;
}

/** The sentences on one policy's samples. */
function ofPolicy(samples: readonly Sample[], rows: readonly Row[]): string[] {
  const subjects = subjectsOf(rows);
  const ours = subjects.filter(({ name }) => name === "node" || name === "bun");
  const others = subjects.filter(({ name }) => !isFloor(name) && name !== "node" && name !== "bun");
  const pairs = [
    // The two runtimes with as many workers.
    ...ours.filter(({ name }) => name === "bun").flatMap((bun) =>
      ours.filter(({ name, workers }) => name === "node" && workers === bun.workers)
        .map((node) => [bun, node] as const)
    ),
    ...ours.flatMap((server) => others.map((other) => [server, other] as const)),
  ];
  const sentences = pairs.map((pair) => sentence(samples, rows, pair));
  const runtimes = new Set(ours.map(({ name }) => name));
  return [
    ...runtimes.size === 1 ? ours.map((server) => alone(rows, server)) : [],
    ...runtimes.size === 0 ? ["no policy server of ours was measured"] : [],
    ...sentences.flatMap((text) => text === undefined ? [] : [text]),
  ];
}

/** Which runtime serves how much more, for each policy; and `Bun.serve` beside `node:https` on Bun where both floors were measured. */
export function storyLines(samples: readonly Sample[], rows: readonly Row[]): string[] {
  return [...new Set(rows.map(({ policy }) => policy))].flatMap((policy) => {
    const [theirs, lines] = [
      samples.filter((sample) => sample.policy === policy),
      rows.filter((row) => row.policy === policy),
    ];
    const floors = ["floor-bun-serve", "floor-bun"].map((name) => ({ name, workers: null }));
    const both = floors.every(({ name }) => lines.some(({ subject }) => subject === name));
    const ofFloors = both ? sentence(theirs, lines, [floors[0]!, floors[1]!]) : undefined;
    return [...ofPolicy(theirs, lines), ...ofFloors === undefined ? [] : [ofFloors]]
      .map((text) => `${policy}: ${text}.`);
  });
}

/** Whether a request costs the same processor time whatever the number of workers, with most connections, for each policy. */
export function scalingLines(rows: readonly Row[]): string[] {
  const most = Math.max(...rows.map(({ connections }) => connections));
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    if (row.workers === null || row.connections !== most) continue;
    const key = `${row.policy}: ${spokenName(row.subject)}`;
    groups.set(key, [...groups.get(key) ?? [], row]);
  }
  return [...groups].flatMap(([name, group]) => {
    const [base, ...rest] = [...group].sort((a, b) => a.workers! - b.workers!);
    const from = labelOf({ name: "with", workers: base!.workers }).replace(",", "");
    return rest.map((row) => {
      const serves = base!.requestsPerSecond > 0
        ? `; it serves ${(row.requestsPerSecond / base!.requestsPerSecond).toFixed(2)} times as much`
        : "";
      if (row.processorUs === null || base!.processorUs === null || base!.processorUs === 0) {
        return `${name}: CPU per request ${from} and with ${row.workers} isn't known here${serves}.`;
      }
      const change = row.processorUs / base!.processorUs - 1;
      // Quotients of binary fractions lie beside a limit that they are equal to.
      const flat = Math.abs(change) <= FLAT + 1e-9 ? "stays flat" : `is not flat (more than ${FLAT * 100}%)`;
      return `${name}: CPU per request at ${connectionsOf(most)} ${flat}: ${
        base!.processorUs.toFixed(0)
      } us ${from}, ${row.processorUs.toFixed(0)} us with ${row.workers} (${change < 0 ? "" : "+"}${
        (change * 100).toFixed(0)
      }%)${serves}.`;
    });
  });
}
