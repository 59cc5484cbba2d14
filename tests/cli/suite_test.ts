// `reeve test`: suites, declared contexts, reports, exit codes, and watching.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readSuite } from "../../cli/apply/read_suite.ts";
import { matchesLabels } from "../../cli/render/declared_answers.ts";
import { type Folder, openFolder, policy } from "./folder.ts";

const HOST_CALLER = policy("tests/policies/host-caller/policy.wasm");
const LABELS = policy("policies/required-labels/policy.wasm");
const OPA = policy("tests/policies/opa-context/policy.wasm");

let folder: Folder;
test.before(() => void (folder = openFolder()));
test.after(() => folder.remove());

/** A request from which host-caller takes its call. */
const asking = (call: object) => ({
  uid: "1",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  operation: "CREATE",
  userInfo: {},
  object: { metadata: { annotations: { "host-call": JSON.stringify(call) } } },
});
const POD = { ...asking({}), object: { metadata: { name: "p" } } };
const GET = (name: string, namespace?: string) =>
  asking({
    namespace: "kubernetes",
    operation: "get_resource",
    payload: { api_version: "v1", kind: "ConfigMap", name, ...(namespace && { namespace }) },
  });
const LIST = (label_selector?: string) =>
  asking({
    namespace: "kubernetes",
    operation: "list_resources_all",
    payload: { api_version: "v1", kind: "ConfigMap", label_selector },
  });
const map = (name: string, labels: object = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "n", labels },
});
/** Host-caller, granted ConfigMaps. */
const granted = (kinds = ["ConfigMap"]) => ({
  apiVersion: "policies.kubewarden.io/v1",
  kind: "ClusterAdmissionPolicy",
  metadata: { name: "caller" },
  spec: {
    module: `file://${HOST_CALLER}`,
    mutating: false,
    rules: [],
    contextAwareResources: kinds.map((kind) => ({ apiVersion: "v1", kind })),
  },
});

async function outcome(suite: object, ...words: string[]) {
  const path = folder.file("suite.yml", suite);
  return await folder.run(["test", path, ...words]);
}

test("what is as expected passes, what is not fails and says what was found", async () => {
  const { exit, stdout } = await outcome({
    policy: LABELS,
    settings: { required: ["owner"] },
    cases: [
      { name: "good", request: POD, allowed: false, message: { contains: "is required" }, code: 422 },
      { name: "pattern", request: POD, message: { matches: "^label .* is required$" } },
      { name: "bad", request: POD, allowed: true, code: 400 },
      {
        name: "settings",
        settings: {},
        settingsValid: false,
        settingsMessage: { contains: "nothing to check" },
      },
      { name: "unexpected refusal", settings: {}, request: POD, allowed: true },
    ],
  });
  assert.is(exit, 1);
  assert.match(stdout, /PASS {2}good/);
  assert.match(stdout, /PASS {2}pattern/);
  assert.match(stdout, /FAIL {2}bad .*\n +allowed is false, expected true\n +code is 422, expected 400\n/);
  assert.match(stdout, /PASS {2}settings/);
  assert.match(stdout, /FAIL {2}unexpected refusal .*\n +the settings are refused: nothing to check/);
  assert.match(stdout, /\n3 passed, 2 failed\n$/);
  assert.not.ok(stdout.includes("\u001b"), "no colours but on a terminal");
});

test("a folder's suite.yml, several suites, a filter, and JUnit", async () => {
  const suites = ["pod-privileged", "raw-quota", "required-labels", "default-seccomp"].map((name) =>
    policy(`policies/${name}`)
  );
  const { exit, stdout, stderr } = await folder.run(["test", ...suites, "--junit", "all.xml"]);
  assert.is(exit, 0, stdout + stderr);
  assert.is(stderr, "");
  const xml = folder.read("all.xml");
  const count = Number(/(\d+) passed, 0 failed/.exec(stdout)![1]);
  assert.is([...xml.matchAll(/<testcase /g)].length, count);
  assert.match(xml, new RegExp(`<testsuites tests="${count}" failures="0"`));
  const one = await folder.run(["test", suites[2]!, "--filter", "misspelt"]);
  assert.match(one.stdout, /1 passed, 0 failed/);
  const none = await folder.run(["test", suites[2]!, "--filter", "no such case"]);
  assert.is(none.exit, 1);
  assert.match(none.stderr, /^Error: no case has "no such case" in its name/);
});

