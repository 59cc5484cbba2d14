// `reeve run`: requests, settings, custom resources, groups, modes, and what is said of input that can't be used.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Folder, hostCallRequest, openFolder, policy } from "./folder.ts";

const HOST_CALLER = policy("tests/policies/host-caller/policy.wasm");
const LABELS = policy("policies/required-labels/policy.wasm");
const OPA = policy("tests/policies/opa-labels/policy.wasm");
const ECHO = policy("tests/vectors/verdict-echo.wasm");
const REQUEST = hostCallRequest(undefined);
const API = "apiVersion: policies.kubewarden.io/v1";

let folder: Folder;
test.before(() => {
  folder = openFolder();
  folder.file("ok.json", REQUEST);
});
test.after(() => folder.remove());

const answer = (stdout: string) =>
  JSON.parse(stdout) as Record<string, unknown> & { status?: Record<string, unknown> };

/** A single policy's resource. */
const resource = (kind: string, spec: string) =>
  `${API}\nkind: ${kind}\nmetadata: {name: named}\nspec:\n${spec}\n`;
const RULES = '  rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]';

async function refused(words: readonly string[], text: string | RegExp): Promise<void> {
  const { exit, stdout, stderr } = await folder.run(words);
  assert.is(exit, 1, stderr);
  assert.is(stdout, "");
  if (typeof text === "string") assert.is(stderr, `Error: ${text}\n`);
  else assert.match(stderr, text);
  assert.not.match(stderr, /^\s+at /m, "no stack trace");
}

test("a review, a bare request, standard input, and a mark before the text are one request", async () => {
  const review = { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: REQUEST };
  folder.file("review.json", review);
  folder.file("marked.json", `\ufeff${JSON.stringify(REQUEST)}`);
  for (const path of ["ok.json", "review.json", "marked.json"]) {
    const { exit, stdout } = await folder.run(["run", ECHO, "-r", path]);
    assert.is(exit, 0);
    assert.is(answer(stdout)["uid"], "1");
  }
  const { stdout } = await folder.run(["run", ECHO, "-r", "-"], { stdin: JSON.stringify(REQUEST) });
  assert.is(answer(stdout)["uid"], "1");
});

test("requests that are none are refused in words", async () => {
  folder.file("text.json", "not json");
  folder.file("list.json", "[1]");
  folder.file("empty-review.json", { kind: "AdmissionReview" });
  const { operation: _, ...incomplete } = REQUEST as { operation: string };
  folder.file("incomplete.json", incomplete);
  folder.file("binary.json", new Uint8Array([0xff, 0xfe, 0x00]));
  await refused(
    ["run", ECHO, "-r", "absent.json"],
    /^Error: Error opening request file absent.json; No such file or/,
  );
  await refused(["run", ECHO, "-r", "text.json"], /^Error: Error parsing request text\.json: /);
  await refused(
    ["run", ECHO, "-r", "binary.json"],
    "Error parsing request binary.json: it is not UTF-8: save it as UTF-8",
  );
  folder.file("pods.json", '[{"apiVersion":"v1","kind":"Pod"}]');
  folder.file("if.yml", "{{- if .Values.x }}\napiVersion: v1\nkind: Pod\n{{- end }}\n");
  folder.file("values.yml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Values.name }}\n");
  for (const name of ["if.yml", "values.yml"]) {
    await refused(
      ["run", ECHO, "-r", name],
      /^Error: Error parsing request (?:if|values)\.yml.* \(it looks like a template: render it first, as `helm template` does\)/,
    );
  }
  await refused(
    ["run", ECHO, "-r", "list.json"],
    /^Error: Invalid request object: it is a list, give its objects .* \(list\.json\)/,
  );
  await refused(
    ["run", ECHO, "-r", "pods.json"],
    /^Error: Invalid request object: it is a list, .* \(pods\.json\)/,
  );
  await refused(
    ["run", ECHO, "-r", "empty-review.json"],
    "invalid AdmissionReview object (empty-review.json)",
  );
  for (
    const [more, says] of [
      ["metadata: {name: 7}", "metadata.name must be a string, it is a number"],
      ["metadata: {namespace: [a]}", "metadata.namespace must be a string, it is a list"],
      ["metadata: [a]", "metadata must be a map, it is a list"],
    ] as const
  ) {
    folder.file("number.yml", `apiVersion: v1\nkind: Pod\n${more}\n`);
    await refused(["run", ECHO, "-r", "number.yml"], `Error parsing request number.yml: ${says}`);
  }
  folder.file("number.yml", "apiVersion: v1\nkind: Pod\nmetadata: {name: null, namespace: null}\n");
  assert.is((await folder.run(["run", ECHO, "-r", "number.yml"])).exit, 0);
  await refused(
    ["run", ECHO, "-r", "incomplete.json"],
    /^Error: cannot build AdmissionRequest object from given input: missing field `operation`.* \(incomplete\.json\)/,
  );
});

