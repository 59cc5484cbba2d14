// spec/policy-server.md §2.1, error 2; and both readers of documents against each other.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadPolicies } from "../../policy_server/apply/policies_file.ts";
import { DocumentError, type DocumentValue, jsonText } from "../../policy_server/types/document.ts";
import { readJson } from "../../policy_server/types/json_document.ts";
import { parsePolicies, PoliciesFileError } from "../../policy_server/types/policies.ts";
import { readYaml } from "../../policy_server/types/yaml_document.ts";

const folder = mkdtempSync(join(tmpdir(), "policies-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

function refusal(load: () => unknown): string {
  try {
    load();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("accepted");
}

test("a file is read", () => {
  const path = join(folder, "policies.yml");
  const text = "psp: {module: m}\n";
  for (const content of [text, `\uFEFF${text}`, Buffer.from(`\uFEFF${text}`, "utf16le")]) {
    writeFileSync(path, content);
    assert.equal([...loadPolicies(path).keys()], ["psp"]);
  }
});

test("`<<` is a key like others, whatever it stands before", () => {
  for (const value of ["*list", "*map", "1"]) {
    const text = `list: &list [1]\nmap: &map {a: 1}\nb:\n  <<: ${value}\n`;
    assert.match(jsonText(readYaml(text)!), '"b":{"<<":');
  }
});

test("a file that can't be read", () => {
  const prefix = (path: string) => `error while loading policies from "${path}": `;
  const absent = join(folder, "absent.yml");
  assert.is(refusal(() => loadPolicies(absent)), `${prefix(absent)}No such file or directory (os error 2)`);
  assert.is(refusal(() => loadPolicies(folder)), `${prefix(folder)}Is a directory (os error 21)`);
  const binary = join(folder, "binary.yml");
  for (
    const [bytes, reason] of [
      [new Uint8Array([0x61, 0x3a, 0xff]), "it is not UTF-8: save it as UTF-8"],
      [
        Buffer.from("psp: {module: m}\n", "utf16le"),
        "it holds zero bytes, as UTF-16 without a mark or a binary file does: save it as UTF-8",
      ],
    ] as const
  ) {
    writeFileSync(binary, bytes);
    assert.is(refusal(() => loadPolicies(binary)), `${prefix(binary)}${reason}`);
  }
  const large = join(folder, "large.yml");
  writeFileSync(large, new Uint8Array(17 * 1024 * 1024));
  assert.is(refusal(() => loadPolicies(large)), `${prefix(large)}longer than 4194304 characters`);
});

/** The same numbers in every run. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
}

function randomJson(random: (below: number) => number, depth: number): string {
  const scalars = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1.0",
    "1e5",
    "-0.50",
    "2E-3",
    "9223372036854775807",
    '""',
    '"a b"',
    '"1"',
    '"~"',
    '"\\"\\\\\\/\\n\\u00e9"',
    '"é😀"',
    '"# no: comment"',
    '"*x"',
  ];
  const pick = random(depth > 4 ? 6 : 10);
  const space = ["", " ", "\n  ", "  "][random(4)] ?? "";
  const many = <T>(make: () => T) => Array.from({ length: random(4) }, make);
  if (pick < 6) return scalars[random(scalars.length)] ?? "null";
  if (pick < 8) return `[${space}${many(() => randomJson(random, depth + 1)).join(`,${space}`)}]`;
  return `{${space}${many(() => `"k${random(5)}": ${randomJson(random, depth + 1)}`).join(`,${space}`)}}`;
}

const shape = (value: DocumentValue | null | undefined): unknown =>
  value && { at: value.at, kind: value.kind, text: jsonText(value) };

test("what is wrong is told in a bounded text, however long names and values are", () => {
  const long = "x".repeat(100_000);
  const json = JSON.stringify;
  const wrong: Readonly<Record<string, string>> = {
    "a name with a slash": json({ [`${long}/`]: { module: "m" } }),
    "an entry of another kind": json({ [long]: 1 }),
    "a field of another kind": json({ [long]: { module: 1 } }),
    "a mode": json({ a: { module: "m", policyMode: long } }),
    "a group's mode": json({ a: { policies: {}, policyMode: long } }),
    "a member's field": json({
      a: {
        policies: { [long]: { module: "m", [long]: 1 } },
        expression: "a()",
        message: "m",
        policyMode: "protect",
      },
    }),
    "a capability": json({ a: { module: "m", hostCapabilities: [long, 1] } }),
    "a duplicate key": `{"${long}": 1, "${long}": 2}`,
    "a key of a map": `? {${long}: 1}\n: 2\n`,
    "an alias": `a: *${long}\n`,
    "a tag": `a: !<${long}> b\n`,
    "no document": `${long}\n`,
    "a plain line": `a\n? ${long}\nb`,
  };
  for (const [what, text] of Object.entries(wrong)) {
    const message = refusal(() => parsePolicies(text, "policies.yml"));
    assert.ok(message.length < 1_200, `${what}: ${message.length} characters`);
    assert.match(
      message,
      /^error while loading policies from "policies\.yml": [^]* at line \d+ column \d+$/,
      what,
    );
  }
});

test("the JSON reader and the YAML reader agree on JSON, positions included", () => {
  const random = randomFrom(7);
  for (let i = 0; i < 400; i++) {
    const text = `{"a": ${randomJson(random, 0)}}`;
    const json = readJson(text);
    assert.ok(json !== undefined, text);
    assert.equal(shape(json), shape(readYaml(text)), text);
    assert.equal(JSON.parse(jsonText(json)), JSON.parse(text), text);
  }
});

test("whatever the text, it is read or refused with a position, and nothing else happens", () => {
  const random = randomFrom(11);
  const start =
    'psp: &a\n  module: "m"\n  settings: {a: [1, *a, {"b": ~}]}\n  timeoutEvalSeconds: 3\ng:\n  - x: |\n     y\n';
  const pieces = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    ",",
    "\n",
    "  ",
    "\t",
    "&a ",
    "*a",
    "!!int ",
    "!x ",
    '"',
    "'",
    "- ",
    "? ",
    "#",
    "%",
    "|",
    ">",
    "---\n",
    "...",
    "0",
    "é",
    "\u0000",
    "\\",
    "<<: ",
  ];
  for (let i = 0; i < 2000; i++) {
    let text = i % 2 === 0 ? start : '{"psp": {"module": "m", "settings": {"a": [1, 2.0, "x"]}}}';
    for (let edits = 1 + random(4); edits > 0; edits--) {
      const at = random(text.length + 1);
      text = text.slice(0, at) + (pieces[random(pieces.length)] ?? "") + text.slice(at + random(3));
    }
    try {
      parsePolicies(text, "p");
    } catch (error) {
      assert.instance(error, PoliciesFileError, `${JSON.stringify(text)}: ${error}`);
      assert.not.instance(error, DocumentError);
      assert.ok((error as PoliciesFileError).line >= 1 && (error as PoliciesFileError).column >= 1);
    }
  }
});

test.run();