test("a failure in JUnit is escaped", async () => {
  await outcome(
    {
      policy: LABELS,
      settings: { required: ["a"] },
      cases: [{ name: '<&">', request: POD, message: "<no>\u0000" }],
    },
    "--junit",
    "bad.xml",
  );
  const xml = folder.read("bad.xml");
  assert.match(xml, /name="&lt;&amp;&quot;&gt;"/);
  assert.match(xml, /<failure message="message is .* expected &quot;&lt;no&gt;/);
  assert.not.ok(xml.includes("\u0000"));
});

test("declared objects answer get and list, with label selectors; grants still count", async () => {
  folder.file("caller.yml", granted());
  const { exit, stdout } = await outcome({
    policy: "caller.yml",
    context: { objects: [map("a", { app: "x", tier: "web" }), map("b", { app: "y" })] },
    cases: [
      { name: "get", request: GET("a", "n"), allowed: true, message: { contains: '"name":"a"' } },
      {
        name: "elsewhere",
        request: GET("a", "m"),
        allowed: false,
        message: { contains: "named 'a' inside of namespace" },
      },
      { name: "list", request: LIST(), message: { matches: '"name":"a".*"name":"b"' } },
      {
        name: "selected",
        request: LIST("app in (y, z),!tier"),
        message: { matches: '"items":\\[\\{[^\\]]*"name":"b"[^\\]]*\\]' },
      },
      { name: "none", request: LIST("app=q"), message: { contains: '"items":[]' } },
      {
        name: "another context",
        context: { objects: [] },
        request: LIST(),
        message: { contains: '"items":[]' },
      },
    ],
  });
  assert.is(exit, 0, stdout);
  folder.file("caller.yml", granted([]));
  const refused = await outcome({
    policy: "caller.yml",
    context: { objects: [map("a")] },
    cases: [{
      name: "refused",
      request: GET("a", "n"),
      message: { contains: "has not been granted access" },
    }],
  });
  assert.is(refused.exit, 0, refused.stdout);
});

test("declared answers and errors, by parts of what is asked; what nothing answers is said", async () => {
  const dns = (host: string) => asking({ namespace: "net", operation: "v1/dns_lookup_host", payload: host });
  const { exit, stdout } = await outcome({
    policy: HOST_CALLER,
    context: {
      answers: [
        { call: "net/v1/dns_lookup_host", with: { host: "good" }, answer: { ips: ["192.0.2.7"] } },
        { call: "net/v1/dns_lookup_host", with: { host: "bad" }, error: "no such host" },
      ],
    },
    cases: [
      { name: "answer", request: dns("good"), message: '{"ips":["192.0.2.7"]}' },
      { name: "error", request: dns("bad"), allowed: false, message: { contains: "no such host" } },
      {
        name: "nothing",
        request: dns("x"),
        message: { contains: 'the suite declares no answer to DNSLookupHost {"host":"x"}' },
      },
    ],
  });
  assert.is(exit, 0, stdout);
});

test("without a context nothing is granted, unless the suite says so", async () => {
  const dns = asking({ namespace: "net", operation: "v1/dns_lookup_host", payload: "x" });
  const cases = [{ name: "call", request: dns, message: { contains: "has not been granted access" } }];
  assert.is((await outcome({ policy: HOST_CALLER, cases })).exit, 0);
  assert.is((await outcome({ policy: HOST_CALLER, hostCapabilities: ["net/*"], cases })).exit, 1);
});

test("recorded sessions, and the inventory of Rego policies", async () => {
  folder.file(
    "session.yml",
    "- type: Exchange\n  request: |\n    !DNSLookupHost\n    host: x\n  response: {type: Success, payload: '{\"ips\":[]}'}\n",
  );
  const dns = asking({ namespace: "net", operation: "v1/dns_lookup_host", payload: "x" });
  const played = await outcome({
    policy: HOST_CALLER,
    context: { session: "session.yml" },
    cases: [1, 2].map((turn) => ({ name: `turn ${turn}`, request: dns, message: '{"ips":[]}' })),
  });
  assert.is(played.exit, 0, played.stdout);
  assert.is(played.stderr, "");
  // Each case's session is its own, and so is what is left of it.
  const left = await outcome({
    policy: HOST_CALLER,
    context: { session: "session.yml" },
    cases: [{ name: "asks", request: dns }, { name: "asks nothing", request: POD }, {
      name: "nor this",
      request: POD,
    }],
  });
  const warnings = left.stderr.trim().split("\n");
  assert.is(warnings.length, 2, left.stderr);
  for (const [index, name] of ["asks nothing", "nor this"].entries()) {
    assert.ok(
      warnings[index]!.endsWith(
        ` WARN reeve: Some of the recorded exchanges have not been replayed case="${name}" ` +
          String
            .raw`leftovers=[Exchange { request: "!DNSLookupHost\nhost: x\n", response: Success { payload: "{\"ips\":[]}" } }]`,
      ),
      warnings[index],
    );
  }
  const service = {
    ...POD,
    kind: { group: "", version: "v1", kind: "Service" },
    object: { metadata: { name: "a" } },
  };
  const rego = await outcome({
    policy: OPA,
    context: { objects: [{ apiVersion: "v1", kind: "Namespace", metadata: { name: "one" } }] },
    cases: [{ name: "it looks into the inventory", request: service }],
  });
  assert.is(rego.exit, 0, rego.stdout);
});

test("objects and requests mean what they mean to kubectl, all else is YAML 1.2; raw input is as it is", async () => {
  const suite = (raw: boolean) =>
    readSuite(folder.file(
      "kubectl.yml",
      `policy: x.wasm\nraw: ${raw}\nsettings: {a: yes, b: 0644, c: [d?], 1.23456789: e}\ncontext: {objects: [{kind: ConfigMap, immutable: on}]}\n` +
        "cases:\n- {name: no, request: {a: yes, b: 0644}, allowed: true}\n" +
        "- {name: own, request: {x: &x {c: 1}, <<: *x}, context: {objects: [{kind: Pod, mode: 0x10}]}, allowed: true}\n",
    ));
  const { cases } = await suite(false);
  assert.equal(cases.map(({ name }) => name), ["no", "own"]);
  assert.equal(
    cases.map(({ settings }) => settings),
    Array(2).fill('{"a":"yes","b":"0644","c":["d?"],"1.23456789":"e"}'),
  );
  assert.equal(cases.map(({ request }) => request), ['{"a":true,"b":420}', '{"x":{"c":1},"c":1}']);
  const objects = cases.map(({ context }) => context.kind === "declared" && context.objects);
  assert.equal(objects, [['{"kind":"ConfigMap","immutable":true}'], ['{"kind":"Pod","mode":16}']]);
  const raw = await suite(true);
  assert.equal(raw.cases.map(({ request }) => request), [
    '{"a":"yes","b":"0644"}',
    '{"x":{"c":1},"<<":{"c":1}}',
  ]);
});

test("groups and custom resources are judged as they are served", async () => {
  folder.file("group.yml", {
    apiVersion: "policies.kubewarden.io/v1",
    kind: "ClusterAdmissionPolicyGroup",
    metadata: { name: "both" },
    spec: {
      expression: "a() && b()",
      message: "both, please",
      rules: [],
      policies: {
        a: { module: `file://${LABELS}`, settings: { required: ["a"] } },
        b: { module: `file://${LABELS}`, settings: { required: ["b"] } },
      },
    },
  });
  const { exit, stdout } = await outcome({
    policy: "group.yml",
    cases: [
      { name: "neither", request: POD, allowed: false, message: "both, please" },
      {
        name: "both",
        request: { ...POD, object: { metadata: { labels: { a: "1", b: "2" } } } },
        allowed: true,
      },
    ],
  });
  assert.is(exit, 0, stdout);
});

test("suites that can't be run say where they are wrong", async () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    ["cases: [\n", /suite\.yml: .* at line \d+ column \d+/],
    [{ cases: [] }, /cases: expected a list of cases/],
    [{ polcy: "x", cases: [{ name: "a" }] }, /unknown member `polcy`, expected one of policy, /],
    [{ policy: LABELS, cases: [{ request: {} }] }, /cases\[0\]: name is missing/],
    [{ policy: LABELS, cases: [{ name: "a", allowd: true }] }, /cases\[0\]: unknown member `allowd`/],
    [
      { policy: LABELS, cases: [{ name: "a", request: "absent.json" }] },
      /"a": cannot read .*absent\.json: No such file/,
    ],
    [{ policy: LABELS, cases: [{ name: "" }] }, /cases\[0\]: name: the text is empty/],
    [{ policy: LABELS, cases: [{ name: "a", request: "" }] }, /"a": request: the text is empty/],
    [{ policy: "", cases: [{ name: "a" }] }, /suite\.yml: policy: the text is empty/],
    ...[
      ["allowed", "yes", "true or false, found string"],
      ["allowed", null, "true or false, found null"],
      ["settingsValid", "no", "true or false, found string"],
      ["code", "422", "a number or null, found string"],
      ["message", 1, "a text, null, or { contains: TEXT } or { matches: TEXT }, found number"],
      ["message", { contain: "x" }, '{ matches: TEXT }, found {"contain":"x"}'],
      ["message", { contains: 1 }, '{ matches: TEXT }, found {"contains":1}'],
      ["message", { contains: "x", matches: "y" }, '{ matches: TEXT }, found {"contains":"x","matches":"y"}'],
      ["settingsMessage", ["x"], "{ matches: TEXT }, found list"],
      ["patch", null, "a list, [] where nothing is changed, found null"],
      ["warnings", "w", "a list or null, found string"],
      ["auditAnnotations", ["a"], "a map or null, found list"],
    ].map(([member, value, said]) =>
      [
        { policy: LABELS, cases: [{ name: "a", request: POD, [member as string]: value }] },
        new RegExp(`"a": ${member}: expected .*${(said as string).replace(/[{}[\]]/g, "\\$&")}\n`),
      ] as const
    ),
    [{ policy: "absent.wasm", cases: [{ name: "a" }] }, /Cannot find policy with uri: absent\.wasm/],
    [
      { policy: LABELS, context: { answers: [{ call: "x", answer: 1 }] }, cases: [{ name: "a" }] },
      /call: expected one of /,
    ],
    [
      { policy: LABELS, hostCapabilities: ["oci*"], cases: [{ name: "a" }] },
      /hostCapabilities: invalid pattern "oci\*"/,
    ],
  ];
  for (const [suite, error] of cases) {
    const path = folder.file("suite.yml", suite);
    const { exit, stdout, stderr } = await folder.run(["test", path]);
    assert.is(exit, 1);
    assert.is(stdout, "");
    assert.match(stderr, /^Error: /);
    assert.match(stderr, error);
    assert.not.match(stderr, /^\s+at /m);
  }
  assert.match(
    (await folder.run(["test", "nowhere"])).stderr,
    /^Error: cannot read nowhere: No such file or directory/,
  );
});

