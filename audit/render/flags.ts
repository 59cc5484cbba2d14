/** The scanner's flags, as pflag takes them, and what they ask for (spec/audit.md §2). */
import { own } from "../../program/types/own.ts";
import { type AuditSettings, type LogLevel, REPORT_KINDS, type ReportKind } from "../types/settings.ts";

type Flag = {
  readonly shown: string;
  readonly name: string;
  readonly short: string | undefined;
  readonly type: "string" | "bool" | "int" | "strings";
  readonly preset: string | undefined;
  readonly help: string;
};

/** A flag as help shows it: `-n, --namespace string`; one without a type is a switch. */
function flag(shown: string, help: string, preset?: string): Flag {
  const [, short, name = "", type = "bool"] = /^(?:-(\w), )?--([\w-]+)(?: (\w+))?$/.exec(shown)!;
  return { shown, name, short, type: type as Flag["type"], preset, help };
}

const FLAGS: readonly Flag[] = [
  flag("-n, --namespace string", "audit only this namespace"),
  flag("-c, --cluster", "audit only cluster-scoped resources"),
  flag(
    "-k, --kubewarden-namespace string",
    "namespace of the policy servers; it is skipped when all namespaces are audited",
    "kubewarden",
  ),
  flag("-u, --policy-server-url string", "base URL that takes the place of the policy servers' Services"),
  flag(
    "-l, --loglevel string",
    "debug, info, warning or error (default info; warning where the log goes to a terminal)",
  ),
  flag("-o, --output-scan", "log each report as JSON"),
  flag("-i, --ignore-namespaces strings", "namespaces to leave out, by commas; may be repeated"),
  flag("--insecure-ssl", "do not verify the policy servers' certificates"),
  flag("-f, --extra-ca string", "PEM file with certificate authorities to trust as well"),
  flag("--client-cert string", "PEM client certificate for mTLS; needs --client-key"),
  flag("--client-key string", "PEM key of the client certificate; needs --client-cert"),
  flag("--disable-store", "create, change and delete no reports"),
  flag("--parallel-namespaces int", "namespaces audited at once", "1"),
  flag("--parallel-resources int", "resources audited at once in a namespace", "100"),
  flag("--parallel-policies int", "policies asked at once about a resource", "5"),
  flag("--page-size int", "resources per list request; 0: all in one", "100"),
  flag("--report-kind string", "openreports or policyreport", "policyreport"),
  flag(
    "--incremental",
    "keep the reports of objects and policies that have not changed since they were written",
  ),
  flag("-h, --help", "show this"),
];

export type ParsedFlags =
  | { readonly kind: "settings"; readonly settings: AuditSettings; readonly notes: readonly string[] }
  | { readonly kind: "help" }
  | { readonly kind: "problem"; readonly problem: string };

/** Thrown within this file; becomes a `problem`. */
class FlagProblem extends Error {}

const BOOLEANS: { readonly [text: string]: boolean } = {
  ...Object.fromEntries(["1", "t", "T", "TRUE", "true", "True"].map((text) => [text, true])),
  ...Object.fromEntries(["0", "f", "F", "FALSE", "false", "False"].map((text) => [text, false])),
};

/** One line of comma-separated values, with the quoting of CSV. */
function csv(text: string): readonly string[] {
  if (text === "") return [];
  const values: string[] = [];
  for (let rest = text;;) {
    const quoted = /^"((?:[^"]|"")*)"(?=,|$)/.exec(rest);
    const value = quoted?.[0] ?? /^[^,]*/.exec(rest)![0];
    if (quoted === null && value.includes('"')) throw new FlagProblem(`parse error: bare " in ${text}`);
    values.push(quoted === null ? value : quoted[1]!.replaceAll('""', '"'));
    if (rest.length === value.length) return values;
    rest = rest.slice(value.length + 1);
  }
}

type Values = Map<string, string[]>;

function shown({ name, short }: Flag): string {
  return short === undefined ? `--${name}` : `-${short}, --${name}`;
}

function put(values: Values, flag: Flag, text: string): void {
  const problem = (why: string) =>
    new FlagProblem(`invalid argument ${JSON.stringify(text)} for "${shown(flag)}" flag: ${why}`);
  if (flag.type === "bool" && own(BOOLEANS, text) === undefined) {
    throw problem("it is neither true nor false");
  }
  if (flag.type === "int" && !/^[+-]?\d{1,9}$/.test(text)) throw problem("it is no whole number");
  if (flag.type === "strings") values.set(flag.name, [...values.get(flag.name) ?? [], ...csv(text)]);
  else values.set(flag.name, [text]);
}

