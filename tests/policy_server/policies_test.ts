// spec/policy-server.md §2.1, and what spec/decisions.md §8 says about numbers.
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  parsePolicies,
  PoliciesFileError,
  type Policy,
  type PolicyEntry,
  type PolicyGroup,
} from "../../policy_server/types/policies.ts";

function policy(text: string, name = "psp"): Policy {
  const entry = parsePolicies(text, "policies.yml").get(name);
  if (entry?.kind !== "policy") throw new Error(`${name} is ${entry?.kind}`);
  return entry;
}

function group(text: string, name = "g"): PolicyGroup {
  const entry = parsePolicies(text, "policies.yml").get(name);
  if (entry?.kind !== "group") throw new Error(`${name} is ${entry?.kind}`);
  return entry;
}

const PREFIX = 'error while loading policies from "policies.yml": ';

function refusal(text: string): string {
  try {
    parsePolicies(text, "policies.yml");
  } catch (error) {
    assert.instance(error, PoliciesFileError);
    const { message } = error as PoliciesFileError;
    assert.ok(message.startsWith(PREFIX), message);
    return message.slice(PREFIX.length);
  }
  throw new Error(`accepted: ${text}`);
}

test("the chapter's example", () => {
  const entries = parsePolicies(
    `psp:
  module: registry://ghcr.io/example/policies/psp:v1
  allowedToMutate: true
  hostCapabilities: ["*"]
images:
  policies:
    signed: { module: "ghcr.io/example/policies/signed:v1", hostCapabilities: ["oci/*"] }
    not_latest: { module: "ghcr.io/example/policies/tags:v1" }
  expression: "signed() && not_latest()"
  message: "image not acceptable"
`,
    "policies.yml",
  );
  const module = { settingsJson: "{}", contextAwareResources: [], timeoutEvalSeconds: null };
  assert.equal(
    [...entries.values()],
    [
      {
        kind: "policy",
        name: "psp",
        module: "registry://ghcr.io/example/policies/psp:v1",
        ...module,
        hostCapabilities: ["*"],
        policyMode: "protect",
        allowedToMutate: true,
        message: null,
      },
      {
        kind: "group",
        name: "images",
        policyMode: "protect",
        expression: "signed() && not_latest()",
        message: "image not acceptable",
        policies: new Map([
          ["signed", {
            module: "ghcr.io/example/policies/signed:v1",
            ...module,
            hostCapabilities: ["oci/*"],
          }],
          ["not_latest", { module: "ghcr.io/example/policies/tags:v1", ...module, hostCapabilities: [] }],
        ]),
      },
    ] satisfies PolicyEntry[],
  );
});

test("an empty map holds no policies; JSON is read as well, with tabs, escapes and a byte order mark", () => {
  assert.is(parsePolicies("{}", "p").size, 0);
  assert.is(parsePolicies("--- {}\n...\n", "p").size, 0);
  assert.is(policy('{\n\t"psp": {\n\t\t"module": "a\\u00e9\\ud83d\\ude00\\/"}}').module, "aé😀/");
  assert.is(policy('\uFEFF{"psp": {"module": "a"}}').module, "a");
});

test("names of the controller and its newer ids are plain names", () => {
  for (const name of ["clusterwide-psp", "namespaced-ns-psp", "kw.cap.x", "kw.apg.ns.x"]) {
    assert.is(policy(`${name}: {module: m}`, name).name, name);
  }
  assert.is(policy("1: {module: m}", "1").name, "1");
  assert.is(policy('{"__proto__": {"module": "m"}}', "__proto__").module, "m");
});

test("every field of a policy", () => {
  const entry = policy(`psp:
  module: m
  policyMode: monitor
  allowedToMutate: ~
  settings: {a: [1, x]}
  contextAwareResources:
    - {apiVersion: v1, kind: Pod, other: ignored}
    - {apiVersion: v1, kind: Pod}
    - {apiVersion: apps/v1, kind: Deployment}
  message: no
  timeoutEvalSeconds: 5
  hostCapabilities: []
  namespacedName: {Namespace: ns, Name: n}
  1: ignored
`);
  assert.is(entry.policyMode, "monitor");
  assert.is(entry.allowedToMutate, false);
  assert.is(entry.settingsJson, '{"a":[1,"x"]}');
  assert.equal(entry.contextAwareResources, [
    { apiVersion: "v1", kind: "Pod" },
    { apiVersion: "apps/v1", kind: "Deployment" },
  ]);
  assert.is(entry.message, "no");
  assert.is(entry.timeoutEvalSeconds, 5);
});

