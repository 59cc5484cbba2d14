// scaffold vap (spec/cli.md §16.2).
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inPlace, type TestPlace } from "./place.ts";
import { warnings, yaml } from "./scaffolded.ts";

const VAP = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "ValidatingAdmissionPolicy",
  metadata: { name: "demo" },
  spec: {
    matchConstraints: {
      resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }],
    } as Record<string, unknown>,
    validations: [{ expression: "true" }],
  } as Record<string, unknown>,
};
const BINDING = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "ValidatingAdmissionPolicyBinding",
  metadata: { name: "demo-binding", labels: { a: "b" } },
  spec: { policyName: "demo", validationActions: ["Deny"] } as Record<string, unknown>,
};

async function converted(
  { reeve, file }: TestPlace,
  change: (vap: typeof VAP, binding: typeof BINDING) => void,
  module = "ghcr.io/kubewarden/policies/cel-policy:v1.0.0",
) {
  const [vap, binding] = [structuredClone(VAP), structuredClone(BINDING)];
  change(vap, binding);
  file("vap.json", JSON.stringify(vap));
  file("binding.json", JSON.stringify(binding));
  const { exit, stdout, stderr } = await reeve(
    "scaffold",
    "vap",
    "-p",
    "vap.json",
    "-b",
    "binding.json",
    "--cel-policy",
    module,
  );
  return { exit, stderr, policy: exit === 0 ? yaml(stdout) : undefined };
}

type Change = Parameters<typeof converted>[1];

test("vap: a pinned module is silent, the binding gives the name, both selectors have to match", () =>
  inPlace(async (place) => {
    const { exit, stderr, policy } = await converted(place, (vap, binding) => {
      Object.assign(vap.spec, {
        failurePolicy: "Ignore",
        variables: [{ name: "v", expression: "1" }],
        paramKind: { apiVersion: "v1", kind: "ConfigMap" },
      });
      Object.assign(vap.spec["matchConstraints"]!, {
        matchPolicy: "Exact",
        namespaceSelector: { matchLabels: { a: "1" }, matchExpressions: [{ key: "k", operator: "Exists" }] },
        objectSelector: { matchLabels: { o: "1" } },
      });
      Object.assign(binding.spec, {
        paramRef: { name: "p", parameterNotFoundAction: "Allow" },
        matchResources: {
          namespaceSelector: { matchLabels: { a: "1", b: "2" } },
          objectSelector: { matchLabels: { p: "2" } },
        },
      });
    });
    assert.equal([exit, stderr], [0, ""]);
    assert.equal(policy.metadata, BINDING.metadata);
    assert.equal(
      Object.keys(policy.spec).join(" "),
      "module settings rules mutating matchPolicy namespaceSelector objectSelector failurePolicy",
    );
    assert.equal(
      Object.keys(policy.spec.settings).join(" "),
      "failurePolicy variables paramKind paramRef validations",
    );
    assert.is(policy.spec.matchPolicy, "Exact");
    assert.equal(policy.spec.namespaceSelector, {
      matchLabels: { a: "1", b: "2" },
      matchExpressions: [{ key: "k", operator: "Exists" }],
    });
    assert.equal(policy.spec.objectSelector, { matchLabels: { o: "1", p: "2" } });
  }));

