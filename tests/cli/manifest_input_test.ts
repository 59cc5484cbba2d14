/** What an author holds in the hand works as input: manifests of every form, OPA bundles, custom resources in JSON. */
import { gunzipSync, gzipSync } from "node:zlib";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadTar } from "../../deps.ts";
import { reviewOf } from "../../cli/render/review_body.ts";
import { requestsIn } from "../../cli/render/manifest_request.ts";
import { usualResource } from "../../cli/render/usual_resource.ts";
import type { Admission } from "../../cli/types/admission.ts";
import { inPlace, PLAIN, POLICY } from "./place.ts";

const encoder = new TextEncoder();
const given = (text: string | Uint8Array, admission: Admission = {}, raw = false) =>
  requestsIn(typeof text === "string" ? encoder.encode(text) : text, "input.yml", raw, admission).map((
    { about, json },
  ) => ({
    about,
    text: new TextDecoder().decode(json),
    value: JSON.parse(new TextDecoder().decode(json)),
  }));

const pod = (name: string, more = "") => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}${more}}\n`;
const REVIEW = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u"}}`;

test("manifests in every form are requests", () => {
  const rows: readonly (readonly [string, string | Uint8Array, readonly string[]])[] = [
    ["YAML", pod("a"), ["Pod default/a"]],
    // What `>` of Windows PowerShell makes of `kubectl get -o yaml` (kubernetes/kubernetes#39007); kubectl 1.36 reads it.
    ["UTF-16", Buffer.from(`\uFEFF${pod("ä")}`, "utf16le"), ["Pod default/ä"]],
    ["UTF-16, the other way round", Buffer.from(`\uFEFF${pod("a")}`, "utf16le").swap16(), ["Pod default/a"]],
    [
      "JSON in UTF-16",
      Buffer.from(`\uFEFF{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`, "utf16le"),
      [
        "Pod default/a",
      ],
    ],
    [
      "documents of comments, as `helm template` writes them",
      `---\n# Source: a/b.yaml\n---\n# Source: c\n${pod("a")}---\n# end\n`,
      [
        "Pod default/a",
      ],
    ],
    ["an end of its document", `---\n${pod("a")}...\n---\n${pod("b")}...\n`, [
      "Pod default/a",
      "Pod default/b",
    ]],
    [
      "a list in a list",
      `apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod, metadata: {name: a}}]}\n`,
      [
        "Pod default/a",
      ],
    ],
    [
      "null where nothing is",
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: null, labels: null}\nspec:\nstatus: null\n",
      [
        "Pod default/a",
      ],
    ],
    ["no metadata", "apiVersion: v1\nkind: Pod\n", ["Pod default/without a name"]],
    ["JSON", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`, ["Pod default/a"]],
    ["a mark and blanks before it", `\uFEFF\n\n${pod("a")}`, ["Pod default/a"]],
    ["several documents", `---\n${pod("a")}---\n${pod("b", ", namespace: m")}---\n`, [
      "Pod default/a",
      "Pod m/b",
    ]],
    [
      "a List",
      `apiVersion: v1\nkind: List\nitems:\n- ${pod("a").replaceAll("\n", "\n  ")}\n- ${
        pod("b").replaceAll("\n", "\n  ")
      }`,
      ["Pod default/a", "Pod default/b"],
    ],
    [
      "a List in JSON",
      `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}]}`,
      ["Pod default/a"],
    ],
    // What `kubectl get --raw /api/v1/pods` gives: the list names the kind of its items (API conventions, "Lists and simple kinds").
    [
      "a list of one kind",
      "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n",
      [
        "Pod default/a",
        "Pod default/b",
      ],
    ],
    [
      "a list of one kind in JSON, whose items name it, too",
      `{"kind":"DeploymentList","apiVersion":"apps/v1","metadata":{"resourceVersion":"1"},"items":[{"kind":"Deployment","metadata":{"name":"a"}}]}`,
      ["Deployment default/a"],
    ],
    [
      "an object of a kind called List",
      "apiVersion: e.org/v1\nkind: AllowList\nmetadata: {name: a}\nitems: [x]\n",
      [
        "AllowList default/a",
      ],
    ],
    ["a kind called List without items", "apiVersion: e.org/v1\nkind: AllowList\nmetadata: {name: a}\n", [
      "AllowList default/a",
    ]],
    ["YAML in braces", "{apiVersion: v1, kind: Pod, metadata: {name: a},}", ["Pod default/a"]],
    // kubectl reads JSON values one behind the other, and with `---` between them (apimachinery's YAMLOrJSONDecoder).
    [
      "JSON values, one behind the other",
      `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}\n{"apiVersion":"v1","kind":"Pod","metadata":{"name":"}{\\""}}{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"c"}}]}\n`,
      ["Pod default/a", 'Pod default/}{"', "Pod default/c"],
    ],
    [
      "JSON values with a mark between them",
      `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}\r\n---\r\n\n{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"}}\n---\n`,
      ["Pod default/a", "Pod default/b"],
    ],
    ["line ends of Windows", pod("a").replaceAll("\n", "\r\n"), ["Pod default/a"]],
    ["a kind of the cluster", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n", ["Namespace a"]],
    ["no name", "apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n", ["Pod default/without a name"]],
  ];
  for (const [what, text, expected] of rows) {
    assert.equal(given(text).map(({ about }) => about), expected, what);
  }
  const [request] = given(pod("a"));
  assert.equal(request?.value, {
    uid: "705ab4f5-6393-11e8-b7cc-42010a800002",
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    requestKind: { group: "", version: "v1", kind: "Pod" },
    requestResource: { group: "", version: "v1", resource: "pods" },
    name: "a",
    namespace: "default",
    operation: "CREATE",
    userInfo: { groups: ["system:masters"], username: "test-user" },
    object: { apiVersion: "v1", kind: "Pod", metadata: { name: "a" } },
  });
  const uids = given(`${pod("a")}---\n${pod("b")}`).map(({ value }) => value.uid);
  assert.is(new Set(uids).size, 2, "each request has a uid of its own");
  assert.match(
    given(`${pod("a")}spec: {big: 12345678901234567890, one: 1.0}\n`)[0]!.text,
    '"big":12345678901234567000,"one":1}',
    "numbers are what kubectl sends",
  );
});

