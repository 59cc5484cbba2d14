// The command line (spec/audit.md §2), and what ends a run before it begins.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { tlsOf } from "../../audit/apply/exchange.ts";
import { BOTH_SCOPES, parseFlags, usage } from "../../audit/render/flags.ts";
import type { AuditSettings } from "../../audit/types/settings.ts";
import { createAuthority } from "../cluster/certificates.ts";
import { programFile } from "../programs.ts";

const main = programFile("audit");

function settings(...args: string[]): AuditSettings {
  const parsed = parseFlags(args);
  if (parsed.kind !== "settings") throw new Error(JSON.stringify(parsed));
  return parsed.settings;
}
function problem(...args: string[]): string {
  const parsed = parseFlags(args);
  return parsed.kind === "problem" ? parsed.problem : `no problem: ${JSON.stringify(parsed)}`;
}

const DEFAULTS: AuditSettings = {
  namespace: undefined,
  clusterOnly: false,
  kubewardenNamespace: "kubewarden",
  policyServerUrl: undefined,
  logLevel: undefined,
  outputScan: false,
  ignoreNamespaces: [],
  insecureSsl: false,
  extraCa: undefined,
  clientCert: undefined,
  clientKey: undefined,
  disableStore: false,
  parallelNamespaces: 1,
  parallelResources: 100,
  parallelPolicies: 5,
  pageSize: 100,
  reportKind: "policyreport",
  incremental: false,
};

test("defaults; positional arguments are ignored", () => {
  assert.equal(settings(), DEFAULTS);
  assert.equal(settings("some", "-", "thing", "--", "--cluster"), DEFAULTS);
});

test("long and short forms, inline values, letters that stand together", () => {
  assert.equal(
    settings("-n", "a", "--kubewarden-namespace=kw", "-u", "https://h:1/x", "-l", "warn", "-of", "/ca"),
    {
      ...DEFAULTS,
      namespace: "a",
      kubewardenNamespace: "kw",
      policyServerUrl: "https://h:1/x",
      logLevel: "warning",
      outputScan: true,
      extraCa: "/ca",
    },
  );
  assert.equal(
    settings(
      "-na",
      "-o=false",
      "--page-size",
      "0",
      "--parallel-namespaces=3",
      "--disable-store",
      "--incremental",
    ),
    {
      ...DEFAULTS,
      namespace: "a",
      pageSize: 0,
      parallelNamespaces: 3,
      disableStore: true,
      incremental: true,
    },
  );
  assert.equal(
    settings(
      "--client-cert",
      "c",
      "--client-key",
      "k",
      "--report-kind",
      "openreports",
      "-c",
      "--insecure-ssl",
    ),
    {
      ...DEFAULTS,
      clientCert: "c",
      clientKey: "k",
      reportKind: "openreports",
      clusterOnly: true,
      insecureSsl: true,
    },
  );
});

test("namespaces to ignore: commas, quotes, repetition, nothing trimmed", () => {
  assert.equal(settings("-i", "a,b", "--ignore-namespaces", 'c,"d,e"," f"').ignoreNamespaces, [
    "a",
    "b",
    "c",
    "d,e",
    " f",
  ]);
  assert.equal(settings("-i", "").ignoreNamespaces, []);
});

test("levels and their other names", () => {
  for (
    const [text, level] of [
      ["debug", "debug"],
      ["trace", "debug"],
      ["info", "info"],
      ["warning", "warning"],
      ["error", "error"],
    ]
  ) {
    assert.is(settings("-l", text!).logLevel, level as never);
  }
  assert.match(problem("-l", "loud"), /^invalid log level: "loud"/);
});

test("what cannot be is said in one line", () => {
  assert.is(
    problem("--client-cert", "c"),
    "if any flags in the group [client-cert client-key] are set they must all be set; missing [client-key]",
  );
  assert.is(
    problem("--client-key", "k"),
    "if any flags in the group [client-cert client-key] are set they must all be set; missing [client-cert]",
  );
  assert.is(
    problem("--report-kind", "openreport"),
    "invalid report-kind 'openreport': supported values are 'openreports' and 'policyreport'",
  );
  for (const name of ["parallel-namespaces", "parallel-resources", "parallel-policies"]) {
    for (const value of ["0", "-1"]) assert.match(problem(`--${name}=${value}`), /it must be at least 1$/);
  }
  assert.match(problem("--page-size", "-5"), /it must be at least 0$/);
  assert.match(problem("--page-size", "many"), /^invalid argument "many" for "--page-size" flag/);
  assert.match(problem("--cluster=perhaps"), /^invalid argument "perhaps" for "-c, --cluster" flag/);
  assert.is(problem("--colour"), "unknown flag: --colour");
  assert.is(problem("-x"), "unknown shorthand flag: 'x' in -x");
  assert.is(problem("--namespace"), "flag needs an argument: --namespace");
  assert.is(problem("-n"), "flag needs an argument: 'n' in -n");
  assert.match(problem("-u", "nowhere"), /it is no URL$/);
});