test("settings keep their numbers' form, and a file wins over the flag", async () => {
  folder.file("settings.yml", "required: [owner]\n");
  const words = ["run", LABELS, "-r", "ok.json", "--settings-json", '{"required":["other"]}'];
  assert.match((await folder.run(words)).stdout, /label \\"other\\" is required/);
  assert.match((await folder.run([...words, "-s", "settings.yml"])).stdout, /label \\"owner\\" is required/);
  await refused(
    ["run", LABELS, "-r", "ok.json", "--settings-json", "{"],
    /^Error: Cannot parse settings JSON: /,
  );
  folder.file("broken.yml", "a: [\n");
  await refused(
    ["run", LABELS, "-r", "ok.json", "-s", "broken.yml"],
    /^Error: Cannot parse settings file broken\.yml: /,
  );
  await refused(
    ["run", LABELS, "-r", "ok.json"],
    /^Error: Provided settings are not valid: nothing to check/,
  );
});

test("the mode has to agree with the module and its metadata", async () => {
  await refused(["run", LABELS, "-e", "wasi", "-r", "ok.json"], /the policy's metadata says kubewarden-wapc/);
  await refused(["run", OPA, "-e", "gatekeeper", "-r", "ok.json"], /the policy's metadata says opa/);
  const bare = policy("tests/policies/wasi-probe/policy.wasm");
  assert.is((await folder.run(["run", OPA, "-e", "opa", "-r", "ok.json"])).exit, 0);
  await refused(["run", bare, "-e", "opa", "-r", "ok.json"], /^Error: The policy/);
});

test("custom resources: mode, mutation and message count; each policy answers on its own line", async () => {
  const mutate = hostCallRequest(undefined, { object: { metadata: { name: "p" } } });
  folder.file("bare.json", mutate);
  folder.file(
    "all.yaml",
    [
      resource(
        "ClusterAdmissionPolicy",
        `  module: file://${LABELS}\n  settings: {required: [owner]}\n  mutating: false\n${RULES}`,
      ),
      resource(
        "AdmissionPolicy",
        `  module: file://${LABELS}\n  settings: {required: [owner]}\n  mode: monitor\n  mutating: false\n${RULES}`,
      ),
      resource(
        "ClusterAdmissionPolicy",
        `  module: file://${LABELS}\n  settings: {required: [owner]}\n  message: ask the owners\n  mutating: false\n${RULES}`,
      ),
      // What the served resource knows is no error, nor is an empty document at the end.
      resource(
        "ClusterAdmissionPolicy",
        `  module: file://${ECHO}\n  allowInsideAdmissionControllerNamespace: true\n  mutating: true\n${RULES}`,
      ),
      "",
    ].join("---\n"),
  );
  const { exit, stdout, stderr } = await folder.run(["run", "all.yaml", "-r", "bare.json"]);
  assert.is(exit, 0, stderr);
  const [rejected, monitored, renamed, echoed] = stdout.trimEnd().split("\n").map(answer);
  assert.is(rejected!["allowed"], false);
  assert.is(monitored!["allowed"], true);
  assert.is(monitored!.status, undefined);
  assert.is(renamed!.status!["message"], "ask the owners");
  assert.match(JSON.stringify(renamed!.status), /label \\\\\\"owner|label \\"owner/);
  assert.is(echoed!["allowed"], true);
  assert.match(stderr, /WARN .*Multiple policies defined/);
  assert.match(stderr, /policy evaluation \(monitor mode\)/);
});

test("a List of resources is taken apart, a file: URI is opened", async () => {
  const item = (name: string) => ({
    apiVersion: "policies.kubewarden.io/v1",
    kind: "ClusterAdmissionPolicy",
    metadata: { name },
    spec: { module: `file://${ECHO}`, mutating: false, rules: [] },
  });
  const list = folder.file("list.yaml", { apiVersion: "v1", kind: "List", items: [item("a"), item("b")] });
  const { exit, stdout, stderr } = await folder.run(["run", `file://${list}`, "-r", "ok.json"]);
  assert.is(exit, 0, stderr);
  assert.is(stdout.trimEnd().split("\n").length, 2);
});

test("YAML that is no policy is refused in words", async () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ["version.yml", "apiVersion: v1\nkind: Pod\n", /^Error: invalid apiVersion Some\("v1"\)/],
    ["none.yml", "a: 1\n", /^Error: invalid apiVersion None/],
    [
      "kind.yml",
      `${API}\nkind: PolicyServer\n`,
      /^Error: unknown kind Some\("PolicyServer"\), not a Kubewarden policy/,
    ],
    ["text.yml", "just text\n", /^Error: cannot extract ObjectReference: /],
    [
      "spec.yml",
      `${API}\nkind: AdmissionPolicy\n`,
      /^Error: CRD does not have spec, but it is required for AdmissionPolicy/,
    ],
    ["broken.yaml", "a: [\n", /^Error: Cannot parse YAML file "broken\.yaml": .* at line \d+ column \d+/],
    ["nothing.yaml", "---\n---\n", /^Error: Cannot parse YAML file "nothing\.yaml": it defines no policy/],
    [
      "unknown.yml",
      resource("ClusterAdmissionPolicy", `  module: x\n  mutating: false\n  modul: y\n${RULES}`),
      /^Error: cannot parse value into ClusterAdmissionPolicy: unknown field `modul`/,
    ],
    [
      "type.yml",
      resource("ClusterAdmissionPolicy", `  module: 7\n  mutating: false\n${RULES}`),
      /^Error: cannot parse value into ClusterAdmissionPolicy: spec\.module: invalid type: integer, expected string/,
    ],
    [
      "missing.yml",
      resource("ClusterAdmissionPolicy", `  mutating: false\n${RULES}`),
      /^Error: cannot parse value into ClusterAdmissionPolicy: missing field `module`/,
    ],
  ];
  for (const [name, text, error] of cases) {
    folder.file(name, text);
    await refused(["run", name, "-r", "ok.json"], error);
  }
  folder.file(
    "second.yml",
    `${
      resource("ClusterAdmissionPolicy", `  module: "file://${ECHO}"\n  mutating: false\n${RULES}`)
    }\n---\n${API}\nkind: Pod\n`,
  );
  await refused(
    ["run", "second.yml", "-r", "ok.json"],
    /^Error: unknown kind Some\("Pod"\), not a Kubewarden policy \(second\.yml line \d+\)/,
  );
  await refused(
    ["run", "absent.yml", "-r", "ok.json"],
    /^Error: Cannot open YAML file "absent\.yml": No such file/,
  );
  await refused(
    ["run", "version.yml", "--raw", "-r", "ok.json"],
    /^Error: The --raw option cannot be used with a YAML/,
  );
});

