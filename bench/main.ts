/**
 * Measures the policy server beside the HTTP floor, on Node and on Bun, in one run on one machine. See README.md.
 *
 * usage: npm run bench -- [options]      (--help lists them)
 */
import { join, relative } from "node:path";
import process from "node:process";
import { verify } from "./apply/client.ts";
import { drive, findGenerator, type Generator, GET_WRK } from "./apply/load.ts";
import { load, machine, versions, watchOthers } from "./apply/machine.ts";
import { checkWritable, read, write, writeJson } from "./apply/outputs.ts";
import { processorMs, residentMb } from "./apply/processes.ts";
import { type Bench, isStale, prepareBench, ROOT } from "./apply/servers.ts";
import { prepare, type Prepared, startSubject } from "./apply/subjects.ts";
import { goalsOf, goalsTable } from "./render/goals.ts";
import { reportPage } from "./render/page.ts";
import { type Plan, quick, steps } from "./render/plan.ts";
import { rowsTable } from "./render/report.ts";
import { scalingLines, storyLines } from "./render/story.ts";
import { isFloor, labelOf, summarize } from "./render/summary.ts";
import { verdict } from "./render/surroundings.ts";
import { parseColdStart } from "./types/cold_start.ts";
import type { Sample, Subject } from "./types/measurement.ts";
import { type BenchOptions, HELP, parseOptions } from "./types/options.ts";
import type { Run } from "./types/run.ts";
import { WORKLOADS } from "./types/workloads.ts";

/** What is committed, so that `git diff` shows a change. */
const COMMITTED = join(ROOT, "bench/results/requests.json");

/** What all measurements of a run share. */
type Setting = {
  readonly plan: Plan;
  readonly generator: Generator;
  readonly threads: number;
  readonly prepared: readonly Prepared[];
};

function driven({ generator, threads }: Setting, subject: Subject, workload: Prepared) {
  return { ...workload, generator, threads, url: subject.target(workload.policy) };
}

/** Until engines have optimised what runs, figures are of something else. */
async function warmUp(setting: Setting, subject: Subject, workload: Prepared): Promise<void> {
  await drive({ ...driven(setting, subject, workload), connections: 32, seconds: 1 });
}

/** Starts a floor that no rows are made of, which tells whether the machine was busy. */
async function startProbe(bench: Bench, setting: Setting): Promise<Subject> {
  const floor = await startSubject(bench, { name: "floor-node", workers: null }, setting.prepared, []);
  await warmUp(setting, floor, setting.prepared[0]!);
  return floor;
}

/** Starts all subjects, looks whether they answer rightly, and warms them up. */
async function startAll(bench: Bench, setting: Setting, serverFlags: readonly string[]): Promise<Subject[]> {
  const subjects: Subject[] = [];
  for (const planned of setting.plan.subjects) {
    const subject = await startSubject(bench, planned, setting.prepared, serverFlags);
    subjects.push(subject);
    for (const workload of setting.prepared) {
      // A floor answers with fixed bytes, whatever the uid.
      if (!isFloor(subject.name)) {
        await verify(subject.target(workload.policy), workload.review, workload.expected, 200);
      }
      await warmUp(setting, subject, workload);
    }
  }
  return subjects;
}

/** Requests per second of a floor, with most connections. */
async function floorRequests(setting: Setting, floor: Subject): Promise<number> {
  const connections = Math.max(...setting.plan.connections);
  const options = driven(setting, floor, setting.prepared[0]!);
  const { requestsPerSecond } = await drive({ ...options, connections, seconds: setting.plan.seconds });
  console.error(`floor ${floor.name}, for comparison: ${requestsPerSecond.toFixed(0)}/s`);
  return Number(requestsPerSecond.toFixed(1));
}