test("a manifest means what it means to kubectl", () => {
  // As kubectl 1.36.3 prints them (`kubectl label --local -f FILE a=b -o json`); more rows, and where it is asked again:
  // `tests/kubernetes/kubectl_manifests_test.ts`.
  const rows: readonly (readonly [string, unknown])[] = [
    ["yes", true],
    ["Yes", true],
    ["on", true],
    ["y", true],
    ["no", false],
    ["OFF", false],
    ["N", false],
    ["TRUE", true],
    ["tRUE", "tRUE"],
    ['"yes"', "yes"],
    ["!!str yes", "yes"],
    ["0644", 420],
    ["-017", -15],
    ["0o17", 15],
    ["0O17", 15],
    ["0640_0", 3328],
    ["0x1F", 31],
    ["-0x1", -1],
    ["0b11", 3],
    ["1_000", 1000],
    ["1_0.5", 10.5],
    ["08", 8],
    ["019", 19],
    ["00", 0],
    ["0o8", "0o8"],
    ["0x", "0x"],
    ["_1", "_1"],
    ["1e", "1e"],
    ["1e3", 1000],
    ["+1", 1],
    [".5", 0.5],
    ["1.", 1],
    ["1:30", "1:30"],
    ["2001-12-14", "2001-12-14"],
    ["~", null],
    ["Null", null],
    ["=", "="],
    ['"0644"', "0644"],
  ];
  for (const [scalar, expected] of rows) {
    const [request] = given(`apiVersion: v1\nkind: Pod\nspec: {a: ${scalar}}\n`);
    assert.equal(request?.value.object.spec.a, expected, scalar);
  }
  const merged = (spec: string) =>
    given(`apiVersion: v1\nkind: Pod\nx: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nspec: ${spec}\n`)[0]!.value
      .object.spec;
  assert.equal(merged("{<<: *x, a: 5}"), { a: 5, b: 2 });
  assert.equal(merged("{a: 5, <<: *x}"), { a: 1, b: 2 }, "go-yaml 2 takes what comes last");
  assert.equal(merged("{<<: [*x, *y], d: 6}"), { b: 2, c: 4, a: 1, d: 6 }, "the first of several wins");
  assert.equal(merged("{<<: *x, <<: *y}"), { a: 1, b: 3, c: 4 });
  assert.equal(merged('{"<<": 1}'), { "<<": 1 }, "in quotes it is a name");
  assert.equal(
    given("apiVersion: v1\nkind: Pod\nspec: {yes: 1, n: 2, 010: 3, 1_0: 4}\n")[0]!.value.object.spec,
    {
      true: 1,
      false: 2,
      8: 3,
      10: 4,
    },
  );
  for (
    const [spec, text] of [
      ["{<<: 1}", /`<<` merges maps, expected one or a list of them at line 5/],
      ["{<<: [*x, 1]}", /`<<` merges maps/],
      ["{a: 1, <<: *x, b: 1, b: 2}", /spec\.b is given twice/],
      ["{yes: 1, on: 2}", /spec\.true is given twice/],
      ["{a: 1" + "0".repeat(400) + "}", /number with too many digits/],
    ] as const
  ) {
    assert.throws(() => merged(spec), text, spec);
  }
  const many = Array.from({ length: 20_000 }, () => "{<<: *b}").join(",");
  const big = Array.from({ length: 1_000 }, (_, n) => `k${n}: 1`).join(",");
  assert.throws(
    () => given(`apiVersion: v1\nkind: Pod\nb: &b {${big}}\nspec: [${many}]\n`),
    /`<<` merges more than 1000000 keys/,
  );
});

