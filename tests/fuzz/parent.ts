/** Starts the process that fuzzes a target (`session.ts`), watches it, and finds the input that it died or hung of. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { MARK, type Message, type Progress, type ReportedFinding, type SessionOptions } from "./session.ts";

/** No run takes this long by rights; a process that tells of no progress for so long hangs. */
const HANG_MS = 60_000;
const main = fileURLToPath(new URL("./main.ts", import.meta.url));

/** How the fuzzing of a target ended. */
export interface TargetResult {
  /** Why the target did not run. */
  readonly skipped?: string;
  readonly progress: Progress;
  readonly findings: readonly ReportedFinding[];
}

interface Ended {
  readonly skipped: string | undefined;
  readonly progress: Progress;
  readonly findings: readonly ReportedFinding[];
  /** What ended the process before it was done; undefined for an orderly end. */
  readonly died: string | undefined;
  readonly hung: boolean;
}

const NONE: Progress = { runs: 0, next: 0, refused: 0, findings: 0, slowestMs: 0, grownMib: 0, ms: 0 };

function runSession(options: SessionOptions): Promise<Ended> {
  return new Promise((resolve) => {
    const bun = "bun" in process.versions;
    const child = spawn(
      process.execPath,
      [...(bun ? [] : ["--expose-gc"]), main, "--session", JSON.stringify(options)],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    let rest = "", errors = "";
    let skipped: string | undefined;
    let progress: Progress = { ...NONE, next: options.from };
    const findings: ReportedFinding[] = [];
    let done = false, hung = false;
    const hang = setTimeout(() => {
      hung = true;
      child.kill("SIGKILL");
    }, HANG_MS);
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      rest += chunk;
      const lines = rest.split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (!line.startsWith(MARK)) continue;
        const message = JSON.parse(line.slice(MARK.length)) as Message;
        hang.refresh();
        if ("skipped" in message) skipped = message.skipped;
        else if ("finding" in message) findings.push(message.finding);
        else if ("progress" in message) progress = message.progress;
        else {
          progress = message.done;
          done = true;
        }
      }
    });
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => errors = (errors + chunk).slice(-4000));
    child.on("close", (code, signal) => {
      clearTimeout(hang);
      const died = done || skipped !== undefined
        ? undefined
        : hung
        ? `no run ended for ${HANG_MS / 1000} s`
        : `the process ended with ${signal ?? `code ${code}`}\n${errors}`;
      resolve({ skipped, progress, findings, died, hung });
    });
  });
}

/** Repeats the runs from `from` on, each announced in a file, to learn of which one the process dies or hangs. */
async function culprit(options: SessionOptions, from: number): Promise<number | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-fuzz-"));
  const trace = join(folder, "run");
  try {
    const { died } = await runSession({ ...options, from, ms: 120_000, trace });
    return died === undefined ? undefined : Number(readFileSync(trace, "utf8"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Fuzzes a target; `inputOf` gives the input of a run. */
export async function fuzzTarget(
  options: SessionOptions,
  inputOf: (run: number) => Promise<Uint8Array>,
): Promise<TargetResult> {
  const { skipped, progress, findings, died, hung } = await runSession(options);
  if (skipped !== undefined) return { skipped, progress, findings };
  if (died === undefined) return { progress, findings };
  const run = await culprit(options, progress.next);
  const kind = hung ? "hang" : "crash";
  const input = run === undefined ? new Uint8Array() : await inputOf(run);
  const detail = run === undefined
    ? `${died}\nIt did not happen again when the runs from ${progress.next} on were repeated.`
    : died;
  const finding: ReportedFinding = {
    kind,
    signature: `${kind}: ${died.split("\n")[0]}`,
    detail,
    run: run ?? progress.next,
    input: Buffer.from(input).toString("base64"),
  };
  return {
    progress: { ...progress, findings: progress.findings + 1 },
    findings: [...findings, finding],
  };
}
