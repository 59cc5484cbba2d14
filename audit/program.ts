/**
 * The audit scanner: judges the objects of a cluster by its policies, writes a report on each, and ends.
 *
 * usage: main.ts [--namespace NAME | --cluster] [--report-kind openreports|policyreport] [--incremental] [--help]
 */
import process from "node:process";
import { logLines } from "../program/apply/log_lines.ts";
import { refuseDirectStart } from "../program/apply/refuse_direct_start.ts";
import { printText } from "../program/apply/write_output.ts";
import { setFlagsFromString } from "node:v8";
import { connect } from "../kubernetes/apply/api_transport.ts";
import { kubeClient } from "../kubernetes/apply/kube_client.ts";
import { matchConditions } from "./apply/match_conditions.ts";
import { tlsOf } from "./apply/exchange.ts";
import { FIELD_MANAGER } from "./apply/report_store.ts";
import { parseFlags, usage } from "./render/flags.ts";
import { errorText, logLine } from "./render/log_line.ts";
import { closingTable, summaryFields } from "./render/progress.ts";
import { scan, type ScanOutcome } from "./serve/scan.ts";
import { NO_SCREEN, openScreen } from "./serve/terminal.ts";
import type { Log } from "./types/log.ts";
import { type AuditSettings, LEVELS } from "./types/settings.ts";

refuseDirectStart(import.meta.url, "audit");

/** Runs the process' own command line, and ends the process. */
export async function start(): Promise<void> {
  process.exit(await run(process.argv.slice(2)));
}

/** Runs the scanner; resolves to the exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const parsed = parseFlags(args);
  if (parsed.kind === "help") return printText(1, usage());
  if (parsed.kind === "problem") return fail(parsed.problem);
  const { settings, notes } = parsed;
  for (const note of notes) printText(2, `${note}\n`);

  const output = openOutput(settings);
  const began = performance.now();
  try {
    const outcome = await scanCluster(settings, output);
    output.endProgress();
    const { error, tally: { totals: { resources, namespaces, failedNamespaces } } } = outcome;
    // Who could not begin has nothing to sum up.
    if (error !== undefined && resources + namespaces + failedNamespaces === 0) return fail(error);
    output.summarize(outcome, performance.now() - began);
    return error === undefined ? 0 : fail(error);
  } catch (error) {
    output.endProgress();
    return fail(error);
  }
}

/** Every error that ends a run is said like this (spec/audit.md §2 rule 7). */
function fail(error: unknown): number {
  printText(2, `Error on cmd.Execute(): ${errorText(error)}\n`);
  return 1;
}

/** Scans the cluster that the environment names. */
async function scanCluster(settings: AuditSettings, { log, progress }: Output): Promise<ScanOutcome> {
  const tls = tlsOf(settings);
  if (settings.insecureSsl) {
    log("warning", "connecting to PolicyServers endpoints without validating TLS connection");
  }
  if (settings.policyServerUrl !== undefined) {
    log("info", "querying PolicyServers at the given URL instead of their Services", {
      "policy-server-url": settings.policyServerUrl,
    });
  }
  keepMemorySmall();
  const transport = await connect({});
  try {
    return await scan({
      client: kubeClient(transport, FIELD_MANAGER),
      tls,
      conditions: matchConditions(),
      settings,
      log,
      progress,
      now: Date.now,
      uuid: () => crypto.randomUUID(),
    });
  } finally {
    transport.close();
  }
}

/**
 * Everything in a scan lives for a moment only, and about 20 MB live at a time. V8 lets its spaces grow to several times of
 * that before it looks for what is dead, which saves next to nothing here: they stay near what is alive.
 */
function keepMemorySmall(): void {
  if ("bun" in process.versions) return;
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--heap-growing-percent=40");
}

type Output = ReturnType<typeof openOutput>;

/** Log lines on standard output, and a progress bar where standard error is a terminal. */
function openOutput({ logLevel }: AuditSettings) {
  const onTerminal = process.stdout.isTTY === true;
  const screen = process.stderr.isTTY === true
    ? openScreen(process.stderr, () => performance.now())
    : NO_SCREEN;
  const least = LEVELS.indexOf(logLevel ?? (onTerminal ? "warning" : "info"));
  const line: (...line: Parameters<Log>) => string = (level, message, fields = {}) =>
    logLine(level, message, fields, Date.now());
  // What can't be written is dropped and counted: the scan goes on, and its result are the reports in the cluster.
  const lines = logLines(1, ({ message, ...fields }) => line("warning", message, fields));
  const log: Log = (level, message, fields) => {
    if (LEVELS.indexOf(level) < least) return;
    screen.print(() => {
      lines.write(line(level, message, fields));
      if (onTerminal) lines.flush();
    });
  };
  return {
    log,
    progress: screen.progress,
    endProgress: screen.end,
    /** Prints what a run came to; it took so many milliseconds. */
    summarize({ tally, runUid }: ScanOutcome, took: number): void {
      // The result is no log line that a level may hide.
      lines.write(
        onTerminal
          ? closingTable(tally, took).replace(/\n$/, "")
          : line("info", "scan summary", summaryFields(tally, runUid, took)),
      );
    },
  };
}