test("what 1.36 passes over in a custom resource is told, with its place", async () => {
  const policy = (more: string) =>
    resource("ClusterAdmissionPolicy", `  module: "file://${ECHO}"\n  mutating: false\n${more}${RULES}`);
  const group = (member: string) =>
    resource(
      "ClusterAdmissionPolicyGroup",
      `  expression: "a()"\n  message: no\n  policies:\n    a: {module: "file://${ECHO}", ${member}}\n${RULES}`,
    );
  const rows: readonly (readonly [string, RegExp | undefined])[] = [
    [group("setings: {a: 1}"), /spec\.policies\.a: unknown field `setings`, expected one of .*`settings`/],
    [group("mode: monitor"), /spec\.policies\.a: unknown field `mode`/],
    [group("contextAwareResources: {}"), /a\.contextAwareResources: invalid type: map, expected array/],
    [group("settings: {setings: {a: [null]}}"), undefined],
    [group("contextAwareResources: null, settings: null"), undefined],
    [
      policy("  contextAwareResources: [Pod]\n"),
      /contextAwareResources\[0\]: invalid type: string, expected object/,
    ],
    [policy("  contextAwareResources: [{apiversion: v1, kind: Pod}]\n"), /\[0\]: unknown field `apiversion`/],
    [
      policy("  namespaceSelector: {matchLabel: {a: b}}\n"),
      /spec\.namespaceSelector: unknown field `matchLabel`/,
    ],
    [
      policy("  objectSelector: {matchLabels: {a: 1}}\n"),
      /matchLabels\.a: invalid type: integer, expected string/,
    ],
    [policy("  matchConditions: [{name: a, constructor: b}]\n"), /\[0\]: unknown field `constructor`/],
    [`${policy("")}\nsettings: {a: 1}\n`, /ClusterAdmissionPolicy: unknown field `settings`/],
    [policy(""), undefined],
  ];
  for (const [text, warning] of rows) {
    folder.file("passed.yml", text);
    const { exit, stderr } = await folder.run(["run", "passed.yml", "-r", "ok.json"]);
    assert.is(exit, 0, `${text}${stderr}`);
    if (warning === undefined) assert.not.match(stderr, "passed over", text);
    else {
      assert.match(stderr, warning);
      assert.match(stderr, /WARN .*: passed over, correct or remove it \(passed\.yml line 1\)/);
    }
  }
});

