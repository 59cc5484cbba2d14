/**
 * How long the command line takes from its call to its end, beside what the bare runtime takes. See README.md.
 *
 * usage: npm run bench:cli -- [options]      (--help lists them)
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { commandLine } from "./apply/command_line.ts";
import { checkWritable, writeJson } from "./apply/outputs.ts";
import { ROOT } from "./apply/servers.ts";
import { table } from "./render/report.ts";
import { median } from "./render/summary.ts";
import { withMetadataOf, withMoreCode } from "./render/weighty_module.ts";

const HELP = `usage: npm run bench:cli -- [options]

  --runs N         how often each is called; medians and minima are shown [default: 15]
  --bytes N        size of the policy that is run [default: 1600000]
  --program FILE   measure this bundle [default: dist/reeve.js]
  --executable FILE  measure this single executable too
  --json FILE      write the rows as JSON
`;

const { values } = commandLine({
  options: {
    runs: { type: "string", default: "15" },
    bytes: { type: "string", default: "1600000" },
    program: { type: "string", default: join(ROOT, "dist/reeve.js") },
    executable: { type: "string" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

type Row = {
  readonly subject: string;
  readonly what: string;
  readonly medianMs: number;
  readonly minMs: number;
};

const folder = mkdtempSync(join(tmpdir(), "reeve-bench-"));

function measured(subject: string, what: string, command: readonly string[]): Row {
  const [file = "", ...args] = command;
  const times = Array.from({ length: Number(values.runs) }, () => {
    const started = performance.now();
    const { status, stderr } = spawnSync(file, args, {
      env: { HOME: folder, PATH: process.env["PATH"] },
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`${command.join(" ")} failed: ${stderr}`);
    return performance.now() - started;
  });
  return { subject, what, medianMs: median(times), minMs: Math.min(...times) };
}

function run(): void {
  checkWritable("--json", values.json);
  if (!existsSync(values.program)) throw new Error(`${values.program} is missing: npm run build`);
  const module = join(folder, "policy.wasm");
  const small = readFileSync(join(ROOT, "policies/pod-privileged/policy.wasm"));
  writeFileSync(module, withMetadataOf(small, withMoreCode(small, Number(values.bytes))));
  const request = join(ROOT, "policies/pod-privileged/requests/unprivileged-3500-bytes.json");
  const evaluation = ["run", module, "-r", request];
  const runtimes = ["node", "bun"].map((name) => [name, join(ROOT, "node_modules/.bin", name)] as const);
  const rows: Row[] = [];
  for (const [name, path] of runtimes) {
    rows.push(
      measured(name, "the runtime alone", [path, "-e", "0"]),
      measured(name, "--version", [path, values.program, "--version"]),
      measured(name, "run", [path, values.program, ...evaluation]),
    );
  }
  if (values.executable !== undefined) {
    rows.push(
      measured("executable", "--version", [values.executable, "--version"]),
      measured("executable", "run", [values.executable, ...evaluation]),
    );
  }
  const shown = rows.map((
    { subject, what, medianMs, minMs },
  ) => [subject, what, medianMs.toFixed(0), minMs.toFixed(0)]);
  console.log(table(["subject", "what", "median ms", "least ms"], shown));
  console.log("goals on Node: --version within 80 ms, run of 1.6 MB within 300 ms");
  writeJson("--json", values.json, rows);
}

if (values.help) console.log(HELP);
else {
  try {
    run();
  } catch (error) {
    console.error(`error: ${(error as Error).message}`);
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
