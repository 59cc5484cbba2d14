// Every rule and text of spec/crds.md §8.4, §10 and §11 that the recorded requests do not already show.
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  checkGroupExpression,
  defaultingPatch,
  fieldErrorText,
  invalidMessage,
  parseQuantity,
  quantityText,
  validatePolicy,
  validatePolicyServer,
} from "../../crd/mod.ts";

// deno-lint-ignore no-explicit-any
type Any = any;
const RULE = { apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] };
const policy = (spec: Any, kind = "ClusterAdmissionPolicy", metadata: Any = {}): Any => ({
  apiVersion: "policies.kubewarden.io/v1",
  kind,
  metadata: { name: "p", ...(kind.startsWith("Cluster") ? {} : { namespace: "n" }), ...metadata },
  spec: { policyServer: "default", module: "m", mutating: false, rules: [RULE], timeoutSeconds: 10, ...spec },
});
const group = (spec: Any, metadata: Any = {}): Any =>
  policy(
    {
      policies: { a: { module: "m" }, b: { module: "m" } },
      expression: "a() && b()",
      message: "no",
      ...spec,
    },
    "ClusterAdmissionPolicyGroup",
    metadata,
  );
const server = (spec: Any, name = "s"): Any => ({
  apiVersion: "policies.kubewarden.io/v1",
  kind: "PolicyServer",
  metadata: { name },
  spec: { image: "i", replicas: 1, ...spec },
});
const texts = (errors: readonly Any[]) => errors.map(fieldErrorText);
const policyTexts = (given: Any, old?: Any) => texts(validatePolicy(given, { old }));

test("rules", () => {
  assert.equal(policyTexts(policy({})), []);
  assert.equal(policyTexts(policy({ rules: [] })), ["spec.rules: Required value: a value must be specified"]);
  assert.equal(policyTexts(policy({ rules: undefined })), [
    "spec.rules: Required value: a value must be specified",
  ]);
  assert.equal(policyTexts(policy({ rules: [{ ...RULE, operations: null }] })), [
    "spec.rules.operations: Required value: a value must be specified",
  ]);
  assert.equal(
    policyTexts(policy({ rules: [{ ...RULE, resources: [] }, { ...RULE, apiVersions: undefined }] })),
    [
      "spec.rules: Required value: apiVersions and resources must have specified values",
      "spec.rules: Required value: apiVersions and resources must have specified values",
    ],
  );
  assert.equal(
    policyTexts(
      policy({ rules: [{ apiVersions: ["", "v1"], resources: ["a", ""], operations: ["", "*"] }] }),
    ),
    [
      "spec.rules.operations[0]: Required value: must be non-empty",
      "spec.rules.rule.apiVersions[0]: Required value: must be non-empty",
      "spec.rules.rule.resources[1]: Required value: must be non-empty",
    ],
  );
});

test("what namespaced policies may not target; cluster-wide ones may", () => {
  const everything = { ...RULE, apiGroups: ["", "*"], apiVersions: ["v1"], resources: ["pods", "*/*"] };
  assert.equal(policyTexts(policy({ rules: [everything] }, "AdmissionPolicy")), [
    "spec.rules.apiGroups[1]: Forbidden: apiGroups cannot use wildcards when using AdmissionPolicy or AdmissionPolicyGroup",
    "spec.rules.resources[1]: Forbidden: resources cannot use wildcards when using AdmissionPolicy or AdmissionPolicyGroup",
    "spec.rules: Forbidden: {APIGroup: wgpolicyk8s.io, Resource: policyreports} resources cannot be targeted by AdmissionPolicy or AdmissionPolicyGroup",
  ]);
  assert.equal(policyTexts(policy({ rules: [everything] })), []);
  const reports = {
    ...RULE,
    apiGroups: ["wgpolicyk8s.io"],
    apiVersions: ["v1beta1"],
    resources: ["policyreports/status"],
  };
  assert.is(
    policyTexts(policy({ rules: [reports] }, "AdmissionPolicy")).length,
    1,
    "the original lets this pass",
  );
  assert.equal(policyTexts(policy({ rules: [reports] })), []);
  assert.equal(policyTexts(policy({ rules: [{ ...RULE, apiGroups: ["*"] }] }, "AdmissionPolicy")), []);
  assert.equal(
    policyTexts(policy({ rules: [{ ...RULE, apiGroups: ["apps"], resources: ["*"] }] }, "AdmissionPolicy")),
    [],
  );
});