/** Measures every step of the plan. */
async function measureAll(setting: Setting, subjects: readonly Subject[]): Promise<Sample[]> {
  const { plan, prepared } = setting;
  const samples: Sample[] = [];
  for (const { round, policy, connections, subject: { name, workers } } of steps(plan)) {
    const subject = subjects.find((found) => found.name === name && found.workers === workers)!;
    const workload = prepared.find((found) => found.policy === policy)!;
    const before = processorMs(subject.pid);
    const measured = await drive({
      ...driven(setting, subject, workload),
      connections,
      seconds: plan.seconds,
    });
    const after = processorMs(subject.pid);
    samples.push({
      ...{ round, policy, connections, subject: name, workers },
      ...measured,
      rssMb: residentMb(subject.pid),
      processorMs: before === null || after === null ? null : after - before,
    });
    console.error(
      `round ${round}/${plan.rounds}  ${policy}  ${connections} connections  ${labelOf(subject)}: ` +
        `${measured.requestsPerSecond.toFixed(0)}/s, p99 ${measured.p99Ms.toFixed(2)} ms` +
        (measured.errors > 0 ? `, ${measured.errors} errors, the first: ${measured.firstError}` : ""),
    );
  }
  return samples;
}

/** The files that are asked for, checked: a run of minutes shall not end with one that can't be written. */
function outputs(options: BenchOptions): Map<string, string> {
  const files = new Map<string, string>();
  for (const name of ["html", "json", "results"] as const) {
    if (options[name] !== undefined) files.set(`--${name}`, options[name]);
  }
  if (options.save) files.set("--save", COMMITTED);
  for (const [option, file] of files) checkWritable(option, file);
  return files;
}

async function measure(options: BenchOptions): Promise<{ readonly run: Run; readonly samples: Sample[] }> {
  const date = new Date().toISOString();
  const loadBefore = load();
  const plan = options.quick ? quick(options) : options;
  const generator = options.generator ?? findGenerator();
  if (generator === "autocannon" && options.generator === undefined) console.error(GET_WRK);
  const bench = await prepareBench(options.program);
  console.error(`measured: ${bench.program}, driven by ${generator}`);
  if (isStale(bench)) console.error("the bundle is older than the sources: npm run build");
  const prepared = plan.policies.map((name) =>
    prepare(bench, WORKLOADS.find(({ policy }) => policy === name)!)
  );
  const setting = { plan, generator, threads: options.threads, prepared };
  const subjects = await startAll(bench, setting, options.serverFlags);
  const floor = subjects.find(({ name }) => isFloor(name)) ?? await startProbe(bench, setting);
  const others = watchOthers([...new Set([...subjects, floor])].flatMap(({ pid }) => pid ?? []));
  const first = await floorRequests(setting, floor);
  const samples = await measureAll(setting, subjects);
  const floors = [first, await floorRequests(setting, floor)] as const;
  const inside = relative(ROOT, bench.program);
  const run: Run = {
    date,
    machine: machine(),
    versions: versions(generator),
    surroundings: { loadBefore, floors, othersShare: others() },
    program: inside.startsWith("..") ? bench.program : inside,
    rounds: plan.rounds,
    seconds: plan.seconds,
    rows: summarize(samples),
  };
  return { run, samples };
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const files = outputs(options);
  const coldStart = options.with === undefined ? [] : read("--with", options.with, parseColdStart);
  const { run, samples } = await measure(options);
  const { busy, text } = verdict(run.surroundings, run.machine);
  const goals = goalsOf(run.rows, WORKLOADS, options.original);
  const table = goals.length === 0 ? undefined : goalsTable(goals, !busy);
  const sentences = [...storyLines(samples, run.rows), ...scalingLines(run.rows), text];
  console.log(`\n${rowsTable(run.rows)}\n\n${sentences.join("\n")}`);
  if (table !== undefined) console.log(`\n${table}`);
  for (const [option, file] of files) {
    if (option === "--html") write(option, file, reportPage({ run, sentences, goals: table, coldStart }));
    else writeJson(option, file, option === "--json" ? run.rows : run);
  }
  const errors = run.rows.reduce((sum, row) => sum + row.errors, 0);
  if (errors > 0) console.error(`\n${errors} answers were wrong or did not come`);
  return errors > 0 ? 1 : 0;
}

// Ending this process ends all that it started (apply/processes.ts).
process.exit(
  await main().catch((error: unknown) => {
    console.error(`Error: ${(error as Error).message}`);
    return 1;
  }),
);
