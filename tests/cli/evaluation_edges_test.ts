// What is easily overlooked of run, test, explain and bench: which error wins, defaults, what must not pass, whose words are shown.
import { spawn } from "node:child_process";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { errorText } from "../../cli/render/error.ts";
import { type Folder, hostCallRequest, openFolder, policy } from "./folder.ts";

const ECHO = policy("tests/vectors/verdict-echo.wasm");
const HOST_CALLER = policy("tests/policies/host-caller/policy.wasm");
const LABELS = policy("policies/required-labels/policy.wasm");
const SECCOMP = policy("policies/default-seccomp/policy.wasm");
const REPLAY = "--replay-host-capabilities-interactions";
const RECORD = "--record-host-capabilities-interactions";
const QUICK = ["--warm-up-time=0.01", "--measurement-time=0.02", "--num-samples=5"];
const LOOKUP = { namespace: "net", operation: "v1/dns_lookup_host", payload: "localhost" };
/** Begins a colour, and a line that looks like a heading. */
const STEERING = "\u001b[31mred\nVerdict\u009b2J";

let folder: Folder;
test.before(() => {
  folder = openFolder();
  folder.file("ok.json", hostCallRequest(undefined));
  folder.file("dns.json", hostCallRequest(LOOKUP));
  folder.file(
    "session.yml",
    "- type: Exchange\n  request: |\n    !DNSLookupHost\n    host: localhost\n  response: {type: Success, payload: '{\"ips\":[]}'}\n",
  );
});
test.after(() => folder.remove());

const resource = (kind: string, spec: string, name = "named") =>
  `apiVersion: policies.kubewarden.io/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec:\n${spec}\n`;

const count = (text: string, part: string) => text.split(part).length - 1;

test("a request that is no JSON is told before anything is fetched", async () => {
  folder.file("junk.json", "{nope");
  const { exit, stderr } = await folder.run(["run", "registry://127.0.0.1:1/x:v1", "-r", "junk.json"]);
  assert.is(exit, 1);
  assert.match(stderr, /^Error: Error parsing request junk\.json: /);
  assert.not.match(stderr, /127\.0\.0\.1/);
});

test("a resource says no more than it needs to be evaluated", async () => {
  folder.file("short.yml", resource("ClusterAdmissionPolicy", `  module: file://${ECHO}`));
  folder.file(
    "short-group.yml",
    resource(
      "AdmissionPolicyGroup",
      `  expression: a()\n  message: no\n  policies: {a: {module: "file://${ECHO}", somethingNewer: 1}}`,
    ),
  );
  for (const file of ["short.yml", "short-group.yml"]) {
    const { exit, stdout, stderr } = await folder.run(["run", file, "-r", "ok.json"]);
    assert.is(exit, 0, stderr);
    assert.is(JSON.parse(stdout).allowed, true);
  }
  // Without `mutating` it may not mutate.
  folder.file("no-mutation.yml", resource("ClusterAdmissionPolicy", `  module: file://${SECCOMP}`));
  const request = policy("policies/default-seccomp/requests/no-context.json");
  const { stdout } = await folder.run(["run", "no-mutation.yml", "-r", request]);
  assert.is(JSON.parse(stdout).allowed, false);
  assert.match(stdout, /Request rejected by policy named\. The policy attempted to mutate the request/);
});

test("a module that changes what its metadata says it leaves alone gets a warning, once", async () => {
  const request = policy("policies/default-seccomp/requests/no-context.json");
  const metadata = (mutating: boolean) =>
    `rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]\nmutating: ${mutating}\n`;
  for (const mutating of [false, true]) {
    folder.file("mutation.yml", metadata(mutating));
    const made = await folder.run(["annotate", SECCOMP, "-m", "mutation.yml", "-o", "annotated.wasm"]);
    assert.is(made.exit, 0, made.stderr);
    folder.file("mutation-suite.yml", {
      policy: "annotated.wasm",
      cases: ["a", "b"].map((name) => ({ name, request, allowed: true })),
    });
    for (
      const words of [
        ["run", "annotated.wasm", "-r", request],
        ["explain", "annotated.wasm", "-r", request],
        [
          "test",
          "mutation-suite.yml",
        ],
      ]
    ) {
      const { exit, stderr } = await folder.run(words);
      assert.is(exit, 0, stderr);
      assert.is(
        count(stderr, "write mutating: true into the metadata"),
        mutating ? 0 : 1,
        `${words}: ${stderr}`,
      );
    }
  }
});

