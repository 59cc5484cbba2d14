/** What a soak has shown: a table over time, and what of it must not be. */
import type { Checks } from "./checked.ts";
import type { CrowdResult } from "./crowd.ts";

/** One look at the server. */
export type Sample = {
  readonly seconds: number;
  readonly rssMib: number;
  readonly descriptors: number;
  readonly threads: number;
  readonly requests: number;
  readonly wrong: number;
  readonly lost: number;
  readonly late: number;
  readonly refused: number;
  /** Of the requests since the sample before. */
  readonly slowestMs: number;
};

/** The end of it. */
export type Soak = {
  readonly name: string;
  readonly minutes: number;
  readonly samples: readonly Sample[];
  readonly checks: Checks;
  /** Undefined when there was none. */
  readonly crowd?: CrowdResult | undefined;
  /** Before the first attack, and when the server had its time after the last. */
  readonly before: Sample;
  readonly after: Sample;
  readonly stopped: { readonly ms: number; readonly code: number | null; readonly signal: string | null };
  /** Whether it ended without being asked. */
  readonly died: boolean;
};

/** From this minute on the resident memory must be flat, if the soak is at least twice as long. */
const FLAT_FROM_MINUTE = 5;
const MAX_GROWTH = 1.1;
/** Descriptors and threads that may come and go by themselves. */
const MAX_MORE_DESCRIPTORS = 8;
const MAX_MORE_THREADS = 4;
const MAX_STOP_MS = 26_000;
/** How much slower answers may be in a crowd, for the 99th percentile. */
const MAX_SLOWDOWN = 3;
/** In a shorter time before a crowd memory has not become what it is without one. */
const MIN_CROWD_MINUTES = 4;

export const percentile = (values: readonly number[], share: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
};

const peak = (samples: readonly Sample[]) => Math.max(0, ...samples.map(({ rssMib }) => rssMib));

type Recovery = Pick<Soak, "minutes" | "crowd" | "before" | "after">;

/** Whether memory is not back after a crowd. */
const keepsMemory = ({ minutes, crowd, before, after }: Recovery): boolean =>
  crowd !== undefined && minutes >= MIN_CROWD_MINUTES && after.rssMib > before.rssMib * MAX_GROWTH;

/** Whether the server holds no more than before. */
export const isBack = (recovery: Recovery): boolean =>
  recovery.after.descriptors <= recovery.before.descriptors &&
  recovery.after.threads <= recovery.before.threads && !keepsMemory(recovery);

/** What must not be, one line each; none: the server has held. */
export function failures(soak: Soak): readonly string[] {
  const { checks, crowd, before, after, samples, minutes, stopped, died } = soak;
  const found: string[] = [];
  if (died) found.push("the server ended by itself");
  if (checks.requests === 0) found.push("nothing was asked");
  for (const kind of ["wrong", "lost", "late"] as const) {
    if (checks[kind] > 0) found.push(`${checks[kind]} of ${checks.requests} answers ${kind}`);
  }
  if (died) return found;
  if (after.descriptors > before.descriptors + MAX_MORE_DESCRIPTORS) {
    found.push(`descriptors: ${before.descriptors} before, ${after.descriptors} after`);
  }
  if (after.threads > before.threads + MAX_MORE_THREADS) {
    found.push(`threads: ${before.threads} before, ${after.threads} after`);
  }
  if (crowd !== undefined) {
    if (crowd.connections < crowd.clients) {
      found.push(
        `${crowd.clients} clients made only ${crowd.connections} connections: the machine is too busy`,
      );
    }
    const [calm, crowded] = [percentile(checks.calm, 0.99), percentile(checks.attacked, 0.99)];
    if (crowded > calm * MAX_SLOWDOWN) {
      found.push(`p99: ${calm.toFixed(1)} ms before the crowd, ${crowded.toFixed(1)} ms in it`);
    }
  }
  if (keepsMemory(soak)) {
    found.push(
      `resident memory: ${before.rssMib.toFixed(0)} MiB before, ${after.rssMib.toFixed(0)} MiB after`,
    );
  }
  if (minutes >= 2 * FLAT_FROM_MINUTE) {
    const minute = (from: number) =>
      peak(samples.filter(({ seconds }) => seconds >= from * 60 && seconds < (from + 1) * 60));
    const first = minute(FLAT_FROM_MINUTE);
    const last = minute(Math.floor(minutes) - 1);
    if (last > first * MAX_GROWTH) {
      found.push(
        `resident memory grew from ${first.toFixed(0)} MiB in minute ${FLAT_FROM_MINUTE} to ${
          last.toFixed(0)
        } MiB`,
      );
    }
  }
  if (stopped.code !== 0 || stopped.ms > MAX_STOP_MS) {
    found.push(`SIGTERM: ended with ${stopped.signal ?? stopped.code} after ${stopped.ms.toFixed(0)} ms`);
  }
  return found;
}

