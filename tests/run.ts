/**
 * Runs every `*_test.ts` below the given folders, each file in a process of its own on the runtime that runs this
 * script (Node or Bun), and closes with `N passed, N failed, N skipped`.
 */
import "../program/check_script.ts";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BUNDLES_VARIABLE, makeBundles } from "./programs.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** A file that has not ended by then is stopped and counted as failed: a hung test must not hang CI. */
const FILE_LIMIT_MS = 15 * 60_000;

type Outcome = {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly output: string;
  readonly seconds: number;
};

function testFiles(path: string): string[] {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === "node_modules" || entry.name === "target") return [];
    const child = join(path, entry.name);
    if (entry.isDirectory()) return testFiles(child);
    return entry.name.endsWith("_test.ts") ? [child] : [];
  }).sort();
}

function count(output: string, label: string): number {
  return [...output.matchAll(new RegExp(`^\\s*${label}:\\s+(\\d+)`, "gm"))].reduce(
    (sum, m) => sum + Number(m[1]),
    0,
  );
}

function run(file: string): Promise<Outcome> {
  const started = performance.now();
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [file], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, FORCE_COLOR: "0", NO_COLOR: "true" },
    });
    let output = "";
    child.stdout.on("data", (chunk) => output += chunk);
    child.stderr.on("data", (chunk) => output += chunk);
    const limit = setTimeout(() => {
      output += `\nstopped: not finished after ${FILE_LIMIT_MS / 60_000} minutes\n`;
      child.kill("SIGKILL");
    }, FILE_LIMIT_MS);
    child.on("close", (code, signal) => {
      clearTimeout(limit);
      // deno-lint-ignore no-control-regex
      const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
      const total = count(plain, "Total");
      const passed = count(plain, "Passed");
      const skipped = count(plain, "Skipped");
      // uvu leaves skipped tests out of "Total". A file that died before its summary, or ran nothing, has failed.
      const died = code !== 0 && total === passed;
      const empty = total === 0 && skipped === 0;
      const failed = total - passed + (died || empty || signal !== null && total === passed ? 1 : 0);
      const seconds = (performance.now() - started) / 1000;
      resolve({ file: relative(root, file), passed, failed, skipped, output: plain, seconds });
    });
  });
}

const USAGE = `usage: npm test -- [--jobs N] [--list] [FOLDER_OR_FILE ...]

Runs every *_test.ts below the given folders ("tests" unless given), each in a process of its own, on the runtime that
runs this script; "npm run test:bun" is the same on Bun.

  --jobs N  how many files run at a time (2)
  --list    print the files' names instead
  --help    print this`;

function wrong(message: string): never {
  console.error(`tests/run.ts: ${message}\n\n${USAGE}`);
  process.exit(2);
}

function parsed() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        jobs: { type: "string", default: "2" },
        list: { type: "boolean" },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    wrong((error as Error).message);
  }
}

const { values, positionals } = parsed();
if (values.help === true) {
  console.log(USAGE);
  process.exit();
}
const jobs = Number(values.jobs);
if (!Number.isInteger(jobs) || jobs < 1) {
  wrong(`--jobs must be a whole number from 1 on, not "${values.jobs}"`);
}
const listOnly = values.list === true;
const paths = (positionals.length > 0 ? positionals : ["tests"]).map((path) => resolve(root, path));
for (const path of paths) if (!existsSync(path)) wrong(`there is no ${path}`);
const files = paths.flatMap(testFiles);
if (files.length === 0) wrong(`no *_test.ts in ${paths.join(", ")}`);

/** Fewer files than this start their programs from source sooner than all programs are bundled. */
const WORTH_BUNDLES = 4;

if (listOnly) {
  console.log(files.map((file) => relative(root, file)).join("\n"));
} else {
  // The files' processes find them by this.
  if (files.length >= WORTH_BUNDLES) process.env[BUNDLES_VARIABLE] = makeBundles();
  const queue = [...files];
  const outcomes: Outcome[] = [];
  await Promise.all(Array.from({ length: jobs }, async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const outcome = await run(file);
      outcomes.push(outcome);
      const skipped = outcome.skipped > 0 ? `, ${outcome.skipped} skipped` : "";
      console.log(
        `${outcome.failed > 0 ? "FAIL" : "ok  "} ${outcome.file} ` +
          `(${outcome.passed} passed${skipped}, ${outcome.seconds.toFixed(1)} s)`,
      );
      if (outcome.failed > 0 || outcome.skipped > 0) {
        console.log(outcome.output.trimEnd().replace(/^/gm, "     | "));
      }
    }
  }));
  const sum = (key: "passed" | "failed" | "skipped") =>
    outcomes.reduce((total, outcome) => total + outcome[key], 0);
  const runtime = "bun" in process.versions ? `Bun ${process.versions.bun}` : `Node ${process.versions.node}`;
  console.log(`\n${files.length} files on ${runtime}`);
  for (const { file, failed } of outcomes) if (failed > 0) console.log(`failed: ${file} (${failed})`);
  console.log(`${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped`);
  process.exitCode = sum("failed") > 0 || outcomes.length === 0 ? 1 : 0;
}
