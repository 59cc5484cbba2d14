// spec/policy-server.md §1.2, §1.3 and the fixes of §19 rows 10, 15, 16, 21.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseOptions } from "../../policy_server/render/parse_options.ts";
import { FLAGS } from "../../policy_server/types/flags.ts";
import type { OptionsOutcome, ServerOptions } from "../../policy_server/types/options.ts";

const parse = (argv: string, env: Record<string, string> = {}): OptionsOutcome =>
  parseOptions(argv === "" ? [] : argv.split(" "), env, {
    cpus: 2,
    version: "1.2.3",
    regoBuiltins: ["b", "a"],
  });

function run(argv: string, env: Record<string, string> = {}) {
  const outcome = parse(argv, env);
  if (outcome.kind !== "run") throw new Error(`${outcome.kind}: ${"text" in outcome ? outcome.text : ""}`);
  return outcome;
}

function refusal(argv: string, env: Record<string, string> = {}) {
  const outcome = parse(argv, env);
  if (outcome.kind !== "error") throw new Error(`${argv} gave ${outcome.kind}`);
  return outcome;
}

const DEFAULTS: ServerOptions = {
  host: "0.0.0.0",
  port: 3000,
  readinessProbePort: 8081,
  workers: 2,
  servingThreads: 0,
  servingThreadsGiven: false,
  tls: null,
  policiesPath: "policies.yml",
  policiesDownloadDir: ".",
  sourcesPath: null,
  verificationPath: null,
  sigstoreCacheDir: "sigstore-data",
  sigstoreTrustConfigPath: null,
  dockerConfigJsonPath: null,
  logLevel: "info",
  logFormat: "text",
  enableMetrics: false,
  enablePprof: false,
  alwaysAcceptNamespace: null,
  policyTimeoutSeconds: 2,
  ignoreKubernetesConnectionFailure: false,
  continueOnErrors: false,
  daemon: null,
  watchPolicies: false,
  policyMemoryLimitMib: 256,
  memoryLimitMib: null,
  maxBodyBytes: 8388608,
};

test("nothing given: the defaults", () => {
  assert.equal(run(""), { kind: "run", options: DEFAULTS });
});

/** Flag, variable, value, and what it makes of the options. */
const VALUES: readonly (readonly [string, string, string, Partial<ServerOptions>])[] = [
  ["--addr", "KUBEWARDEN_BIND_ADDRESS", "127.0.0.1", { host: "127.0.0.1" }],
  ["--addr", "KUBEWARDEN_BIND_ADDRESS", "[::]", { host: "::" }],
  ["--addr", "KUBEWARDEN_BIND_ADDRESS", "[::ffff:10.0.0.1]", { host: "::ffff:10.0.0.1" }],
  ["--port", "KUBEWARDEN_PORT", "8443", { port: 8443 }],
  ["--readiness-probe-port", "KUBEWARDEN_READINESS_PROBE_PORT", "9000", { readinessProbePort: 9000 }],
  ["--workers", "KUBEWARDEN_WORKERS", "7", { workers: 7, servingThreads: 7 }],
  ["--workers", "KUBEWARDEN_WORKERS", "30", { workers: 30, servingThreads: 8 }],
  ["--workers", "KUBEWARDEN_WORKERS", "3", { workers: 3 }],
  ["--serving-threads", "KUBEWARDEN_SERVING_THREADS", "2", { servingThreads: 2, servingThreadsGiven: true }],
  ["--policies", "KUBEWARDEN_POLICIES", "/config/policies.yml", { policiesPath: "/config/policies.yml" }],
  ["--policies-download-dir", "KUBEWARDEN_POLICIES_DOWNLOAD_DIR", "/tmp", { policiesDownloadDir: "/tmp" }],
  ["--sources-path", "KUBEWARDEN_SOURCES_PATH", "s.yml", { sourcesPath: "s.yml" }],
  ["--sigstore-cache-dir", "KUBEWARDEN_SIGSTORE_CACHE_DIR", "/s", { sigstoreCacheDir: "/s" }],
  ["--sigstore-trust-config", "KUBEWARDEN_SIGSTORE_TRUST_CONFIG_PATH", "t.json", {
    sigstoreTrustConfigPath: "t.json",
  }],
  ["--docker-config-json-path", "KUBEWARDEN_DOCKER_CONFIG_JSON_PATH", "/d", { dockerConfigJsonPath: "/d" }],
  ...(["trace", "debug", "info", "warn", "error"] as const).map((logLevel) =>
    ["--log-level", "KUBEWARDEN_LOG_LEVEL", logLevel, { logLevel }] as const
  ),
  ...(["text", "json", "otlp"] as const).map((logFormat) =>
    ["--log-fmt", "KUBEWARDEN_LOG_FMT", logFormat, { logFormat }] as const
  ),
  [
    "--always-accept-admission-reviews-on-namespace",
    "KUBEWARDEN_ALWAYS_ACCEPT_ADMISSION_REVIEWS_ON_NAMESPACE",
    "kubewarden",
    { alwaysAcceptNamespace: "kubewarden" },
  ],
  ["--policy-timeout", "KUBEWARDEN_POLICY_TIMEOUT", "0", { policyTimeoutSeconds: 0 }],
  ["--policy-memory-limit-mib", "KUBEWARDEN_POLICY_MEMORY_LIMIT_MIB", "64", { policyMemoryLimitMib: 64 }],
  ["--memory-limit-mib", "KUBEWARDEN_MEMORY_LIMIT_MIB", "512", { memoryLimitMib: 512 }],
  ["--max-body-bytes", "KUBEWARDEN_MAX_BODY_BYTES", "1000", { maxBodyBytes: 1000 }],
];

