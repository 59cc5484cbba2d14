/**
 * The policy server's flags and variables: the one table that the parser, the help and the Markdown page are made from
 * (spec/policy-server.md §1.2, names and defaults are a contract). The last group is Portreeve's own.
 */

/** What a flag takes. A `path` refuses an empty value; `paths` is a comma-separated list of paths. */
export type FlagValue =
  | { readonly kind: "boolean"; readonly anyNonEmptyVariable?: true }
  | { readonly kind: "text" | "path" | "paths"; readonly placeholder: string }
  | { readonly kind: "choice"; readonly placeholder: string; readonly choices: readonly string[] };

/** One flag. `defaultText` is the value used where neither flag nor variable is given. */
export type Flag = {
  readonly name: `--${string}`;
  readonly variable: string;
  readonly value: FlagValue;
  readonly defaultText?: string;
  readonly help: string;
  readonly hidden?: true;
};

/** A flag, its variable and what it takes. */
const flag = <const Name extends `--${string}`>(
  name: Name,
  variable: string,
  value: FlagValue,
  more: Omit<Flag, "name" | "variable" | "value">,
) => ({ name, variable, value, ...more });

const SWITCH: FlagValue = { kind: "boolean" };
const text = (placeholder: string): FlagValue => ({ kind: "text", placeholder });
const path = (placeholder: string): FlagValue => ({ kind: "path", placeholder });
const paths = (placeholder: string): FlagValue => ({ kind: "paths", placeholder });

