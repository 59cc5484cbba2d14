// scaffold: manifest, vap, admission-request, artifacthub, verification-config (spec/cli.md §16).
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseDocument } from "../../deps.ts";
import { startServer } from "../artifact/_server.ts";
import { inPlace, PLAIN, POLICY, type TestPlace } from "./place.ts";

const yaml = (text: string) => parseDocument(text, { intAsBigInt: true }).toJS();
const warnings = (stderr: string) =>
  stderr.split("\n").flatMap((line) => /^TIME +WARN [^:]+: (.*)$/.exec(line)?.[1] ?? []);

/** A policy with the given metadata, beyond what has to be there. */
async function policyWith({ reeve, file }: TestPlace, metadata: string): Promise<void> {
  file("m.yml", `mutating: false\n${metadata}`);
  const { exit, stderr } = await reeve("annotate", "-m", "m.yml", "-o", "p.wasm", PLAIN);
  assert.is(exit, 0, stderr);
}

const rules = (group: string, resource: string) =>
  `rules: [{apiGroups: ["${group}"], apiVersions: [v1], resources: ["${resource}"], operations: [CREATE]}]\n`;

test("manifest: members in order, settings as they were written", () =>
  inPlace(async ({ reeve, file, cwd }) => {
    file("policy.wasm", readFileSync(POLICY));
    file(
      "settings.yml",
      'b: 1.0\na: 12345678901234567890\nc: "yes"\nd: 1e3\ne: "2001-01-01"\n"f": [1, {x: ~}]\n',
    );
    const { exit, stdout, stderr } = await reeve(
      ..."scaffold manifest -t AdmissionPolicy policy.wasm -s settings.yml --title my.title".split(" "),
    );
    assert.equal([exit, stderr], [0, ""]);
    assert.match(
      stdout,
      /^apiVersion: policies\.kubewarden\.io\/v1\nkind: AdmissionPolicy\nmetadata:\n {2}annotations:\n/,
    );
    assert.match(stdout, "  name: my.title\n");
    assert.match(
      stdout,
      `  module: file://${cwd}/policy.wasm\n  settings:\n    b: 1.0\n    a: 12345678901234567890\n`,
    );
    // Kubernetes reads YAML 1.1, where these would be a boolean and a date.
    assert.match(
      stdout,
      "    c: 'yes'\n    d: 1e3\n    e: '2001-01-01'\n    f:\n    - 1\n    - x: null\n  rules:\n",
    );
    assert.equal(Object.keys(yaml(stdout).spec), ["module", "settings", "rules", "mutating"]);
  }));

test("manifest: context-aware resources are for cluster kinds, and granted when asked", () =>
  inPlace(async (place) => {
    await policyWith(
      place,
      `${rules("", "pods")}contextAwareResources: [{apiVersion: v1, kind: Namespace}]\n`,
    );
    const scaffold = async (kind: string, ...more: string[]) => {
      const { exit, stdout, stderr } = await place.reeve(
        "scaffold",
        "manifest",
        "-t",
        kind,
        "p.wasm",
        ...more,
      );
      assert.is(exit, 0, stderr);
      return { spec: yaml(stdout).spec, warnings: warnings(stderr) };
    };
    const granted = await scaffold("ClusterAdmissionPolicy", "--allow-context-aware");
    assert.equal(granted.spec.contextAwareResources, [{ apiVersion: "v1", kind: "Namespace" }]);
    assert.is(granted.warnings.length, 2);
    const left = await scaffold("ClusterAdmissionPolicy");
    assert.equal([left.spec.contextAwareResources, left.warnings.length], [undefined, 3]);
    const own = await scaffold("AdmissionPolicy", "--allow-context-aware");
    assert.equal([own.spec.contextAwareResources, own.warnings.length], [undefined, 0]);
  }));

test("manifest: an AdmissionPolicy for what has no namespace is warned of", () =>
  inPlace(async (place) => {
    for (
      const [group, resource, warned] of [["", "namespaces", 1], ["", "pods", 0], [
        "rbac.authorization.k8s.io",
        "clusterroles",
        1,
      ]] as const
    ) {
      await policyWith(place, rules(group, resource));
      for (const kind of ["AdmissionPolicy", "ClusterAdmissionPolicy"]) {
        const { stderr } = await place.reeve("scaffold", "manifest", "-t", kind, "p.wasm");
        assert.is(warnings(stderr).length, kind === "AdmissionPolicy" ? warned : 0, `${kind} ${resource}`);
      }
    }
  }));