for (const [flag, variable, value, expected] of VALUES) {
  test(`${flag} ${value}, with a space, with =, and as ${variable}`, () => {
    const options = { ...DEFAULTS, ...expected };
    assert.equal(run(`${flag} ${value}`).options, options);
    assert.equal(run(`${flag}=${value}`).options, options);
    assert.equal(run("", { [variable]: value }).options, options);
  });
}

const BOOLEANS: readonly (readonly [string, string, keyof ServerOptions])[] = [
  ["--enable-metrics", "KUBEWARDEN_ENABLE_METRICS", "enableMetrics"],
  ["--enable-pprof", "KUBEWARDEN_ENABLE_PPROF", "enablePprof"],
  [
    "--ignore-kubernetes-connection-failure",
    "KUBEWARDEN_IGNORE_KUBERNETES_CONNECTION_FAILURE",
    "ignoreKubernetesConnectionFailure",
  ],
  ["--continue-on-errors", "KUBEWARDEN_CONTINUE_ON_ERRORS", "continueOnErrors"],
  ["--watch-policies", "KUBEWARDEN_WATCH_POLICIES", "watchPolicies"],
];

for (const [flag, variable, key] of BOOLEANS) {
  test(`${flag} and ${variable} take every spelling of true and false`, () => {
    assert.is(run(flag).options[key], true);
    for (const yes of ["true", "1", "yes", "on", "TRUE"]) {
      assert.is(run(`${flag}=${yes}`).options[key], true);
      assert.is(run("", { [variable]: yes }).options[key], true);
    }
    for (const no of ["false", "0", "no", "off", "False"]) {
      assert.is(run(`${flag}=${no}`).options[key], false);
      assert.is(run("", { [variable]: no }).options[key], false);
      assert.is(run(flag, { [variable]: no }).options[key], true, "the flag wins");
      assert.is(run(`${flag}=${no}`, { [variable]: "true" }).options[key], false, "the flag wins");
    }
    for (const bad of ["", "2", "maybe"]) {
      assert.is(refusal("", { [variable]: bad }).exitCode, 2);
      assert.match(refusal("", { [variable]: bad }).text, `(from the variable ${variable})`);
    }
    assert.is(refusal(`${flag}=maybe`).exitCode, 2);
    assert.match(refusal(`${flag} true`).text, "unexpected argument 'true' found");
  });
}

test("the table holds every flag of the chapter and ours, each with its own variable", () => {
  assert.is(FLAGS.length, 33);
  assert.is(new Set(FLAGS.map((flag) => flag.variable)).size, FLAGS.length);
});

test("the flag wins over its variable, also when the variable is bad", () => {
  assert.is(run("--port 1", { KUBEWARDEN_PORT: "2" }).options.port, 1);
  assert.is(run("--log-level warn", { KUBEWARDEN_LOG_LEVEL: "loud" }).options.logLevel, "warn");
});

test("NO_COLOR: any value is accepted", () => {
  for (const value of ["", "1", "true", "false", "whatever"]) run("", { NO_COLOR: value });
  run("--log-no-color");
  run("--log-no-color=false");
});