test("groups: lazy members, causes, mutation, and a bad expression", async () => {
  const group = (expression: string) =>
    resource(
      "ClusterAdmissionPolicyGroup",
      [
        `  expression: "${expression}"`,
        "  message: the group says no",
        "  policies:",
        `    owned: {module: "file://${LABELS}", settings: {required: [owner]}}`,
        `    named: {module: "file://${LABELS}", settings: {required: [name]}}`,
        `    rego: {module: "file://${OPA}"}`,
        RULES,
      ].join("\n"),
    );
  folder.file(
    "labelled.json",
    hostCallRequest(undefined, { object: { metadata: { labels: { owner: "a" } } } }),
  );
  folder.file("group.yml", group("owned() || named()"));
  assert.is(answer((await folder.run(["run", "group.yml", "-r", "labelled.json"])).stdout)["allowed"], true);
  const { stdout } = await folder.run(["run", "group.yml", "-r", "ok.json"]);
  const { status } = answer(stdout);
  assert.is(status!["message"], "the group says no");
  assert.equal((status!["details"] as { causes: { field: string }[] }).causes.map(({ field }) => field), [
    "spec.policies.owned",
    "spec.policies.named",
  ]);
  folder.file("bad-group.yml", group("owned() and other()"));
  await refused(
    ["run", "bad-group.yml", "-r", "ok.json"],
    /^Error: Provided settings are not valid: named: /,
  );
});

test("host capabilities: patterns, all, none, and what is no pattern", async () => {
  folder.file(
    "dns.json",
    hostCallRequest({ namespace: "net", operation: "v1/dns_lookup_host", payload: "localhost" }),
  );
  const run = (...words: string[]) => folder.run(["run", HOST_CALLER, "-r", "dns.json", ...words]);
  assert.is(answer((await run()).stdout)["allowed"], true);
  assert.is(answer((await run("--allowed-host-capabilities", "net/*")).stdout)["allowed"], true);
  for (const patterns of [["oci/*"], []]) {
    const { exit, stdout } = await run("--allowed-host-capabilities", ...patterns);
    assert.is(exit, 0);
    assert.is(answer(stdout)["allowed"], false);
    assert.match(stdout, /has not been granted access to the 'net\/v1\/dns_lookup_host' host capability/);
  }
  await refused(
    ["run", HOST_CALLER, "-r", "dns.json", "--allowed-host-capabilities", "oci*"],
    /^Error: Invalid host capabilities pattern: invalid pattern "oci\*": wildcard/,
  );
});

test("without a grant the cluster is not asked, and without a cluster that is what the policy hears", async () => {
  folder.file(
    "get.json",
    hostCallRequest({
      namespace: "kubernetes",
      operation: "get_resource",
      payload: { api_version: "v1", kind: "Namespace", name: "default" },
    }),
  );
  const { exit, stdout } = await folder.run(["run", HOST_CALLER, "-r", "get.json"]);
  assert.is(exit, 0);
  assert.match(stdout, /kube::Client was not initialized properly/);
});

test("what a policy prints can neither forge a line nor steer the terminal", async () => {
  folder.file(
    "forge.json",
    hostCallRequest(undefined, { object: { metadata: { annotations: { do: "forge" } } } }),
  );
  const { stderr } = await folder.run([
    "run",
    policy("tests/policies/logger/policy.wasm"),
    "-r",
    "forge.json",
  ]);
  for (const line of stderr.trimEnd().split("\n")) {
    assert.match(line, /^TIME\s+(INFO|WARN|ERROR|DEBUG) reeve: /);
  }
  assert.not.ok(stderr.includes("\u001b"));
});

test("a policy that never ends is stopped", async () => {
  folder.file(
    "loop.json",
    hostCallRequest(undefined, { object: { metadata: { annotations: { do: "tight" } } } }),
  );
  const { exit, stdout } = await folder.run([
    "run",
    policy("tests/policies/loop/policy.wasm"),
    "-r",
    "loop.json",
  ]);
  assert.is(exit, 0);
  assert.match(stdout, /exceeded the allowed execution time/);
});

test("modules that are none, and that want a newer Kubewarden", async () => {
  folder.file("bad.wasm", "not wasm");
  await refused(["run", "bad.wasm", "-r", "ok.json"], /^Error: /);
  await refused(["run", "registry://127.0.0.1:1/x:v1", "-r", "ok.json"], /^Error: .*127\.0\.0\.1:1/m);
  await refused(
    ["run", "ftp://x/y", "-r", "ok.json"],
    /^Error: unknown scheme: ftp|^Error: Unknown scheme: ftp/,
  );
});

test.run();