test("manifest: titles are names of resources", () =>
  inPlace(async ({ reeve, file }) => {
    file("policy.wasm", readFileSync(POLICY));
    for (
      const [title, good] of [["a.b-c.0", true], ["A", false], ["-a", false], ["a.", false], [
        "a".repeat(64),
        false,
      ], [`${"a".repeat(63)}.b`, true]] as const
    ) {
      const { exit, stderr } = await reeve(
        "scaffold",
        "manifest",
        "-t",
        "AdmissionPolicy",
        `--title=${title}`,
        "policy.wasm",
      );
      assert.is(exit, good ? 0 : 1, title);
      if (!good) {
        assert.is(
          stderr,
          `Error: Invalid title '${title}'. Must conform to RFC 1123: use lowercase alphanumeric chars, ` +
            "'-' or '.', and start/end with an alphanumeric character.\n",
        );
      }
    }
  }));

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
    type Change = Parameters<typeof converted>[1];
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

test("vap: nothing is enforced more widely than before", () =>
  inPlace(async (place) => {
    type Change = Parameters<typeof converted>[1];
    const rule = (vap: typeof VAP) =>
      (vap.spec["matchConstraints"] as { resourceRules: object[] }).resourceRules[0]!;
    const condition = (expression: string, name = "c"): Change => (vap) =>
      void (vap.spec["matchConditions"] = [{ name: "first", expression: "true" }, { name, expression }]);
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
    const refused: readonly (readonly [Change, RegExp])[] = [
      [condition("params.x"), /matchConditions\[1\] \(c\) cannot be converted: it uses `params`/],
      [condition("!variables.y"), /it uses `variables`/],
      [condition("namespaceObject.metadata.name == 'a'"), /it uses `namespaceObject`/],
      [
        (vap) =>
          void (vap.spec["matchConditions"] = [{ name: "a" }]),
        /matchConditions\[0\] \(a\) cannot be converted: it needs a name and an expression/,
      ],
      [(vap) =>
        void (vap.spec["matchConditions"] = ["true"]), /matchConditions\[0\] cannot be converted/],
      [(vap) =>
        void Object.assign(rule(vap), { scope: "Everywhere" }), /unknown scope "Everywhere"/],
      [(vap) =>
        void Object.assign(rule(vap), { resourceNames: ["a"] }), /resourceNames cannot be converted/],
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
        [(vap: typeof VAP) =>
          void Object.assign(vap.spec, more), text] as const
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
        [(vap: typeof VAP) =>
          void Object.assign(vap.spec["matchConstraints"]!, more), text] as const
      ),
      ...([
        [{ resourceNames: "a" }, /resourceNames must be a list, it is a string/],
        [{ scopes: "Namespaced" }, /resourceRules\[0\] has no field "scopes"/],
        [{ operations: "CREATE" }, /operations must be a list/],
        [{ resources: [] }, /resourceRules\[0\]\.resources is missing or empty/],
      ] as const).map(([more, text]) =>
        [(vap: typeof VAP) =>
          void Object.assign(rule(vap), more), text] as const
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
        [(_: typeof VAP, binding: typeof BINDING) =>
          void Object.assign(binding.spec, more), text] as const
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

test("admission-request: numbers as they were written, and objects that are none", () =>
  inPlace(async ({ reeve, file, cwd }) => {
    file(
      "new.yml",
      "apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: t}\nspec: {big: 12345678901234567890, one: 1.0}\n",
    );
    const before = readFileSync(file("kept.yml", "apiVersion: v1\nkind: Pod\n"));
    const request = (...words: string[]) => reeve("scaffold", "admission-request", ...words);
    const create = await request("-o", "CREATE", "--object", "new.yml");
    assert.is(create.exit, 0);
    assert.match(create.stdout, '"big": 12345678901234567890,\n      "one": 1.0\n');
    const { object, ...rest } = JSON.parse(create.stdout);
    assert.equal([object.metadata.name, rest.operation, "namespace" in rest], ["t", "CREATE", false]);
    assert.equal(rest.kind, { group: "example.org", version: "v1", kind: "Thing" });
    assert.match(
      create.stderr,
      'Could not find information for GroupVersionKind { group: "example.org", version: "v1", kind: "Thing" }',
    );
    for (
      const [words, text] of [
        [["-o", "CREATE"], "CREATE operation requires an object"],
        [
          ["-o", "CREATE", "--object", "kept.yml", "--old-object", "kept.yml"],
          "CREATE operation does not require an old_object",
        ],
        [
          ["-o", "CREATE", "--object", "absent.yml"],
          "failed to open object file absent.yml: No such file or directory (os error 2)",
        ],
      ] as const
    ) {
      assert.equal(await request(...words).then(({ exit, stderr }) => [exit, stderr]), [
        1,
        `Error: ${text}\n`,
      ]);
    }
    assert.is((await request("-o", "PATCH", "--object", "new.yml")).exit, 2);
    file("untyped.yml", "kind: Pod\n");
    assert.is(
      (await request("-o", "CREATE", "--object", "untyped.yml")).stderr,
      "Error: object defined inside of untyped.yml is missing types\n",
    );
    file("two.yml", "kind: Pod\n---\nkind: Pod\n");
    assert.match(
      (await request("-o", "CREATE", "--object", "two.yml")).stderr,
      /^Error: failed to parse object file two\.yml: /,
    );
    await request("-o", "CREATE", "--object", "kept.yml");
    assert.equal(readFileSync(join(cwd, "kept.yml")), before);
  }));

test("admission-request: what a cluster knows of kinds is asked once, and again for what is missing", () =>
  inPlace(async ({ reeveWith, file, home }) => {
    const thing = { name: "things", kind: "Thing", namespaced: true, verbs: [], singularName: "" };
    const server = await startServer((request, response) => {
      const answers: Record<string, unknown> = {
        "/api/v1": {
          resources: [null, 7, { name: null, kind: "X" }, { name: "pods", kind: "Pod", namespaced: true }, {
            name: "pods/log",
            kind: "Pod",
            namespaced: true,
          }],
        },
        // The server of an aggregated API may be down, and members may be null.
        "/apis": {
          groups: [
            null,
            { name: "no.version", preferredVersion: null },
            { name: "down.io", preferredVersion: { version: "v1" } },
            { name: "null.io", preferredVersion: { version: "v1" } },
            { name: "example.org", preferredVersion: { version: "v1" } },
          ],
        },
        "/apis/null.io/v1": { resources: null },
        "/apis/example.org/v1": { resources: [thing] },
      };
      const found = answers[request.url ?? ""];
      response.writeHead(found ? 200 : 404, { "content-type": "application/json" }).end(
        JSON.stringify(found ?? {}),
      );
    });
    try {
      const kubeconfig = file(
        "kubeconfig",
        JSON.stringify({
          apiVersion: "v1",
          kind: "Config",
          clusters: [{ name: "c", cluster: { server: server.base, "insecure-skip-tls-verify": true } }],
          users: [{ name: "u", user: { token: "t" } }],
          contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
          "current-context": "x",
        }),
      );
      const request = async (apiVersion: string, kind: string) => {
        file("o.json", JSON.stringify({ apiVersion, kind, metadata: { name: "n" } }));
        const { exit, stdout, stderr } = await reeveWith(
          { env: { HOME: home, KUBECONFIG: kubeconfig } },
          ..."scaffold admission-request -o CREATE --object o.json".split(" "),
        );
        assert.is(exit, 0, stderr);
        return { ...JSON.parse(stdout), stderr };
      };
      const pod = await request("v1", "Pod");
      assert.equal([pod.resource.resource, pod.namespace], ["pods", "default"], pod.stderr);
      assert.equal(pod.requestResource, pod.resource);
      assert.match(
        pod.stderr,
        /WARN .*the resources of an API group are unknown group="?down\.io"? error=.*HTTP status 404/,
      );
      const asked = server.requests.length;
      const catalog = join(home, ".cache/kubewarden/kwctl/resource_catalog.json");
      const { resources } = JSON.parse(readFileSync(catalog, "utf8"));
      assert.equal(Object.keys(resources).sort(), ["example.org|v1|Thing", "|v1|Pod"]);
      assert.is((await request("example.org/v1", "Thing")).resource.resource, "things");
      assert.is(server.requests.length, asked, "the file answers");
      const unknown = await request("v2", "Other");
      assert.match(unknown.resource.resource, "this-is-the-plural-name-of-the-resource");
      assert.match(unknown.stderr, "some scaffolded data is not going to be accurate");
      assert.is(server.requests.length, 2 * asked, "one refresh");
      mkdirSync(join(home, ".cache/kubewarden/kwctl"), { recursive: true });
      writeFileSync(catalog, "spoilt");
      assert.is((await request("v1", "Pod")).resource.resource, "pods");
    } finally {
      await server.stop();
    }
  }));

test("artifacthub: the package's file, on standard output or where it is wanted", () =>
  inPlace(async ({ reeve, file, cwd, recorded }) => {
    recorded("meta-full.yml");
    const full = readFileSync(join(cwd, "meta-full.yml"), "utf8");
    file("metadata.yaml", full.replace("https://example.org/full.git", "https://github.com/o/full"));
    file("questions.yml", "questions: []\n");
    const { exit, stdout, stderr } = await reeve("scaffold", "artifacthub");
    assert.equal([exit, stderr], [0, ""]);
    assert.match(stdout, /^(#[^\n]*\n){6}version: 1\.2\.3\n/);
    const document = yaml(stdout);
    assert.equal(
      Object.keys(document).join(" "),
      "version name displayName createdAt description license homeURL containersImages keywords links install maintainers " +
        "provider recommendations annotations",
    );
    assert.equal(document.links, [
      { name: "policy", url: "https://github.com/o/full/releases/download/v1.2.3/policy.wasm" },
      { name: "source", url: "https://github.com/o/full" },
    ]);
    assert.is(document.annotations["kubewarden/questions-ui"], "questions: []\n");
    assert.match(document.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/);
    const written = await reeve(
      "scaffold",
      "artifacthub",
      "-o",
      "artifacthub-pkg.yml",
      "-m",
      "meta-full.yml",
    );
    assert.equal([written.exit, written.stdout], [0, ""]);
    assert.match(
      readFileSync(join(cwd, "artifacthub-pkg.yml"), "utf8"),
      "homeURL: https://example.org/full\n",
    );

    const variants: readonly (readonly [(text: string) => string, RegExp])[] = [
      [(text) => text.replace("version: 1.2.3", "version: v1"), /policy version must be in semver: /],
      [
        (text) => text.replace(/.*policy\.title.*\n/, ""),
        /policy metadata must specify "io\.kubewarden\.policy\.title" in annotations/,
      ],
      [
        (text) => text.replace(/.*ociUrl.*\n/, ""),
        /policy metadata must specify "io\.kubewarden\.policy\.ociUrl" in annotations/,
      ],
      [(text) => text.replace("keywords: a, b", "keywords: a,, b"), /csv/],
      [(text) => text.replace("url: https://example.org/full", "url: nowhere"), /URL/],
      [(text) => text.replace("Someone <someone@example.org>", "Someone"), /RFC 5322/],
      [
        (text) => text.slice(0, text.indexOf("annotations:")),
        /no annotations in policy metadata\. policy metadata must specify annotations/,
      ],
    ];
    for (const [change, text] of variants) {
      file("bad.yml", change(full));
      const refused = await reeve("scaffold", "artifacthub", "-m", "bad.yml");
      assert.equal([refused.exit, refused.stdout], [1, ""], String(text));
      assert.match(refused.stderr, text);
    }
    file("empty.yml", " \n");
    assert.is(
      (await reeve("scaffold", "artifacthub", "-q", "empty.yml")).stderr,
      "Error: questions-ui content cannot be empty\n",
    );
    await inPlace(async (empty) => {
      assert.is(
        (await empty.reeve("scaffold", "artifacthub")).stderr,
        "Error: path to metadata file not provided, plus 'metadata.yml' not found: give it with --metadata-path\n",
      );
    });
  }));

test("artifacthub knows the addresses of authors", () =>
  inPlace(async ({ reeve, file, recorded, cwd }) => {
    recorded("meta-full.yml");
    const full = readFileSync(join(cwd, "meta-full.yml"), "utf8");
    for (
      const [author, maintainers] of [
        ["a@example.org", [{ name: "a@example.org", email: "a@example.org" }]],
        ["A <a@example.org>, B C <b@example.org>", [{ name: "A", email: "a@example.org" }, {
          name: "B C",
          email: "b@example.org",
        }]],
        ["'\"Last, First\" <a@example.org>'", [{ name: "Last, First", email: "a@example.org" }]],
      ] as const
    ) {
      file("m.yml", full.replace("Someone <someone@example.org>", author));
      const { stdout, stderr } = await reeve("scaffold", "artifacthub", "-m", "m.yml");
      assert.equal(yaml(stdout).maintainers, maintainers, stderr);
    }
  }));

test("verification-config: a file that verify takes", () =>
  inPlace(async ({ reeve, file, home }) => {
    const { stdout } = await reeve("scaffold", "verification-config");
    assert.match(stdout, `${home}/.config/kubewarden/verification-config.yml`);
    assert.equal(yaml(stdout), {
      apiVersion: "v1",
      allOf: [{ kind: "githubAction", owner: "kubewarden", repo: null, annotations: null }],
      anyOf: null,
    });
    file("v.yml", stdout);
    // Far enough to see that the file was understood, and no further: the trust root can't be read.
    file("trust.json", "{}");
    const { stderr } = await reeve(
      "verify",
      "--verification-config-path",
      "v.yml",
      "--sigstore-trust-config",
      "trust.json",
      "localhost:1/x",
    );
    assert.match(stderr, "missing trusted_root field");
  }));

test.run();