test("settings missing, null and empty are the same; so are message and timeout missing and null", () => {
  for (const settings of ["", "settings:", "settings: null", "settings: {}"]) {
    const entry = policy(`psp:\n  module: m\n  message: ~\n  timeoutEvalSeconds: null\n  ${settings}\n`);
    assert.is(entry.settingsJson, "{}");
    assert.is(entry.message, null);
    assert.is(entry.timeoutEvalSeconds, null);
  }
});

for (
  const [yaml, json] of [
    ["9007199254740993", "9007199254740993"],
    ["-9223372036854775808", "-9223372036854775808"],
    ["18446744073709551615", "18446744073709551615"],
    ["1", "1"],
    ["1.0", "1.0"],
    ["1.", "1.0"],
    [".5", "0.5"],
    ["-.5", "-0.5"],
    ["+7", "7"],
    ["+1.50", "1.50"],
    ["01.5", "1.5"],
    ["-0", "0"],
    ["-0.0", "-0.0"],
    ["1e3", "1e3"],
    ["1.5E+3", "1.5E+3"],
    ["0x1F", "31"],
    ["0xffffffffffffffff", "18446744073709551615"],
    ["0o17", "15"],
    ["0644", '"0644"'],
    ["1_000", '"1_000"'],
    ["0b11", '"0b11"'],
    ["1.2.3", '"1.2.3"'],
    [".", '"."'],
    ["-x", '"-x"'],
    ["2001-01-01", '"2001-01-01"'],
    ["'1'", '"1"'],
    ["!!str 1", '"1"'],
    ["! 1", '"1"'],
    ["!!int '5'", "5"],
    ["TRUE", "true"],
    ["False", "false"],
    ["yes", '"yes"'],
    ["on", '"on"'],
    ["tRUE", '"tRUE"'],
    ["~", "null"],
    ["NULL", "null"],
    ["", "null"],
    ["'~'", '"~"'],
    ["[a, {b: ~}]", '["a",{"b":null}]'],
    ["|\n      two\n      lines\n", '"two\\nlines\\n"'],
    ['"\\u0001\\u2028"', '"\\u0001\u2028"'],
  ] as const
) {
  test(`the settings value ${JSON.stringify(yaml)} is ${json}`, () => {
    assert.is(policy(`psp:\n  module: m\n  settings:\n    v: ${yaml}\n`).settingsJson, `{"v":${json}}`);
  });
}

test("numbers of a JSON file keep digits and form", () => {
  const settings =
    '{"a":9007199254740993,"b":1.0,"c":1E2,"d":-0.5,"e":[0,{"f":18446744073709551615}],"g":1e-7}';
  assert.is(policy(`{"psp":{"module":"m","settings":${settings}}}`).settingsJson, settings);
});

test("a YAML 1.1 directive changes nothing; merge keys are plain keys", () => {
  assert.is(
    policy("%YAML 1.1\n---\npsp: {module: m, settings: {a: yes, b: 0o7}}").settingsJson,
    '{"a":"yes","b":7}',
  );
  assert.is(
    policy("psp: {module: m, settings: {x: &x {a: 1}, y: {<<: *x, b: 2}}}").settingsJson,
    '{"x":{"a":1},"y":{"<<":{"a":1},"b":2}}',
  );
});

test("the last of repeated keys wins, in YAML and in JSON", () => {
  assert.is(policy("psp: {module: a}\npsp: {module: b, module: c}").module, "c");
  assert.is(policy('{"psp":{"module":"a","settings":{"x":1,"y":2,"x":3}}}').settingsJson, '{"x":3,"y":2}');
});

test("anchors and aliases, also where an anchor is given twice", () => {
  const text = "a: &p {module: m, settings: {v: &v 1, w: &v 2, x: *v}}\nb: *p\n";
  assert.is(policy(text, "b").settingsJson, '{"v":1,"w":2,"x":2}');
  assert.match(refusal("psp: {module: *x}"), "an alias has no anchor before it at line 1 column 15");
  assert.match(refusal("psp: {module: m, settings: &s {a: *s}}"), "an alias stands inside what it names");
});

test("an entry with module is a policy even with a group's fields; one that fits only as a group is a group", () => {
  assert.is(policy("psp: {module: m, policies: {a: {module: n}}, expression: a()}").kind, "policy");
  assert.is(group("g: {module: 1, policies: {}, expression: 'true', message: x}").kind, "group");
});

