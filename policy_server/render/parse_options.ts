/**
 * Reads the policy server's command line and environment (spec/policy-server.md §1.2, §1.3, §19 rows 10, 15, 16, 21). It stands on
 * this floor and not among the types because its outcome holds rendered texts (help, version, Markdown).
 */
import { own } from "../../program/types/own.ts";
import { type Flag, type FlagName, FLAGS } from "../types/flags.ts";
import { nearestName } from "../../program/types/nearest.ts";
import type { LogLevel, OptionDefaults, OptionsOutcome, ServerOptions, TlsPaths } from "../types/options.ts";
import { docsMarkdown, flagUsage, helpText, versionText } from "./usage.ts";

/** A value with where it came from: the flag's name or the variable's. */
type Given = { readonly text: string; readonly from: string };
type GivenFlags = ReadonlyMap<FlagName, Given>;
type Environment = Readonly<Record<string, string | undefined>>;

/** Ends the parsing; caught by {@link parseOptions} only. */
class OptionFault extends Error {
  readonly exitCode: 1 | 2;
  constructor(message: string, exitCode: 1 | 2) {
    super(message);
    this.exitCode = exitCode;
  }
}

const usageFault = (message: string) =>
  new OptionFault(`error: ${message}\n\nFor more information, try '--help'.`, 2);
const valueFault = (message: string) => new OptionFault(`Error: ${message}`, 1);

/**
 * Turns `argv` (without runtime and script) and `env` into what to do. A flag wins over its variable, the variable over
 * the default. Never throws.
 */
export function parseOptions(
  argv: readonly string[],
  env: Environment,
  defaults: OptionDefaults,
): OptionsOutcome {
  try {
    return outcome(argv, env, defaults);
  } catch (error) {
    if (!(error instanceof OptionFault)) throw error;
    return { kind: "error", text: error.message, exitCode: error.exitCode };
  }
}

function outcome(argv: readonly string[], env: Environment, defaults: OptionDefaults): OptionsOutcome {
  const given = new Map<FlagName, Given>();
  let output: string | undefined;
  let docs = false;
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i] ?? "";
    if (argument === "--help" || argument === "-h" || argument === "help") {
      return { kind: "help", text: helpText() };
    }
    if (argument === "--version" || argument === "-V") {
      const builtins = argument === "-V" ? null : defaults.regoBuiltins ?? [];
      return { kind: "version", text: versionText(defaults.version ?? "unknown", builtins) };
    }
    if (argument === "docs" && !docs) {
      docs = true;
      continue;
    }
    const equals = argument.startsWith("--") ? argument.indexOf("=") : -1;
    const name = equals < 0 ? argument : argument.slice(0, equals);
    const value = equals < 0 ? undefined : argument.slice(equals + 1);
    if (docs && (name === "--output" || name === "-o")) {
      output = value ?? required("--output <FILE>", argv[++i]);
      continue;
    }
    const flag = FLAGS.find((candidate) => candidate.name === name);
    if (flag === undefined) throw unknownArgument(argument, name);
    if (given.has(flag.name)) {
      throw usageFault(`the argument '${flagUsage(flag)}' cannot be used multiple times`);
    }
    const text = flag.value.kind === "boolean"
      ? value ?? "true"
      : value ?? required(flagUsage(flag), argv[++i]);
    given.set(flag.name, { text, from: name });
  }
  if (docs) {
    if (output === undefined || output === "") {
      throw usageFault("the following required arguments were not provided:\n  --output <FILE>");
    }
    return { kind: "docs", path: output, text: docsMarkdown() };
  }
  for (const flag of FLAGS) {
    const text = own(env, flag.variable);
    if (text === undefined || given.has(flag.name)) continue;
    if (flag.value.kind === "boolean" && flag.value.anyNonEmptyVariable) {
      if (text !== "") given.set(flag.name, { text: "true", from: flag.variable });
    } else given.set(flag.name, { text, from: flag.variable });
  }
  for (const flag of FLAGS) {
    const value = given.get(flag.name);
    if (value !== undefined) checkForm(flag, value);
  }
  const options = serverOptions(given, defaults);
  return { kind: "run", options };
}

