/**
 * The controller's process: reads flags and environment, connects, starts, and ends on a signal or when leadership is lost.
 *
 * usage: main.ts --deployments-namespace=kubewarden [--leader-elect] [--help]
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import process from "node:process";
import { STILL_ACCEPTING_MS } from "../http/types.ts";
import { refuseDirectStart } from "../program/apply/refuse_direct_start.ts";
import { logLines } from "../program/apply/log_lines.ts";
import { printText } from "../program/apply/write_output.ts";
import { own } from "../program/types/own.ts";
import { connect } from "../kubernetes/apply/api_transport.ts";
import { runAdmissionCheck } from "./apply/check_admission.ts";
import { fatalFields } from "./render/error_fields.ts";
import { type LogLevel, logLevel, parseFlags, settingsFrom, usage, type Values } from "./render/flags.ts";
import { type Controller, type ControllerOptions, type Log, startController } from "./serve/controller.ts";
import { runDeploymentHook } from "./serve/hook.ts";
import { CERTIFICATE_FOLDER } from "./serve/webhook_server.ts";
import type { ControllerSettings } from "./types/settings.ts";

refuseDirectStart(import.meta.url, "controller");

const NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/** Of the ten seconds that the charts give from SIGTERM to SIGKILL, what webhooks may take; the last push of metrics needs five. */
const GRACE_MS = 4_500;
const LEVELS: readonly LogLevel[] = ["debug", "info", "error"];

/** Writes log lines as JSON on standard error; lines that it does not take are counted, and the controller goes on. */
export function jsonLog(least: LogLevel): Log {
  const line = (level: LogLevel, msg: string, fields: object) =>
    JSON.stringify({ level, ts: new Date().toISOString(), logger: "controller", msg, ...fields });
  const lines = logLines(2, ({ message, ...fields }) => line("error", message, fields));
  return (level, msg, fields = {}) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return;
    lines.write(line(level, msg, fields));
  };
}

function ownNamespace(): string | undefined {
  try {
    return readFileSync(NAMESPACE_FILE, "utf8").trim() || undefined;
  } catch {
    return undefined;
  }
}

/** Runs the controller; resolves to the exit code. `certificates` is where its own certificate is mounted. */
export async function run(args: readonly string[], certificates = CERTIFICATE_FOLDER): Promise<number> {
  const parsed = parseFlags(args);
  if (parsed.kind === "help") return printText(2, `${usage("controller")}\n`);
  if (parsed.kind === "problem") return refuse(parsed.problem);
  const { values } = parsed;
  const level = logLevel(values["zap-log-level"] ?? "info");
  if (level === undefined) {
    return refuse(`invalid value "${values["zap-log-level"]}" for flag -zap-log-level`);
  }
  const log = jsonLog(level);
  if (values["cleanup"] === "true" || values["restart"] === "true") {
    return await runDeploymentHook(values, ownNamespace(), log);
  }
  const settings = settingsFrom(values, process.env, ownNamespace());
  if ("message" in settings) {
    log("error", settings.message, { error: settings.error });
    return 1;
  }
  if (values["check-admission"]) return await runAdmissionCheck(values, settings, log);
  if (settings.hostNetwork) {
    log(
      "info",
      "WARNING: policy servers use their nodes' network: every port they bind is bound on the node",
    );
  }
  let controller: Controller;
  try {
    controller = await startController(await controllerOptions(values, settings, certificates, log));
  } catch (error) {
    log("error", "cannot start", fatalFields(error));
    return 1;
  }
  return await stop(controller, await untilEnded(controller), log);
}

/** Refuses the command line; returns the exit code. */
function refuse(problem: string): number {
  printText(2, `${problem}\n${usage("controller")}\n`);
  return 2;
}

/** How to start, as the flags say. Rejects when they name no API server. */
async function controllerOptions(
  values: Values,
  settings: ControllerSettings,
  certificates: string,
  log: Log,
): Promise<ControllerOptions> {
  const address = (name: string) => {
    const value = own(values, name);
    return value === "0" || value === "" ? undefined : value;
  };
  return {
    settings,
    transport: await connect({ kubeconfig: values["kubeconfig"] }),
    log,
    webhooks: {
      port: Number(values["webhook-server-port"]),
      certificates,
      mutualTls: settings.clientCaConfigMap !== undefined,
    },
    probeAddress: address("health-probe-bind-address"),
    metricsAddress: address("metrics-bind-address"),
    ...(values["leader-elect"] === "true"
      ? { election: { identity: `${hostname()}_${crypto.randomUUID()}` } }
      : {}),
  };
}

/** Resolves to the signal that is to end the process, or to "lost" when leadership is. */
function untilEnded(controller: Controller): Promise<string> {
  return new Promise((resolve) => {
    const end = (signal: string) => {
      // A second signal does not wait for what is being done.
      for (const name of ["SIGTERM", "SIGINT"]) process.once(name, () => process.exit(1));
      resolve(signal);
    };
    process.once("SIGTERM", () => end("SIGTERM"));
    process.once("SIGINT", () => end("SIGINT"));
    // Everything is looked at again, as it is every ten hours.
    process.on("SIGHUP", () => controller.resync());
    controller.lost.addEventListener("abort", () => resolve("lost"));
  });
}

async function stop(controller: Controller, why: string, log: Log): Promise<number> {
  log("info", why === "lost" ? "no longer the leader: ending" : "stopping", { signal: why });
  const pushed = await controller.stop(
    why === "SIGTERM" ? { stillAcceptingMs: STILL_ACCEPTING_MS, graceMs: GRACE_MS } : undefined,
  );
  if (!pushed) log("error", "the last metrics did not reach the OpenTelemetry collector");
  return why === "lost" || !pushed ? 1 : 0;
}

/** Runs the process' own command line, and ends the process. */
export async function start(): Promise<void> {
  const folder = process.env["PORTREEVE_WEBHOOK_CERTIFICATES"];
  process.exit(await run(process.argv.slice(2), folder));
}
