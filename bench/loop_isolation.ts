/**
 * Measures what a policy that loops for ever does to the others: it is asked again and again while requests go to other
 * policies. See README.md.
 *
 * usage: npm run bench:loop-isolation -- [options]      (--help lists them)
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { keptAlive, post, withUid } from "./apply/client.ts";
import { commandLine } from "./apply/command_line.ts";
import { checkWritable, writeJson } from "./apply/outputs.ts";
import { type Bench, prepareBench, ROOT, startServer, writePolicies } from "./apply/servers.ts";
import { table } from "./render/report.ts";
import { percentile } from "./render/summary.ts";
import { WORKLOADS } from "./types/workloads.ts";

/** The looping policy's limit: the shortest that a policies file can say. */
const LIMIT_S = 1;
/** How much later than its limit it must have been answered. */
const LATE_MS = 100;
const CUT = "Policy execution interrupted because it exceeded the allowed execution time";

const HELP = `usage: npm run bench:loop-isolation -- [options]

  --subjects A,B      of node, bun [default: node,bun]
  --requests N        sent to other policies in each part [default: 1000]
  --rate N            requests a second in the paced part [default: 200]
  --loopers N         looping requests under way at any time [default: 1]
  --way WAY           how the policy hangs: tight, busy, fill, host-calls [default: tight]
  --server-flags TEXT further flags of the server, e.g. --server-flags="--workers 1"
  --program FILE      measure this policy server [default: dist/policy_server.js if built, else policy_server/main.ts]
  --json FILE         write the rows as JSON
`;

