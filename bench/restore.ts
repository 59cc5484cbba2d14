/**
 * Measures what it costs to put a guest back after each evaluation: all of its memory, or what it was seen to write
 * (`evaluator/render/written_map.ts`), which costs the guest something for each store. See README.md.
 *
 * usage: npm run bench:restore -- [options]      (--help lists them)
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { ROOT } from "./apply/servers.ts";
import { table } from "./render/report.ts";
import type { RestoreRow } from "./types/restore.ts";

const HELP = `usage: npm run bench:restore -- [options]

  --runtimes A,B   of node, bun [default: both]
  --filter TEXT    only rows whose name has this in it
  --rounds N       [default: 7]
  --round-ms N     processor time of a round [default: 300]
`;

const { values } = parseArgs({
  options: {
    runtimes: { type: "string", default: "node,bun" },
    filter: { type: "string", default: "" },
    rounds: { type: "string", default: "7" },
    "round-ms": { type: "string", default: "300" },
    help: { type: "boolean", default: false },
  },
});

function measure(runtime: string): readonly RestoreRow[] {
  if (runtime !== "node" && runtime !== "bun") {
    throw new Error(`--runtimes: ${runtime} is neither node nor bun`);
  }
  const output = execFileSync(
    join(ROOT, "node_modules/.bin", runtime),
    [join(ROOT, "bench/apply/restore.ts"), values.filter, values.rounds, values["round-ms"]],
    { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] },
  );
  return output.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

function run(): void {
  for (const name of ["rounds", "round-ms"] as const) {
    if (!/^[1-9]\d*$/.test(values[name])) {
      throw new Error(`--${name}: ${values[name]} is not a whole number above 0`);
    }
  }
  const runtimes = values.runtimes.split(",");
  const rows = runtimes.map(measure);
  const cells = ({ wholeUs, recordedUs }: RestoreRow) => [
    wholeUs.toFixed(1),
    recordedUs.toFixed(1),
    (recordedUs / wholeUs).toFixed(2),
  ];
  console.log(table(
    ["CPU us", ...runtimes.flatMap((runtime) => [`${runtime}: whole`, "recorded", "ratio"])],
    (rows[0] ?? []).map(({ name }, index) => [name, ...rows.flatMap((of) => cells(of[index]!))]),
  ));
}

if (values.help) {
  process.stdout.write(HELP);
} else {
  try {
    run();
  } catch (error) {
    console.error(`Error: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