test("no policy of a namespace targets the audit's reports, in either API, by name or by wildcard", () => {
  const refused = (group: string, plural: string) =>
    `spec.rules: Forbidden: {APIGroup: ${group}, Resource: ${plural}} resources cannot be targeted by AdmissionPolicy or AdmissionPolicyGroup`;
  const open = refused("openreports.io", "reports");
  const legacy = refused("wgpolicyk8s.io", "policyreports");
  const cases: readonly (readonly [groups: string[], resources: string[], errors: string[]])[] = [
    [["openreports.io"], ["reports"], [open]],
    [["openreports.io"], ["clusterreports"], [open]],
    [["openreports.io"], ["reports/status"], [open]],
    [["openreports.io"], ["reports/*"], [open]],
    [["openreports.io"], ["*"], [open]],
    [["openreports.io"], ["*/*"], [open]],
    [["openreports.io"], ["*/status"], [open]],
    [["", "apps", "openreports.io"], ["pods", "reports"], [open]],
    [["*"], ["reports"], [open]],
    [["*"], ["pods", "clusterreports/status"], [open]],
    [["wgpolicyk8s.io"], ["policyreports"], [legacy]],
    [["wgpolicyk8s.io"], ["clusterpolicyreports"], [legacy]],
    [["wgpolicyk8s.io"], ["policyreports/*"], [legacy]],
    [["wgpolicyk8s.io"], ["*/*"], [legacy]],
    [["*"], ["policyreports"], [legacy]],
    [["wgpolicyk8s.io", "openreports.io"], ["*"], [legacy, open]],
    [["*"], ["policyreports", "reports"], [legacy, open]],
    // What only looks like reports, and what is none.
    [["example.org"], ["reports"], []],
    [["openreports.io.example.org"], ["reports"], []],
    [["openreports.io"], ["reportsomething"], []],
    [["apps"], ["*"], []],
    [["*"], ["pods", "*/scale"], []],
  ];
  for (const version of ["v1alpha1", "v1"]) {
    for (const [apiGroups, resources, errors] of cases) {
      const rule = {
        ...RULE,
        apiGroups,
        apiVersions: [version],
        resources,
        operations: ["CREATE", "UPDATE"],
      };
      const label = `${apiGroups} ${resources}`;
      const spec = { rules: [RULE, rule] };
      assert.equal(policyTexts(policy(spec, "AdmissionPolicy")), errors, label);
      const members = { policies: { a: { module: "m" } }, expression: "a()", message: "no", ...spec };
      assert.equal(policyTexts(policy(members, "AdmissionPolicyGroup")), errors, label);
      assert.equal(policyTexts(policy(spec)), [], `${label}: cluster-wide`);
      assert.equal(policyTexts(group(spec)), [], `${label}: cluster-wide group`);
      // Also when an accepted policy is changed to that.
      assert.equal(
        policyTexts(policy(spec, "AdmissionPolicy"), policy({}, "AdmissionPolicy")),
        errors,
        label,
      );
    }
  }
  // The manifest of a tenant that hid its findings.
  const manifest = {
    apiGroups: ["openreports.io"],
    apiVersions: ["*"],
    resources: ["reports"],
    operations: ["CREATE", "UPDATE"],
  };
  assert.equal(policyTexts(policy({ mutating: true, rules: [manifest] }, "AdmissionPolicy")), [open]);
});

test("timeouts, and what an update may not change", () => {
  assert.equal(policyTexts(policy({ timeoutEvalSeconds: 11 })), [
    "spec.timeoutEvalSeconds: Invalid value: 11: timeoutEvalSeconds cannot be greater than timeoutSeconds",
  ]);
  assert.equal(policyTexts(policy({ policyServer: "x", mode: "monitor" }), policy({ mode: "protect" })), [
    "spec.policyServer: Forbidden: the field is immutable",
    "spec.mode: Forbidden: field cannot transition from protect to monitor. Recreate instead.",
  ]);
  assert.equal(policyTexts(policy({ mode: "protect", mutating: true }), policy({ mode: "monitor" })), []);
});