test("a group ignores unknown keys, its members do not", () => {
  const entry = group(
    "g: {policies: {a: {module: m, settings: {n: 1.0}, timeoutEvalSeconds: 3}}, expression: a(), message: x," +
      " policyMode: monitor, namespacedName: {Name: n}, timeoutEvalSeconds: bad, hostCapabilities: ~}",
  );
  assert.is(entry.policyMode, "monitor");
  assert.equal(entry.policies.get("a"), {
    module: "m",
    settingsJson: '{"n":1.0}',
    contextAwareResources: [],
    timeoutEvalSeconds: 3,
    hostCapabilities: [],
  });
  assert.is(
    refusal("g: {policies: {a: {module: m, policyMode: monitor}}, expression: a(), message: x}"),
    'g.policies.a: unknown field "policyMode", expected one of module, settings, contextAwareResources, ' +
      "timeoutEvalSeconds, hostCapabilities at line 1 column 31",
  );
  assert.match(
    refusal("g: {policies: {a: {module: m, setings: {}}}, expression: a(), message: x}"),
    'g.policies.a: unknown field "setings", did you mean "settings"? at line 1 column 31',
  );
});

const REFUSALS: readonly (readonly [string, string])[] = [
  ["", "EOF while parsing a value: the file is empty (`{}` = no policies) at line 1 column 1"],
  ["# nothing\n", "EOF while parsing a value: the file is empty (`{}` = no policies) at line 1 column 1"],
  ["[]", "expected a map of policy names to policies, found a list at line 1 column 1"],
  ["---\n~", "expected a map of policy names to policies, found null at line 2 column 1"],
  [
    "apiVersion: policies.kubewarden.io/v1\nkind: ClusterAdmissionPolicy\nspec: {module: m}\n",
    "it is a resource of Kubernetes, expected a map of policy names to policies: write the resource's name, and below it " +
    "module and settings of its spec at line 1 column 1",
  ],
  [
    '{"kind":"ConfigMap","apiVersion":"v1","data":{"policies.yml":"{}"}}',
    "it is a resource of Kubernetes, expected a map of policy names to policies: write the resource's name, and below it " +
    "module and settings of its spec at line 1 column 1",
  ],
  ["kind: m", 'kind: expected a policy or a policy group, found "m" at line 1 column 7'],
  [
    "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n",
    "expected a map of policy names to policies, found a string in PEM at line 1 column 1",
  ],
  ["psp: m", 'psp: expected a policy or a policy group, found "m" at line 1 column 6'],
  ["a/b: {module: m}", "policy name 'a/b' contains a '/' character at line 1 column 1"],
  ["'': {module: m}", "Not a valid Policy ID: (the policy's name is empty) at line 1 column 1"],
  ["~: {module: m}", "expected a policy name, found null as key at line 1 column 1"],
  ["psp: {}", 'psp: missing field "module" at line 1 column 6'],
  [
    "psp:\n  modul: m\n",
    'psp: missing field "module", found "modul": did you mean "module"? at line 2 column 3',
  ],
  [
    "psp:\n  module: m\n  policyMode: Protect\n",
    'psp.policyMode: expected "protect" or "monitor", found "Protect" at line 3 column 15',
  ],
  [
    "psp: {module: m, policyMode: ~}",
    'psp.policyMode: expected "protect" or "monitor", found null at line 1 column 30',
  ],
  ["psp: {module: 1}", "psp.module: expected a string, found 1 at line 1 column 15"],
  [
    "psp: {module: m, allowedToMutate: yes}",
    'psp.allowedToMutate: expected true or false or null, found "yes" at line 1 column 35',
  ],
  [
    "psp: {module: m, settings: []}",
    "psp.settings: expected a map or null, found a list at line 1 column 28",
  ],
  ["psp: {module: m, settings: x}", 'psp.settings: expected a map or null, found "x" at line 1 column 28'],
  [
    "psp: {module: m, settings: {1: a}}",
    "psp.settings: expected a string as key, found 1 (quote it) at line 1 column 29",
  ],
  [
    "psp: {module: m, settings: {a: [{? [b] : c}]}}",
    "psp.settings.a[0]: expected a string as key, found a list (quote it) at line 1 column 36",
  ],
  [
    "psp: {module: m, settings: {a: .nan}}",
    ".nan can't be written as JSON, expected a finite number at line 1 column 32",
  ],
  ["psp: {module: m, settings: {a: 1e999}}", "number 1e999 is out of range at line 1 column 32"],
  ["psp: {module: m, settings: {a: !env HOME}}", "tag !env is not supported at line 1 column 37"],
  ["psp: {module: m, message: 5}", "psp.message: expected a string or null, found 5 at line 1 column 27"],
  [
    "psp: {module: m, contextAwareResources: ~}",
    "psp.contextAwareResources: expected a list of apiVersion and kind, found null at line 1 column 41",
  ],
  [
    "psp: {module: m, contextAwareResources: [{apiVersion: v1}]}",
    'psp.contextAwareResources[0]: missing field "kind" at line 1 column 42',
  ],
  [
    "psp: {module: m, hostCapabilities: null}",
    "psp.hostCapabilities: expected a list of strings, found null at line 1 column 36",
  ],
  [
    "psp: {module: m, hostCapabilities: [1]}",
    "psp.hostCapabilities[0]: expected a string, found 1 at line 1 column 37",
  ],
  ...["-1", "1.0", "18446744073709551616", "true"].map((value) =>
    [
      `psp: {module: m, timeoutEvalSeconds: ${value}}`,
      `psp.timeoutEvalSeconds: expected a whole number of seconds, 0 or more or null, found ${value} ` +
      "at line 1 column 38",
    ] as const
  ),
  [
    "g: {policies: {}, expression: 'true'}",
    'g: missing field "message" at line 1 column 4',
  ],
  [
    "g: {policies: [], expression: 'true', message: x}",
    "g.policies: expected a map of member names to policies, found a list at line 1 column 15",
  ],
  [
    "g: {policies: {}, expresion: 'true', message: x}",
    'g: missing field "expression", found "expresion": did you mean "expression"? at line 1 column 19',
  ],
  [
    "g: {policies: {a: {}}, expression: a(), message: x}",
    'g.policies.a: missing field "module" at line 1 column 19',
  ],
  [
    "g: {policies: {1: {module: m}}, expression: a(), message: x}",
    "g.policies: expected a string as key, found 1 at line 1 column 16",
  ],
  [
    "g: {policies: {'': {module: m}}, expression: a(), message: x}",
    "g.policies: a member's name is empty at line 1 column 16",
  ],
  [
    "g: {policies: {a/b: {module: m}, ok: {module: m}, c/d: {module: m}}, expression: ok(), message: x}",
    `policy group 'g' contains policies with invalid names: ["a/b", "c/d"] at line 1 column 16`,
  ],
  ["a: {module: m}\n---\nb: {module: m}\n", "more than one document, expected one at line 2 column 1"],
];