test("--watch judges again when a file changes, until it is interrupted", async () => {
  folder.file("watched.json", POD);
  const path = folder.file("watched.yml", {
    policy: LABELS,
    settings: { required: ["owner"] },
    cases: [{ name: "watched", request: "watched.json", allowed: true }],
  });
  const stop = new AbortController();
  const seen: string[] = [];
  let heard = () => {};
  const until = async (text: RegExp) => {
    while (!text.test(seen.join(""))) await new Promise<void>((resolve) => heard = resolve);
  };
  const running = folder.run(["test", path, "--watch"], {
    signal: stop.signal,
    onOutput: (text) => {
      seen.push(text);
      heard();
    },
  });
  await until(/0 passed, 1 failed[^]*waiting/);
  // What no suite reads starts nothing.
  for (const name of ["policy.ts", "lib.rs", "main.go", "policy.rego"]) folder.file(name, "");
  for (const name of ["node_modules", "target", ".git"]) mkdirSync(join(folder.path, name));
  for (const name of ["node_modules/a.json", "target/a.wasm", ".git/index"]) folder.file(name, "");
  folder.file("watched.json", { ...POD, object: { metadata: { labels: { owner: "a" } } } });
  await until(/1 passed, 0 failed/);
  assert.is(seen.join("").match(/\d passed, \d failed/g)!.length, 2);
  stop.abort();
  heard();
  await running;
});

test("label selectors", () => {
  const labels = { app: "web", tier: "front" };
  for (
    const selector of [
      "",
      "app",
      "app=web",
      "app == web",
      "app!=db",
      "!missing",
      "app in (web, db)",
      "tier notin (back),app",
      "x notin (y)",
    ]
  ) {
    assert.ok(matchesLabels(selector, labels), selector);
  }
  for (
    const selector of ["missing", "app=db", "app!=web", "!app", "app in (db)", "x in (y)", "app,tier=back"]
  ) {
    assert.not.ok(matchesLabels(selector, labels), selector);
  }
});

test.run();