test("requests stay what they are", () => {
  assert.is(given(REVIEW)[0]?.text, REVIEW);
  assert.is(given(`{"uid":"u","operation":"CREATE"}`)[0]?.about, undefined);
  assert.equal(given("uid: u\noperation: CREATE\nkind: {kind: Pod}\n")[0]?.value, {
    uid: "u",
    operation: "CREATE",
    kind: { kind: "Pod" },
  });
  assert.is(
    given(`{"apiVersion":"v1","kind":"Pod"}`, {}, true)[0]?.text,
    `{"apiVersion":"v1","kind":"Pod"}`,
    "raw input",
  );
});

test("in a request null is what is not there, where the API says that it may be (k8s.io/api admission/v1)", () => {
  const request = {
    uid: "u",
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    operation: "CREATE",
    userInfo: {},
    object: {},
  };
  const optional = [
    "subResource",
    "requestKind",
    "requestResource",
    "requestSubResource",
    "name",
    "namespace",
  ];
  const said = (more: object) => {
    try {
      return reviewOf(encoder.encode(JSON.stringify(more)), false).uid;
    } catch (error) {
      return (error as Error).message;
    }
  };
  const nulls = Object.fromEntries(
    [...optional, "object", "oldObject", "dryRun", "options"].map((name) => [name, null]),
  );
  const rows: readonly (readonly [string, object, string | RegExp])[] = [
    ["all that is optional", { ...request, ...nulls }, "u"],
    ["of the user", { ...request, userInfo: { username: null, uid: null, groups: null, extra: null } }, "u"],
    ["of an extra", { ...request, userInfo: { extra: { a: null } } }, "u"],
    ["beside the request", { apiVersion: null, kind: "AdmissionReview", request, response: null }, "u"],
    ["the request", { kind: "AdmissionReview", request: null }, /invalid AdmissionReview object/],
    ["the uid", { ...request, uid: null }, /uid: expected a string, found null/],
    ["the user", { ...request, userInfo: null }, /userInfo: expected an object \(the user\), found null/],
    ["the operation", { ...request, operation: null }, /operation: expected a string, found null/],
    ["the resource", { ...request, resource: null }, /resource: expected an object .* found null/],
    [
      "a group of the kind",
      { ...request, kind: { ...request.kind, group: null } },
      /kind\.group: expected a string/,
    ],
    [
      "a group of the user",
      { ...request, userInfo: { groups: [null] } },
      /userInfo\.groups\[\]: expected a string, found null/,
    ],
  ];
  for (const [what, value, expected] of rows) {
    if (expected instanceof RegExp) assert.match(said(value), expected, what);
    else assert.is(said(value), expected, what);
  }
});

