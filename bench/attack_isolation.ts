/**
 * Measures what a hostile policy does to the others: for each attack, the latency of requests to other policies during it beside
 * their latency just before, and the server's resident set before, during and after. See README.md.
 *
 * usage: npm run bench:attacks -- [options]      (--help lists them)
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { askOthers, OTHERS, prove, settle, startAttack, warmUp, watchMemory } from "./apply/attack_drive.ts";
import { attackPolicies, policyOf } from "./apply/attack_modules.ts";
import { commandLine } from "./apply/command_line.ts";
import { checkWritable, writeJson } from "./apply/outputs.ts";
import { residentMb } from "./apply/processes.ts";
import {
  type Bench,
  isStale,
  prepareBench,
  type Runtime,
  startServer,
  writePolicies,
} from "./apply/servers.ts";
import { table } from "./render/report.ts";
import { percentile } from "./render/summary.ts";
import { type Attack, ATTACKS } from "./types/attacks.ts";

/** What holds on an idle machine; on others, see the latency without an attack. */
const P99_MS = 50;
const MAX_RSS_RATIO = 1.2;

const HELP = `usage: npm run bench:attacks -- [options]

  --runtimes A,B      of node, bun [default: node,bun]
  --attacks TEXT      only attacks whose family or name holds this
  --requests N        to other policies, before and during each attack [default: 1000]
  --rate N            requests a second [default: 250]
  --attackers N       hostile requests under way at any time [default: 4]
  --attack-rate N     hostile requests a second at most [default: 100]
  --server-flags TEXT further flags of the server, e.g. --server-flags="--workers 1"
  --program FILE      measure this policy server [default: dist/policy_server.js if built, else policy_server/main.ts]
  --json FILE         write the rows as JSON
`;