for (const [text, expected] of REFUSALS) {
  test(`refuses ${JSON.stringify(text)}`, () => assert.is(refusal(text), expected));
}

test("syntax errors, in YAML or JSON, name the line", () => {
  assert.match(refusal("psp:\n  module: [m\n"), /at line \d+ column \d+$/);
  assert.match(refusal('{"psp": {"module": "m"}'), /at line 1 column \d+$/);
  assert.match(refusal("psp:\n\tmodule: m\n"), /at line 2 column \d+$/);
});

test("columns count characters, not code units", () => {
  assert.match(
    refusal('{"😀é": {"module": 1}}'),
    "😀é.module: expected a string, found 1 at line 1 column 19",
  );
});

test("what was found is cut where it is long", () => {
  assert.ok(refusal(`psp: {module: m, policyMode: ${"x".repeat(10_000)}}`).length < 200);
});

test("deep nesting is refused, in YAML and in JSON", () => {
  for (const n of [200, 30_000]) {
    const deep = "[".repeat(n) + "]".repeat(n);
    assert.match(
      refusal(`{"psp": {"module": "m", "settings": {"a": ${deep}}}}`),
      "nested more than 128 levels deep",
    );
    assert.match(refusal(`psp: {module: m, settings: {a: ${deep}}}`), /nested|levels|deep|stack/i);
  }
});

test("aliases that expand without bound are refused", () => {
  let text = "psp:\n  module: m\n  settings:\n    a0: &a0 [xxxxxxxxxx]\n";
  for (let i = 1; i <= 30; i++) text += `    a${i}: &a${i} [*a${i - 1}, *a${i - 1}, *a${i - 1}]\n`;
  assert.match(refusal(text), "aliases expand to more than 33554432 characters");
});

test("a text beyond the limit is refused", () => {
  assert.match(refusal(`psp: {module: m} #${"x".repeat(5 * 1024 * 1024)}`), "longer than 4194304 characters");
});

test("a large JSON file of the controller is read whole", () => {
  const entries = Array.from({ length: 3000 }, (_, i) => {
    return `"kw.cap.p${i}":{"module":"registry://r/p:v1","settings":{"n":${i}.0,"s":"${"y".repeat(100)}"}}`;
  });
  const parsed = parsePolicies(`{${entries.join(",")}}`, "p");
  assert.is(parsed.size, 3000);
  assert.match((parsed.get("kw.cap.p2999") as Policy).settingsJson, '{"n":2999.0,');
});

test.run();
