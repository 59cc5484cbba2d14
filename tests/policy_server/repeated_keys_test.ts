/** The same thing said twice is told with both places: an error where 1.36 refuses it, a warning where it starts. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { DocumentError, repeatedKeys, requireUniqueKeys } from "../../policy_server/types/document.ts";
import { parsePolicies } from "../../policy_server/types/policies.ts";
import { readDocument } from "../../policy_server/types/read_document.ts";

const warningsOf = (text: string) => {
  const warnings: string[] = [];
  const policies = parsePolicies(text, "policies.yml", (warning) => warnings.push(warning));
  return { policies, warnings };
};

const POLICY = "module: file:///a.wasm";

/** [what, policies.yml, the paths that are told]. */
const ROWS: readonly (readonly [string, string, readonly string[]])[] = [
  ["nothing twice", `a: {${POLICY}}\nb: {${POLICY}}\n`, []],
  ["a policy", `a: {${POLICY}}\na: {${POLICY}}\n`, ["a"]],
  ["a policy in quotes", `a: {${POLICY}}\n"a": {${POLICY}}\n`, ["a"]],
  ["a policy three times", `a: {${POLICY}}\na: {${POLICY}}\na: {${POLICY}}\n`, ["a", "a"]],
  ["a field", `a:\n  ${POLICY}\n  ${POLICY}\n`, ["a.module"]],
  ["a key of the settings", `a:\n  ${POLICY}\n  settings:\n    x: 1\n    x: 2\n`, ["a.settings.x"]],
  ["a key deep in the settings", `a:\n  ${POLICY}\n  settings: {l: [{k: 1, k: 2}]}\n`, ["a.settings.l[0].k"]],
  [
    "a member of a group",
    `g:\n  expression: m()\n  message: x\n  policies: {m: {${POLICY}}, m: {${POLICY}}}\n`,
    ["g.policies.m"],
  ],
  [
    "in JSON, as the controller writes it",
    `{"a":{"module":"file:///a.wasm"},"a":{"module":"file:///b.wasm"}}`,
    ["a"],
  ],
  ["names that objects inherit", `constructor: {${POLICY}}\nconstructor: {${POLICY}}\n`, ["constructor"]],
  ["a value that stands at two places by an alias", `a: &p {${POLICY}, module: x}\nb: *p\n`, ["a.module"]],
];

test("policies.yml: the last one counts, and both places are told", () => {
  for (const [what, text, paths] of ROWS) {
    const { warnings } = warningsOf(text);
    assert.equal(
      warnings.map((warning) =>
        / is given twice in "policies\.yml", at line \d+ column \d+ and line \d+ column \d+: /.exec(
          warning,
        ) && warning.split(" is given")[0]
      ),
      paths,
      what,
    );
  }
  const { policies, warnings } = warningsOf(
    `a:\n  module: file:///first.wasm\na:\n  module: file:///last.wasm\n`,
  );
  assert.is(policies.get("a")?.kind === "policy" && policies.get("a")?.kind, "policy");
  assert.match(JSON.stringify([...policies.values()]), "last.wasm");
  assert.is(
    warnings[0],
    'a is given twice in "policies.yml", at line 1 column 1 and line 3 column 1: the last one counts, remove one of them',
  );
});

test("policies.yml: a field that nothing reads is told", () => {
  const group = `expression: m()\n  message: x\n  policies: {m: {${POLICY}}}`;
  const rows: readonly (readonly [string, readonly string[]])[] = [
    [`a: {${POLICY}, settings: {setings: 1}, message: null, hostCapabilities: []}\n`, []],
    [`a: {${POLICY}, namespacedName: {Namespace: "", Name: a}}\n`, []],
    [`a: {${POLICY}, setings: {}}\n`, ['a has an unknown field "setings" (did you mean "settings"?)']],
    [`a: {${POLICY}, policyMod: monitor}\n`, [
      'a has an unknown field "policyMod" (did you mean "policyMode"?)',
    ]],
    [`a: {${POLICY}, constructor: 1, 7: x}\n`, [
      'a has an unknown field "constructor"',
      'a has an unknown field "7"',
    ]],
    [`g:\n  ${group}\n  mutating: true\n`, ['g has an unknown field "mutating"']],
    [
      `g:\n  ${group}\n  ${POLICY}\n`,
      ["expression", "policies"].map((one) => `g has an unknown field "${one}"`),
    ],
  ];
  for (const [text, expected] of rows) {
    assert.equal(
      warningsOf(text).warnings.map((warning) =>
        / in "policies\.yml", at line \d+ column \d+: it is passed over, correct or remove it$/.exec(
          warning,
        ) &&
        warning.split(' in "')[0]
      ),
      expected,
      text,
    );
  }
  const many = Array.from({ length: 50 }, (_, n) => `k${n}: 1`).join(", ");
  assert.is(warningsOf(`a: {${POLICY}, ${many}}\n`).warnings.length, 20);
});

test("what is told is bounded", () => {
  const many = Array.from({ length: 5_000 }, () => `a: {${POLICY}}`).join("\n");
  const { warnings } = warningsOf(many);
  assert.is(warnings.length, 20);
  const long = "k".repeat(5_000);
  assert.ok(
    warningsOf(`? ${long}\n: {${POLICY}}\n? ${long}\n: {${POLICY}}\n`).warnings.every((one) =>
      one.length < 1_500
    ),
  );
});

test("elsewhere it is an error at the second place that names the first", () => {
  for (const [what, text, paths] of ROWS) {
    const document = readDocument(text)!;
    assert.equal(repeatedKeys(document).map(({ path }) => path), paths, what);
    if (paths.length === 0) assert.is(requireUniqueKeys(document, text), document);
    else {
      assert.throws(
        () => requireUniqueKeys(document, text),
        (error: Error) =>
          error instanceof DocumentError &&
          error.message.startsWith(`${paths[0]} is given twice, first at line `),
        what,
      );
    }
  }
});

test.run();