const { values } = commandLine({
  options: {
    runtimes: { type: "string", default: "node,bun" },
    attacks: { type: "string", default: "" },
    requests: { type: "string", default: "1000" },
    rate: { type: "string", default: "250" },
    attackers: { type: "string", default: "4" },
    "attack-rate": { type: "string", default: "100" },
    "server-flags": { type: "string", default: "" },
    program: { type: "string" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

type Latency = { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number };

/** What one attack did. */
type Row = {
  readonly runtime: Runtime;
  readonly attack: string;
  /** Of the other policies' requests. */
  readonly alone: Latency;
  readonly during: Latency;
  /** Requests to other policies that were answered wrongly or not at all. */
  readonly wrong: number;
  readonly firstWrong: string | undefined;
  readonly attackerAnswers: number;
  /** Answers to the attacker that are not what the attack must be answered. */
  readonly attackerWrong: number;
  readonly firstAttackerWrong: string | undefined;
  readonly largestAnswer: number;
  readonly rssBeforeMb: number;
  readonly rssPeakMb: number;
  readonly rssAfterMb: number;
  /** Ordinary requests that were served until the resident set was back, or that did not help. */
  readonly settledAfter: number;
};

function latency(latencies: readonly number[]): Latency {
  const sorted = Float64Array.from(latencies).sort();
  return { p50Ms: percentile(sorted, 0.5), p99Ms: percentile(sorted, 0.99), maxMs: percentile(sorted, 1) };
}

async function measure(bench: Bench, runtime: Runtime, attack: Attack): Promise<Row> {
  const folder = join(bench.folder, `${runtime}-${policyOf(attack)}`);
  mkdirSync(folder);
  const policiesFile = join(folder, "policies.yml");
  writePolicies(policiesFile, { ...OTHERS, ...attackPolicies([attack], folder) });
  const { url, running } = await startServer(bench, {
    runtime,
    policiesFile,
    flags: ["--continue-on-errors", ...values["server-flags"].split(/\s+/).filter((flag) => flag !== "")],
  });
  try {
    const target = { url, pid: running.pid };
    const count = Number(values.requests);
    const pressure = { perSecond: Number(values.rate) };
    const warm = await warmUp(target);
    await prove(target, attack);
    const alone = await askOthers(target, count, pressure);
    const rssBeforeMb = residentMb(running.pid) ?? NaN;
    const memory = watchMemory(running.pid);
    const attacking = startAttack(target, attack, {
      attackers: Number(values.attackers),
      perSecond: Number(values["attack-rate"]),
    });
    const during = await askOthers(target, count, pressure);
    const attacker = await attacking.stop();
    const rssPeakMb = memory.stop();
    const after = await settle(target, rssBeforeMb * MAX_RSS_RATIO);
    const wrong = [...warm, ...alone.wrong, ...during.wrong, ...after.wrong];
    return {
      runtime,
      attack: `${attack.family}: ${attack.name}`,
      alone: latency(alone.latencies),
      during: latency(during.latencies),
      wrong: wrong.length,
      firstWrong: wrong[0],
      attackerAnswers: attacker.answered,
      attackerWrong: attacker.wrong.length,
      firstAttackerWrong: attacker.wrong[0],
      largestAnswer: attacker.largestAnswer,
      rssBeforeMb,
      rssPeakMb,
      rssAfterMb: after.rssMb,
      settledAfter: after.requests,
    };
  } finally {
    await running.stop();
  }
}

const faults = (row: Row): string[] => [
  ...(row.firstWrong === undefined ? [] : [`others: ${row.wrong} wrong, e.g. ${row.firstWrong}`]),
  ...(row.firstAttackerWrong === undefined
    ? []
    : [`attacker: ${row.attackerWrong} wrong, e.g. ${row.firstAttackerWrong}`]),
];

const missed = ({ during, rssBeforeMb, rssAfterMb }: Row): string =>
  [
    ...(during.p99Ms < P99_MS ? [] : ["p99"]),
    ...(rssAfterMb <= rssBeforeMb * MAX_RSS_RATIO ? [] : ["RSS"]),
  ].join(", ");

async function run(): Promise<number> {
  checkWritable("--json", values.json);
  for (const option of ["requests", "rate", "attackers", "attack-rate"] as const) {
    if (!/^[1-9]\d*$/.test(values[option])) {
      throw new Error(`--${option}: ${values[option]} is not a whole number above 0`);
    }
  }
  const runtimes = values.runtimes.split(",").map((name) => {
    if (name !== "node" && name !== "bun") throw new Error(`--runtimes: ${name} is none of node, bun`);
    return name;
  });
  const attacks = ATTACKS.filter(({ family, name }) => `${family}: ${name}`.includes(values.attacks));
  if (attacks.length === 0) throw new Error(`--attacks: none holds ${values.attacks}`);
  const bench = await prepareBench(values.program);
  console.error(`measured: ${bench.program}`);
  if (isStale(bench)) console.error("the bundle is older than the sources: npm run build");
  const rows: Row[] = [];
  for (const attack of attacks) {
    for (const runtime of runtimes) {
      try {
        const row = await measure(bench, runtime, attack);
        rows.push(row);
        console.error(
          `${runtime}  ${row.attack}: p99 ${row.alone.p99Ms.toFixed(1)} -> ${
            row.during.p99Ms.toFixed(1)
          } ms, RSS ` +
            `${row.rssBeforeMb.toFixed(0)} -> ${row.rssPeakMb.toFixed(0)} -> ${
              row.rssAfterMb.toFixed(0)
            } MB ` +
            `(${row.settledAfter} requests)  ${missed(row)}`,
        );
        for (const fault of faults(row)) console.error(`  ${fault}`);
      } catch (error) {
        throw new Error(`${runtime}, ${attack.family}: ${attack.name}: ${(error as Error).message}`);
      }
    }
  }
  const ms = (value: number) => value.toFixed(value < 10 ? 2 : 1);
  console.log(table(
    ["attack", "on", "p50", "p99", "max", "alone p50", "p99", "max", "wrong", "hostile", "wrong", "largest"]
      .concat(["RSS MB", "peak", "after", "missed"]),
    rows.map((row) => [
      row.attack,
      row.runtime,
      ...[row.during, row.alone].flatMap(({ p50Ms, p99Ms, maxMs }) => [ms(p50Ms), ms(p99Ms), ms(maxMs)]),
      ...[row.wrong, row.attackerAnswers, row.attackerWrong, row.largestAnswer].map(String),
      ...[row.rssBeforeMb, row.rssPeakMb, row.rssAfterMb].map((value) => value.toFixed(0)),
      missed(row),
    ]),
  ));
  console.log(
    `latencies in ms of ${values.requests} requests to other policies at ${values.rate}/s; ` +
      `goals on an idle machine: none wrong, p99 under ${P99_MS} ms, RSS after at most ${MAX_RSS_RATIO} times before`,
  );
  writeJson("--json", values.json, rows);
  return rows.some((row) => faults(row).length > 0) ? 1 : 0;
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