test("every field that the served resource has is taken; lists are taken apart, empty documents skipped", async () => {
  const spec = `  module: file://${ECHO}\n  allowInsideAdmissionControllerNamespace: true`;
  folder.file("field.yml", `---\n${resource("ClusterAdmissionPolicy", spec)}---\n`);
  const item = JSON.stringify({
    apiVersion: "policies.kubewarden.io/v1",
    kind: "AdmissionPolicy",
    spec: { module: `file://${ECHO}` },
  });
  folder.file("list.yml", `apiVersion: v1\nkind: List\nitems:\n- ${item}\n- ${item}\n`);
  const one = await folder.run(["run", `file://${folder.path}/field.yml`, "-r", "ok.json"]);
  assert.is(one.exit, 0, one.stderr);
  const two = await folder.run(["run", "list.yml", "-r", "ok.json"]);
  assert.is(count(two.stdout, "\n"), 2);
  assert.match(two.stderr, /WARN .*Multiple policies defined inside of the CRD file/);
});

test("a session that only looks small is refused by its name", async () => {
  const lines = ["a: &a [x,x,x,x,x,x,x,x,x]"];
  for (let index = 1; index < 9; index++) {
    const [name, last] = [index, index - 1].map((at) => String.fromCharCode(97 + at));
    lines.push(`${name}: &${name} [${Array(9).fill(`*${last}`).join(",")}]`);
  }
  folder.file("bomb.yml", lines.join("\n"));
  const { exit, stderr } = await folder.run(["run", HOST_CALLER, "-r", "dns.json", REPLAY, "bomb.yml"]);
  assert.is(exit, 1);
  assert.match(stderr, /^Error: Cannot parse the session file bomb\.yml: /m);
});

test("policies of one file share a recording, and each plays it from its beginning", async () => {
  const spec = `  module: file://${HOST_CALLER}`;
  const both = ["one", "two"].map((name) => resource("ClusterAdmissionPolicy", spec, name)).join("---\n");
  folder.file("both.yml", both);
  for (const command of ["run", "explain"]) {
    const recorded = await folder.run([command, "both.yml", "-r", "dns.json", RECORD, `${command}.yml`]);
    assert.is(recorded.exit, 0, recorded.stderr);
    assert.is(count(folder.read(`${command}.yml`), "!DNSLookupHost"), 2);
  }
  const replayed = await folder.run(["run", "both.yml", "-r", "dns.json", REPLAY, "session.yml"]);
  assert.is(count(replayed.stdout, '"message":"{\\"ips\\":[]}"'), 2);
  assert.not.match(replayed.stderr, /have not been replayed/);
});

test("bench rewinds a session without remarks", async () => {
  const { exit, stderr } = await folder.run([
    "bench",
    HOST_CALLER,
    "-r",
    "dns.json",
    REPLAY,
    "session.yml",
    ...QUICK,
  ]);
  assert.is(exit, 0, stderr);
  assert.not.match(stderr, /have not been replayed/);
});

test("an interrupted benchmark ends, with the code that shells know", async () => {
  const stop = new AbortController();
  const running = folder.run(["bench", ECHO, "-r", "ok.json", "--measurement-time=600"], {
    signal: stop.signal,
    onOutput: () => stop.abort(),
  });
  assert.is((await running).exit, 130);
});

test("Ctrl-C ends a command that waits for its request", async () => {
  folder.file("waiting.yml", resource("ClusterAdmissionPolicy", `  module: file://${ECHO}`));
  const words = ["run", "waiting.yml", "--settings-json", "{}", "-r", "-"];
  const child = spawn(process.execPath, [policy("cli/main.ts"), ...words], {
    cwd: folder.path,
    env: { HOME: folder.home },
    stdio: "pipe",
  });
  // What it says last before it reads.
  for await (const piece of child.stderr) if (String(piece).includes("settings flags are ignored")) break;
  const ended = new Promise<number | null>((settle) => child.on("exit", settle));
  child.kill("SIGINT");
  assert.is(await ended, 130);
});

test("another runtime measures the same request with the same flags", async () => {
  const script = policy("cli/main.ts");
  const before = process.argv[1]!;
  process.argv[1] = script;
  try {
    const { exit, stdout, stderr } = await folder.run(
      [
        "bench",
        HOST_CALLER,
        "-r",
        "-",
        ...QUICK,
        REPLAY,
        "session.yml",
        "--allowed-host-capabilities",
        "net/*",
        `--against-runtime=${process.execPath}`,
      ],
      { stdin: JSON.stringify(hostCallRequest(LOOKUP)), env: { PATH: process.env["PATH"] ?? "" } },
    );
    assert.is(exit, 0, stderr);
    assert.match(stdout, /^validate:\n\t.*\tmean .*\n\t.*\tmean .*\n\tratio\tmean [\d.]+\tp50/m);
  } finally {
    process.argv[1] = before;
  }
  const missing = await folder.run([
    "bench",
    ECHO,
    "-r",
    "ok.json",
    ...QUICK,
    "--against-runtime=/nowhere/x",
  ]);
  assert.is(missing.exit, 1);
  assert.match(missing.stderr, /^Error: /m);
});

