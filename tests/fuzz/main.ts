/**
 * Runs parts of the product that take untrusted input with inputs that were made up, and counts what goes wrong: an answer
 * that differs from what it must be, an error of an undeclared kind, a run that is late or hangs, memory, a changed prototype.
 *
 * usage: npm run fuzz -- TARGET|all [SECONDS] [--runs N] [--seed N] [--replay FILE] [--failures DIR] [--tally FILE] [--list]
 *
 * Each target is a file of `targets/`. SECONDS (10 unless given) is the time of each; with `--runs` it ends after so many.
 * The input of a run follows from `--seed` and the run's number. An input that shows a fault is made small and written to DIR
 * (a new one below the system's temporary folder unless given); `--replay FILE` runs such an input alone. `--tally` adds the
 * runs to the counts in a JSON file. Ends with 1 when anything was found that `open_findings.ts` does not list.
 */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { endWatch, execute, pollutedPrototypes, rememberPrototypes } from "./execute.ts";
import { isOpen } from "./open_findings.ts";
import { fuzzTarget, type TargetResult } from "./parent.ts";
import { inputOf, session, type SessionOptions } from "./session.ts";
import { addToTally, runtimeName } from "./tally.ts";
import { FINDING_KINDS } from "./target.ts";
import { loadTarget, targetNames } from "./targets.ts";

const SECONDS = 10;

/** Runs the input of a file. Returns whether it shows no fault. */
async function replay(name: string, file: string): Promise<boolean> {
  const target = await loadTarget(name);
  const reason = await target.setUp?.();
  if (reason) {
    console.log(`${name}: skipped: ${reason}`);
    return false;
  }
  rememberPrototypes();
  let took = 0;
  const outcome = await execute(target, readFileSync(file), (milliseconds) => took = milliseconds);
  endWatch();
  const polluted = pollutedPrototypes();
  if (polluted.length > 0) console.log(`changed prototypes: ${polluted.join(", ")}`);
  console.log(
    typeof outcome === "object"
      ? `${outcome.signature}\n${outcome.detail}`
      : `${outcome} in ${took.toFixed(1)} ms`,
  );
  return typeof outcome !== "object" && polluted.length === 0;
}

function summary(name: string, { progress, findings }: TargetResult, open: number): string {
  const rate = Math.round(progress.runs / Math.max(0.001, progress.ms / 1000));
  const counts = FINDING_KINDS.map((kind) => {
    const count = findings.filter((finding) => finding.kind === kind).length;
    return `${count} ${kind}`;
  });
  return `${name}: ${progress.runs} runs (${rate}/s, ${progress.refused} refused); ${counts.join(", ")}` +
    `${
      open > 0 ? ` (${open} of them known)` : ""
    }; slowest ${progress.slowestMs} ms; memory +${progress.grownMib} MiB`;
}

async function fuzz(
  names: readonly string[],
  options: Omit<SessionOptions, "target">,
  failures: string | undefined,
  tally: string | undefined,
): Promise<boolean> {
  let folder = failures;
  let good = true, runs = 0;
  for (const name of names) {
    const result = await fuzzTarget({ ...options, target: name }, async (run) => {
      const target = await loadTarget(name);
      await target.setUp?.();
      return inputOf(target, target.seeds(), options.seed, run);
    });
    if (result.skipped !== undefined) {
      console.log(`${name}: skipped: ${result.skipped}`);
      continue;
    }
    runs += result.progress.runs;
    const fresh = result.findings.filter(({ signature }) => !isOpen(name, signature));
    console.log(summary(name, result, result.findings.length - fresh.length));
    fresh.forEach((finding, index) => {
      folder ??= mkdtempSync(join(tmpdir(), "portreeve-fuzz-"));
      mkdirSync(join(folder, name), { recursive: true });
      const file = join(folder, name, `${runtimeName()}-${options.seed}-${finding.run}-${index}`);
      writeFileSync(file, Buffer.from(finding.input, "base64"));
      const detail = finding.detail.replace(/^/gm, "    ");
      console.log(
        `  ${finding.signature}\n${detail}\n    again: npm run fuzz${
          runtimeName() === "bun" ? ":bun" : ""
        } -- ${name} --replay ${file}`,
      );
    });
    if (fresh.length > 0) good = false;
    if (tally !== undefined) addToTally(tally, name, result.progress.runs, fresh.length, new Date());
  }
  console.log(`${runs} runs of ${names.length} targets on ${runtimeName()}, seed ${options.seed}`);
  return good;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string" },
    seed: { type: "string" },
    replay: { type: "string" },
    failures: { type: "string" },
    tally: { type: "string" },
    list: { type: "boolean" },
    session: { type: "string" },
  },
});
const number = (text: string, what: string): number => {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new Error(`${what} must be a number, not "${text}"`);
  return Number(text);
};

try {
  if (values.session !== undefined) {
    await session(JSON.parse(values.session));
    // Targets may hold sockets and timers.
    process.exit(0);
  }
  const [name, seconds] = positionals;
  if (values.list) console.log(targetNames().join("\n"));
  else if (name === undefined) {
    throw new Error(`name a target, or "all": ${targetNames().join(", ")}`);
  } else if (values.replay !== undefined) process.exitCode = await replay(name, values.replay) ? 0 : 1;
  else {
    const names = name === "all" ? targetNames() : name.split(",");
    for (const one of names) await loadTarget(one);
    const runs = values.runs === undefined ? undefined : number(values.runs, "--runs");
    const ms = 1000 *
      (seconds === undefined
        ? runs === undefined ? SECONDS : 86_400
        : number(seconds, "the number of seconds"));
    const seed = values.seed === undefined
      ? Math.floor(Math.random() * 0x7fffffff)
      : number(values.seed, "--seed");
    const options = { seed, from: 0, ms, runs: runs ?? Number.MAX_SAFE_INTEGER, trace: "" };
    process.exitCode = await fuzz(names, options, values.failures, values.tally) ? 0 : 1;
  }
  if (process.exitCode !== undefined) process.exit();
} catch (error) {
  console.error(`fuzz: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