test("certificate and key give TLS, client CAs mTLS", () => {
  assert.equal(run("--cert-file c --key-file k").options.tls, {
    certFile: "c",
    keyFile: "k",
    clientCaFiles: [],
  });
  assert.equal(
    run("--client-ca-file a,b", { KUBEWARDEN_CERT_FILE: "c", KUBEWARDEN_KEY_FILE: "k" }).options.tls,
    { certFile: "c", keyFile: "k", clientCaFiles: ["a", "b"] },
  );
  for (const argv of ["--cert-file c", "--key-file k", "--cert-file c --client-ca-file a"]) {
    assert.equal(refusal(argv), {
      kind: "error",
      exitCode: 1,
      text: "Error: both certificate and key must be provided together",
    });
  }
  assert.equal(refusal("--client-ca-file a"), {
    kind: "error",
    exitCode: 1,
    text: "Error: client CA certificate requires server certificate and key to be specified",
  });
});

test("path-typed options refuse an empty value, flag or variable, and empty list items", () => {
  for (const flag of ["--cert-file", "--key-file", "--client-ca-file", "--sigstore-trust-config"]) {
    assert.is(refusal(`${flag}=`).exitCode, 2);
    assert.match(refusal(`${flag}=`).text, /^error: a value is required for '--[a-z-]+ <FILE/);
    const variable = FLAGS.find((f) => f.name === flag)?.variable ?? "";
    assert.is(refusal("", { [variable]: "" }).exitCode, 2);
  }
  assert.is(refusal("--cert-file c --key-file k --client-ca-file a,,b").exitCode, 2);
});

test("timeout protection off: the timeout is not even read", () => {
  assert.is(run("--disable-timeout-protection --policy-timeout x").options.policyTimeoutSeconds, null);
  assert.is(run("", { KUBEWARDEN_DISABLE_TIMEOUT_PROTECTION: "1" }).options.policyTimeoutSeconds, null);
});

test("an empty always-accept namespace accepts nothing", () => {
  const env = { KUBEWARDEN_ALWAYS_ACCEPT_ADMISSION_REVIEWS_ON_NAMESPACE: "" };
  assert.is(run("", env).options.alwaysAcceptNamespace, null);
});

test("daemon options", () => {
  assert.equal(run("--daemon").options.daemon, {
    pidFile: "policy-server.pid",
    stdoutFile: null,
    stderrFile: null,
  });
  assert.equal(
    run("--daemon --daemon-pid-file p --daemon-stdout-file o --daemon-stderr-file e").options.daemon,
    { pidFile: "p", stdoutFile: "o", stderrFile: "e" },
  );
});

test("at least one worker, however few CPUs there are", () => {
  const outcome = parseOptions([], {}, { cpus: 0.5 });
  assert.is(outcome.kind === "run" && outcome.options.workers, 1);
});

const VALUE_FAULTS: readonly (readonly [string, string])[] = [
  ...["localhost", "::", "1.2.3", "1.2.3.256", "01.2.3.4", "[::", "[1.2.3.4]", "[::1]:3000", ""].map((addr) =>
    [`--addr=${addr}`, "Error: error parsing arguments: invalid socket address syntax"] as const
  ),
  ...["65536", "x", "-0", "+1", "3.5", ""].flatMap((port) =>
    ["--port", "--readiness-probe-port"].map((flag) =>
      [`${flag}=${port}`, `Error: error parsing arguments: invalid socket address syntax (${flag}`] as const
    )
  ),
  ["--port 8081", "Error: --readiness-probe-port must differ from --port, both are 8081"],
  ["--workers 0", 'Error: error parsing the number of workers: at least one is needed (found "0")'],
  ["--workers=-1", "Error: error parsing the number of workers: invalid digit found in string"],
  ["--workers many", "Error: error parsing the number of workers: invalid digit found in string"],
  ["--workers=", "Error: error parsing the number of workers: cannot parse integer from empty string"],
  ["--policy-timeout 2s", "Error: invalid digit found in string (--policy-timeout"],
  ["--policy-timeout=-1", "Error: invalid digit found in string"],
  ["--policy-timeout 99999999999999999999", "Error: number too large to fit in target type"],
  [
    "--policy-memory-limit-mib 0",
    'Error: --policy-memory-limit-mib: expected a whole number from 1 to 4096, found "0"',
  ],
  ["--policy-memory-limit-mib 5000", "Error: --policy-memory-limit-mib: expected"],
  ["--serving-threads 65", "Error: --serving-threads: expected a whole number from 0 to 64"],
  ["--serving-threads many", "Error: --serving-threads: expected a whole number from 0 to 64"],
  ["--memory-limit-mib 63", "Error: --memory-limit-mib: expected a whole number from 64 to 1048576"],
  ["--memory-limit-mib=", "Error: --memory-limit-mib: expected a whole number from 64 to 1048576"],
  [
    "--max-body-bytes 8MiB",
    'Error: --max-body-bytes: expected a whole number from 1 to 1073741824, found "8MiB"',
  ],
];

for (const [argv, text] of VALUE_FAULTS) {
  test(`${argv} ends with 1`, () => {
    const fault = refusal(argv);
    assert.is(fault.exitCode, 1);
    assert.ok(fault.text.startsWith(text), fault.text);
  });
}

test("both listeners may ask the system for a port", () => {
  assert.is(run("--port 0 --readiness-probe-port 0").options.port, 0);
});

const USAGE_FAULTS: readonly (readonly [string, string])[] = [
  ["--prot 3000", "unexpected argument '--prot' found\n\n  tip: a similar argument exists: '--port'"],
  [
    "--enable-metric=1",
    "unexpected argument '--enable-metric' found\n\n  tip: a similar argument exists: '--enable-metrics'",
  ],
  ["--nothing-like-it", "unexpected argument '--nothing-like-it' found\n\nFor more"],
  ["serve", "unexpected argument 'serve' found"],
  ["--", "unexpected argument '--' found"],
  ["-p", "unexpected argument '-p' found"],
  ["--port 1 --port 2", "the argument '--port <PORT>' cannot be used multiple times"],
  ["--daemon --daemon", "the argument '--daemon' cannot be used multiple times"],
  [
    "--client-ca-file a --client-ca-file b",
    "the argument '--client-ca-file <FILE,...>' cannot be used multiple times",
  ],
  ["--port", "a value is required for '--port <PORT>' but none was supplied"],
  ["--port --daemon", "a value is required for '--port <PORT>' but none was supplied"],
  [
    "--log-level loud",
    "invalid value 'loud' for '--log-level <LEVEL>'\n  [possible values: trace, debug, info, warn, error]",
  ],
  ["--log-level INFO", "invalid value 'INFO'"],
  ["--log-fmt=", "invalid value '' for '--log-fmt <FORMAT>'\n  [possible values: text, json, otlp]"],
  ["docs", "the following required arguments were not provided:\n  --output <FILE>"],
  ["docs --output", "a value is required for '--output <FILE>' but none was supplied"],
  ["docs -o=", "unexpected argument '-o=' found"],
];

for (const [argv, text] of USAGE_FAULTS) {
  test(`${argv} is a usage error`, () => {
    const fault = refusal(argv);
    assert.is(fault.exitCode, 2);
    assert.ok(fault.text.startsWith(`error: ${text}`), fault.text);
    assert.ok(fault.text.endsWith("For more information, try '--help'."), fault.text);
  });
}

test("help names every flag but the hidden one, its variable and default", () => {
  for (const argv of ["--help", "-h", "help", "--port 1 --help", "docs --help"]) {
    assert.is(parse(argv).kind, "help");
  }
  const outcome = parse("--help");
  const text = "text" in outcome ? outcome.text : "";
  for (const flag of FLAGS) {
    assert.is(text.includes(`      ${flag.name}`), flag.name !== "--continue-on-errors", flag.name);
    if (flag.hidden !== true) assert.ok(text.includes(`[env: ${flag.variable}]`), flag.name);
  }
  assert.match(text, "[env: KUBEWARDEN_LOG_FMT] [default: text] [possible values: text, json, otlp]");
});

test("-V is one line, --version lists the builtins, sorted", () => {
  assert.equal(parse("-V"), { kind: "version", text: "policy-server 1.2.3" });
  assert.equal(parse("--version"), {
    kind: "version",
    text: "policy-server 1.2.3\n\nOpen Policy Agent/Gatekeeper implemented builtins:\n  - a\n  - b",
  });
});

test("docs gives a Markdown table of the flags", () => {
  for (const argv of ["docs --output F", "docs -o F", "docs --output=F", "--log-level debug docs -o F"]) {
    const outcome = parse(argv, { KUBEWARDEN_PORT: "bad" });
    if (outcome.kind !== "docs") throw new Error(outcome.kind);
    assert.is(outcome.path, "F");
    for (const flag of FLAGS) {
      assert.is(outcome.text.includes(`| \`${flag.variable}\` |`), flag.hidden !== true, flag.name);
    }
    assert.match(outcome.text, "| `--port <PORT>` | `KUBEWARDEN_PORT` | `3000` | Listen on this port |");
  }
});

test.run();
