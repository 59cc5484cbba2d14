/** What the command line and the environment ask of the policy server (spec/policy-server.md §1.2). */

/** Log levels, least important first. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error"] as const;
/** One of {@link LOG_LEVELS}. */
export type LogLevel = typeof LOG_LEVELS[number];

/** PEM files of the main listener. `clientCaFiles` is empty where clients need no certificate. */
export type TlsPaths = {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCaFiles: readonly string[];
};

/** Everything checked and converted; `null` where an optional value was not given. */
export type ServerOptions = {
  /** An IP address without brackets, as `listen` takes it. */
  readonly host: string;
  readonly port: number;
  readonly readinessProbePort: number;
  /** How many evaluations run at the same time, at least 1. */
  readonly workers: number;
  /** How many threads read requests and evaluate what is quick; 0: the main thread reads all of them, and evaluates nothing. */
  readonly servingThreads: number;
  /** Whether that number was asked for; otherwise they are fewer where memory is scarce. */
  readonly servingThreadsGiven: boolean;
  /** `null`: plain HTTP. */
  readonly tls: TlsPaths | null;
  readonly policiesPath: string;
  readonly policiesDownloadDir: string;
  readonly sourcesPath: string | null;
  readonly verificationPath: string | null;
  readonly sigstoreCacheDir: string;
  readonly sigstoreTrustConfigPath: string | null;
  /** A directory, despite the flag's name. */
  readonly dockerConfigJsonPath: string | null;
  readonly logLevel: LogLevel;
  readonly logFormat: "text" | "json" | "otlp";
  readonly enableMetrics: boolean;
  readonly enablePprof: boolean;
  /** Requests about this namespace are accepted unseen. */
  readonly alwaysAcceptNamespace: string | null;
  /** `null`: timeout protection is off, for policies with a timeout of their own too (spec/policy-server.md §18). */
  readonly policyTimeoutSeconds: number | null;
  readonly ignoreKubernetesConnectionFailure: boolean;
  readonly continueOnErrors: boolean;
  /** `null`: stay in the foreground. */
  readonly daemon: {
    readonly pidFile: string;
    readonly stdoutFile: string | null;
    readonly stderrFile: string | null;
  } | null;
  readonly watchPolicies: boolean;
  readonly policyMemoryLimitMib: number;
  /** `null`: what the container's limit says. */
  readonly memoryLimitMib: number | null;
  readonly maxBodyBytes: number;
};

/**
 * What to do: serve, print `text` to standard output and end with 0, write the command line's Markdown page `text` to
 * `path`, or print `text` to standard error and end with `exitCode` (2: wrong usage, 1: a wrong value;
 * spec/policy-server.md §1.3). Texts end
 * without a line break.
 */
export type OptionsOutcome =
  | { readonly kind: "run"; readonly options: ServerOptions }
  | { readonly kind: "help" | "version"; readonly text: string }
  | { readonly kind: "docs"; readonly path: string; readonly text: string }
  | { readonly kind: "error"; readonly text: string; readonly exitCode: 1 | 2 };

/** What the parser can't know by itself. */
export type OptionDefaults = {
  /** For `--workers`; a container's quota taken into account. */
  readonly cpus: number;
  /** For `--version`. */
  readonly version?: string;
  /** The Rego builtins that `--version` lists. */
  readonly regoBuiltins?: readonly string[];
};