test("a namespace beside --cluster is ignored with a note", () => {
  const parsed = parseFlags(["--cluster", "-n", "a"]);
  assert.equal(parsed.kind === "settings" ? [parsed.notes, parsed.settings.namespace] : [], [
    [BOTH_SCOPES],
    undefined,
  ]);
});

test("help names every flag", () => {
  assert.is(parseFlags(["-h"]).kind, "help");
  for (const name of ["namespace", "ignore-namespaces", "report-kind", "incremental", "page-size"]) {
    assert.ok(usage().includes(`--${name}`));
  }
});

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };
const run = (args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [main, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"], ...env },
    });
    let stdout = "", stderr = "";
    child.stdout.setEncoding("utf8").on("data", (part) => stdout += part);
    child.stderr.setEncoding("utf8").on("data", (part) => stderr += part);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });

test("every end of a process that cannot begin: one line on stderr, exit code 1", async () => {
  const folder = mkdtempSync(join(tmpdir(), "audit-flags-"));
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const empty = write("empty.pem", "nothing");
  const kubeconfig = write(
    "kubeconfig",
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "x",
      contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
      clusters: [{ name: "x", cluster: { server: "http://127.0.0.1:1" } }],
      users: [{ name: "x", user: {} }],
    }),
  );
  const encrypted = join(folder, "encrypted.pem");
  writeFileSync(
    encrypted,
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqG\n-----END ENCRYPTED PRIVATE KEY-----\n",
  );
  const env = { HOME: folder, KUBECONFIG: kubeconfig };
  try {
    const cases:
      readonly (readonly [args: readonly string[], env: Readonly<Record<string, string>>, says: RegExp])[] = [
        [["--report-kind", "x"], env, /^Error on cmd\.Execute\(\): invalid report-kind 'x'/],
        [
          ["-f", join(folder, "none")],
          env,
          /failed to create scanner: failed to read file ".*none" with CA cert: /,
        ],
        [["-f", empty], env, /failed to append cert to in-app RootCAs trust store/],
        [
          ["--client-cert", empty, "--client-key", empty],
          env,
          /failed to create scanner: loading client certificate: \S+ and \S+ are no certificate and its key in PEM: /,
        ],
        [
          ["--client-cert", encrypted, "--client-key", encrypted],
          env,
          /are no certificate and its key in PEM: the key is encrypted, which is not supported: decrypt it with `openssl/,
        ],
        [[], { HOME: folder, KUBECONFIG: join(folder, "none") }, /^Error on cmd\.Execute\(\): /],
        [[], env, /^Error on cmd\.Execute\(\): /],
      ];
    const ended = await Promise.all(cases.map(([args, env]) => run(args, env)));
    ended.forEach(({ code, stderr }, index) => {
      assert.is(code, 1, stderr);
      assert.match(stderr, cases[index]![2]);
      assert.is(stderr.trim().split("\n").length, 1, stderr);
    });
    const help = await run(["--help"], env);
    assert.equal([help.code, help.stdout, help.stderr], [0, usage(), ""]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("--extra-ca: a block that is no certificate spoils only itself, as in the original (x509.CertPool)", async () => {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-extra-ca-"));
  const file = join(folder, "ca.pem");
  const none = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const { cert } = await createAuthority("extra");
  try {
    for (const text of [`${none}${cert}`, `${cert}\n${none}`]) {
      writeFileSync(file, text);
      const { ca = [] } = tlsOf({ ...DEFAULTS, extraCa: file });
      assert.is(ca.at(-1), cert.trimEnd());
      assert.not.ok(ca.some((one) => one.includes("AAAA\n-----END")));
    }
    writeFileSync(file, none);
    assert.throws(
      () => tlsOf({ ...DEFAULTS, extraCa: file }),
      /failed to append cert to in-app RootCAs trust store: .*: it holds no PEM certificate that can be read$/,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
