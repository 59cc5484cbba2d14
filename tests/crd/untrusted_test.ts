// Custom resources as their hostile author writes them: validation ends soon, its answers are bounded, and names that
// objects inherit something under are names like others.
import { performance } from "node:perf_hooks";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { renderConfiguration } from "../../controller/render/config_map.ts";
import { renderReview } from "../../controller/render/admission_review.ts";
import { covers, needsApply, removeForeign } from "../../controller/render/differences.ts";
import { hostPortProblems } from "../../controller/render/host_network.ts";
import { renderEnvironment } from "../../controller/render/environment.ts";
import { renderWebhookConfiguration } from "../../controller/render/webhook_configuration.ts";
import { defaultSettings } from "../../controller/types/settings.ts";
import {
  checkGroupExpression,
  fieldErrorText,
  parseQuantity,
  policyId,
  validatePolicy,
  validatePolicyServer,
  withDefaults,
} from "../../crd/mod.ts";
import { labelMatcher } from "../../audit/render/label_selector.ts";

// deno-lint-ignore no-explicit-any
type Any = any;
const RULE = { apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] };
const INHERITED = ["constructor", "__proto__", "toString", "hasOwnProperty", "valueOf", "isPrototypeOf"];
/** The API server takes objects of some MiB; no part of one may cost more than this, on a machine that does other things. */
const MAX_MS = 5_000;
const MAX_ANSWER = 256 * 1024;

const policy = (kind: string, spec: Any, metadata: Any = {}): Any => ({
  apiVersion: "policies.kubewarden.io/v1",
  kind,
  metadata: { name: "p", ...(kind.startsWith("Cluster") ? {} : { namespace: "n" }), ...metadata },
  spec: { policyServer: "default", module: "m", mutating: false, rules: [RULE], timeoutSeconds: 10, ...spec },
});
const group = (spec: Any, metadata: Any = {}): Any =>
  policy(
    "AdmissionPolicyGroup",
    { policies: { a: { module: "m" } }, expression: "a()", message: "no", ...spec },
    metadata,
  );
const server = (spec: Any, name = "s"): Any => ({
  apiVersion: "policies.kubewarden.io/v1",
  kind: "PolicyServer",
  metadata: { name, uid: "u" },
  spec: { image: "i", replicas: 1, ...spec },
});

const MIB = 2 ** 20;
const many = <T>(count: number, of: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => of(index));
const named = (count: number, value: Any) => Object.fromEntries(many(count, (index) => [`-${index}`, value]));
const HUGE: readonly (readonly [label: string, object: Any])[] = [
  ["rules without anything", policy("AdmissionPolicy", { rules: many(200_000, () => ({})) })],
  ["rules of null", policy("AdmissionPolicy", { rules: many(200_000, () => null) })],
  [
    "empty resources",
    policy("AdmissionPolicy", { rules: [{ ...RULE, resources: many(200_000, () => "") }] }),
  ],
  [
    "wildcards",
    policy("AdmissionPolicy", {
      rules: many(20_000, () => ({ ...RULE, apiGroups: ["*"], resources: ["*"] })),
    }),
  ],
  [
    "long resources",
    policy("AdmissionPolicy", {
      rules: [{ ...RULE, apiGroups: ["*"], resources: [`policyreports/${"/".repeat(MIB)}`] }],
    }),
  ],
  ["invalid members", group({ policies: named(40_000, { module: "m" }) })],
  [
    "a member with a long name",
    group({ policies: { ["x".repeat(MIB)]: { module: "m", timeoutEvalSeconds: 100 } } }),
  ],
  [
    "a long unreadable member",
    group({ policies: { ["-".repeat(MIB)]: { module: "m", timeoutEvalSeconds: 100 } } }),
  ],
  [
    "members with long limits of time",
    group({
      policies: Object.fromEntries(
        many(20_000, (index) => [`m${index}`, { module: "m", timeoutEvalSeconds: 99 }]),
      ),
    }),
  ],
  ["a huge expression", group({ expression: "a() && ".repeat(MIB / 7) })],
  ["undeclared members", group({ expression: `${"b() || ".repeat(9_000)}a()` })],
  ["one long undeclared member", group({ expression: `${"b".repeat(60_000)}()` })],
  ["undeclared names in a list", group({ expression: `[${"b,".repeat(20_000)}b] == []` })],
  ["nots", group({ expression: `${"!".repeat(60_000)}a()` })],
  ["minuses", group({ expression: `${"-".repeat(60_000)}1 == 1` })],
  ["nots here and there", group({ expression: `${"!a()||".repeat(10_000)}!a()` })],
  ["parentheses", group({ expression: "(".repeat(60_000) })],
  ["a sum", group({ expression: `${"1+".repeat(30_000)}1 == 1` })],
  ["a chain of comparisons", group({ expression: `a()${"==a()".repeat(10_000)}` })],
  ["calls of calls", group({ expression: `a()${".a()".repeat(15_000)}` })],
  ["indices", group({ expression: `a()${"[0]".repeat(20_000)}` })],
  ["conditionals", group({ expression: `${"true?".repeat(6_000)}true${":true".repeat(6_000)}` })],
  ["quotes that do not end", group({ expression: `"""${'\\"""'.repeat(15_000)}` })],
  ["short texts", group({ expression: `${'"" '.repeat(20_000)}` })],
  ["comments", group({ expression: `${"// \n".repeat(15_000)}a()` })],
  ["spaces", group({ expression: `${" ".repeat(60_000)}` })],
  ["digits", group({ expression: `${"1".repeat(30_000)}.${"1".repeat(30_000)} == 1.0` })],
  [
    "nested lists that differ",
    group({ expression: `${"[".repeat(150)}1${"]".repeat(150)} == ${"[".repeat(150)}a()${"]".repeat(150)}` }),
  ],
  ["a long name", policy("ClusterAdmissionPolicy", {}, { name: "x".repeat(MIB) })],
  ["long capabilities", server({ namespacedPoliciesCapabilities: many(1_000, () => "x/".repeat(500)) })],
  ["long wildcards", server({ namespacedPoliciesCapabilities: ["*".repeat(MIB), "oci/".repeat(MIB / 4)] })],
  [
    "quantities of many digits",
    server({ limits: { memory: "1".repeat(MIB), cpu: `0.${"1".repeat(MIB)}` }, requests: { memory: "-1" } }),
  ],
  ["many limits", server({ limits: named(5_000, "1"), requests: named(5_000, "2") })],
  ["a long Secret's name", server({ imagePullSecret: "x".repeat(MIB) })],
];