const { values } = commandLine({
  options: {
    subjects: { type: "string", default: "node,bun" },
    requests: { type: "string", default: "1000" },
    rate: { type: "string", default: "200" },
    loopers: { type: "string", default: "1" },
    way: { type: "string", default: "tight" },
    "server-flags": { type: "string", default: "" },
    program: { type: "string" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

/** What the other policies' requests saw in one part, and when the looping ones were answered. */
type Row = {
  readonly subject: string;
  /** `alone`: paced, nothing loops. `paced`: at a steady rate. `pressed`: 8 at a time, each as soon as one is answered. */
  readonly part: "alone" | "paced" | "pressed";
  readonly requests: number;
  readonly errors: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly loopsCut: number;
  /** Looping requests without the specified answer. */
  readonly loopErrors: number;
  /** How long after its limit the latest looping request was answered; null when none was sent. */
  readonly latestCutMs: number | null;
};

type Ask = { readonly url: string; readonly review: string; readonly expected: (uid: string) => string };

const LOOPING_REVIEW = JSON.stringify({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: {
    uid: "5d7c4e0a-93b1-4f0e-8f4e-2b1a6c9d7e10",
    kind: { group: "", version: "v1", kind: "ConfigMap" },
    resource: { group: "", version: "v1", resource: "configmaps" },
    name: "looping",
    namespace: "default",
    operation: "CREATE",
    userInfo: { username: "bench" },
    object: {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "looping", annotations: { do: values.way } },
    },
  },
});

/** Keeps looping requests under way until told to stop; resolves with how long each took and how many were answered wrongly. */
function keepLooping(url: string, loopers: number) {
  const agent = keptAlive(loopers);
  const took: number[] = [];
  let errors = 0;
  let stopped = false;
  const running = Array.from({ length: loopers }, async () => {
    while (!stopped) {
      const answer = await post(agent, url, Buffer.from(LOOPING_REVIEW)).catch(() => undefined);
      if (answer === undefined || answer.status !== 200 || !answer.body.includes(`"message":"${CUT}"`)) {
        errors++;
      }
      if (answer !== undefined) took.push(answer.ms);
      // An answer that comes at once is no cut: don't turn this into a flood.
      if (answer === undefined || answer.ms < LIMIT_S * 500) {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  });
  return {
    stop: async () => {
      stopped = true;
      await Promise.all(running);
      agent.destroy();
      return { took, errors };
    },
  };
}

/** Sends `count` requests, one policy after the other; latencies count from when each was sent. */
async function ask(
  asks: readonly Ask[],
  count: number,
  part: Row["part"],
): Promise<{ latencies: number[]; errors: number }> {
  const connections = part === "pressed" ? 8 : 64;
  const agent = keptAlive(connections);
  const latencies: number[] = [];
  let errors = 0;
  const one = async (index: number) => {
    const { url, review, expected } = asks[index % asks.length]!;
    const { uid, body } = withUid(review, index);
    const answer = await post(agent, url, body).catch(() => undefined);
    if (answer?.status !== 200 || answer.body !== expected(uid)) errors++;
    if (answer) latencies.push(answer.ms);
  };
  if (part === "pressed") {
    let next = 0;
    await Promise.all(Array.from({ length: connections }, async () => {
      while (next < count) await one(next++);
    }));
  } else {
    const started = performance.now();
    const sent: Promise<void>[] = [];
    for (let index = 0; index < count; index++) {
      const due = started + index * 1000 / Number(values.rate);
      const left = due - performance.now();
      if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
      sent.push(one(index));
    }
    await Promise.all(sent);
  }
  agent.destroy();
  return { latencies, errors };
}

async function measure(bench: Bench, subject: string, policiesFile: string): Promise<Row[]> {
  const { url, running } = await startServer(bench, {
    runtime: subject === "node" ? "node" : "bun",
    policiesFile,
    flags: values["server-flags"].split(/\s+/).filter((flag) => flag !== ""),
  });
  const asks = WORKLOADS.map(({ policy, request, expected }): Ask => ({
    url: `${url}/validate/${policy}`,
    review: readFileSync(join(ROOT, request), "utf8"),
    expected,
  }));
  const count = Number(values.requests);
  await ask(asks, 300, "pressed"); // warms up
  const rows: Row[] = [];
  for (const part of ["alone", "paced", "pressed"] as const) {
    const loops = part === "alone" ? undefined : keepLooping(`${url}/validate/loop`, Number(values.loopers));
    // So that the loop has begun.
    if (loops) await new Promise((resolve) => setTimeout(resolve, 100));
    const { latencies, errors } = await ask(asks, count, part);
    const { took, errors: loopErrors } = await loops?.stop() ?? { took: [], errors: 0 };
    const sorted = Float64Array.from(latencies).sort();
    rows.push({
      subject,
      part,
      requests: count,
      errors,
      p50Ms: percentile(sorted, 0.5),
      p99Ms: percentile(sorted, 0.99),
      maxMs: percentile(sorted, 1),
      loopsCut: took.length - loopErrors,
      loopErrors,
      latestCutMs: took.length === 0 ? null : Math.max(...took) - LIMIT_S * 1000,
    });
  }
  await running.stop();
  return rows;
}

async function run(): Promise<number> {
  checkWritable("--json", values.json);
  for (const option of ["requests", "rate", "loopers"] as const) {
    if (!/^[1-9]\d*$/.test(values[option])) {
      throw new Error(`--${option}: ${values[option]} is not a whole number above 0`);
    }
  }
  const subjects = values.subjects.split(",");
  for (const subject of subjects) {
    if (!["node", "bun"].includes(subject)) {
      throw new Error(`--subjects: ${subject} is none of node, bun`);
    }
  }
  const bench = await prepareBench(values.program);
  console.error(`measured: ${bench.program}`);
  const policiesFile = join(bench.folder, "policies.yml");
  writePolicies(policiesFile, {
    loop: { module: join(ROOT, "tests/policies/loop/policy.wasm"), timeoutEvalSeconds: LIMIT_S },
    ...Object.fromEntries(WORKLOADS.map(({ policy, module, settings, allowedToMutate }) => [
      policy,
      { module: join(ROOT, module), settings, allowedToMutate },
    ])),
  });
  const rows: Row[] = [];
  for (const subject of subjects) rows.push(...await measure(bench, subject, policiesFile));
  console.log(table(
    [
      "subject",
      "others",
      "requests",
      "errors",
      "p50 ms",
      "p99 ms",
      "max ms",
      "loops cut",
      "wrong cuts",
      "latest cut",
    ],
    rows.map((row) => [
      row.subject,
      row.part,
      String(row.requests),
      String(row.errors),
      row.p50Ms.toFixed(2),
      row.p99Ms.toFixed(2),
      row.maxMs.toFixed(2),
      String(row.loopsCut),
      String(row.loopErrors),
      row.latestCutMs === null
        ? "-"
        : `limit ${row.latestCutMs < 0 ? "" : "+"}${row.latestCutMs.toFixed(0)} ms`,
    ]),
  ));
  console.log(
    `goals while a policy loops: no errors, p99 under 50 ms, every cut within its limit + ${LATE_MS} ms`,
  );
  writeJson("--json", values.json, rows);
  return rows.some(({ errors, loopErrors }) => errors + loopErrors > 0) ? 1 : 0;
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