test("operations, users and namespaces", () => {
  const old = { text: pod("old"), from: "old.yml" };
  const of = (admission: Admission) => given(pod("a"), admission)[0]!.value;
  assert.equal([of({ operation: "CREATE" }).object.metadata.name, of({ operation: "CREATE" }).oldObject], [
    "a",
    undefined,
  ]);
  assert.equal([
    of({ operation: "UPDATE" }).object.metadata.name,
    of({ operation: "UPDATE" }).oldObject.metadata.name,
  ], ["a", "a"]);
  assert.is(of({ operation: "UPDATE", oldObject: old }).oldObject.metadata.name, "old");
  assert.equal([of({ operation: "DELETE" }).object, of({ operation: "DELETE" }).oldObject.metadata.name], [
    undefined,
    "a",
  ]);
  assert.is(of({ operation: "CONNECT" }).operation, "CONNECT");
  assert.equal(of({ user: "jane", groups: ["dev", "ops"] }).userInfo, {
    username: "jane",
    groups: ["dev", "ops"],
  });
  assert.is(of({ namespace: "team" }).namespace, "team");
  assert.is(given(pod("a", ", namespace: own"), { namespace: "team" })[0]?.value.namespace, "own");
  assert.is(
    given("apiVersion: v1\nkind: Node\nmetadata: {name: a}\n", { namespace: "team" })[0]?.value.namespace,
    undefined,
  );
});

test("the usual resource of a kind", () => {
  const rows: readonly (readonly [string, string, string, boolean])[] = [
    ["", "Pod", "pods", true],
    ["", "Endpoints", "endpoints", true],
    ["networking.k8s.io", "Ingress", "ingresses", true],
    ["networking.k8s.io", "IngressClass", "ingressclasses", false],
    ["networking.k8s.io", "NetworkPolicy", "networkpolicies", true],
    ["gateway.networking.k8s.io", "Gateway", "gateways", true],
    ["", "PersistentVolume", "persistentvolumes", false],
    ["example.org", "Box", "boxes", true],
    ["rbac.authorization.k8s.io", "ClusterRole", "clusterroles", false],
    ["constructor", "toString", "tostrings", true],
  ];
  for (const [group, kind, name, namespaced] of rows) {
    assert.equal(usualResource(group, kind), { name, namespaced }, kind);
  }
});