function parse(args: readonly string[]): Values {
  const values: Values = new Map();
  for (let index = 0; index < args.length; index++) {
    const arg = args[index]!;
    const needed = (name: string) => {
      if (index + 1 >= args.length) throw new FlagProblem(`flag needs an argument: ${name}`);
      return args[++index]!;
    };
    if (arg === "--") break;
    if (arg.startsWith("--")) {
      const [, name = "", inline] = /^--([^=]*)(?:=([\s\S]*))?$/.exec(arg)!;
      const flag = FLAGS.find((known) => known.name === name);
      if (flag === undefined) throw new FlagProblem(`unknown flag: --${name}`);
      put(values, flag, inline ?? (flag.type === "bool" ? "true" : needed(`--${name}`)));
    } else if (arg.startsWith("-") && arg !== "-") {
      // Several letters may stand together; the first that takes a value takes the rest.
      for (let rest = arg.slice(1); rest !== "";) {
        const letter = rest[0]!;
        const flag = FLAGS.find(({ short }) => short === letter);
        if (flag === undefined) throw new FlagProblem(`unknown shorthand flag: '${letter}' in ${arg}`);
        const after = rest.slice(1);
        if (after.startsWith("=")) put(values, flag, after.slice(1));
        else if (flag.type === "bool") put(values, flag, "true");
        else put(values, flag, after === "" ? needed(`'${letter}' in ${arg}`) : after);
        rest = flag.type === "bool" && !after.startsWith("=") ? after : "";
      }
    }
  }
  return values;
}

const LEVEL_NAMES: { readonly [name: string]: LogLevel } = {
  debug: "debug",
  trace: "debug",
  info: "info",
  warning: "warning",
  warn: "warning",
  error: "error",
};

function settingsOf(values: Values): AuditSettings {
  const text = (name: string) =>
    values.get(name)?.[0] ?? FLAGS.find((flag) => flag.name === name)?.preset ?? "";
  const optional = (name: string) => text(name) === "" ? undefined : text(name);
  const on = (name: string) => own(BOOLEANS, text(name)) === true;
  const atLeast = (name: string, least: number) => {
    const value = Number(text(name));
    if (value < least) {
      throw new FlagProblem(
        `invalid argument "${text(name)}" for "--${name}" flag: it must be at least ${least}`,
      );
    }
    return value;
  };
  const missing = ["client-cert", "client-key"].filter((name) => !values.has(name));
  if (missing.length === 1) {
    throw new FlagProblem(
      "if any flags in the group [client-cert client-key] are set they must all be set; " +
        `missing [${missing[0]}]`,
    );
  }
  const reportKind = text("report-kind") as ReportKind;
  if (!REPORT_KINDS.includes(reportKind)) {
    throw new FlagProblem(
      `invalid report-kind '${reportKind}': supported values are 'openreports' and 'policyreport'`,
    );
  }
  const level = optional("loglevel");
  if (level !== undefined && !Object.hasOwn(LEVEL_NAMES, level)) {
    throw new FlagProblem(`invalid log level: ${JSON.stringify(level)}: use debug, info, warning or error`);
  }
  const url = optional("policy-server-url");
  if (url !== undefined && !(URL.canParse(url) && /^https?:$/.test(new URL(url).protocol))) {
    throw new FlagProblem(`invalid argument "${url}" for "-u, --policy-server-url" flag: it is no URL`);
  }
  return {
    namespace: on("cluster") ? undefined : optional("namespace"),
    clusterOnly: on("cluster"),
    kubewardenNamespace: text("kubewarden-namespace"),
    policyServerUrl: url,
    logLevel: level === undefined ? undefined : own(LEVEL_NAMES, level),
    outputScan: on("output-scan"),
    ignoreNamespaces: values.get("ignore-namespaces") ?? [],
    insecureSsl: on("insecure-ssl"),
    extraCa: optional("extra-ca"),
    clientCert: optional("client-cert"),
    clientKey: optional("client-key"),
    disableStore: on("disable-store"),
    parallelNamespaces: atLeast("parallel-namespaces", 1),
    parallelResources: atLeast("parallel-resources", 1),
    parallelPolicies: atLeast("parallel-policies", 1),
    pageSize: atLeast("page-size", 0),
    reportKind,
    incremental: on("incremental"),
  };
}

export const BOTH_SCOPES = "Cannot scan cluster wide and only a namespace at the same time";

/** Parses the command line; positional arguments are ignored. `notes` go to stderr and change nothing. */
export function parseFlags(args: readonly string[]): ParsedFlags {
  try {
    const values = parse(args);
    if (own(BOOLEANS, values.get("help")?.[0] ?? "") === true) return { kind: "help" };
    const settings = settingsOf(values);
    const both = settings.clusterOnly && (values.get("namespace")?.[0] ?? "") !== "";
    return { kind: "settings", settings, notes: both ? [BOTH_SCOPES] : [] };
  } catch (error) {
    if (error instanceof FlagProblem) return { kind: "problem", problem: error.message };
    throw error;
  }
}

/** The text of `--help`. */
export function usage(): string {
  const lines = FLAGS.map(({ shown, short, preset, help }) => {
    const left = short === undefined ? `    ${shown}` : shown;
    return `  ${left.padEnd(36)} ${help}${preset === undefined ? "" : ` (default ${preset})`}`;
  });
  return "Judges the objects of a cluster by its policies and writes a report on each.\n\n" +
    `Usage:\n  audit-scanner [flags]\n\nFlags:\n${lines.join("\n")}\n`;
}