test("explain shows others' words as words", async () => {
  folder.file(
    "steer.json",
    hostCallRequest(undefined, {
      uid: STEERING,
      object: {
        metadata: { annotations: { verdict: JSON.stringify({ accepted: false, message: STEERING }) } },
      },
    }),
  );
  const { exit, stdout } = await folder.run(["explain", ECHO, "-r", "steer.json"]);
  assert.is(exit, 0);
  // deno-lint-ignore no-control-regex
  assert.not.match(stdout, /[\u001b\u009b]/);
  assert.is(stdout.split("\n").filter((line) => line.startsWith("Verdict")).length, 1);
});

test("errors keep line breaks and tabs of others' words, and nothing that steers the terminal", () => {
  assert.is(
    errorText(new Error("a\n\tb\u001b[2J", { cause: new Error("c\u009b") })),
    "Error: a\n\tb\\u{1b}[2J\n\nCaused by:\n    c\\u{9b}\n",
  );
});

test("explain tells which member of a group calls", async () => {
  folder.file(
    "callers.yml",
    resource(
      "ClusterAdmissionPolicyGroup",
      `  expression: first() && second()\n  message: no\n  policies:\n    first: {module: "file://${HOST_CALLER}"}\n` +
        `    second: {module: "file://${HOST_CALLER}"}`,
    ),
  );
  const { stdout, stderr } = await folder.run(["explain", "callers.yml", "-r", "dns.json"]);
  assert.match(stdout, /^ {2}1\. first: net\/v1\/dns_lookup_host "localhost"$/m, stderr);
  assert.match(stdout, /^ {2}2\. second: net\/v1\/dns_lookup_host "localhost"$/m);
});

const outcome = (suite: object) => folder.run(["test", folder.file("suite.yml", suite)]);

test("what a case expects is looked at, or the case does not pass", async () => {
  const settings = { required: ["owner"] };
  const blind = await outcome({ policy: LABELS, settings, cases: [{ name: "blind", allowed: false }] });
  assert.is(blind.exit, 1);
  assert.match(blind.stderr, /suite\.yml: "blind": allowed is expected of a request, and there is none/);
  const refused = await outcome({
    policy: LABELS,
    cases: [{ name: "refused", settings: {}, settingsValid: false, request: "ok.json", allowed: false }],
  });
  assert.is(refused.exit, 1);
  assert.match(refused.stdout, /FAIL {2}refused .*\n +allowed is expected, but with these settings nothing/);
});

test("members stand in any order; patterns that are none are told with their place", async () => {
  const request = policy("policies/default-seccomp/requests/no-context.json");
  const value = { seccompProfile: { type: "RuntimeDefault" } };
  const ordered = await outcome({
    policy: SECCOMP,
    cases: [{ name: "order", request, patch: [{ value, path: "/spec/securityContext", op: "add" }] }],
  });
  assert.is(ordered.exit, 0, ordered.stdout);
  const pattern = await outcome({
    policy: SECCOMP,
    cases: [{ name: "pattern", request, message: { matches: "(" } }],
  });
  assert.is(pattern.exit, 1);
  assert.match(
    pattern.stderr,
    /^Error: .*suite\.yml: "pattern": message: matches: Invalid regular expression/,
  );
});

test("a report beside the watched suite is no reason to judge again", async () => {
  const path = folder.file("watched.yml", { policy: LABELS, cases: [{ name: "a", settingsValid: false }] });
  const stop = new AbortController();
  let output = "";
  const running = folder.run(["test", path, "--watch", "--junit", "report.xml"], {
    signal: stop.signal,
    onOutput(text) {
      output += text;
      // The first run's report was written before it waits; if that woke it, what this changes is seen third.
      if (count(output, "waiting for changes") === 1 && text.includes("waiting")) {
        folder.file("watched.yml", { policy: LABELS, cases: [{ name: "b", settingsValid: false }] });
      }
      if (count(output, "waiting for changes") === 2) stop.abort();
    },
  });
  await running;
  assert.match(output, /PASS {2}a[^]*PASS {2}b/);
  assert.is(count(output, "PASS  a"), 1);
  assert.match(folder.read("report.xml"), /name="b"/);
});

test.run();