const TABLE = [
  flag("--addr", "KUBEWARDEN_BIND_ADDRESS", text("ADDRESS"), {
    defaultText: "0.0.0.0",
    help: "Bind against this IP address; IPv6 in brackets, e.g. [::]",
  }),
  flag("--port", "KUBEWARDEN_PORT", text("PORT"), { defaultText: "3000", help: "Listen on this port" }),
  flag("--readiness-probe-port", "KUBEWARDEN_READINESS_PROBE_PORT", text("PORT"), {
    defaultText: "8081",
    help: "Answer readiness probes and GET /metrics on this port, always over plain HTTP",
  }),
  flag("--workers", "KUBEWARDEN_WORKERS", text("NUMBER"), {
    help: "How many policies are evaluated at the same time [default: number of CPUs]",
  }),
  flag("--cert-file", "KUBEWARDEN_CERT_FILE", path("FILE"), {
    help: "TLS certificate in PEM, with its chain if it has one; needs --key-file",
  }),
  flag("--key-file", "KUBEWARDEN_KEY_FILE", path("FILE"), {
    help: "TLS private key in PEM; needs --cert-file",
  }),
  flag("--client-ca-file", "KUBEWARDEN_CLIENT_CA_FILE", paths("FILE,..."), {
    help: "Demand client certificates issued by one of the CAs in these PEM files",
  }),
  flag("--policies", "KUBEWARDEN_POLICIES", text("FILE"), {
    defaultText: "policies.yml",
    help: "YAML file that names the policies to serve and their settings",
  }),
  flag("--policies-download-dir", "KUBEWARDEN_POLICIES_DOWNLOAD_DIR", text("DIRECTORY"), {
    defaultText: ".",
    help: "Where downloaded policies are kept",
  }),
  flag("--sources-path", "KUBEWARDEN_SOURCES_PATH", text("FILE"), {
    help: "YAML file with insecure sources, certificate authorities and proxies of registries",
  }),
  flag("--verification-path", "KUBEWARDEN_VERIFICATION_CONFIG_PATH", text("FILE"), {
    help: "YAML file with the signatures that policies must have; turns verification on",
  }),
  flag("--sigstore-cache-dir", "KUBEWARDEN_SIGSTORE_CACHE_DIR", text("DIRECTORY"), {
    defaultText: "sigstore-data",
    help: "Where Sigstore's trust root is kept; made if missing",
  }),
  flag("--sigstore-trust-config", "KUBEWARDEN_SIGSTORE_TRUST_CONFIG_PATH", path("FILE"), {
    help: "JSON file with Sigstore's ClientTrustConfig, used instead of the public trust root",
  }),
  flag("--docker-config-json-path", "KUBEWARDEN_DOCKER_CONFIG_JSON_PATH", text("DIRECTORY"), {
    help: "Directory that holds the config.json with registry credentials",
  }),
  flag("--log-level", "KUBEWARDEN_LOG_LEVEL", {
    kind: "choice",
    placeholder: "LEVEL",
    choices: ["trace", "debug", "info", "warn", "error"],
  }, { defaultText: "info", help: "Log lines below this level are left out" }),
  flag("--log-fmt", "KUBEWARDEN_LOG_FMT", {
    kind: "choice",
    placeholder: "FORMAT",
    choices: ["text", "json", "otlp"],
  }, { defaultText: "text", help: "Format of the log; otlp: text, and spans to an OpenTelemetry collector" }),
  flag("--log-no-color", "NO_COLOR", { kind: "boolean", anyNonEmptyVariable: true }, {
    help: "Accepted for compatibility: the log never has colours",
  }),
  flag("--enable-metrics", "KUBEWARDEN_ENABLE_METRICS", SWITCH, {
    help: "Push metrics to an OpenTelemetry collector (OTLP over gRPC, OTEL_EXPORTER_OTLP_* variables)",
  }),
  flag("--enable-pprof", "KUBEWARDEN_ENABLE_PPROF", SWITCH, {
    help: "Serve profiles of the main thread below /debug/pprof",
  }),
  flag(
    "--always-accept-admission-reviews-on-namespace",
    "KUBEWARDEN_ALWAYS_ACCEPT_ADMISSION_REVIEWS_ON_NAMESPACE",
    text("NAMESPACE"),
    { help: "Accept every request about this namespace without asking the policy" },
  ),
  flag("--policy-timeout", "KUBEWARDEN_POLICY_TIMEOUT", text("SECONDS"), {
    defaultText: "2",
    help: "How long a policy may take, unless it has a timeout of its own",
  }),
  flag("--disable-timeout-protection", "KUBEWARDEN_DISABLE_TIMEOUT_PROTECTION", SWITCH, {
    help: "Let policies run without any time limit",
  }),
  flag("--ignore-kubernetes-connection-failure", "KUBEWARDEN_IGNORE_KUBERNETES_CONNECTION_FAILURE", SWITCH, {
    help: "Start though Kubernetes can't be reached; context-aware policies will not work",
  }),
  flag("--continue-on-errors", "KUBEWARDEN_CONTINUE_ON_ERRORS", SWITCH, {
    help: "Start though policies are broken; they refuse every request",
    hidden: true,
  }),
  flag("--daemon", "KUBEWARDEN_DAEMON", SWITCH, { help: "Run in the background" }),
  flag("--daemon-pid-file", "KUBEWARDEN_DAEMON_PID_FILE", text("FILE"), {
    defaultText: "policy-server.pid",
    help: "Where a daemon writes its process id; a relative name counts from /",
  }),
  flag("--daemon-stdout-file", "KUBEWARDEN_DAEMON_STDOUT_FILE", text("FILE"), {
    help: "Where a daemon's standard output goes",
  }),
  flag("--daemon-stderr-file", "KUBEWARDEN_DAEMON_STDERR_FILE", text("FILE"), {
    help: "Where a daemon's standard error goes",
  }),
  flag("--watch-policies", "KUBEWARDEN_WATCH_POLICIES", SWITCH, {
    help: "Load the policies anew when the policies file changes (SIGHUP does so at any time)",
  }),
  flag("--policy-memory-limit-mib", "KUBEWARDEN_POLICY_MEMORY_LIMIT_MIB", text("MIB"), {
    defaultText: "256",
    help: "How much memory one evaluation may use, from 1 to 4096 MiB",
  }),
  flag("--memory-limit-mib", "KUBEWARDEN_MEMORY_LIMIT_MIB", text("MIB"), {
    help: "How much memory the whole process may use [default: the limit of its container]",
  }),
  flag("--serving-threads", "KUBEWARDEN_SERVING_THREADS", text("NUMBER"), {
    help:
      "How many threads read requests and evaluate quick policies, from 0 (the main thread reads them all) " +
      "to 64 [default: as --workers, at most 8; 0 with fewer than 4 workers]",
  }),
  flag("--max-body-bytes", "KUBEWARDEN_MAX_BODY_BYTES", text("BYTES"), {
    defaultText: "8388608",
    help: "Requests with a larger body are answered 413",
  }),
];

/** The name of a flag of the table. */
export type FlagName = typeof TABLE[number]["name"];

/** All flags but `--help` and `--version`, in the order of the help. */
export const FLAGS: readonly (Flag & { readonly name: FlagName })[] = TABLE;
