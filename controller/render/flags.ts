/** Command-line flags as Go programs take them, and the controller's own (spec/controller.md §1.1, §1.2). */
import { own, setOwn } from "../../program/types/own.ts";
import type { ControllerSettings } from "../types/settings.ts";
import { defaultSettings } from "../types/settings.ts";

type FlagKind = "bool" | "int" | "string";
type Flag = { readonly kind: FlagKind; readonly preset: string; readonly help: string };

const bool = (help: string): Flag => ({ kind: "bool", preset: "false", help });
const int = (help: string, preset = ""): Flag => ({ kind: "int", preset, help });
const string = (help: string, preset = ""): Flag => ({ kind: "string", preset, help });

export const FLAGS: { readonly [name: string]: Flag } = {
  "deployments-namespace": string("Namespace of the policy servers; default: the pod's own."),
  "leader-elect": bool("Let only one of several controllers write."),
  "metrics-bind-address": string("Address of /metrics; 0 turns it off.", ":8088"),
  "health-probe-bind-address": string("Address of /healthz and /readyz.", ":8081"),
  "webhook-server-port": int("Port of the controller's own webhooks.", "9443"),
  "webhook-service-name": string(
    "Service in front of the controller's webhooks; its certificate is made out to it.",
    "kubewarden-controller-webhook-service",
  ),
  "always-accept-admission-reviews-on-deployments-namespace": bool(
    "Policy servers accept every request of the deployments namespace.",
  ),
  "client-ca-configmap-name": string(
    "ConfigMap whose client-ca.crt signs the API server's client certificate; turns mutual TLS on.",
  ),
  "image-pull-secrets": string("imagePullSecrets of the policy servers' pods, by commas."),
  "host-network": bool("Policy servers use their node's network."),
  "enable-metrics": bool("Policy servers emit metrics."),
  "enable-tracing": bool("Policy servers emit logs and traces by OTLP."),
  "enable-otel-sidecar": bool("Telemetry goes to a sidecar of each pod."),
  "opentelemetry-certificate-secret": string("Secret with the collector's authority."),
  "opentelemetry-client-certificate-secret": string("Secret with the certificate and key for the collector."),
  "policy-server-metrics-port": int("Metrics port of the policy servers; default 8080."),
  "defaults-configmap-name": string("ConfigMap with the default resources to apply.", "kubewarden-defaults"),
  "controller-configmap-name": string(
    "ConfigMap with the resources that namespaced policies may target; default: they may target any.",
  ),
  cleanup: bool("Take everything out of the cluster that an uninstallation would leave behind, and end."),
  "cleanup-policy-servers": bool("With -cleanup: delete all policy servers too."),
  restart: bool("Have the controller's pods replaced, and end."),
  "controller-deployment-name": string("The controller's own Deployment; needed by -cleanup and -restart."),
  "check-admission": string(
    "Instead of running: has a policy of this module, which rejects privileged Pods, reject one (helm test).",
  ),
  "check-admission-namespace": string(
    "Where --check-admission tries to create Pods, as a dry run.",
    "default",
  ),
  kubeconfig: string("A kubeconfig file; default: the pod's service account."),
  "zap-devel": bool("Accepted for compatibility."),
  "zap-encoder": string("Accepted for compatibility.", "json"),
  "zap-log-level": string("debug, info, error, panic or a positive number.", "info"),
  "zap-stacktrace-level": string("Accepted for compatibility.", "error"),
  "zap-time-encoding": string("Accepted for compatibility.", "rfc3339"),
};

export type Values = { readonly [name: string]: string };
export type Parsed =
  | { readonly kind: "values"; readonly values: Values; readonly given: ReadonlySet<string> }
  | { readonly kind: "help" }
  | { readonly kind: "problem"; readonly problem: string };

const TRUE = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE = ["0", "f", "F", "FALSE", "false", "False"];

/** Parses arguments; stops at the first that is no flag, as Go does. */
export function parseFlags(args: readonly string[], flags = FLAGS): Parsed {
  const values: { [name: string]: string } = {};
  const given = new Set<string>();
  for (const [name, { preset }] of Object.entries(flags)) setOwn(values, name, preset);
  for (let index = 0; index < args.length; index++) {
    const match = /^--?([^-=][^=]*)(?:=([\s\S]*))?$/.exec(args[index]!);
    if (match === null) break;
    const [, name = "", inline] = match;
    if (name === "h" || name === "help") return { kind: "help" };
    const flag = own(flags, name);
    if (flag === undefined) return { kind: "problem", problem: `flag provided but not defined: -${name}` };
    let value = inline;
    if (value === undefined) {
      if (flag.kind === "bool") value = "true";
      else if (index + 1 < args.length) value = args[++index]!;
      else return { kind: "problem", problem: `flag needs an argument: -${name}` };
    }
    if (flag.kind === "bool" && ![...TRUE, ...FALSE].includes(value)) {
      return {
        kind: "problem",
        problem: `invalid boolean value ${JSON.stringify(value)} for -${name}: parse error`,
      };
    }
    if (flag.kind === "int" && !/^[+-]?\d+$/.test(value)) {
      return {
        kind: "problem",
        problem: `invalid value ${JSON.stringify(value)} for flag -${name}: parse error`,
      };
    }
    setOwn(values, name, flag.kind === "bool" ? String(TRUE.includes(value)) : value);
    given.add(name);
  }
  return { kind: "values", values, given };
}

