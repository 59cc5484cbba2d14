/**
 * Measures what the packed library costs a process that imports it and does nothing else: time until it is there, and memory above
 * that of the bare runtime; the least of all rounds, and the median. See README.md.
 *
 * Exit code 1 when the least is over 60 ms or 45 MB anywhere.
 *
 * usage: node bench/library_import.ts [ROUNDS]      (default: 15)
 */
import "../program/check_script.ts";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { table } from "./render/report.ts";
import { median } from "./render/summary.ts";

const rounds = Number(process.argv[2] ?? 15);
const root = fileURLToPath(new URL("../", import.meta.url));
const BIN = join(root, "node_modules/.bin");
const CACHE = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "portreeve");
const MAX_MS = 60;
const MAX_RSS_MB = 45;

const DENO_RIGHTS = ["--allow-read", "--allow-env", "--allow-sys"];
/** How each runs a file. */
const RUNTIMES: readonly (readonly [title: string, binary: string, words: readonly string[]])[] = [
  ["Node", join(BIN, "node"), []],
  ["Node 24", join(CACHE, "node24/node_modules/.bin/node"), []],
  ["Bun", join(BIN, "bun"), []],
  ["Deno", join(BIN, "deno"), ["run", "--quiet", ...DENO_RIGHTS]],
];
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
type Measured = readonly [ms: number, cpuMs: number, rssMb: number];

function measure(binary: string, words: readonly string[], part: string | undefined): Measured {
  const load = part === undefined ? "" : `await import(${JSON.stringify(part)});`;
  const file = join(folder, "measure.mjs");
  writeFileSync(
    file,
    `import process from "node:process";
    const cpu = process.cpuUsage(), from = performance.now(); ${load}
    const ms = performance.now() - from, { user, system } = process.cpuUsage(cpu);
    console.log(JSON.stringify([ms, (user + system) / 1e3, process.memoryUsage.rss() / 1e6]));`,
  );
  const { stdout, stderr } = spawnSync(binary, [...words, file], { cwd: folder, encoding: "utf8" });
  if (!stdout) throw new Error(stderr);
  return JSON.parse(stdout);
}

const PARTS = [
  "portreeve",
  "portreeve/evaluator",
  "portreeve/artifact",
  "portreeve/crd",
  "portreeve/policy-server",
];
const rows: string[][] = [];
for (const [title, binary, words] of RUNTIMES) {
  if (!existsSync(binary)) {
    console.error(`${title} is not measured: ${binary} is not there`);
    continue;
  }
  // In turns, so that what else the machine does meets all alike.
  const found = new Map<string | undefined, Measured[]>([undefined, ...PARTS].map((part) => [part, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [part, measured] of found) measured.push(measure(binary, words, part));
  }
  const of = (part: string | undefined, index: number, reduce: (all: readonly number[]) => number) =>
    reduce(found.get(part)!.map((one) => one[index]!));
  const least = (all: readonly number[]) => Math.min(...all);
  for (const part of PARTS) {
    const ms = of(part, 0, least), rssMb = of(part, 2, least) - of(undefined, 2, least);
    if (ms > MAX_MS || rssMb > MAX_RSS_MB) process.exitCode = 1;
    rows.push([
      title,
      part,
      ms.toFixed(1),
      of(part, 0, median).toFixed(1),
      of(part, 1, least).toFixed(1),
      rssMb.toFixed(1),
    ]);
  }
}
console.log(
  table(["runtime", "part", "import ms", "median", "processor ms", "RSS above bare, MB"], rows),
);
