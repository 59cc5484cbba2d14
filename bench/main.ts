/**
 * Measures the policy server beside the HTTP floor, on Node and on Bun, in one run on one machine. See README.md.
 *
 * usage: npm run bench -- [options]      (--help lists them)
 */
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, type } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { uidOf, verify } from "./apply/client.ts";
import { listeningProcess } from "./apply/listening_process.ts";
import { drive, findGenerator, type Generator, GET_WRK } from "./apply/load.ts";
import { processorMs, residentMb } from "./apply/processes.ts";
import {
  type Bench,
  isStale,
  prepareBench,
  ROOT,
  type Runtime,
  runtimeVersion,
  startFloor,
  startServer,
  writePolicies,
} from "./apply/servers.ts";
import type { Results } from "./render/plot.ts";
import { type Plan, quick, steps } from "./render/plan.ts";
import { goals, goalsTable, rowsTable, workloadGoals } from "./render/report.ts";
import { costs, summarize } from "./render/summary.ts";
import type { Sample, Subject, Workload } from "./types/measurement.ts";
import { WORKLOADS } from "./types/workloads.ts";

const SUBJECTS = ["floor-node", "node", "floor-bun", "bun"];

const HELP = `usage: npm run bench -- [options]

  --json FILE          write the rows as JSON
  --results FILE       write what \`npm run bench:plot\` draws: processor time per request, and the machine
  --quick              be done within 60 s: one-second runs
  --subjects A,B       of ${SUBJECTS.join(", ")} [default: all]
  --url URL            measure a server that runs already too, e.g. https://127.0.0.1:3000 (repeatable); without a path
                       in it, reviews go to /validate/POLICY
  --policies A,B       of ${WORKLOADS.map(({ policy }) => policy).join(", ")} [default: ${
  WORKLOADS[0]!.policy
}]
  --connections N,N    kept-alive connections [default: 1,8,32]
  --duration SECONDS   of one run [default: 5]
  --rounds N           how often everything is repeated; medians are shown [default: 3]
  --server-flags TEXT  further flags of the servers under test, e.g. "--workers 1 --log-level error"
  --program FILE       measure this policy server [default: dist/policy_server.js if built, else policy_server/main.ts]
  --generator NAME     wrk or autocannon [default: wrk where it is installed]
  --threads N          of wrk [default: 1]
`;

/** What else this machine does; the measurement itself is not in it. */
const loadBefore = loadavg()[0]!;

const { values } = parseArgs({
  options: {
    json: { type: "string" },
    results: { type: "string" },
    quick: { type: "boolean", default: false },
    subjects: { type: "string", default: SUBJECTS.join(",") },
    url: { type: "string", multiple: true, default: [] },
    policies: { type: "string", default: WORKLOADS[0]!.policy },
    connections: { type: "string", default: "1,8,32" },
    duration: { type: "string", default: "5" },
    rounds: { type: "string", default: "3" },
    "server-flags": { type: "string", default: "" },
    program: { type: "string" },
    generator: { type: "string" },
    threads: { type: "string", default: "1" },
    help: { type: "boolean", default: false },
  },
});

function list(text: string): string[] {
  return text.split(",").map((item) => item.trim()).filter((item) => item !== "");
}

function whole(option: string, text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new Error(`${option}: ${text} is not a whole number above 0`);
  return Number(text);
}

function oneOf(option: string, text: string, choices: readonly string[]): string {
  if (!choices.includes(text)) throw new Error(`${option}: ${text} is none of ${choices.join(", ")}`);
  return text;
}

/** A workload with the files that the load generator reads. */
type Prepared = Workload & {
  readonly review: string;
  readonly uid: string;
  readonly reviewFile: string;
  readonly expectedFile: string;
};

function prepare(bench: Bench, workload: Workload): Prepared {
  const reviewFile = join(ROOT, workload.request);
  const review = readFileSync(reviewFile, "utf8");
  const uid = uidOf(review);
  const expectedFile = join(bench.folder, `${workload.policy}.expected`);
  writeFileSync(expectedFile, workload.expected(uid));
  return { ...workload, review, uid, reviewFile, expectedFile };
}

async function startSubject(bench: Bench, name: string, prepared: readonly Prepared[]): Promise<Subject> {
  const atPath = (url: string) => (policy: string) => `${url}/validate/${policy}`;
  if (!SUBJECTS.includes(name)) {
    const url = name.replace(/\/+$/, "");
    const target = new URL(url).pathname === "/" ? atPath(url) : () => url;
    return { name, target, pid: listeningProcess(url) };
  }
  const runtime: Runtime = name.includes("bun") ? "bun" : "node";
  if (name.startsWith("floor-")) {
    const answers = prepared.map(({ policy, uid, expected }) => [policy, expected(uid)] as const);
    const { url, running } = await startFloor(bench, runtime, Object.fromEntries(answers));
    return { name, target: atPath(url), pid: running.pid };
  }
  const policiesFile = join(bench.folder, "policies.yml");
  writePolicies(
    policiesFile,
    Object.fromEntries(prepared.map(({ policy, module, settings, allowedToMutate }) => [
      policy,
      { module: join(ROOT, module), settings, allowedToMutate },
    ])),
  );
  const { url, running } = await startServer(bench, {
    runtime,
    policiesFile,
    flags: values["server-flags"].split(/\s+/).filter((flag) => flag !== ""),
  });
  return { name, target: atPath(url), pid: running.pid };
}