test("what is being deleted can always lose its finalizer", () => {
  const deleted = { deletionTimestamp: "2026-01-01T00:00:00Z" };
  assert.equal(
    policyTexts(policy({ rules: [] }, "AdmissionPolicy", deleted), policy({}, "AdmissionPolicy")),
    [],
  );
  const dying = server({ minAvailable: 1, maxUnavailable: 1 });
  dying.metadata.deletionTimestamp = deleted.deletionTimestamp;
  assert.equal(validatePolicyServer(dying, { imagePullSecret: { problem: "gone" } }), []);
});

test("an identity that is too long is refused when it is created, and only then", () => {
  const long = policy({}, "ClusterAdmissionPolicy", { name: "x".repeat(240) });
  assert.equal(policyTexts(long), [
    `metadata.name: Invalid value: "${
      "x".repeat(240)
    }": the policy name combined with its namespace and kind produces an ` +
    "identity that is too long (268 characters, max 253); the name must be at most 225 characters long",
  ]);
  assert.equal(policyTexts(long, long), []);
});

test("group members", () => {
  const members = (...names: string[]) => Object.fromEntries(names.map((name) => [name, { module: "m" }]));
  for (
    const name of ["", "in", "0policy1", "p!ol.ic?y1", "let", "while", "a-b", "fn", "this", "_", "__", "_1"]
  ) {
    const [error] = policyTexts(group({ policies: members(name), expression: "true" }));
    assert.is(
      error,
      `spec.policies: Invalid value: ${JSON.stringify(name)}: policy group member name is invalid`,
      name,
    );
  }
  assert.equal(
    policyTexts(
      group({ policies: members("_policy1", "pol_icy2", "po0licy1", "policy21"), expression: "true" }),
    ),
    [],
  );
  const stored = group({ policies: members("fn"), expression: "fn()" });
  assert.equal(policyTexts(stored, stored), [], "a stored group keeps the member it has");
  assert.equal(policyTexts(group({ policies: {}, expression: "true" })), [
    "spec.policies: Required value: policy groups must have at least one policy member",
  ]);
});

test("member timeouts, sorted by name", () => {
  const policies = { b: { module: "m", timeoutEvalSeconds: 31 }, a: { module: "m", timeoutEvalSeconds: 4 } };
  assert.equal(policyTexts(group({ policies, timeoutSeconds: 12 })), [
    "spec.policies[b].timeoutEvalSeconds: Invalid value: 31: timeoutEvalSeconds cannot be greater than 30 (Kubernetes webhook max timeout)",
    "spec.policies[b].timeoutEvalSeconds: Invalid value: 31: timeoutEvalSeconds cannot be greater than group timeoutSeconds (12)",
    "spec.policies: Invalid value: 35: the sum of all members' timeoutEvalSeconds cannot be greater than group timeoutSeconds (12)",
    "spec.policies: Invalid value: 35: the sum of all members' timeoutEvalSeconds cannot be greater than 30 (Kubernetes webhook max timeout)",
  ]);
});

test("group expressions: accepted", () => {
  const accepted = [
    "a()",
    "a() && b()",
    "!a() || (b() && c())",
    "!!a()",
    "a() == b()",
    "a() != true",
    "true",
    "1 == 1",
    '"x" != "y"',
    "'x' == 'x'",
    "[1] == [1]",
    "[1, 2] == []",
    "[a()] == [true]",
    "{'k': 1} == {'k': 2}",
    "null == null",
    "-1 == 1",
    "1.5 == 2.0",
    "1u == 2u",
    "0x1F == 31",
    'r"\\d" == b"x" || true'.replace('b"x"', '"x"'),
    "a() // why\n && b()",
    " \n a()\t",
  ];
  for (const text of accepted) assert.is(checkGroupExpression(text, ["a", "b", "c"]), undefined, text);
});

