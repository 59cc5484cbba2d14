/** Measures how long something takes, sample by sample (`spec/cli.md §9`). */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolder } from "../../program/apply/make_folder.ts";
import type { Text } from "../../program/types/text.ts";
import {
  type Change,
  changeText,
  type Measured,
  measuredText,
  tooFewText,
  warmedUpText,
  warmUpText,
} from "../render/bench_text.ts";
import { permutationProbability, summarise } from "../render/statistics.ts";
import type { Context } from "../types/command.ts";
import { writeWhole } from "./write_whole.ts";

export interface MeasureOptions {
  readonly warmUpMs: number;
  readonly measurementMs: number;
  readonly samples: number;
  readonly resamples: number;
  /** Where earlier results are, and go; undefined: they are not kept. */
  readonly resultsFolder: string | undefined;
  /** Whether the report is printed. */
  readonly print: boolean;
}

/** Iterations whose own times are kept; more tell nothing new about percentiles. */
const MAX_SINGLE = 200_000;

async function compareWithLast(
  context: Context,
  { samples, label }: Measured,
  { resultsFolder, resamples, print }: MeasureOptions,
): Promise<void> {
  if (resultsFolder === undefined) return;
  const file = join(resultsFolder, label, "samples.json");
  let before: readonly number[] | undefined;
  try {
    before = JSON.parse(await readFile(file, "utf8")) as readonly number[];
  } catch {
    // The first run.
  }
  await makeFolder(dirname(file));
  await writeWhole(file, JSON.stringify(samples));
  if (before === undefined || before.length === 0 || !print) return;
  const [old, now] = [summarise(before), summarise(samples)];
  const change: Change = {
    min: now.min / old.min - 1,
    mean: now.mean / old.mean - 1,
    max: now.max / old.max - 1,
    // What would take longer than the measurement itself tells no more.
    probability: permutationProbability(before, samples, Math.min(resamples, 20_000), Math.random),
  };
  context.out(changeText(change));
}

/** How long iterations may follow one another without a look at what else happens, such as Ctrl-C, in milliseconds. */
const PAUSE_MS = 50;

/** Lets the event loop turn now and then; throws when the command is to stop. */
function pauses({ signal }: Context): () => Promise<void> | undefined {
  let last = performance.now();
  return () => {
    signal.throwIfAborted();
    if (performance.now() - last < PAUSE_MS) return undefined;
    return new Promise((resolve) =>
      setImmediate(() => {
        last = performance.now();
        resolve();
      })
    );
  };
}

/** Measures `iteration` under `label`. */
export async function measure(
  context: Context,
  label: string,
  iteration: () => Promise<unknown>,
  options: MeasureOptions,
): Promise<Measured> {
  const say = (text: Text) => options.print && context.out(text);
  say(warmUpText(label, options.warmUpMs));
  const pause = pauses(context);
  let warmUps = 0;
  const warmUpStart = performance.now();
  do {
    await pause();
    await iteration();
    warmUps++;
  } while (performance.now() - warmUpStart < options.warmUpMs);
  const meanMs = (performance.now() - warmUpStart) / warmUps;
  say(warmedUpText(label, meanMs, warmUps));
  // Sample i runs i times the unit, so that the whole takes the wanted time.
  const total = (options.samples * (options.samples + 1)) / 2;
  const wanted = options.measurementMs / meanMs / total;
  const unit = Math.max(1, Math.floor(wanted));
  if (wanted < 1) say(tooFewText(options.samples, options.measurementMs, total * meanMs));
  const samples: number[] = [];
  const single: number[] = [];
  let iterations = 0;
  const start = performance.now();
  for (let sample = 1; sample <= options.samples; sample++) {
    const count = sample * unit;
    let spent = 0;
    for (let index = 0; index < count; index++) {
      await pause();
      const started = performance.now();
      await iteration();
      const took = performance.now() - started;
      spent += took;
      if (single.length < MAX_SINGLE) single.push(took);
    }
    samples.push(spent / count);
    iterations += count;
  }
  const measured: Measured = {
    label,
    iterations,
    totalMs: performance.now() - start,
    samples,
    single: single.sort((a, b) => a - b),
    summary: summarise(samples),
  };
  say(measuredText(measured));
  await compareWithLast(context, measured, options);
  return measured;
}
