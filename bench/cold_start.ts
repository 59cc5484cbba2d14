/**
 * Measures how long the policy server takes from the start of its process until it is ready, with many big modules, and how
 * much memory it holds once each of them has answered. See README.md.
 *
 * usage: npm run bench:cold-start -- [options]      (--help lists them)
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { keptAlive, post, uidOf } from "./apply/client.ts";
import { commandLine } from "./apply/command_line.ts";
import { checkWritable, writeJson } from "./apply/outputs.ts";
import { processorMs, residentMb } from "./apply/processes.ts";
import { type Bench, prepareBench, ROOT, type Runtime, startServer, writePolicies } from "./apply/servers.ts";
import { table } from "./render/report.ts";
import { median } from "./render/summary.ts";
import { distinct, withMetadataOf, withMoreCode } from "./render/weighty_module.ts";
import type { ColdStartRow } from "./types/cold_start.ts";
import { WORKLOADS } from "./types/workloads.ts";

const HELP = `usage: npm run bench:cold-start -- [options]

  --modules N         how many modules [default: 40]
  --bytes N           size of each [default: 1600000]
  --runtimes A,B      of node, bun [default: both]
  --kinds A,B         of code, padding [default: both]: brought to size with copies of their functions, or with a section
                      that holds no code
  --module FILE       use this build of pod-privileged (padded to size) too, as kind "given"
  --rounds N          medians are shown [default: 3]
  --server-flags TEXT further flags of the server, e.g. --server-flags="--workers 1"
  --program FILE      measure this policy server [default: dist/policy_server.js if built, else policy_server/main.ts]
  --json FILE         write the rows as JSON
`;

const { values } = commandLine({
  options: {
    modules: { type: "string", default: "40" },
    bytes: { type: "string", default: "1600000" },
    runtimes: { type: "string", default: "node,bun" },
    kinds: { type: "string", default: "code,padding" },
    module: { type: "string" },
    rounds: { type: "string", default: "3" },
    "server-flags": { type: "string", default: "" },
    program: { type: "string" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const workload = WORKLOADS[0]!;

/** Writes the modules and their policies file. Returns its path. */
function writeModules(bench: Bench, kind: string): { readonly policiesFile: string; readonly bytes: number } {
  const policy = new Uint8Array(readFileSync(join(ROOT, workload.module)));
  const wished = Number(values.bytes);
  const base = kind === "code"
    ? withMoreCode(policy, wished)
    : kind === "given"
    ? withMetadataOf(new Uint8Array(readFileSync(values.module!)), policy)
    : policy;
  let bytes = 0;
  const entries = Array.from({ length: Number(values.modules) }, (_, index) => {
    const module = join(bench.folder, `${kind}-${index}.wasm`);
    const content = distinct(base, index, wished);
    bytes = content.length;
    writeFileSync(module, content);
    return [`policy-${index}`, { module, settings: workload.settings }] as const;
  });
  const policiesFile = join(bench.folder, `${kind}.yml`);
  writePolicies(policiesFile, Object.fromEntries(entries));
  return { policiesFile, bytes };
}

async function measure(bench: Bench, runtime: Runtime, policiesFile: string): Promise<number[]> {
  const review = readFileSync(join(ROOT, workload.request));
  const expected = workload.expected(uidOf(review.toString()));
  const { url, running, readyMs } = await startServer(bench, {
    runtime,
    policiesFile,
    flags: values["server-flags"].split(/\s+/).filter((flag) => flag !== ""),
  });
  const processor = processorMs(running.pid) ?? NaN;
  const ready = residentMb(running.pid) ?? NaN;
  const agent = keptAlive(4);
  for (let index = 0; index < Number(values.modules); index++) {
    const { status, body } = await post(agent, `${url}/validate/policy-${index}`, review);
    if (status !== 200 || body !== expected) throw new Error(`policy-${index} answers ${status} ${body}`);
  }
  const answered = residentMb(running.pid) ?? NaN;
  agent.destroy();
  await running.stop();
  return [readyMs, processor, ready, answered];
}

function show(rows: readonly ColdStartRow[]): void {
  console.log(table(
    ["runtime", "modules", "bytes each", "of which", "ready ms", "CPU ms", "RSS MB ready", "RSS MB answered"],
    rows.map((row) => [
      row.runtime,
      String(row.modules),
      String(row.moduleBytes),
      row.kind,
      row.readyMs.toFixed(0),
      row.readyProcessorMs?.toFixed(0) ?? "-",
      row.readyRssMb?.toFixed(0) ?? "-",
      row.answeredRssMb?.toFixed(0) ?? "-",
    ]),
  ));
  console.log("goals on an idle machine: ready within 1200 ms, at most 300 MB when all have answered");
}

async function run(): Promise<void> {
  checkWritable("--json", values.json);
  for (const option of ["modules", "bytes", "rounds"] as const) {
    if (!/^[1-9]\d*$/.test(values[option])) {
      throw new Error(`--${option}: ${values[option]} is not a whole number above 0`);
    }
  }
  const runtimes = values.runtimes.split(",");
  const kinds = [...values.kinds.split(","), ...values.module === undefined ? [] : ["given"]];
  for (const kind of kinds) {
    if (!["code", "padding", "given"].includes(kind)) {
      throw new Error(`--kinds: ${kind} is none of code, padding`);
    }
  }
  for (const runtime of runtimes) {
    if (!["node", "bun"].includes(runtime)) throw new Error(`--runtimes: ${runtime} is none of node, bun`);
  }
  const bench = await prepareBench(values.program);
  console.error(`measured: ${bench.program}`);
  const rows: ColdStartRow[] = [];
  for (const kind of kinds) {
    const { policiesFile, bytes } = writeModules(bench, kind);
    const measured = new Map(runtimes.map((runtime) => [runtime, [] as number[][]]));
    for (let round = 1; round <= Number(values.rounds); round++) {
      for (const runtime of runtimes) {
        const sample = await measure(bench, runtime as Runtime, policiesFile);
        measured.get(runtime)!.push(sample);
        console.error(`round ${round}  ${kind}  ${runtime}: ready after ${sample[0]!.toFixed(0)} ms`);
      }
    }
    for (const [runtime, samples] of measured) {
      const middle = (index: number) => Number(median(samples.map((sample) => sample[index]!)).toFixed(1));
      const known = (index: number) => Number.isNaN(middle(index)) ? null : middle(index);
      rows.push({
        runtime,
        kind,
        modules: Number(values.modules),
        moduleBytes: bytes,
        readyMs: middle(0),
        readyProcessorMs: known(1),
        readyRssMb: known(2),
        answeredRssMb: known(3),
      });
    }
  }
  show(rows);
  writeJson("--json", values.json, rows);
}

if (values.help) {
  process.stdout.write(HELP);
} else {
  // Ending this process ends all that it started (apply/processes.ts).
  process.exit(
    await run().then(() => 0, (error: unknown) => {
      console.error(`Error: ${(error as Error).message}`);
      return 1;
    }),
  );
}
