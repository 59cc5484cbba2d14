/**
 * Measures what each family of instructions costs for what it pays (`evaluator/render/instruction_prices.ts`): a hostile guest of each
 * runs for ever, and the processor time between two looks at the clock is taken. See README.md.
 *
 * usage: npm run bench:prices -- [options]      (--help lists them)
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { commandLine } from "./apply/command_line.ts";
import { checkWritable, writeJson } from "./apply/outputs.ts";
import { ROOT } from "./apply/servers.ts";
import { table } from "./render/report.ts";
import type { PriceRow } from "./types/hostile_guests.ts";

/** A guest may be stopped so late. */
const GOAL_MS = 100;

const HELP = `usage: npm run bench:prices -- [options]

  --runtimes A,B   of node, bun [default: both]
  --family TEXT    only families whose name has this in it
  --run-ms N       how long each guest runs [default: 300]
  --json FILE      write the rows as JSON
`;

const { values } = commandLine({
  options: {
    runtimes: { type: "string", default: "node,bun" },
    family: { type: "string", default: "" },
    "run-ms": { type: "string", default: "300" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

function measure(runtime: string): readonly PriceRow[] {
  if (runtime !== "node" && runtime !== "bun") {
    throw new Error(`--runtimes: ${runtime} is neither node nor bun`);
  }
  const output = execFileSync(
    join(ROOT, "node_modules/.bin", runtime),
    [join(ROOT, "bench/apply/prices.ts"), values["run-ms"], values.family],
    { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] },
  );
  return output.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

function run(): number {
  checkWritable("--json", values.json);
  if (!/^[1-9]\d*$/.test(values["run-ms"])) {
    throw new Error(`--run-ms: ${values["run-ms"]} is not a whole number above 0`);
  }
  const runtimes = values.runtimes.split(",");
  const rows = runtimes.map(measure);
  const cells = ({ meanMs, longestMs, lateMs }: PriceRow) => [
    meanMs.toFixed(meanMs < 1 ? 3 : 1),
    longestMs.toFixed(0),
    lateMs.toFixed(0),
  ];
  console.log(table(
    ["family", ...runtimes.flatMap((runtime) => [`${runtime}: mean ms`, "longest", "late"])],
    (rows[0] ?? []).map(({ name }, index) => [name, ...rows.flatMap((of) => cells(of[index]!))]),
  ));
  console.log(`goal: nothing is late by more than ${GOAL_MS} ms`);
  const named = Object.fromEntries(runtimes.map((runtime, index) => [runtime, rows[index]]));
  writeJson("--json", values.json, named);
  return rows.flat().some(({ lateMs }) => lateMs > GOAL_MS) ? 1 : 0;
}

if (values.help) {
  process.stdout.write(HELP);
} else {
  try {
    process.exitCode = run();
  } catch (error) {
    console.error(`Error: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