for (const [label, object] of HUGE) {
  test(`answered soon and in few words: ${label}`, () => {
    const began = performance.now();
    const errors = object.kind === "PolicyServer"
      ? validatePolicyServer(object, { imagePullSecret: { problem: "gone ".repeat(MIB / 8) } })
      : validatePolicy(object);
    const answer = renderReview({ allowed: false, kind: object.kind, name: "p", errors });
    const ms = performance.now() - began;
    assert.ok(ms < MAX_MS, `${ms.toFixed()} ms`);
    if (["nots here and there", "comments", "digits"].includes(label)) return assert.equal(errors, []);
    if (label === "quantities of many digits") {
      assert.equal(errors.map(({ field }) => field), ["spec.requests.memory"]);
    }
    assert.ok(errors.length > 0);
    assert.ok(answer.length < MAX_ANSWER, `${answer.length} characters`);
    assert.ok(JSON.parse(answer).response.status.details.causes.length <= 51);
  });
}

test("more errors than are told are counted", () => {
  const rules = many(80, (index) => ({ ...RULE, resources: [...many(index, () => "a"), ""] }));
  const { message, details } = JSON.parse(
    renderReview({
      allowed: false,
      kind: "AdmissionPolicy",
      name: "p",
      errors: validatePolicy(policy("AdmissionPolicy", { rules })),
    }),
  ).response.status;
  assert.match(message, /resources\[49\]: .*there are 30 more errors\]$/);
  assert.is(details.causes.length, 51);
  // Of a long line of an expression, what is around the problem; the position is that in the whole.
  const problem = checkGroupExpression(`${"a() || ".repeat(100)}b()`, ["a"]) as { text: string };
  assert.match(problem.text, /^ERROR: <input>:1:70[12]: undeclared reference to 'b'/);
  const [, line = "", marker = ""] = problem.text.split("\n");
  assert.ok(line.length < 250);
  assert.is(line[marker.indexOf("^")], "(");
});

test("a quantity of more characters than any is no quantity", () => {
  assert.is(parseQuantity("1".repeat(129)), undefined);
  assert.ok(parseQuantity(`${"0".repeat(127)}1`) !== undefined);
});

const policiesFile = (server: Any, policy: Any): string =>
  renderConfiguration(server, [policy], defaultSettings("kubewarden")).configMap.data["policies.yml"]!;