test("group expressions: what is wrong is told in a bounded text, however much is wrong", () => {
  const long = "x".repeat(60_000);
  const wrong = [
    "z()||".repeat(13_000) + "a()",
    "z()||\n".repeat(9_000) + "a()",
    "z()+".repeat(900) + "a()",
    "&&a()".repeat(12_000),
    "a()" + "&&a()".repeat(12_000),
    "a()" + ".b".repeat(30_000),
    "a()" + "[0]".repeat(20_000),
    "(".repeat(60_000),
    "[".repeat(60_000),
    "!".repeat(60_000),
    "-".repeat(60_000),
    "/*".repeat(30_000),
    `'${long}`,
    `'${long}'`,
    long,
    `${long}()`,
    `${long}() + 1`,
    `[${"[1],".repeat(900)}1] + {${"1: [[1]],".repeat(900)}}`,
    "a() || ".repeat(100_000),
  ];
  for (const source of wrong) {
    const problem = checkGroupExpression(source, ["a"]);
    if (problem?.kind !== "compilation") continue;
    assert.ok(problem.text.length < 10_000, `${source.slice(0, 20)}: ${problem.text.length}`);
    // What is shown of a line holds the place that is meant.
    for (const [, line = "", mark = ""] of problem.text.matchAll(/^ \| (.*)\n \| (\.*)\^$/gm)) {
      assert.ok(mark.length <= line.length, source.slice(0, 20));
    }
  }
  // A chain is taken apart, however long it is; what nests deeper with each operator is bounded, below the policy server's limit.
  const row = (operator: string, operators: number) => `${`a() ${operator} `.repeat(operators)}a()`;
  for (const operator of ["||", "&&"]) {
    assert.is(checkGroupExpression(row(operator, 9_000), ["a"]), undefined, operator);
  }
  for (const operator of ["==", "!="]) {
    assert.is(checkGroupExpression(row(operator, 499), ["a"]), undefined, operator);
    assert.is(checkGroupExpression(row(operator, 501), ["a"])?.kind, "compilation", operator);
  }
});

test("group expressions: refused", () => {
  for (const text of ["123", '"x"', "[a()]", "null"]) {
    assert.equal(checkGroupExpression(text, ["a"]), { kind: "not-bool" }, text);
  }
  const refused = [
    ...'a;a(1);d();2 > 1;1 + 1 == 2;a() ? a() : a();x in [1];[a()][0];1 == "1";[true].all(x, x);!1;a() && 1;1 == 1u'
      .split(";"),
    ...[
      "",
      "(",
      ")",
      "a(",
      "a()) ",
      "a() &&",
      "&& a()",
      "a() a()",
      "'x",
      "a() & a()",
      "a().b",
      "{1}",
      "a() == ",
      "!",
      "let()",
      "in()",
      "@",
    ],
    `${"(".repeat(100_000)}a()`,
    `${"!(".repeat(300)}a()${")".repeat(300)}`,
  ];
  for (const text of refused) {
    const problem = checkGroupExpression(text, ["a"]);
    assert.is(problem?.kind, "compilation", text.slice(0, 40));
  }
  assert.equal(checkGroupExpression("a-b()", ["a-b"]), {
    kind: "compilation",
    text: [
      "ERROR: <input>:1:1: undeclared reference to 'a' (in container '')\n | a-b()\n | ^",
      "ERROR: <input>:1:2: undeclared reference to '_-_' (in container '')\n | a-b()\n | .^",
      "ERROR: <input>:1:4: undeclared reference to 'b' (in container '')\n | a-b()\n | ...^",
    ].join("\n"),
  });
});

test("the name of a PolicyServer: 63 for stored ones, 38 and no dots for new ones", () => {
  const name = "x".repeat(64);
  assert.equal(texts(validatePolicyServer(server({}, name))), [
    `metadata.name: Invalid value: "${name}": the PolicyServer name cannot be longer than 63 characters`,
  ]);
  const stored = server({}, "x".repeat(63));
  assert.equal(validatePolicyServer(stored, { old: stored }), []);
  assert.equal(validatePolicyServer(server({}, "x".repeat(38))), []);
  assert.is(validatePolicyServer(server({}, "x".repeat(39)))[0]!.field, "metadata.name");
  assert.is(validatePolicyServer(server({}, "a.b"))[0]!.field, "metadata.name");
});

