/**
 * Measures what the packed library costs a process that imports it and does nothing else: time until it is there, and memory above
 * that of the bare runtime. See README.md.
 *
 * usage: node bench/library_import.ts [ROUNDS]      (default: 15)
 */
import "../program/check_script.ts";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { table } from "./render/report.ts";
import { median } from "./render/summary.ts";

const rounds = Number(process.argv[2] ?? 15);
const root = fileURLToPath(new URL("../", import.meta.url));
const BIN = join(root, "node_modules/.bin");
const folder = mkdtempSync(join(tmpdir(), "portreeve-import-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function npm(cwd: string, ...words: readonly string[]): string {
  const env = { ...process.env, PATH: `${BIN}:${process.env["PATH"]}` };
  const { status, stdout, stderr } = spawnSync("npm", [...words, "--silent"], { cwd, encoding: "utf8", env });
  if (status !== 0) throw new Error(`npm ${words.join(" ")}: ${stderr}`);
  return stdout.trim().split("\n").at(-1)!;
}

const packed = join(folder, npm(root, "pack", "--pack-destination", folder));
writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }');
npm(folder, "install", "--offline", "--no-audit", "--no-fund", packed);

/** Milliseconds (of the clock, of the processor) that an import takes, and resident megabytes after it. */
function measure(
  runtime: string,
  part: string | undefined,
): readonly [ms: number, cpuMs: number, rssMb: number] {
  const load = part === undefined ? "" : `await import(${JSON.stringify(part)});`;
  const source = `const cpu = process.cpuUsage(), from = performance.now(); ${load}
    const { user, system } = process.cpuUsage(cpu);
    console.log(JSON.stringify([performance.now() - from, (user + system) / 1e3, process.memoryUsage.rss() / 1e6]));`;
  const flags = runtime === "node" ? ["--input-type=module"] : [];
  const { stdout, stderr } = spawnSync(join(BIN, runtime), [...flags, "-e", source], {
    cwd: folder,
    encoding: "utf8",
  });
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout);
}

const rows: string[][] = [];
for (const runtime of ["node", "bun"]) {
  const medians = (part: string | undefined) => {
    const found = Array.from({ length: rounds }, () => measure(runtime, part));
    return [0, 1, 2].map((index) => median(found.map((one) => one[index]!)));
  };
  const bare = medians(undefined);
  for (
    const part of [
      "portreeve",
      "portreeve/evaluator",
      "portreeve/artifact",
      "portreeve/crd",
      "portreeve/policy-server",
    ]
  ) {
    const [ms, cpuMs, rssMb] = medians(part);
    rows.push([runtime, part, ms!.toFixed(1), cpuMs!.toFixed(1), (rssMb! - bare[2]!).toFixed(1)]);
  }
}
console.log(table(["runtime", "part", "import ms", "processor ms", "RSS above bare, MB"], rows));
