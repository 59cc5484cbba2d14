/**
 * Measures on the runtime it is started with what it costs to put guests back, and prints a JSON line for each row. A process of its own,
 * started by `../restore.ts`.
 */
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { InlineEvaluator } from "../../evaluator/apply/inline.ts";
import { prepareModule } from "../../evaluator/apply/prepare.ts";
import { instrument } from "../../evaluator/render/instrument.ts";
import type { PreparedModule } from "../../evaluator/types/module.ts";
import type { Workload } from "../types/measurement.ts";
import type { RestoreRow } from "../types/restore.ts";
import { WORKLOADS } from "../types/workloads.ts";
import { ROOT } from "./servers.ts";

const MEMORY_MIB = 128;
const encoder = new TextEncoder();

/** Microseconds of processor time that the process has used. */
function used(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Runs two subjects by turns. Returns the least that each took, per call. */
async function compare(
  subjects: readonly ((calls: number) => Promise<void> | void)[],
  rounds: number,
  roundUs: number,
): Promise<readonly number[]> {
  const least = subjects.map(() => Infinity);
  let calls = 16;
  // Long enough for the engines to optimise, and to choose how many calls are a round.
  for (let took = 0; took < roundUs; calls *= took < roundUs ? 2 : 1) {
    const start = used();
    for (const subject of subjects) await subject(calls);
    took = (used() - start) / subjects.length;
  }
  for (let round = 0; round < rounds; round++) {
    for (const [index, subject] of subjects.entries()) {
      const start = used();
      await subject(calls);
      least[index] = Math.min(least[index]!, (used() - start) / calls);
    }
  }
  return least;
}

async function prepare(workload: Workload, recordsWrites: boolean): Promise<PreparedModule> {
  const module = readFileSync(join(ROOT, workload.module));
  const prepared = await prepareModule(module, { memoryMib: MEMORY_MIB });
  const { bytes } = instrument(module, { maxPages: prepared.maxPages, recordsWrites });
  return { ...prepared, module: await WebAssembly.compile(bytes as BufferSource) };
}

/** Evaluates the same request over and over. */
async function evaluations(workload: Workload, recordsWrites: boolean) {
  const evaluator = new InlineEvaluator();
  const policy = evaluator.addPolicy({
    id: workload.policy,
    module: evaluator.addModule(await prepare(workload, recordsWrites)),
    settings: encoder.encode(JSON.stringify(workload.settings)),
    limitMs: 10_000,
  }, () => ({ ok: false, error: "this benchmark answers no host calls" }));
  const file = JSON.parse(readFileSync(join(ROOT, workload.request), "utf8"));
  const json = encoder.encode(JSON.stringify(file.request ?? file));
  const request = { pieces: [json], length: json.length, object: undefined };
  return async (calls: number) => {
    for (let left = calls; left > 0; left--) {
      const { kind } = await evaluator.validate(policy, request);
      if (kind !== "verdict") throw new Error(`${workload.policy} gave no verdict`);
    }
  };
}

/** Ways to put back a memory as a Rust policy has it, without a guest: 1 MiB of stack, 256 KiB of data and heap. */
function memoryWays(): Readonly<Record<string, () => void>> {
  const bytes = new Uint8Array(1_344 << 10);
  const image = bytes.slice().fill(1, 1_020 << 10, 1_104 << 10);
  bytes.set(image);
  const compared = Buffer.from(bytes.buffer);
  const content = image.subarray(1_020 << 10, 1_104 << 10);
  return {
    "memory: zeros filled, the rest copied": () => {
      bytes.fill(0, 0, 1_020 << 10);
      bytes.set(content, 1_020 << 10);
      bytes.fill(0, 1_104 << 10);
    },
    "memory: copied": () => bytes.set(image),
    "memory: compared only": () => {
      if (compared.compare(image) !== 0) throw new Error("the memories differ");
    },
    "memory: from 64 KiB of stack on": () => {
      bytes.fill(0, 960 << 10, 1_020 << 10);
      bytes.set(content, 1_020 << 10);
      bytes.fill(0, 1_104 << 10);
    },
    "memory: 4 chunks of 32 KiB": () => {
      bytes.fill(0, 960 << 10, 1_020 << 10);
      bytes.set(content.subarray(0, 8 << 10), 1_020 << 10);
      bytes.set(content.subarray(68 << 10), 1_088 << 10);
      bytes.fill(0, 1_104 << 10, 1_156 << 10);
    },
  };
}

const [filter = "", rounds, roundMs] = process.argv.slice(2);
const print = (row: RestoreRow) => console.log(JSON.stringify(row));
const measure = (subjects: readonly ((calls: number) => Promise<void> | void)[]) =>
  compare(subjects, Number(rounds), 1000 * Number(roundMs));

const ways = Object.entries(memoryWays());
const repeat = (act: () => void) => (calls: number) => {
  for (let left = calls; left > 0; left--) act();
};
for (const [name, act] of ways.slice(1)) {
  if (!name.includes(filter)) continue;
  const [wholeUs, recordedUs] = await measure([repeat(ways[0]![1]), repeat(act)]);
  print({ name, wholeUs: wholeUs!, recordedUs: recordedUs! });
}
for (const workload of WORKLOADS) {
  if (!workload.policy.includes(filter)) continue;
  const [wholeUs, recordedUs] = await measure([
    await evaluations(workload, false),
    await evaluations(workload, true),
  ]);
  print({ name: workload.policy, wholeUs: wholeUs!, recordedUs: recordedUs! });
}