test("members, settings, labels and variables may have names that objects inherit something under", () => {
  for (const name of INHERITED) {
    // As a member of a group: declared it is known, undeclared it isn't.
    assert.is(checkGroupExpression(`${name}()`, ["a"])?.kind, "compilation", name);
    assert.is(checkGroupExpression(`${name}() && a()`, [name, "a"]), undefined, name);
    const members = JSON.parse(`{"${name}": {"module": "m", "settings": {"${name}": {"${name}": 1}}}}`);
    const own = group({ policies: members, expression: `${name}()` });
    assert.equal(validatePolicy(own), [], name);
    const file = JSON.parse(policiesFile(server({}), own));
    const entry = file["kw.apg.n.p"];
    assert.equal(Object.keys(entry.policies), [name]);
    assert.equal(
      JSON.stringify(Object.getOwnPropertyDescriptor(entry.policies, name)!.value.settings),
      `{"${name}":{"${name}":1}}`,
    );
    // As a key of free-form settings: it is kept as it is, and nothing is taken from it.
    const spec = JSON.parse(
      `{"module":"m","settings":{"${name}":{"mutating":true}},"${name}":{"mutating":true}}`,
    );
    const completed = withDefaults("ClusterAdmissionPolicy", spec) as Any;
    assert.ok(Object.hasOwn(completed, name), name);
    assert.ok(Object.hasOwn(completed.settings, name), name);
    assert.is(Object.getPrototypeOf(completed), Object.prototype);
    assert.is(Object.getOwnPropertyDescriptor(completed, "mutating"), undefined);
    // As a host capability.
    assert.is(
      validatePolicyServer(server({ namespacedPoliciesCapabilities: [name, `oci/${name}`] })).length,
      2,
      name,
    );
  }
});

test("policies and servers may be called so too", () => {
  for (const name of ["constructor", "tostring", "valueof"]) {
    const own = policy("AdmissionPolicy", {}, { name, namespace: name });
    assert.equal(validatePolicy(own), []);
    const file = JSON.parse(policiesFile(server({}, name), own));
    assert.equal(Object.keys(file), [policyId(own)]);
    assert.is(
      renderWebhookConfiguration(own, { namespace: "kubewarden", caBundle: "" }).metadata.name,
      `kw.ap.${name}.${name}`,
    );
    assert.equal(validatePolicyServer(server({}, name)), []);
  }
});

test("labels that somebody added are seen and taken away, whatever their names", () => {
  const desired: Any = { metadata: { name: "x", labels: { app: "a" } } };
  for (const name of INHERITED) {
    const labels = JSON.parse(`{"app":"a","${name}":"x"}`);
    const live: Any = { metadata: { name: "x", resourceVersion: "1", labels } };
    assert.equal(
      removeForeign(live, desired, [["metadata", "labels"]])?.slice(1),
      [{ op: "remove", path: `/metadata/labels/${name}` }],
      name,
    );
    // A label of ours that is missing, and one that is ours no longer.
    assert.is(
      covers(desired, { metadata: { labels: JSON.parse(`{"${name}":""}`) } }),
      true,
      "empty: as good as absent",
    );
    assert.is(covers(desired, { metadata: { labels: JSON.parse(`{"${name}":"x"}`) } }), false, name);
    live.metadata.managedFields = [{
      manager: "portreeve-controller",
      operation: "Apply",
      fieldsV1: { "f:metadata": { "f:labels": { [`f:${name}`]: {} } } },
    }];
    assert.is(needsApply(live, desired), true, name);
  }
});

test("selectors and variables, whatever names they have", () => {
  for (const key of ["constructor", "toString"]) {
    const exists = { matchExpressions: [{ key, operator: "Exists" as const }] };
    assert.is(labelMatcher(exists)({ app: "a" }), false);
    assert.is(labelMatcher(exists)({ [key]: "a" }), true);
    // Two servers on the same port are kept apart by a selector only when it selects.
    const term = { topologyKey: "kubernetes.io/hostname", labelSelector: exists };
    const affinity = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } };
    const settings = { ...defaultSettings("kubewarden"), hostNetwork: true };
    const [one, other] = [server({ affinity }, "one"), server({}, "other")];
    const labelled = server({ labels: { [key]: "a" } }, "other");
    const without = hostPortProblems(one, [one, other], settings).length;
    assert.ok(without > hostPortProblems(one, [one, labelled], settings).length, key);
  }
  const environment = renderEnvironment(
    server({ env: INHERITED.map((name) => ({ name, value: "v" })) }),
    defaultSettings("kubewarden"),
    [],
  );
  for (const name of INHERITED) assert.is(environment.filter((one) => one.name === name).length, 1, name);
});

test("errors of a policy are texts of one path and one message", () => {
  const texts = validatePolicy(group({ policies: { "-": { module: "m" } } })).map(fieldErrorText);
  assert.equal(texts, [
    'spec.policies: Invalid value: "-": policy group member name is invalid',
    "spec.expression: Invalid value: \"a()\": compilation failed: ERROR: <input>:1:2: undeclared reference to 'a' (in container '')\n | a()\n | .^",
  ]);
});

test.run();
