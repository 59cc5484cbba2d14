/** The policy server's program: flags and environment in, a serving process out. */
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import process from "node:process";
import { refuseDirectStart } from "../program/apply/refuse_direct_start.ts";
import { printText } from "../program/apply/write_output.ts";
import { REGO_BUILTINS } from "../evaluator/types/rego_builtin_names.ts";
import {
  type DaemonOptions,
  detach,
  fromRoot,
  isDaemon,
  reportFailure,
  startDaemon,
} from "./apply/daemon.ts";
import { createLog, type Log } from "./apply/log.ts";
import { osErrorText } from "../program/render/os_error.ts";
import { failureLine, type PolicyFailure, PolicySetError } from "./apply/policy_set.ts";
import { policyLines, writeTerminationMessage } from "./apply/termination_message.ts";
import { parseOptions } from "./render/parse_options.ts";
import { type PolicyServer, startServer } from "./serve/server.ts";
import type { ServerOptions } from "./types/options.ts";
import { VERSION } from "./types/version.ts";

refuseDirectStart(import.meta.url, "policy-server");

/** Characters of a reason that the container's termination message takes. */
const MAX_TERMINATION_LINE = 1000;
/** Kubernetes gives 30 s from SIGTERM to SIGKILL. */
const GRACE_MS = 25_000;

function fail(message: string, exitCode: number): never {
  printText(2, `${message}\n`);
  process.exit(exitCode);
}

/** Why policies can't be served: one line of one, a list of several. */
function failuresText(failures: readonly PolicyFailure[]): string {
  const [first, ...others] = failures;
  if (first === undefined || others.length === 0) return failures.map(failureLine).join("");
  const list = (of: readonly PolicyFailure[]) => of.map((one) => `\n  - ${failureLine(one)}`).join("");
  return first.ofAll === true
    ? `${failureLine(first)}${list(others)}`
    : `${failures.length} policies can't be served:${list(failures)}`;
}

/** Ends the process that was asked for a daemon, when that runs or can't. */
async function serveInBackground(daemon: DaemonOptions, log: Log): Promise<never> {
  log.info("Running instance as a daemon");
  log.flush();
  const { exitCode, error } = await startDaemon(daemon).catch((error: unknown) => ({
    exitCode: 1,
    error: `Error: ${osErrorText(error)}`,
  }));
  return error === undefined ? process.exit(exitCode) : fail(error, exitCode);
}

/** What another program that serves policies does otherwise (`policies/demo/`). */
export interface ServeHooks {
  /** Takes the place of {@link startServer}. */
  readonly start?: typeof startServer;
  /** Called once the server serves, and waited for; what it throws ends the process like a failed start. */
  readonly ready?: (server: PolicyServer) => Promise<void>;
  /** SIGHUP, which a terminal sends when it closes, ends the process instead of reloading the policies. */
  readonly endWithTerminal?: boolean;
}

/** Serves until a signal comes; ends the process with code 1 and the reason on stderr when it can't start. */
export async function serve(given: ServerOptions, hooks: ServeHooks = {}): Promise<void> {
  const log = createLog({ level: given.logLevel, format: given.logFormat });
  const { daemon } = given;
  if (daemon !== null && !isDaemon) return await serveInBackground(daemon, log);
  const options = daemon === null ? given : fromRoot(given);
  const configured = async () => {
    if (daemon === null) return;
    await detach(daemon);
    log.info("Detached from shell, now running in background.");
  };
  // Which policies the file held when it was read, or will hold, nobody can tell: it is read again.
  let changed = false;
  let reload = () => {
    changed = true;
    log.info("SIGHUP received, the policies will be loaded again once the server is ready");
  };
  // Until the server is ready, whoever wants to end with the terminal ends as the system has it.
  if (!hooks.endWithTerminal) process.on("SIGHUP", () => reload());
  const startWith = async () => {
    const server = await (hooks.start ?? startServer)(options, log, configured);
    await hooks.ready?.(server);
    return server;
  };
  const server = await startWith().catch(async (error: unknown) => {
    log.flush();
    if (error instanceof PolicySetError) {
      writeTerminationMessage(policyLines(error.failures));
      return fail(`Error: ${failuresText(error.failures)}`, 1);
    }
    const reason = osErrorText(error);
    writeTerminationMessage([reason.replace(/\s+/g, " ").slice(0, MAX_TERMINATION_LINE)]);
    const text = `Error: ${reason}`;
    await reportFailure(text, 1);
    return fail(text, 1);
  });
  reload = () => {
    log.info("SIGHUP received, reloading policies");
    void server.reload();
  };
  if (changed) reload();
  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info("shutting down", { signal });
    await server.stop(GRACE_MS, signal === "SIGINT");
    log.info("all requests were answered");
    log.flush();
    process.exit(0);
  };
  if (hooks.endWithTerminal) process.on("SIGHUP", () => void stop("SIGHUP"));
  process.on("SIGTERM", () => void stop("SIGTERM"));
  process.on("SIGINT", () => void stop("SIGINT"));
}

/** Reads the process' own command line and serves. */
export async function start(): Promise<number | void> {
  const outcome = parseOptions(process.argv.slice(2), process.env, {
    cpus: availableParallelism(),
    version: VERSION,
    regoBuiltins: REGO_BUILTINS,
  });
  switch (outcome.kind) {
    case "run":
      await serve(outcome.options);
      break;
    case "help":
    case "version":
      return printText(1, `${outcome.text}\n`);
    case "docs":
      try {
        writeFileSync(outcome.path, `${outcome.text}\n`);
      } catch (error) {
        fail(`Error: cannot create file ${outcome.path}: ${osErrorText(error)}`, 1);
      }
      break;
    case "error":
      fail(outcome.text, outcome.exitCode);
  }
}
