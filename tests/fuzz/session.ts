/**
 * The fuzzing of one target in a process of its own, as long as its time lasts. What it finds and how far it is goes to
 * the parent (`parent.ts`) line by line, so that the parent knows where to look when this process dies or hangs.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import process from "node:process";
import { execute, pollutedPrototypes, rememberPrototypes } from "./execute.ts";
import { collect, peakMib, resetPeak, residentMib } from "./memory.ts";
import { minimise } from "./minimise.ts";
import { isOpen } from "./open_findings.ts";
import { randomOf } from "./random.ts";
import type { FindingKind, Target } from "./target.ts";
import { loadTarget } from "./targets.ts";

/** What begins a line of the standard output that is for the parent. */
export const MARK = "\u0001fuzz ";
const PROGRESS_MS = 500;
const WARM_UP_MS = 2_000;
/** For so long the input that took much memory is looked for. */
const SEARCH_MS = 20_000;
/** Runs after which memory and prototypes are looked at. */
const BATCH = 128;
const LIMIT_MIB = 128;
/** A target that shows more faults than this is stopped. */
const MAX_FINDINGS = 40;

/** A fault, as it is sent to the parent. */
export interface ReportedFinding {
  readonly kind: FindingKind;
  readonly signature: string;
  readonly detail: string;
  readonly run: number;
  /** The input in base64. */
  readonly input: string;
}

/** How far a session is. */
export interface Progress {
  readonly runs: number;
  /** The number of the next run. */
  readonly next: number;
  readonly refused: number;
  readonly findings: number;
  readonly slowestMs: number;
  readonly grownMib: number;
  readonly ms: number;
}

export type Message =
  | { readonly skipped: string }
  | { readonly finding: ReportedFinding }
  | { readonly progress: Progress }
  | { readonly done: Progress };

/** What a session is to do. */
export interface SessionOptions {
  readonly target: string;
  readonly seed: number;
  /** The number of the first run. Seeds come first, then what is generated. */
  readonly from: number;
  readonly ms: number;
  readonly runs: number;
  /** The number of each run is written here before it begins; empty for none. */
  readonly trace: string;
}

/** The input of a run. */
export function inputOf(target: Target, seeds: readonly Uint8Array[], seed: number, run: number): Uint8Array {
  return run < seeds.length ? seeds[run]! : target.generate(randomOf(seed, run), seeds);
}

const send = (message: Message) => {
  writeSync(1, `${MARK}${JSON.stringify(message)}\n`);
};

/** Fuzzes until the time or the runs are used up. */
export async function session(options: SessionOptions): Promise<void> {
  const target = await loadTarget(options.target);
  const reason = await target.setUp?.();
  if (reason) {
    send({ skipped: reason });
    return;
  }
  const seeds = target.seeds();
  const trace = options.trace === "" ? undefined : openSync(options.trace, "w");
  const known = new Set<string>();
  let run = options.from, refused = 0, findings = 0, slowestMs = 0;
  const inputAt = (at: number) => inputOf(target, seeds, options.seed, at);
  const report = async (at: number, kind: FindingKind, signature: string, detail: string) => {
    findings++;
    if (known.has(signature)) return;
    known.add(signature);
    const input = inputAt(at);
    send({ progress: progress() });
    // To make an input small takes time; one that is known is there already.
    const small = kind === "memory" || kind === "hang" || isOpen(target.name, signature)
      ? input
      : await minimise(target, input, signature);
    send({
      finding: { kind, signature, detail, run: at, input: Buffer.from(small).toString("base64") },
    });
  };
  // Code is compiled and caches are filled by the first runs; what they take is not counted as growth.
  const warm = performance.now() + WARM_UP_MS;
  for (const seed of trace === undefined ? seeds.slice(0, 200) : []) {
    if (performance.now() > warm) break;
    await execute(target, seed);
  }
  send({
    progress: { runs: 0, next: options.from, refused: 0, findings: 0, slowestMs: 0, grownMib: 0, ms: 0 },
  });
  rememberPrototypes();
  collect();
  const baseMib = residentMib();
  resetPeak();
  let grownMib = 0, batchMib = baseMib;
  const started = performance.now();
  let reported = started;
  const progress = (): Progress => ({
    runs: run - options.from,
    next: run,
    refused,
    findings,
    slowestMs: Math.round(slowestMs),
    grownMib: Math.round(grownMib),
    ms: Math.round(performance.now() - started),
  });
  const tookMs = (milliseconds: number) => {
    if (milliseconds > slowestMs) slowestMs = milliseconds;
  };
  const endBatch = async () => {
    const peak = peakMib();
    grownMib = Math.max(grownMib, peak - baseMib);
    if (peak - batchMib > (target.limitMib ?? LIMIT_MIB)) {
      const until = performance.now() + SEARCH_MS;
      for (let at = Math.max(options.from, run - BATCH); at < run && performance.now() < until; at++) {
        const input = inputAt(at);
        // The parent takes a process for hung that is silent for long.
        send({ progress: progress() });
        collect();
        const before = residentMib();
        resetPeak();
        await execute(target, input);
        const took = peakMib() - before;
        if (took > (target.limitMib ?? LIMIT_MIB)) {
          const detail = `one input of ${input.length} bytes took ${Math.round(took)} MiB`;
          await report(at, "memory", "memory: one input took more than the limit", detail);
          break;
        }
      }
      collect();
    }
    resetPeak();
    batchMib = residentMib();
    const polluted = pollutedPrototypes();
    if (polluted.length > 0) {
      const names = polluted.join(", ");
      await report(run - 1, "pollution", `pollution: ${names}`, `the prototypes of ${names} were changed`);
      rememberPrototypes();
    }
  };
  process.on("unhandledRejection", (error) => {
    throw error;
  });
  const until = started + options.ms;
  const end = options.from + options.runs;
  while (run < end && findings < 100_000 && known.size < MAX_FINDINGS) {
    if (trace !== undefined) writeSync(trace, String(run).padEnd(16), 0);
    const outcome = await execute(target, inputAt(run), tookMs);
    if (outcome === "refused") refused++;
    else if (outcome !== "accepted") await report(run, outcome.kind, outcome.signature, outcome.detail);
    run++;
    if (run % BATCH === 0) await endBatch();
    const now = performance.now();
    if (now - reported > PROGRESS_MS) {
      reported = now;
      send({ progress: progress() });
    }
    if (now > until) break;
  }
  await endBatch();
  if (trace !== undefined) closeSync(trace);
  send({ done: progress() });
}