/** The text of `--help`. */
export function usage(program: string): string {
  const lines = Object.entries(FLAGS).flatMap(([name, { kind, preset, help }]) => [
    `  -${name}${kind === "bool" ? "" : ` ${kind}`}`,
    `    \t${help}${preset === "" || preset === "false" ? "" : ` (default ${preset})`}`,
  ]);
  return `Usage of ${program}:\n${lines.join("\n")}\n`;
}

export const METRICS_PORT_VARIABLE = "KUBEWARDEN_POLICY_SERVER_SERVICES_METRICS_PORT";

/** What is wrong with flags or environment: the line that is logged, and the error in it. */
export type SettingsProblem = { readonly message: string; readonly error: string };

function port(text: string): number | undefined {
  const value = /^[+-]?\d{1,10}$/.test(text) ? Number(text) : NaN;
  return value >= 1 && value <= 65535 ? value : undefined;
}

type Environment = { readonly [name: string]: string | undefined };

function metricsPortFrom(flag: string, environment: Environment): number | SettingsProblem {
  const text = flag || environment[METRICS_PORT_VARIABLE] || "8080";
  if (!/^[+-]?\d+$/.test(text)) {
    return { message: "cannot parse env var as integer port", error: `${METRICS_PORT_VARIABLE}=${text}` };
  }
  return port(text) ??
    { message: "invalid env var port value", error: "port must be between 1 and 65535" };
}

function ownPorts(text: (name: string) => string): ControllerSettings["ownPorts"] {
  const flags = [
    ["webhook", "webhook-server-port"],
    ["health probe", "health-probe-bind-address"],
    ["metrics", "metrics-bind-address"],
  ] as const;
  return flags.flatMap(([name, flag]) => {
    const found = port(text(flag).slice(text(flag).lastIndexOf(":") + 1));
    return found === undefined ? [] : [{ name, port: found }];
  });
}

function otelVariables(environment: Environment): ControllerSettings["otelEnvironment"] {
  return Object.fromEntries(
    Object.entries(environment).filter((entry): entry is [string, string] =>
      entry[0].startsWith("OTEL_EXPORTER_OTLP_") && entry[1] !== undefined
    ),
  );
}

/** How to work, from parsed flags and the environment; `ownNamespace` is the pod's. */
export function settingsFrom(
  values: Values,
  environment: Environment,
  ownNamespace: string | undefined,
): ControllerSettings | SettingsProblem {
  const text = (name: string) => own(values, name) ?? "";
  const optional = (name: string) => text(name) === "" ? undefined : text(name);
  const on = (name: string) => text(name) === "true";
  if (port(text("webhook-server-port")) === undefined) {
    return { message: "invalid webhook server port", error: "port must be between 1 and 65535" };
  }
  if (on("host-network") && on("enable-otel-sidecar")) {
    return {
      message: "incompatible flags: a sidecar cannot share the node's network with its policy server",
      error: "--host-network and --enable-otel-sidecar are mutually exclusive",
    };
  }
  const metricsPort = metricsPortFrom(text("policy-server-metrics-port"), environment);
  if (typeof metricsPort !== "number") return metricsPort;
  const namespace = optional("deployments-namespace") ?? ownNamespace;
  if (namespace === undefined) {
    return { message: "no deployments namespace", error: "--deployments-namespace is needed outside a pod" };
  }
  return {
    ...defaultSettings(namespace),
    alwaysAcceptReviewsInNamespace: on("always-accept-admission-reviews-on-deployments-namespace"),
    clientCaConfigMap: optional("client-ca-configmap-name"),
    imagePullSecrets: text("image-pull-secrets").split(",").map((name) => name.trim()).filter((name) =>
      name !== ""
    ),
    hostNetwork: on("host-network"),
    metrics: on("enable-metrics"),
    tracing: on("enable-tracing"),
    otelSidecar: on("enable-otel-sidecar"),
    otelCertificateSecret: optional("opentelemetry-certificate-secret"),
    otelClientCertificateSecret: optional("opentelemetry-client-certificate-secret"),
    otelEnvironment: otelVariables(environment),
    metricsPort,
    webhookServiceName: text("webhook-service-name"),
    defaultsConfigMap: text("defaults-configmap-name"),
    controllerConfigMap: optional("controller-configmap-name"),
    ownPorts: ownPorts(text),
  };
}

export type LogLevel = "debug" | "info" | "error";

/** The least of what is logged; `undefined` when the flag's text is none of zap's levels. */
export function logLevel(text: string): LogLevel | undefined {
  if (text === "debug" || text === "info" || text === "error") return text;
  if (text === "panic") return "error";
  return /^[1-9]\d*$/.test(text) ? "debug" : undefined;
}