function required(usage: string, next: string | undefined): string {
  if (next !== undefined && (next === "-" || !next.startsWith("-"))) return next;
  throw usageFault(`a value is required for '${usage}' but none was supplied`);
}

function unknownArgument(argument: string, name: string): OptionFault {
  const near = nearestName(name, FLAGS.filter((flag) => flag.hidden !== true).map((flag) => flag.name));
  const tip = near === undefined ? "" : `\n\n  tip: a similar argument exists: '${near}'`;
  return usageFault(`unexpected argument '${near === undefined ? argument : name}' found${tip}`);
}

/** What is wrong use (exit 2) whatever the other flags say. */
function checkForm(flag: Flag, { text, from }: Given): void {
  const where = from === flag.name ? "" : ` (from the variable ${from})`;
  if (flag.value.kind === "boolean" && parsedBoolean(text) === undefined) {
    throw usageFault(
      `invalid value '${text}' for '${flag.name}'${where}\n  [possible values: true, false, 1, 0, yes, no, on, off]`,
    );
  }
  if (flag.value.kind === "choice" && !flag.value.choices.includes(text)) {
    throw usageFault(
      `invalid value '${text}' for '${flagUsage(flag)}'${where}\n  [possible values: ${
        flag.value.choices.join(", ")
      }]`,
    );
  }
  const empty = flag.value.kind === "path" && text === "" ||
    flag.value.kind === "paths" && text.split(",").includes("");
  if (empty) throw usageFault(`a value is required for '${flagUsage(flag)}' but none was supplied${where}`);
}

function parsedBoolean(text: string): boolean | undefined {
  if (/^(?:true|1|yes|on)$/i.test(text)) return true;
  return /^(?:false|0|no|off)$/i.test(text) ? false : undefined;
}

/** Reads the values of flags, or their defaults. */
function flagValues(given: GivenFlags) {
  const optional = (name: FlagName) => given.get(name)?.text ?? null;
  const text = (name: FlagName) =>
    optional(name) ?? FLAGS.find((candidate) => candidate.name === name)?.defaultText ?? "";
  const boolean = (name: FlagName) => parsedBoolean(optional(name) ?? "false") ?? false;
  const whole = (name: FlagName, from: number, to: number) => {
    const number = wholeNumber(text(name), to);
    if (typeof number === "number" && number >= from) return number;
    const where = given.get(name)?.from ?? name;
    throw valueFault(`${where}: expected a whole number from ${from} to ${to}, found "${text(name)}"`);
  };
  return { optional, text, boolean, whole };
}

function serverOptions(given: GivenFlags, { cpus }: OptionDefaults): ServerOptions {
  const { optional, text, boolean, whole } = flagValues(given);
  const host = bindAddress(text("--addr"));
  const port = tcpPort("--port", text("--port"));
  const readinessProbePort = tcpPort("--readiness-probe-port", text("--readiness-probe-port"));
  // Port 0 lets the system choose, a different one each time.
  if (port === readinessProbePort && port !== 0) {
    throw valueFault(`--readiness-probe-port must differ from --port, both are ${port}`);
  }
  const evaluating = workers(given, cpus);
  const servingThreadsGiven = given.has("--serving-threads");
  return {
    host,
    port,
    readinessProbePort,
    workers: evaluating,
    servingThreads: servingThreadsGiven
      ? whole("--serving-threads", 0, MOST_SERVING_THREADS)
      : defaultServingThreads(evaluating),
    servingThreadsGiven,
    tls: tlsPaths(optional("--cert-file"), optional("--key-file"), optional("--client-ca-file")),
    policiesPath: text("--policies"),
    policiesDownloadDir: text("--policies-download-dir"),
    sourcesPath: optional("--sources-path"),
    verificationPath: optional("--verification-path"),
    sigstoreCacheDir: text("--sigstore-cache-dir"),
    sigstoreTrustConfigPath: optional("--sigstore-trust-config"),
    dockerConfigJsonPath: optional("--docker-config-json-path"),
    logLevel: text("--log-level") as LogLevel,
    logFormat: text("--log-fmt") as ServerOptions["logFormat"],
    enableMetrics: boolean("--enable-metrics"),
    enablePprof: boolean("--enable-pprof"),
    // No namespace has an empty name; an empty value must not match requests without one.
    alwaysAcceptNamespace: optional("--always-accept-admission-reviews-on-namespace") || null,
    policyTimeoutSeconds: boolean("--disable-timeout-protection")
      ? null
      : policyTimeout(text("--policy-timeout")),
    ignoreKubernetesConnectionFailure: boolean("--ignore-kubernetes-connection-failure"),
    continueOnErrors: boolean("--continue-on-errors"),
    daemon: !boolean("--daemon") ? null : {
      pidFile: text("--daemon-pid-file"),
      stdoutFile: optional("--daemon-stdout-file"),
      stderrFile: optional("--daemon-stderr-file"),
    },
    watchPolicies: boolean("--watch-policies"),
    policyMemoryLimitMib: whole("--policy-memory-limit-mib", 1, 4096),
    memoryLimitMib: given.has("--memory-limit-mib") ? whole("--memory-limit-mib", 64, 1024 ** 2) : null,
    maxBodyBytes: whole("--max-body-bytes", 1, 1024 ** 3),
  };
}