async function run(): Promise<number> {
  const asked: Plan = {
    subjects: [
      ...list(values.subjects).map((name) => oneOf("--subjects", name, SUBJECTS)),
      ...values.url.map((url) => {
        if (!URL.canParse(url) || !/^https?:/.test(url)) {
          throw new Error(`--url: ${url} is not an http(s) URL`);
        }
        return url;
      }),
    ],
    policies: list(values.policies).map((name) =>
      oneOf("--policies", name, WORKLOADS.map(({ policy }) => policy))
    ),
    connections: list(values.connections).map((count) => whole("--connections", count)),
    rounds: whole("--rounds", values.rounds),
    seconds: whole("--duration", values.duration),
  };
  const plan = values.quick ? quick(asked) : asked;
  const threads = whole("--threads", values.threads);
  const generator = oneOf("--generator", values.generator ?? findGenerator(), [
    "wrk",
    "autocannon",
  ]) as Generator;
  if (generator === "autocannon" && values.generator === undefined) console.error(GET_WRK);

  const bench = await prepareBench(values.program);
  console.error(`measured: ${bench.program}, driven by ${generator}`);
  if (isStale(bench)) console.error("the bundle is older than the sources: npm run build");
  const prepared = plan.policies.map((name) =>
    prepare(bench, WORKLOADS.find(({ policy }) => policy === name)!)
  );
  const find = (name: string) => prepared.find(({ policy }) => policy === name)!;

  const subjects: Subject[] = [];
  for (const name of plan.subjects) {
    const subject = await startSubject(bench, name, prepared);
    subjects.push(subject);
    for (const workload of prepared) {
      const target = subject.target(workload.policy);
      // A floor answers with fixed bytes, whatever the uid.
      if (!name.startsWith("floor-")) await verify(target, workload.review, workload.expected, 200);
      await drive({ ...workload, generator, threads, url: target, connections: 32, seconds: 1 });
    }
  }

  const samples: Sample[] = [];
  for (const step of steps(plan)) {
    const { policy, connections } = step;
    const subject = subjects.find(({ name }) => name === step.subject)!;
    const before = processorMs(subject.pid);
    const load = await drive({
      ...find(policy),
      generator,
      threads,
      url: subject.target(policy),
      connections,
      seconds: plan.seconds,
    });
    const after = processorMs(subject.pid);
    samples.push({
      ...step,
      ...load,
      rssMb: residentMb(subject.pid),
      processorMs: before === null || after === null ? null : after - before,
    });
    console.error(
      `round ${step.round}/${plan.rounds}  ${policy}  ${connections} connections  ${subject.name}: ` +
        `${load.requestsPerSecond.toFixed(0)}/s, p99 ${load.p99Ms.toFixed(2)} ms` +
        (load.errors > 0 ? `, ${load.errors} errors, the first: ${load.firstError}` : ""),
    );
  }

  const rows = summarize(samples);
  console.log(`\n${rowsTable(rows, costs(samples))}`);
  const held = [
    ...goals(rows, WORKLOADS[0]!.policy),
    ...WORKLOADS.flatMap((workload) => workloadGoals(rows, workload)),
  ];
  if (held.length > 0) console.log(`\n${goalsTable(held)}`);
  if (values.results !== undefined) {
    const machine = [
      `${availableParallelism()} x ${cpus()[0]?.model ?? "processor"}`,
      `${type()} ${release()}`,
      `Node ${runtimeVersion("node")}`,
      `Bun ${runtimeVersion("bun")}`,
      `load average ${loadBefore.toFixed(0)} before it began`,
    ].join(", ");
    const results: Results = { machine, costs: costs(samples) };
    writeFileSync(values.results, `${JSON.stringify(results, null, 2)}\n`);
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
  const errors = rows.reduce((sum, row) => sum + row.errors, 0);
  if (errors > 0) console.error(`\n${errors} answers were wrong or did not come`);
  return errors > 0 ? 1 : 0;
}

if (values.help) {
  process.stdout.write(HELP);
} else {
  // Ending this process ends all that it started (apply/processes.ts).
  process.exit(
    await run().catch((error: unknown) => {
      console.error(`Error: ${(error as Error).message}`);
      return 1;
    }),
  );
}