test("vap: what would be lost is refused or warned of", () =>
  inPlace(async (place) => {
    const refused: readonly (readonly [Change, RegExp])[] = [
      [
        (vap) => void (vap.spec["paramKind"] = { apiVersion: "v1", kind: "X" }),
        /Both paramKind and paramRef must be present together, or both absent/,
      ],
      [
        (_, binding) => void (binding.spec["paramRef"] = { name: "x" }),
        /Both paramKind and paramRef must be present/,
      ],
      [(vap) =>
        void ((vap.spec["matchConstraints"] as { resourceRules: { operations: string[] }[] })
          .resourceRules[0]!
          .operations = ["PATCH"]), /error converting VAP matchConstraints into rules: unknown operation/],
      [
        (vap) => void Object.assign(vap.spec["matchConstraints"]!, { excludeResourceRules: [{}] }),
        /excludeResourceRules/,
      ],
      [(_, binding) => void (binding.spec["matchResources"] = { resourceRules: [{}] }), /resourceRules/],
      [(vap, binding) => {
        Object.assign(vap.spec["matchConstraints"]!, { objectSelector: { matchLabels: { a: "1" } } });
        binding.spec["matchResources"] = { objectSelector: { matchLabels: { a: "2" } } };
      }, /label/],
      [
        (vap) => void Object.assign(vap, { kind: "Pod" }),
        /cannot convert given data into a ValidatingAdmissionPolicy: /,
      ],
    ];
    // What was indented too little stands beside the spec, where nothing reads it.
    for (const which of [0, 1] as const) {
      for (const name of ["matchConditions", "matchConstraints", "matchResources", "Spec", "constructor"]) {
        const text = new RegExp(
          `convert given data into a \\w+: it has no field "${name}": correct its name or its inden`,
        );
        const { exit, stderr } = await converted(
          place,
          (...documents) => void Object.assign(documents[which], { [name]: [] }),
        );
        assert.is(exit, 1, name);
        assert.match(stderr, text);
      }
    }
    for (const [change, text] of refused) {
      const { exit, stderr } = await converted(place, change);
      assert.is(exit, 1, String(text));
      assert.match(stderr, /^Error: [^#\n]+\n$/);
      assert.match(stderr, text);
    }
    for (
      const [change, text] of [
        [(vap: typeof VAP) => void (vap.spec["auditAnnotations"] = [{ key: "a" }]), "auditAnnotations"],
        [(_: typeof VAP, binding: typeof BINDING) =>
          void (binding.spec["validationActions"] = ["Audit", "Warn"]), "become the mode monitor"],
        [(_: typeof VAP, binding: typeof BINDING) =>
          void (binding.spec["validationActions"] = ["Deny", "Audit"]), "Audit are left out"],
      ] as const
    ) {
      const { exit, stderr } = await converted(place, change);
      assert.is(exit, 0);
      assert.is(warnings(stderr).length, 1);
      assert.match(stderr, text);
    }
    const latest = await converted(place, () => {}, "ghcr.io/kubewarden/policies/cel-policy");
    assert.match(
      latest.stderr,
      "Using the 'latest' version of the CEL policy could lead to unexpected behavior.",
    );
    const nonsense = await converted(place, () => {}, "Not An Image");
    assert.match(nonsense.stderr, "The CEL policy module specified is not a valid OCI reference");
    assert.is(nonsense.policy.spec.module, "Not An Image");
  }));

type ConvertedSpec = {
  readonly rules: readonly { readonly scope?: string }[];
  readonly matchConditions: readonly object[];
  readonly matchPolicy?: string;
  readonly failurePolicy?: string;
  readonly settings: { readonly failurePolicy?: string };
  readonly mode?: string;
};

const rule = (vap: typeof VAP) =>
  (vap.spec["matchConstraints"] as { resourceRules: object[] }).resourceRules[0]!;
const condition = (expression: string, name = "c"): Change => (vap) =>
  void (vap.spec["matchConditions"] = [{ name: "first", expression: "true" }, { name, expression }]);

test("vap: what narrows is kept as it is written", () =>
  inPlace(async (place) => {
    const kept: readonly (readonly [string, Change, (spec: ConvertedSpec) => unknown, unknown])[] = [
      ["scope Cluster", (vap) =>
        void Object.assign(rule(vap), { scope: "Cluster" }), (s) =>
        s.rules[0]?.scope, "Cluster"],
      ["scope Namespaced", (vap) =>
        void Object.assign(rule(vap), { scope: "Namespaced" }), (s) =>
        s.rules[0]?.scope, "Namespaced"],
      ["scope *, which is no scope", (vap) =>
        void Object.assign(rule(vap), { scope: "*" }), (s) =>
        s.rules[0]?.scope, undefined],
      [
        "matchConditions",
        condition('!("system:nodes" in request.userInfo.groups)'),
        (s) =>
          s.matchConditions,
        [{ name: "first", expression: "true" }, {
          name: "c",
          expression: '!("system:nodes" in request.userInfo.groups)',
        }],
      ],
      ["a text that names params", condition('request.name != "params"'), (s) =>
        s.matchConditions.length, 2],
      ["a field called params", condition("has(object.spec.params)"), (s) =>
        s.matchConditions.length, 2],
      ["matchPolicy", (vap) =>
        void Object.assign(vap.spec["matchConstraints"]!, { matchPolicy: "Exact" }), (s) =>
        s.matchPolicy, "Exact"],
      [
        "failurePolicy Ignore",
        (vap) =>
          void (vap.spec["failurePolicy"] = "Ignore"),
        (s) => [s.failurePolicy, s.settings.failurePolicy],
        ["Ignore", "Ignore"],
      ],
      [
        "failurePolicy Fail",
        (vap) =>
          void (vap.spec["failurePolicy"] = "Fail"),
        (s) => [s.failurePolicy, s.settings.failurePolicy],
        [undefined, "Fail"],
      ],
      ["Audit alone", (_, binding) =>
        void (binding.spec["validationActions"] = ["Audit"]), (s) =>
        s.mode, "monitor"],
      ["Warn alone", (_, binding) =>
        void (binding.spec["validationActions"] = ["Warn"]), (s) =>
        s.mode, "monitor"],
      ["Deny and Warn", (_, binding) =>
        void (binding.spec["validationActions"] = ["Deny", "Warn"]), (s) =>
        s.mode, undefined],
      ["null is absent: scope", (vap) =>
        void Object.assign(rule(vap), { scope: null }), (s) =>
        s.rules[0]?.scope, undefined],
      ["null is absent: the binding's matchPolicy", (_, binding) =>
        void (binding.spec["matchResources"] = { matchPolicy: null, objectSelector: null }), (s) =>
        s.matchPolicy, undefined],
      ["null is absent: paramKind", (vap) =>
        void (vap.spec["paramKind"] = null), (s) =>
        "paramKind" in s.settings, false],
      [
        "params in a comment, a raw text and a text of three quotes",
        condition(
          `r"\\" == "" || '''it's params''' == "" // params`,
        ),
        (s) =>
          s.matchConditions.length,
        2,
      ],
      ["no action: Deny", (_, binding) =>
        void delete binding.spec["validationActions"], (s) =>
        s.mode, undefined],
    ];
    for (const [what, change, read, expected] of kept) {
      const { exit, stderr, policy } = await converted(place, change);
      assert.is(exit, 0, `${what}: ${stderr}`);
      assert.equal(read(policy.spec), expected, what);
    }
  }));

test("vap: what would be enforced more widely than before is refused", () =>
  inPlace(async (place) => {
    const refused: readonly (readonly [Change, RegExp])[] = [
      [condition("params.x"), /matchConditions\[1\] \(c\) cannot be converted: it uses `params`/],
      [condition("!variables.y"), /it uses `variables`/],
      [condition("namespaceObject.metadata.name == 'a'"), /it uses `namespaceObject`/],
      [
        (vap) => void (vap.spec["matchConditions"] = [{ name: "a" }]),
        /matchConditions\[0\] \(a\) cannot be converted: it needs a name and an expression/,
      ],
      [(vap) => void (vap.spec["matchConditions"] = ["true"]), /matchConditions\[0\] cannot be converted/],
      [(vap) => void Object.assign(rule(vap), { scope: "Everywhere" }), /unknown scope "Everywhere"/],
      [(vap) => void Object.assign(rule(vap), { resourceNames: ["a"] }), /resourceNames cannot be converted/],
      // What narrows, misspelled or of another type.
      [condition("'''it's''' == params.x || 'a' == 'b'"), /it uses `params`/],
      [condition('r"\\" == params.x'), /it uses `params`/],
      ...([
        [
          { matchCondition: [] },
          /Error: cannot convert given data into a ValidatingAdmissionPolicy: spec has no field "matchCondition"/,
        ],
        [
          { matchConditions: { name: "a", expression: "true" } },
          /spec\.matchConditions must be a list, it is a map/,
        ],
        [{ matchConditions: [{ name: "a", expression: "true", b: 1 }] }, /\[0\] \(a\) .* unknown field "b"/],
        [{ failurePolicy: "ignore" }, /spec\.failurePolicy must be one of Fail, Ignore, it is "ignore"/],
        [{ matchConstraints: null }, /spec\.matchConstraints is missing/],
        [{ constructor: {} }, /spec has no field "constructor"/],
        [{ validations: [] }, /ClusterAdmissionPolicy: spec\.validations is missing or empty/],
        [
          { validations: null, auditAnnotations: [{ key: "a", valueExpression: "'b'" }] },
          /spec\.validations is missing or empty/,
        ],
        [
          { validations: [{ expresion: "false" }] },
          /spec\.validations\[0\]\.expression is missing/,
        ],
        [
          { validations: [{ expression: "false", mesage: "no" }] },
          /spec\.validations\[0\] has no field "mesage"/,
        ],
        [
          { validations: [{ expression: false }] },
          /validations\[0\]\.expression must be a string, it is a boolean/,
        ],
        [{ validations: ["false"] }, /validations\[0\] must be a map/],
        [{ variables: [{ name: "a" }] }, /spec\.variables\[0\]\.expression is missing/],
        [{ variables: { a: "1" } }, /spec\.variables must be a list/],
      ] as const).map(([more, text]) =>
        [(vap: typeof VAP) => void Object.assign(vap.spec, more), text] as const
      ),
      ...([
        [{ excludeResourceRules: {} }, /matchConstraints\.excludeResourceRules must be a list/],
        [{ excludedResourceRules: [] }, /spec\.matchConstraints has no field "excludedResourceRules"/],
        [{ namespaceSelector: "a=b" }, /namespaceSelector must be a map, it is a string/],
        [{ namespaceSelector: { matchLabel: {} } }, /namespaceSelector has no field "matchLabel"/],
        [
          { objectSelector: { matchLabels: { a: 1 } } },
          /matchLabels\["a"\] must be a string, it is a number/,
        ],
        [{ objectSelector: { matchExpressions: { key: "a" } } }, /matchExpressions must be a list/],
        [
          { objectSelector: { matchExpressions: [{ key: "a" }] } },
          /matchExpressions\[0\]\.operator is missing/,
        ],
        [{ matchPolicy: "exact" }, /matchPolicy must be one of Exact, Equivalent/],
        [{ resourceRules: [null] }, /resourceRules\[0\] must be a map, it is null/],
        [{ resourceRules: {} }, /resourceRules must be a list/],
        [{ resourceRules: [] }, /spec\.matchConstraints\.resourceRules is missing or empty/],
      ] as const).map(([more, text]) =>
        [(vap: typeof VAP) => void Object.assign(vap.spec["matchConstraints"]!, more), text] as const
      ),
      ...([
        [{ resourceNames: "a" }, /resourceNames must be a list, it is a string/],
        [{ scopes: "Namespaced" }, /resourceRules\[0\] has no field "scopes"/],
        [{ operations: "CREATE" }, /operations must be a list/],
        [{ resources: [] }, /resourceRules\[0\]\.resources is missing or empty/],
      ] as const).map(([more, text]) =>
        [(vap: typeof VAP) => void Object.assign(rule(vap), more), text] as const
      ),
      ...([
        [
          { validationActions: "Audit" },
          /ValidatingAdmissionPolicyBinding: spec\.validationActions must be a list/,
        ],
        [{ validationActions: ["audit"] }, /validationActions\[0\] must be one of Deny, Warn, Audit/],
        [{ matchResource: {} }, /spec has no field "matchResource"/],
        [{ matchResources: [] }, /spec\.matchResources must be a map, it is a list/],
        [{ paramRef: "a" }, /spec\.paramRef must be a map, it is a string/],
      ] as const).map(([more, text]) =>
        [(_: typeof VAP, binding: typeof BINDING) => void Object.assign(binding.spec, more), text] as const
      ),
    ];
    for (const [change, text] of refused) {
      const { exit, stderr } = await converted(place, change);
      assert.is(exit, 1, String(text));
      assert.match(stderr, text);
    }
  }));

test("vap: a binding as the cluster shows it gives a resource that can be created", () =>
  inPlace(async (place) => {
    const { policy } = await converted(place, (_, binding) =>
      void Object.assign(binding.metadata, {
        uid: "u",
        resourceVersion: "7",
        generation: 1,
        creationTimestamp: "2026-01-01T00:00:00Z",
        managedFields: [{}],
        deletionTimestamp: "2026-01-01T00:00:00Z",
        deletionGracePeriodSeconds: 0,
        finalizers: ["foregroundDeletion"],
        ownerReferences: [{ apiVersion: "v1", kind: "Namespace", name: "a", uid: "u" }],
      }));
    assert.equal(policy.metadata, BINDING.metadata);
  }));

test.run();