const COLUMNS = [
  "time",
  "requests",
  "wrong",
  "lost",
  "late",
  "503",
  "slowest ms",
  "RSS MiB",
  "descr.",
  "threads",
];

function line(cells: readonly string[]): string {
  return cells.map((cell, index) => cell.padStart(COLUMNS[index]!.length + 2)).join("");
}

const clock = (seconds: number) =>
  `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

function row(sample: Sample): string {
  return line([
    clock(sample.seconds),
    String(sample.requests),
    String(sample.wrong),
    String(sample.lost),
    String(sample.late),
    String(sample.refused),
    sample.slowestMs.toFixed(0),
    sample.rssMib.toFixed(0),
    String(sample.descriptors),
    String(sample.threads),
  ]);
}

/** Rows that a table has at most, besides its ends. */
const MAX_ROWS = 20;

/** Samples put together so that so many are left: their highest values. */
function thinned(samples: readonly Sample[], count: number): readonly Sample[] {
  const each = Math.max(1, Math.ceil(samples.length / count));
  const rows: Sample[] = [];
  for (let at = 0; at < samples.length; at += each) {
    const group = samples.slice(at, at + each);
    rows.push({
      ...group.at(-1)!,
      slowestMs: Math.max(...group.map(({ slowestMs }) => slowestMs)),
      rssMib: peak(group),
      descriptors: Math.max(...group.map(({ descriptors }) => descriptors)),
      threads: Math.max(...group.map(({ threads }) => threads)),
    });
  }
  return rows;
}

/** The table and what it comes to, as text. */
export function reportText(soak: Soak): string {
  const { checks, crowd, before, after, samples, stopped } = soak;
  const found = failures(soak);
  const calm = percentile(checks.calm, 0.99);
  const attacked = percentile(checks.attacked, 0.99);
  return [
    `${soak.name}, ${soak.minutes} minutes; each row has its time's highest values`,
    line(COLUMNS),
    row(before),
    ...thinned(samples, MAX_ROWS).map(row),
    row(after),
    "",
    `p50, p99 and slowest of ${checks.requests} checked answers: ` +
    `${percentile(checks.calm, 0.5).toFixed(1)}, ${calm.toFixed(1)} ms before the attacks; ` +
    `${percentile(checks.attacked, 0.5).toFixed(1)}, ${attacked.toFixed(1)} ms under attack; ` +
    `slowest ${checks.slowestMs.toFixed(0)} ms`,
    ...crowd
      ? [
        `the crowd made ${crowd.connections} connections, ${crowd.handshakes} with TLS, at most ${crowd.atOnce} at once`,
      ]
      : [],
    `SIGTERM: ended with ${stopped.signal ?? stopped.code} after ${stopped.ms.toFixed(0)} ms`,
    ...checks.examples.map((example) => `  ${example}`),
    found.length === 0 ? "it has held" : `it has NOT held: ${found.join("; ")}`,
  ].join("\n");
}
