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

const TABLE = [
  {
    name: "--addr",
    variable: "KUBEWARDEN_BIND_ADDRESS",
    value: { kind: "text", placeholder: "ADDRESS" },
    defaultText: "0.0.0.0",
    help: "Bind against this IP address; IPv6 in brackets, e.g. [::]",
  },
  {
    name: "--port",
    variable: "KUBEWARDEN_PORT",
    value: { kind: "text", placeholder: "PORT" },
    defaultText: "3000",
    help: "Listen on this port",
  },
  {
    name: "--readiness-probe-port",
    variable: "KUBEWARDEN_READINESS_PROBE_PORT",
    value: { kind: "text", placeholder: "PORT" },
    defaultText: "8081",
    help: "Answer readiness probes and GET /metrics on this port, always over plain HTTP",
  },
  {
    name: "--workers",
    variable: "KUBEWARDEN_WORKERS",
    value: { kind: "text", placeholder: "NUMBER" },
    help: "How many policies are evaluated at the same time [default: number of CPUs]",
  },
  {
    name: "--cert-file",
    variable: "KUBEWARDEN_CERT_FILE",
    value: { kind: "path", placeholder: "FILE" },
    help: "TLS certificate in PEM, with its chain if it has one; needs --key-file",
  },
  {
    name: "--key-file",
    variable: "KUBEWARDEN_KEY_FILE",
    value: { kind: "path", placeholder: "FILE" },
    help: "TLS private key in PEM; needs --cert-file",
  },
  {
    name: "--client-ca-file",
    variable: "KUBEWARDEN_CLIENT_CA_FILE",
    value: { kind: "paths", placeholder: "FILE,..." },
    help: "Demand client certificates issued by one of the CAs in these PEM files",
  },
  {
    name: "--policies",
    variable: "KUBEWARDEN_POLICIES",
    value: { kind: "text", placeholder: "FILE" },
    defaultText: "policies.yml",
    help: "YAML file that names the policies to serve and their settings",
  },
  {
    name: "--policies-download-dir",
    variable: "KUBEWARDEN_POLICIES_DOWNLOAD_DIR",
    value: { kind: "text", placeholder: "DIRECTORY" },
    defaultText: ".",
    help: "Where downloaded policies are kept",
  },
  {
    name: "--sources-path",
    variable: "KUBEWARDEN_SOURCES_PATH",
    value: { kind: "text", placeholder: "FILE" },
    help: "YAML file with insecure sources, certificate authorities and proxies of registries",
  },
  {
    name: "--verification-path",
    variable: "KUBEWARDEN_VERIFICATION_CONFIG_PATH",
    value: { kind: "text", placeholder: "FILE" },
    help: "YAML file with the signatures that policies must have; turns verification on",
  },
  {
    name: "--sigstore-cache-dir",
    variable: "KUBEWARDEN_SIGSTORE_CACHE_DIR",
    value: { kind: "text", placeholder: "DIRECTORY" },
    defaultText: "sigstore-data",
    help: "Where Sigstore's trust root is kept; made if missing",
  },
  {
    name: "--sigstore-trust-config",
    variable: "KUBEWARDEN_SIGSTORE_TRUST_CONFIG_PATH",
    value: { kind: "path", placeholder: "FILE" },
    help: "JSON file with Sigstore's ClientTrustConfig, used instead of the public trust root",
  },
  {
    name: "--docker-config-json-path",
    variable: "KUBEWARDEN_DOCKER_CONFIG_JSON_PATH",
    value: { kind: "text", placeholder: "DIRECTORY" },
    help: "Directory that holds the config.json with registry credentials",
  },
  {
    name: "--log-level",
    variable: "KUBEWARDEN_LOG_LEVEL",
    value: { kind: "choice", placeholder: "LEVEL", choices: ["trace", "debug", "info", "warn", "error"] },
    defaultText: "info",
    help: "Log lines below this level are left out",
  },
  {
    name: "--log-fmt",
    variable: "KUBEWARDEN_LOG_FMT",
    value: { kind: "choice", placeholder: "FORMAT", choices: ["text", "json", "otlp"] },
    defaultText: "text",
    help: "Format of the log; otlp: text, and spans to an OpenTelemetry collector",
  },
  {
    name: "--log-no-color",
    variable: "NO_COLOR",
    value: { kind: "boolean", anyNonEmptyVariable: true },
    help: "Accepted for compatibility: the log never has colours",
  },
  {
    name: "--enable-metrics",
    variable: "KUBEWARDEN_ENABLE_METRICS",
    value: { kind: "boolean" },
    help: "Push metrics to an OpenTelemetry collector (OTLP over gRPC, OTEL_EXPORTER_OTLP_* variables)",
  },
  {
    name: "--enable-pprof",
    variable: "KUBEWARDEN_ENABLE_PPROF",
    value: { kind: "boolean" },
    help: "Serve profiles of the main thread below /debug/pprof",
  },
  {
    name: "--always-accept-admission-reviews-on-namespace",
    variable: "KUBEWARDEN_ALWAYS_ACCEPT_ADMISSION_REVIEWS_ON_NAMESPACE",
    value: { kind: "text", placeholder: "NAMESPACE" },
    help: "Accept every request about this namespace without asking the policy",
  },
  {
    name: "--policy-timeout",
    variable: "KUBEWARDEN_POLICY_TIMEOUT",
    value: { kind: "text", placeholder: "SECONDS" },
    defaultText: "2",
    help: "How long a policy may take, unless it has a timeout of its own",
  },
  {
    name: "--disable-timeout-protection",
    variable: "KUBEWARDEN_DISABLE_TIMEOUT_PROTECTION",
    value: { kind: "boolean" },
    help: "Let policies run without any time limit",
  },
  {
    name: "--ignore-kubernetes-connection-failure",
    variable: "KUBEWARDEN_IGNORE_KUBERNETES_CONNECTION_FAILURE",
    value: { kind: "boolean" },
    help: "Start though Kubernetes can't be reached; context-aware policies will not work",
  },
  {
    name: "--continue-on-errors",
    variable: "KUBEWARDEN_CONTINUE_ON_ERRORS",
    value: { kind: "boolean" },
    help: "Start though policies are broken; they refuse every request",
    hidden: true,
  },
  {
    name: "--daemon",
    variable: "KUBEWARDEN_DAEMON",
    value: { kind: "boolean" },
    help: "Run in the background",
  },
  {
    name: "--daemon-pid-file",
    variable: "KUBEWARDEN_DAEMON_PID_FILE",
    value: { kind: "text", placeholder: "FILE" },
    defaultText: "policy-server.pid",
    help: "Where a daemon writes its process id; a relative name counts from /",
  },
  {
    name: "--daemon-stdout-file",
    variable: "KUBEWARDEN_DAEMON_STDOUT_FILE",
    value: { kind: "text", placeholder: "FILE" },
    help: "Where a daemon's standard output goes",
  },
  {
    name: "--daemon-stderr-file",
    variable: "KUBEWARDEN_DAEMON_STDERR_FILE",
    value: { kind: "text", placeholder: "FILE" },
    help: "Where a daemon's standard error goes",
  },
  {
    name: "--watch-policies",
    variable: "KUBEWARDEN_WATCH_POLICIES",
    value: { kind: "boolean" },
    help: "Load the policies anew when the policies file changes (SIGHUP does so at any time)",
  },
  {
    name: "--policy-memory-limit-mib",
    variable: "KUBEWARDEN_POLICY_MEMORY_LIMIT_MIB",
    value: { kind: "text", placeholder: "MIB" },
    defaultText: "256",
    help: "How much memory one evaluation may use, from 1 to 4096 MiB",
  },
  {
    name: "--memory-limit-mib",
    variable: "KUBEWARDEN_MEMORY_LIMIT_MIB",
    value: { kind: "text", placeholder: "MIB" },
    help: "How much memory the whole process may use [default: the limit of its container]",
  },
  {
    name: "--serving-threads",
    variable: "KUBEWARDEN_SERVING_THREADS",
    value: { kind: "text", placeholder: "NUMBER" },
    help:
      "How many threads read requests and evaluate quick policies, from 0 (the main thread reads them all) " +
      "to 64 [default: as --workers, at most 8; 0 with fewer than 4 workers]",
  },
  {
    name: "--max-body-bytes",
    variable: "KUBEWARDEN_MAX_BODY_BYTES",
    value: { kind: "text", placeholder: "BYTES" },
    defaultText: "8388608",
    help: "Requests with a larger body are answered 413",
  },
] as const satisfies readonly Flag[];

/** The name of a flag of the table. */
export type FlagName = typeof TABLE[number]["name"];

/** All flags but `--help` and `--version`, in the order of the help. */
export const FLAGS: readonly (Flag & { readonly name: FlagName })[] = TABLE;