test("what is neither is refused with its place", () => {
  const rows: readonly (readonly [string, string | Uint8Array, Admission, RegExp])[] = [
    [
      "an apiVersion in small letters",
      "apiversion: v1\nkind: Pod\nmetadata: {name: a}\n",
      {},
      /Error parsing request input\.yml: it looks like a manifest, and has no apiVersion \(a text, spelled so\)/,
    ],
    [
      "JSON without an apiVersion",
      `{"kind":"Pod","metadata":{"name":"a"}}`,
      {},
      /manifest, and has no apiVersion \(/,
    ],
    ["JSON without a kind", `{"apiVersion":"v1","spec":{}}`, {}, /manifest, and has no kind \(/],
    [
      "a kind in capitals",
      "apiVersion: v1\nKind: Pod\nspec: {}\n",
      {},
      /looks like a manifest, and has no kind/,
    ],
    [
      "an apiVersion that is a number",
      "apiVersion: 1\nkind: Pod\nmetadata: {}\n",
      {},
      /has no apiVersion \(a text/,
    ],
    ["values of a chart", "metadata: {a: 1}\nspec: {}\n", {}, /has no apiVersion and no kind/],
    [
      "a list",
      "- apiVersion: v1\n  kind: Pod\n",
      {},
      /input\.yml: it is a list, give its objects as several documents or as the items of a List/,
    ],
    [
      "several reviews",
      `---\n${REVIEW}\n---\n${REVIEW}\n`,
      {},
      /input\.yml holds no object: it holds 2 reviews, give one file for each/,
    ],
    [
      "another encoding",
      Buffer.from(pod("caf\u00e9"), "latin1"),
      {},
      /input\.yml: it is not UTF-8: save it as UTF-8/,
    ],
    [
      "UTF-16 without a mark",
      Buffer.from(pod("a"), "utf16le"),
      {},
      /it holds zero bytes, as UTF-16 without a mark/,
    ],
    ["half of UTF-16", Buffer.from(`\uFEFF${pod("a")}`, "utf16le").subarray(0, 33), {}, /it is not UTF-8/],
    ["a name that is yes", pod("yes"), {}, /metadata\.name must be a string, it is a boolean/],
    ["a name that is a number", pod("1_000"), {}, /metadata\.name must be a string, it is a number/],
    ["nothing", "", {}, /Error parsing request input\.yml: it is empty/],
    ["a broken document", "a: [\n", {}, /Error parsing request input\.yml: .* at line \d+ column \d+/],
    [
      "brackets that exhaust a stack",
      `${pod("a")}spec: ${"[".repeat(20_000)}${"]".repeat(20_000)}\n`,
      {},
      /input\.yml: nested too deeply at line \d+ column \d+$/,
    ],
    [
      "an object, and what is none",
      `${pod("a")}---\na: b\n`,
      {},
      /^input\.yml holds no object: one with apiVersion and kind is wanted at line 5 column 1$/,
    ],
    [
      "a list with what is no object",
      `apiVersion: v1\nkind: List\nitems:\n- a: b\n`,
      {},
      /^input\.yml holds no object: one with apiVersion and kind is wanted at line 4 column 3$/,
    ],
    ["broken JSON", `{"apiVersion": "v1",}`, {}, /Error parsing request input\.yml: /],
    ["an empty list", "apiVersion: v1\nkind: List\nitems: []\n", {}, /input\.yml: its list holds no objects/],
    [
      "a list of nothing",
      `{"apiVersion":"v1","kind":"PodList","items":null}`,
      {},
      /input\.yml: its list holds no objects/,
    ],
    ["too many JSON values", "{}".repeat(10_001), {}, /input\.yml holds more than 10000 objects/],
    ["nothing in a list", "apiVersion: v1\nkind: List\nitems: [null]\n", {}, /input\.yml holds no object/],
    [
      "JSON values, the second broken",
      `{"apiVersion":"v1","kind":"Pod"}\n{"apiVersion":"v1",}`,
      {},
      /Error parsing request input\.yml, value 2: /,
    ],
    [
      "JSON values, the second no object",
      `{"apiVersion":"v1","kind":"Pod"}\n7`,
      {},
      /input\.yml holds no object/,
    ],
    ["JSON values that are reviews", `${REVIEW}\n${REVIEW}`, {}, /input\.yml holds no object/],
    [
      "an apiVersion that is none",
      "apiVersion: a/b/c\nkind: Pod\n",
      {},
      /input\.yml: apiVersion "a\/b\/c" is neither VERSION nor GROUP\/VERSION/,
    ],
    [
      "a document without a kind among others",
      `${pod("a")}---\na: 1\n`,
      {},
      /input\.yml holds no object: one with apiVersion and kind is wanted/,
    ],
    [
      "a key twice",
      `${pod("a")}kind: Service\n`,
      {},
      /kind is given twice, first at line 2 column 1 and again at line 4 column 1/,
    ],
    [
      "flags of manifests beside a review",
      REVIEW,
      { operation: "UPDATE" },
      /holds an admission request.*--operation/,
    ],
    ["an old object that is none", pod("a"), {
      operation: "UPDATE",
      oldObject: { text: "a: 1", from: "old.yml" },
    }, /old\.yml holds no object/],
  ];
  for (const [what, text, admission, expected] of rows) {
    assert.throws(() => given(text, admission), expected, what);
  }
});

/** A policy that answers by the request: privileged Pods are rejected. */
const privileged = (name: string, yes: boolean) =>
  `${pod(name)}spec:\n  containers:\n  - {name: c, image: i, securityContext: {privileged: ${yes}}}\n`;

test("run, explain and test take manifests; bench one", () =>
  inPlace(async ({ reeve, reeveWith, file }) => {
    file("pods.yml", `${privileged("good", false)}---\n${privileged("bad", true)}`);
    const answers = (stdout: string) => stdout.trim().split("\n").map((line) => JSON.parse(line).allowed);
    const ran = await reeve("run", POLICY, "-r", "pods.yml");
    assert.is(ran.exit, 0, ran.stderr);
    assert.equal(answers(ran.stdout), [true, false]);
    const piped = await reeveWith({ stdin: privileged("bad", true) }, "run", POLICY, "-r", "-");
    assert.equal(answers(piped.stdout), [false], piped.stderr);
    const deleted = await reeve("run", POLICY, "-r", "pods.yml", "--operation", "DELETE", "--user", "jane");
    assert.is(deleted.exit, 0, deleted.stderr);
    const explained = await reeve("explain", POLICY, "-r", "pods.yml");
    assert.is(explained.exit, 0, explained.stderr);
    assert.match(explained.stdout, /allowed[\s\S]*(rejected|not allowed|denied)/i);
    const benched = await reeve(
      "bench",
      POLICY,
      "-r",
      "pods.yml",
      "--measurement-time",
      "0.1",
      "--warm-up-time",
      "0.1",
    );
    assert.is(benched.exit, 1);
    assert.match(benched.stderr, "the request file holds 2 objects: bench measures one request");
    file("bad.yml", privileged("bad", true));
    file(
      "suite.yml",
      `policy: ${POLICY}\ncases:\n- {name: a manifest, request: bad.yml, allowed: false}\n- {name: several, request: {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod}, {apiVersion: v1, kind: Pod}]}, allowed: false}\n`,
    );
    const tested = await reeve("test", "suite.yml");
    assert.is(tested.exit, 1);
    assert.match(tested.stdout, /1 passed/);
    assert.match(tested.stdout, /the request holds 2 objects: a case has one request/);
    // A manifest means the same in a suite, in its own file or not.
    const yes = privileged("bad", true).replace("privileged: true", "privileged: yes");
    file("yes.yml", yes);
    file("yes16.yml", Buffer.from(`\uFEFF${yes}`, "utf16le"));
    file(
      "suite2.yml",
      `policy: ${POLICY}\ncases:\n- {name: a file, request: yes.yml, allowed: false, message: Privileged container is not allowed}\n` +
        "- {name: UTF-16, request: yes16.yml, allowed: false, message: Privileged container is not allowed}\n" +
        `- name: in it\n  allowed: false\n  message: Privileged container is not allowed\n  request:\n${
          yes.replace(/^/gm, "    ")
        }\n`,
    );
    const same = await reeve("test", "suite2.yml");
    assert.match(same.stdout, /3 passed/, same.stdout + same.stderr);
  }));

/** An OPA bundle of these files. */
async function bundle(files: Readonly<Record<string, Uint8Array | string>>): Promise<Uint8Array> {
  const pack = (await loadTar()).pack();
  for (const [name, content] of Object.entries(files)) pack.entry({ name }, Buffer.from(content as string));
  pack.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of pack) pieces.push(piece as Buffer);
  return gzipSync(Buffer.concat(pieces));
}

test("OPA bundles, custom resources in JSON, and what is no module", () =>
  inPlace(async ({ reeve, file, cwd }) => {
    file("ok.yml", pod("a"));
    const run = (policy: string) => reeve("run", policy, "-r", "ok.yml");
    const module = readFileSync(PLAIN);
    file("bundle.tar.gz", await bundle({ "/data.json": "{}", "/policy.wasm": module, "/.manifest": "{}" }));
    assert.is((await run("bundle.tar.gz")).exit, (await run(PLAIN)).exit);
    // As `opa build` leaves it: nobody has to unpack it to annotate the policy.
    file(
      "metadata.yml",
      `rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]\nmutating: false\n`,
    );
    const annotate = (name: string, output: string) =>
      reeve("annotate", "-m", "metadata.yml", "-o", output, name);
    const annotated = await annotate("bundle.tar.gz", "annotated.wasm");
    assert.is(annotated.exit, 0, annotated.stderr);
    assert.is((await annotate(PLAIN, "plain.wasm")).exit, 0);
    assert.equal(readFileSync(join(cwd, "annotated.wasm")), readFileSync(join(cwd, "plain.wasm")));
    file(
      "policy.json",
      JSON.stringify({
        apiVersion: "policies.kubewarden.io/v1",
        kind: "ClusterAdmissionPolicy",
        metadata: { name: "p" },
        spec: { module: `file://${PLAIN}` },
      }),
    );
    assert.equal((await run("policy.json")).stdout, (await run(PLAIN)).stdout);
    // As `kubectl get -o json`, `kubectl get --raw` and Windows PowerShell write it.
    const resource = JSON.parse(readFileSync(join(cwd, "policy.json"), "utf8"));
    for (
      const [name, content] of [
        ["list.json", JSON.stringify({ apiVersion: "v1", kind: "List", items: [resource] })],
        [
          "raw.json",
          JSON.stringify({
            apiVersion: resource.apiVersion,
            kind: "ClusterAdmissionPolicyList",
            metadata: { resourceVersion: "7" },
            items: [resource],
          }),
        ],
        ["utf16.yml", Buffer.from(`\uFEFF${JSON.stringify(resource)}`, "utf16le")],
      ] as const
    ) {
      file(name, content);
      const ran = await run(name);
      assert.equal(ran.stdout, (await run(PLAIN)).stdout, `${name}: ${ran.stderr}`);
    }
    const refused: readonly (readonly [string, Uint8Array | string, RegExp])[] = [
      [
        "empty.tar.gz",
        await bundle({ "/data.json": "{}" }),
        /there is no policy\.wasm in the bundle: build it with `opa build -t wasm/,
      ],
      [
        "two.tar.gz",
        await bundle({ "/policy.wasm": module, "policy.wasm": module }),
        /more than one policy\.wasm/,
      ],
      ["half.tar.gz", (await bundle({ "/policy.wasm": module })).subarray(0, 200), /it is no OPA bundle: /],
      [
        "resource.wasm",
        "apiVersion: policies.kubewarden.io/v1\n",
        /it looks like a resource of Kubernetes; a policy's custom resource is read from a file whose name ends in \.yml, \.yaml or \.json/,
      ],
      [
        "policy.ts",
        'import { accept } from "portreeve/policy";\n',
        /it is a policy in TypeScript or JavaScript; build it with `reeve build`/,
      ],
      ["policy.rego", "package a.b\n\nallow := true\n", /it looks like Rego; build it with/],
      ["policy.wat", "(module)", /it is WebAssembly's text format/],
      ["words.wasm", "hello", /it does not begin with the bytes/],
      ["empty.wasm", "", /not a WebAssembly module: it is empty/],
      [
        "page.wasm",
        "<!DOCTYPE html>\n<html><body>404</body></html>",
        /it is a page of HTML, as a download that failed/,
      ],
      [
        "pointer.wasm",
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        /`git lfs pull`/,
      ],
      ["archive.zip", "PK\x03\x04....", /it is a ZIP archive; unpack it/],
      [
        "bundle.tar",
        gunzipSync(await bundle({ "/policy.wasm": module })),
        /it is a tar archive that isn't compressed/,
      ],
      ["plain.wasm.gz", gzipSync(module), /it is a compressed module: unpack it with `gunzip`/],
      [
        "folder.tar.gz",
        await bundle({ "build/policy.wasm": module }),
        /\(in it is build\/policy\.wasm; unpack it/,
      ],
      ["program.wasm", "\x7fELF\x02\x01", /it is a program of an operating system/],
      [
        "component.wasm",
        Uint8Array.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0),
        /not a core WebAssembly module of version 1 \(a component, or a newer format\)/,
      ],
      ["empty.yml", "apiVersion: v1\nkind: List\nitems: null\n", /empty\.yml": it defines no policy/],
    ];
    for (const [name, content, expected] of refused) {
      file(name, content);
      const { exit, stderr } = await run(name);
      assert.is(exit, 1, name);
      assert.match(stderr, expected, name);
      assert.match(stderr, name);
    }
  }));

test("scaffold admission-request reads objects as kubectl does", () =>
  inPlace(async ({ reeve, file }) => {
    file(
      "pod.yml",
      Buffer.from(
        "\uFEFFapiVersion: v1\nkind: Pod\nmetadata: {name: a}\nx: &x {mode: 0644}\nspec: {<<: *x, privileged: yes}\n",
        "utf16le",
      ),
    );
    const { exit, stdout, stderr } = await reeve(
      "scaffold",
      "admission-request",
      "-o",
      "CREATE",
      "--object",
      "pod.yml",
    );
    assert.is(exit, 0, stderr);
    assert.equal(JSON.parse(stdout).object.spec, { mode: 420, privileged: true });
  }));

test("scaffold admission-request knows every operation", () =>
  inPlace(async ({ reeve, file }) => {
    file("pod.yml", pod("a"));
    const scaffold = (...words: string[]) => reeve("scaffold", "admission-request", "-o", ...words);
    const object = ["--object", "pod.yml"];
    const old = ["--old-object", "pod.yml"];
    const rows: readonly (readonly [readonly string[], readonly [boolean, boolean] | RegExp])[] = [
      [["CREATE", ...object], [true, false]],
      [["UPDATE", ...object, ...old], [true, true]],
      [["DELETE", ...old], [false, true]],
      [["CONNECT", ...object], [true, false]],
      [["CREATE"], /CREATE operation requires an object/],
      [["CREATE", ...object, ...old], /CREATE operation does not require an old_object/],
      [["UPDATE", ...object], /UPDATE operation requires an old_object/],
      [["UPDATE", ...old], /UPDATE operation requires an object/],
      [["DELETE", ...object, ...old], /DELETE operation does not require an object/],
      [["DELETE"], /DELETE operation requires an old_object/],
      [["CONNECT"], /CONNECT operation requires an object/],
    ];
    for (const [words, expected] of rows) {
      const { exit, stdout, stderr } = await scaffold(...words);
      if (expected instanceof RegExp) {
        assert.is(exit, 1, words.join(" "));
        assert.match(stderr, expected);
        continue;
      }
      const request = JSON.parse(stdout);
      assert.equal(
        [request.object !== undefined, request.oldObject !== undefined],
        expected,
        words.join(" "),
      );
      assert.is(request.operation, words[0]);
    }
  }));

test.run();
