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
import { scan } from "./serve/scan.ts";
import { NO_SCREEN, openScreen } from "./serve/terminal.ts";
import type { Log } from "./types/log.ts";
import { LEVELS } from "./types/settings.ts";

refuseDirectStart(import.meta.url, "audit");

/** Every error that ends a run is said like this (spec/audit.md §2 rule 7). */
function fail(error: unknown): number {
  printText(2, `Error on cmd.Execute(): ${errorText(error)}\n`);
  return 1;
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

/** Runs the scanner; resolves to the exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const parsed = parseFlags(args);
  if (parsed.kind === "help") {
    return printText(1, usage());
  }
  if (parsed.kind === "problem") return fail(parsed.problem);
  const { settings, notes } = parsed;
  for (const note of notes) printText(2, `${note}\n`);

  const onTerminal = process.stdout.isTTY === true;
  const screen = process.stderr.isTTY === true
    ? openScreen(process.stderr, () => performance.now())
    : NO_SCREEN;
  const least = LEVELS.indexOf(settings.logLevel ?? (onTerminal ? "warning" : "info"));
  // What can't be written is dropped and counted: the scan goes on, and its result are the reports in the cluster.
  const line: (...line: Parameters<Log>) => string = (level, message, fields = {}) =>
    logLine(level, message, fields, Date.now());
  const lines = logLines(1, ({ message, ...fields }) => line("warning", message, fields));
  const print = (text: string) =>
    screen.print(() => {
      lines.write(text);
      if (onTerminal) lines.flush();
    });
  const log: Log = (level, message, fields = {}) => {
    if (LEVELS.indexOf(level) >= least) print(line(level, message, fields));
  };

  const began = performance.now();
  try {
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
      const { runUid, tally, error } = await scan({
        client: kubeClient(transport, FIELD_MANAGER),
        tls,
        conditions: matchConditions(),
        settings,
        log,
        progress: screen.progress,
        now: Date.now,
        uuid: () => crypto.randomUUID(),
      });
      const took = performance.now() - began;
      screen.end();
      // Who could not begin has nothing to sum up.
      const { resources, namespaces, failedNamespaces } = tally.totals;
      const nothing = resources + namespaces + failedNamespaces === 0;
      if (error !== undefined && nothing) return fail(error);
      // The result is no log line that a level may hide.
      lines.write(
        onTerminal
          ? closingTable(tally, took).replace(/\n$/, "")
          : line("info", "scan summary", summaryFields(tally, runUid, took)),
      );
      return error === undefined ? 0 : fail(error);
    } finally {
      transport.close();
    }
  } catch (error) {
    screen.end();
    return fail(error);
  }
}

/** Runs the process' own command line, and ends the process. */
export async function start(): Promise<void> {
  process.exit(await run(process.argv.slice(2)));
}
