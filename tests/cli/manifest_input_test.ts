/** What an author holds in the hand works as input: manifests of every form, OPA bundles, custom resources in JSON. */
import { gzipSync } from "node:zlib";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadTar } from "../../deps.ts";
import { requestsIn } from "../../cli/render/manifest_request.ts";
import { usualResource } from "../../cli/render/usual_resource.ts";
import type { Admission } from "../../cli/types/admission.ts";
import { inPlace, PLAIN, POLICY } from "./place.ts";

const encoder = new TextEncoder();
const given = (text: string, admission: Admission = {}, raw = false) =>
  requestsIn(encoder.encode(text), "input.yml", raw, admission).map(({ about, json }) => ({
    about,
    text: new TextDecoder().decode(json),
    value: JSON.parse(new TextDecoder().decode(json)),
  }));

const pod = (name: string, more = "") => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}${more}}\n`;
const REVIEW = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u"}}`;

test("manifests in every form are requests", () => {
  const rows: readonly (readonly [string, string, readonly string[]])[] = [
    ["YAML", pod("a"), ["Pod default/a"]],
    ["JSON", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`, ["Pod default/a"]],
    ["a mark and blanks before it", `\uFEFF\n\n${pod("a")}`, ["Pod default/a"]],
    ["several documents", `---\n${pod("a")}---\n${pod("b", ", namespace: n")}---\n`, [
      "Pod default/a",
      "Pod n/b",
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
    given(`${pod("a")}spec: {n: 12345678901234567890, f: 1.0}\n`)[0]!.text,
    '"n":12345678901234567890,"f":1.0',
    "numbers stay as they are",
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
  const rows: readonly (readonly [string, string, Admission, RegExp])[] = [
    ["nothing", "", {}, /Error parsing request input\.yml: it is empty/],
    ["a broken document", "a: [\n", {}, /Error parsing request input\.yml: .* at line \d+ column \d+/],
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
      ["policy.rego", "package a.b\n\nallow := true\n", /it looks like Rego; build it with/],
      ["policy.wat", "(module)", /it is WebAssembly's text format/],
      ["words.wasm", "hello", /it does not begin with the bytes/],
    ];
    for (const [name, content, expected] of refused) {
      file(name, content);
      const { exit, stderr } = await run(name);
      assert.is(exit, 1, name);
      assert.match(stderr, expected, name);
      assert.match(stderr, name);
    }
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