const MOST_SERVING_THREADS = 64;

/**
 * With two or three processors, one thread that reads and others that evaluate keep all of them busy, and take less processor time and
 * memory than threads that do both (bench/README.md); with more, the one that reads is what the others wait for.
 */
function defaultServingThreads(workers: number): number {
  return workers < 4 ? 0 : Math.min(workers, 8);
}

/** The number, or why it is none, in the words of the original's standard library. */
function wholeNumber(text: string, most: number): number | string {
  if (text === "") return "cannot parse integer from empty string";
  if (!/^\+?[0-9]+$/.test(text)) return "invalid digit found in string";
  return Number(text) > most ? "number too large to fit in target type" : Number(text);
}

function bindAddress(text: string): string {
  const octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
  if (new RegExp(`^${octet}(?:\\.${octet}){3}$`).test(text)) return text;
  // The URL parser is the one checker of IPv6 texts that every runtime has without a module of its own.
  if (/^\[[0-9a-fA-F:.]+\]$/.test(text) && URL.canParse(`http://${text}/`)) return text.slice(1, -1);
  throw valueFault(
    "error parsing arguments: invalid socket address syntax " +
      `(--addr takes an IP address, IPv6 in brackets, found "${text}")`,
  );
}

function tcpPort(flag: string, text: string): number {
  if (/^[0-9]+$/.test(text) && Number(text) <= 65535) return Number(text);
  throw valueFault(
    `error parsing arguments: invalid socket address syntax (${flag} takes a port from 0 to 65535, found "${text}")`,
  );
}

function workers(given: GivenFlags, cpus: number): number {
  const text = given.get("--workers")?.text;
  if (text === undefined) return Math.max(1, Math.floor(cpus));
  const number = wholeNumber(text, Number.MAX_SAFE_INTEGER);
  if (typeof number === "number" && number > 0) return number;
  const reason = number === 0 ? "at least one is needed" : number;
  throw valueFault(`error parsing the number of workers: ${reason} (found "${text}")`);
}

function policyTimeout(text: string): number {
  const seconds = wholeNumber(text, 2 ** 64 - 1);
  if (typeof seconds === "number") return seconds;
  throw valueFault(`${seconds} (--policy-timeout takes whole seconds, found "${text}")`);
}

function tlsPaths(
  certFile: string | null,
  keyFile: string | null,
  clientCas: string | null,
): TlsPaths | null {
  if (certFile !== null && keyFile !== null) {
    return { certFile, keyFile, clientCaFiles: clientCas === null ? [] : clientCas.split(",") };
  }
  if (certFile !== null || keyFile !== null) {
    throw valueFault("both certificate and key must be provided together");
  }
  if (clientCas === null) return null;
  throw valueFault("client CA certificate requires server certificate and key to be specified");
}