test("PolicyServer: everything at once, in order", () => {
  const errors = validatePolicyServer(
    server({
      imagePullSecret: "a",
      sigstoreTrustConfig: "b",
      minAvailable: 1,
      maxUnavailable: "50%",
      limits: { cpu: "-1", memory: "1Gi" },
      requests: { "ephemeral-storage": "-500m", memory: "2048Mi" },
      namespacedPoliciesCapabilities: [
        "oci/*",
        "oci*",
        "oci/v3/verify",
        "oci/v1/verify/*",
        "oci/v1",
        "kubernetes/v1/can_i",
      ],
      webhookPort: 8081,
    }),
    { imagePullSecret: { found: { type: "Opaque" } }, sigstoreTrustConfig: { found: { data: {} } } },
  );
  assert.equal(texts(errors), [
    'spec.imagePullSecret: Invalid value: "a": spec.imagePullSecret secret "a" is not of type kubernetes.io/dockerconfigjson',
    'spec.sigstoreTrustConfig: Invalid value: "b": spec.sigstoreTrustConfig ConfigMap "b" does not contain required key "sigstore-trust-config"',
    'spec: Invalid value: "minAvailable: 1, maxUnavailable: 50%": minAvailable and maxUnavailable cannot be both set',
    'spec.limits.cpu: Invalid value: "-1": must be greater than or equal to 0',
    'spec.requests.ephemeral-storage: Invalid value: "-500m": must be greater than or equal to 0',
    'spec.requests.memory: Invalid value: "2Gi": must be less than or equal to memory limit of 1Gi',
    'spec.namespacedPoliciesCapabilities[1]: Invalid value: "oci*": wildcard "*" is only allowed as the last path segment (e.g. "oci/*" or "oci/v1/*")',
    'spec.namespacedPoliciesCapabilities[2]: Invalid value: "oci/v3/verify": unknown segment "v3", valid options at this level are: v1, v2',
    'spec.namespacedPoliciesCapabilities[3]: Invalid value: "oci/v1/verify/*": "oci/v1/verify" is a complete capability path and cannot have further segments',
    'spec.namespacedPoliciesCapabilities[4]: Invalid value: "oci/v1": "oci/v1" is not a complete capability path; use "oci/v1/*" to allow all capabilities under it',
    'spec.namespacedPoliciesCapabilities[5]: Invalid value: "kubernetes/v1/can_i": unknown segment "v1", valid options at this level are: can_i, get_resource, list_resources_all, list_resources_by_namespace',
    "spec.readinessProbePort: Invalid value: 8081: readinessProbePort must differ from webhookPort (8081)",
  ]);
  assert.is(
    invalidMessage(
      "PolicyServer",
      "policies.kubewarden.io",
      "s",
      errors.slice(0, 1).concat(errors.slice(0, 1)),
    ),
    `PolicyServer.policies.kubewarden.io "s" is invalid: ${texts(errors)[0]}`,
    "what is said twice is shown once",
  );
  assert.equal(validatePolicyServer(server({ readinessProbePort: 8443 })).length, 1);
  assert.equal(
    validatePolicyServer(server({ sigstoreTrustConfig: "b" }), {
      sigstoreTrustConfig: { found: { data: { "sigstore-trust-config": "" } } },
    }),
    [],
  );
});

test("quantities in canonical form", () => {
  const forms: { [given: string]: string } = {
    "0.5": "500m",
    "1000m": "1",
    "1024Mi": "1Gi",
    "1500Mi": "1500Mi",
    "0": "0",
    "1e3": "1e3",
    "12E": "12E",
    "1000": "1k",
    "-1": "-1",
    "100n": "100n",
    "512": "512",
  };
  for (const [given, wanted] of Object.entries(forms)) {
    assert.is(quantityText(parseQuantity(given)!), wanted, given);
  }
  for (const given of ["", "abc", "1x", "--1", "1e999999999", "Mi"]) {
    assert.is(parseQuantity(given), undefined, given);
  }
});

test("the defaulting patch is minimal and leaves what it cannot read to the schema", () => {
  const patch = (kind: Any, object: Any) =>
    defaultingPatch(kind, object).map(({ op, path, value }) => [op, path, value]);
  const finalizer = ["add", "/metadata/finalizers", ["kubewarden.io/finalizer"]];
  assert.equal(patch("ClusterAdmissionPolicy", { metadata: {}, spec: { policyServer: "" } }), [
    ["replace", "/spec/policyServer", "default"],
    ["add", "/spec/mutating", false],
    finalizer,
  ]);
  assert.equal(patch("PolicyServer", { metadata: { finalizers: ["x"] }, spec: {} }), [
    ["add", "/metadata/finalizers/-", "kubewarden.io/finalizer"],
  ]);
  assert.equal(patch("PolicyServer", { metadata: { deletionTimestamp: "t" }, spec: {} }), []);
  for (
    const odd of [null, 1, "x", [], {}, { metadata: null }, {
      metadata: { deletionTimestamp: "t" },
      spec: [1],
    }]
  ) {
    assert.equal(patch("ClusterAdmissionPolicy", odd), []);
  }
});

test.run();
