/** Runs the program that a kubeconfig names for credentials (Kubernetes, "client-go credential plugins"). */
import { isObject } from "../../program/types/json_object.ts";
import { isAbsolute } from "node:path";
import process from "node:process";
import { programFault, programInPath, runProgram } from "../../program/apply/run_program.ts";
import { boundedText } from "../../program/types/bounded_text.ts";
import type { ClusterEntry } from "../types/kubeconfig.ts";
import { type ExecEntry, isToken } from "../types/kubeconfig_user.ts";
import { entryName, KubeconfigError } from "../types/kubeconfig_fields.ts";
import { parseKubeconfigText } from "../types/kubeconfig_text.ts";

/** What a plugin answered. */
export type ExecCredential = {
  readonly token: string | undefined;
  /** PEM. */
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  /** Milliseconds since the epoch; undefined: as long as the process lives. */
  readonly expiresAt: number | undefined;
};

const PLUGIN_LIMITS = { timeoutMs: 60_000, maxBytes: 1024 * 1024 };

/** `KUBERNETES_EXEC_INFO`: what the plugin is told. */
function execInfo(
  { apiVersion, provideClusterInfo }: ExecEntry,
  cluster: ClusterEntry,
  caData: string | undefined,
): string {
  return JSON.stringify({
    kind: "ExecCredential",
    apiVersion,
    spec: {
      interactive: false,
      ...(provideClusterInfo && {
        cluster: {
          server: cluster.server,
          ...(cluster.tlsServerName !== undefined && { "tls-server-name": cluster.tlsServerName }),
          ...(cluster.insecureSkipTlsVerify && { "insecure-skip-tls-verify": true }),
          ...(caData !== undefined && { "certificate-authority-data": caData }),
          ...(cluster.proxyUrl !== undefined && { "proxy-url": cluster.proxyUrl }),
          ...(cluster.disableCompression && { "disable-compression": true }),
          config: cluster.execConfig ?? null,
        },
      }),
    },
  });
}

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

/** What a plugin printed: JSON, or YAML, which client-go reads as well. What parsers say of it may quote it, and is told nobody. */
function parsedAnswer(output: string): Readonly<Record<string, unknown>> | null | undefined {
  try {
    return JSON.parse(output) as Readonly<Record<string, unknown>> | null;
  } catch {
    // Told below.
  }
  try {
    const answer = parseKubeconfigText(output);
    return isObject(answer) ? answer : undefined;
  } catch {
    return undefined;
  }
}

/** RFC 3339, as a `metav1.Time` has it: `Date.parse` reads more than that, and days that no month has. */
const TIME = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:[.,]\d+)?([Zz]|[+-]\d\d:\d\d)$/;

/** Milliseconds since the epoch; undefined for what is no time. */
function timeOf(text: unknown): number | undefined {
  const [, date, time, zone] = TIME.exec(typeof text === "string" ? text : "") ?? [];
  const day = Date.parse(`${date}T00:00:00Z`);
  if (Number.isNaN(day) || new Date(day).toISOString().slice(0, 10) !== date) return undefined;
  const found = Date.parse(`${date}T${time}${zone?.toUpperCase()}`);
  return Number.isNaN(found) ? undefined : found;
}

function readAnswer(
  output: string,
  { apiVersion }: ExecEntry,
  refuse: (reason: string) => never,
): ExecCredential {
  const answer = parsedAnswer(output);
  if (answer === undefined) return refuse("did not answer with JSON");
  if (answer === null || typeof answer !== "object") return refuse("did not answer with an ExecCredential");
  // client-go takes one without a kind for what it asked for.
  if ((answer["kind"] ?? "ExecCredential") !== "ExecCredential" || answer["apiVersion"] !== apiVersion) {
    return refuse(`did not answer with an ExecCredential of ${apiVersion}`);
  }
  const status = (answer["status"] ?? {}) as Readonly<Record<string, unknown>>;
  const expiry = status["expirationTimestamp"] ?? "";
  const found = {
    token: text(status["token"]),
    certificate: text(status["clientCertificateData"]),
    key: text(status["clientKeyData"]),
    expiresAt: expiry === "" ? undefined : timeOf(expiry),
  };
  if (expiry !== "" && found.expiresAt === undefined) {
    return refuse("answered with an expirationTimestamp that is none");
  }
  if ((found.certificate === undefined) !== (found.key === undefined)) {
    return refuse("answered with a client certificate without its key, or the other way round");
  }
  if (found.token !== undefined && !isToken(found.token)) {
    return refuse("answered with a token that has the end of a line in it, or characters that no token has");
  }
  if (found.token === undefined && found.certificate === undefined) {
    return refuse("answered with neither a token nor a client certificate");
  }
  return found;
}

/** A plugin, for messages. A command with its arguments is no program, and what follows its name may be a secret. */
export const pluginName = (command: string, user: string): string =>
  `the exec plugin "${boundedText(command.split(/\s+-|[\r\n]/)[0]!, 200)}" of ${entryName("user", user)}`;

/**
 * Asks the plugin once. Nothing of what it prints is part of an error: it may be a secret, and errors are shown to clients.
 *
 * @param command the program: an absolute path, or a name that is looked up in PATH
 * @param caData the cluster's certificate authority, base64 of PEM, for plugins that want to know it
 * @throws {KubeconfigError} names the plugin and the user of the kubeconfig
 */
export async function runExecPlugin(
  exec: ExecEntry,
  command: string,
  user: string,
  cluster: ClusterEntry,
  caData: string | undefined,
): Promise<ExecCredential> {
  const plugin = pluginName(exec.command, user);
  const refuse: (reason: string) => never = (reason) => {
    throw new KubeconfigError(`${plugin} ${reason}`);
  };
  if (exec.interactiveMode === "Always") {
    refuse('has interactiveMode "Always", and there is no terminal to ask: use a plugin that needs none');
  }
  // Looked up in our PATH, as Go does; `spawn` would take the one that the plugin is given.
  const program = isAbsolute(command) ? command : await programInPath(command, process.env["PATH"]);
  const hint = exec.installHint === undefined
    ? ""
    : `: ${boundedText(exec.installHint.replace(/\s+/g, " "), 500)}`;
  const missing = /\s/.test(command)
    ? `is not there: write what follows the program's name into args, or correct its path${hint}`
    : `is not there: install it, or correct its path${hint}`;
  if (program === undefined) return refuse(missing);
  if (
    [...exec.args, ...exec.env.flatMap(({ name, value }) => [name, value])].some((one) => one.includes("\0"))
  ) {
    // The runtimes refuse it as well, and quote it.
    refuse("has a zero byte in its args or its env: remove it");
  }
  const end = await runProgram(program, {
    args: exec.args,
    env: {
      ...process.env,
      ...Object.fromEntries(exec.env.map(({ name, value }) => [name, value])),
      KUBERNETES_EXEC_INFO: execInfo(exec, cluster, caData),
    },
    ...PLUGIN_LIMITS,
  });
  if (end.kind === "exited" && end.code === 0) return readAnswer(end.output.toString("utf8"), exec, refuse);
  if (end.kind === "not started" && end.code === "ENOENT") return refuse(missing);
  return refuse(
    programFault(end, PLUGIN_LIMITS) + (end.kind === "exited" ? ": run it by hand to see why" : ""),
  );
}
