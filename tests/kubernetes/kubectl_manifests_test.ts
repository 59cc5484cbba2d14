/**
 * A manifest is read as kubectl 1.36 reads it, or refused: never otherwise in silence. The answers are what
 * `kubectl label --local -f FILE a=b -o json` of 1.36.3 printed; where it is built, it is asked again.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { requestsIn } from "../../cli/render/manifest_request.ts";
import { jsonStream } from "../../cli/render/json_stream.ts";
import { type DocumentValue, jsonText } from "../../policy_server/types/document.ts";
import { readJson } from "../../policy_server/types/json_document.ts";
import { HOW_TO_GET_NODE } from "../cluster/binaries/locate.ts";
import { KUBECTL } from "./kubectl.ts";

const P = "apiVersion: v1\nkind: Pod\n";
const J = (spec: string) => `{"apiVersion":"v1","kind":"Pod","spec":${spec}}`;
const of = (scalar: string) => `${P}spec: ${scalar}\n`;
const key = (name: string) => `${P}spec:\n  ${name}: 1\n`;

/** A manifest, and the `spec` of each of its objects as kubectl sends it. */
type Read = readonly [text: string, ...specs: readonly string[]];
/** A manifest that both refuse, and what we say. */
type Refused = readonly [text: string, says: RegExp];
/** A manifest that kubectl reads, what it makes of it, and what we say instead. */
type Declined = readonly [text: string, specs: readonly string[], says: RegExp];

const READ: readonly Read[] = [
  // Numbers: integers of 64 bits stay, all others are doubles.
  ...([
    ["80.0", "80"],
    ["1e3", "1000"],
    ["1.5e300", "1.5e+300"],
    ["1e21", "1e+21"],
    ["1e20", "100000000000000000000"],
    ["0.0000001", "1e-7"],
    ["1e-400", "0"],
    ["-0.0", "0"],
    ["9007199254740993", "9007199254740993"],
    ["9007199254740993.0", "9007199254740992"],
    ["9223372036854775807", "9223372036854775807"],
    ["9223372036854775808", "9223372036854776000"],
    ["-9223372036854775808", "-9223372036854775808"],
    ["-9223372036854775809", "-9223372036854776000"],
    ["18446744073709551615", "18446744073709552000"],
    ["123456789012345678901234", "1.2345678901234569e+23"],
    ["0xFFFFFFFFFFFFFFFF", "18446744073709552000"],
    ["+0xFFFFFFFFFFFFFFFF", '"+0xFFFFFFFFFFFFFFFF"'],
    ["0x1FFFFFFFFFFFFFFFF", '"0x1FFFFFFFFFFFFFFFF"'],
    ["07777777777777777777777777", "7.777777777777778e+24"],
    ["1e999", '"1e999"'],
    [".5e400", '".5e400"'],
    [".5_0", "0.5"],
    [".5_", '".5_"'],
    [".5__0", '".5__0"'],
    ["._5", '"._5"'],
    ["+.5_0", "0.5"],
    ["-_1", "-1"],
    ["1__0", "10"],
    ["0x_1", "1"],
    ["0_x1", "1"],
    ["0b102", '"0b102"'],
    ["-0B11", "-3"],
    ["0644.5", "644.5"],
    ["012e3", "12000"],
    ["0x1p4", '"0x1p4"'],
    // Tags.
    ["! yes", '"yes"'],
    ["!foo bar", '"bar"'],
    ["!foo {a: 1}", '{"a":1}'],
    ["!!set {a}", '{"a":null}'],
    ["!!map [a]", '["a"]'],
    ["!!binary aGk=", '"hi"'],
    ["!!int '80'", "80"],
    ["!!int 1_000", "1000"],
    ["!!float 1", "1"],
    ["!!bool 'yes'", "true"],
    ["!!null ''", "null"],
    ["!!str 1", '"1"'],
    ["!<tag:yaml.org,2002:int> '1'", "1"],
    // Merges.
    ["{x: &x {a: 1}, z: {<<: [*x]}}", '{"x":{"a":1},"z":{"a":1}}'],
    ["{<<: []}", "{}"],
    ["{!!str <<: 1, a: 3}", '{"<<":1,"a":3}'],
    ["{!!merge <<: {a: 1}}", '{"a":1}'],
    ["{x: &a {b: &a c}, d: *a}", '{"d":"c","x":{"b":"c"}}'],
    // Blocks.
    ["|\n  x\n    \n", '"x\\n  \\n"'],
    ["|+\n", '"\\n"'],
    [">\n  a\n   b\n\n  c", '"a\\n b\\n\\nc\\n"'],
  ] as const).map(([scalar, json]): Read => [of(scalar), json]),
  // Keys.
  ...([
    ["1.10", "1.1"],
    ["10.0", "10"],
    ["1e3", "1000"],
    ["0x10", "16"],
    ["0.0001", "0.0001"],
    ["9223372036854775807", "9223372036854775807"],
    ["1e999", "1e999"],
    ["y", "true"],
    ["2001-12-14", "2001-12-14"],
    ["!!binary aGk=", "hi"],
    ["!foo b", "b"],
    ["''", ""],
  ] as const).map(([name, text]): Read => [key(name), `{${JSON.stringify(text)}:1}`]),
  // Ends of lines and marks.
  [of("1").replaceAll("\n", "\r"), "1"],
  [of("1").replaceAll("\n", "\x85"), "1"],
  [of("|+\n  a\n").replaceAll("\n", "\r\n"), '"a\\n\\n"'],
  [`${of("|+\n  a").replaceAll("\n", "\r\n")}---\n`, '"a\\n"'],
  [`${P}# c\rspec: 1\n`, "1"],
  [`${P}# c\x85spec: 1\n`, "1"],
  [of('"a\x85 b"'), '"a b"'],
  [of("a\uFEFF"), '"a\uFEFF"'],
  [`\uFEFF---\n${of("1")}`, "1"],
  [`${of("1")}---\n\uFEFF${of("2")}`, "1", "2"],
  // Documents.
  [`--- # c\n${of("1")}---\t\n# c\n---\r\n${of("2")}...\n---\n`, "1", "2"],
  [of("|\n  a\n\n").replace(/\n$/, ""), '"a\\n"'],
  // JSON, and YAML in braces.
  [
    J('{"a":80.0,"b":1E3,"c":18446744073709551615,"d":-0}'),
    '{"a":80,"b":1000,"c":18446744073709552000,"d":0}',
  ],
  [J('"\u2028\x7f\\ud83d\\ude00"'), '"\u2028\x7f\u{1F600}"'],
  ["{apiVersion: v1, kind: Pod, spec: {a: 0644,}}", '{"a":420}'],
  [`{apiVersion: v1, kind: Pod, spec: 1}\n---\n${of("2")}`, "1", "2"],
];

const REFUSED: readonly Refused[] = [
  [of("{x: &x [1], z: {<<: *x}}"), /`<<` merges maps, expected one or a list of them at line 3/],
  [of("{x: &x [{a: 1}], z: {<<: *x}}"), /`<<` merges maps/],
  [of("{x: &x {a: 1}, z: {<<: [[*x]]}}"), /`<<` merges maps/],
  [of("{<<: }"), /`<<` merges maps/],
  [of("{! <<: 1}"), /`<<` merges maps/],
  [key("~"), /a null as a key, write a text in quotes at line 4 column 3/],
  [key("null"), /a null as a key/],
  [key("[a]"), /a list as a key/],
  [key("{a: 1}"), /a map as a key/],
  [key("18446744073709551615"), /a number that kubectl writes otherwise as a key/],
  [of("\x01"), /U\+0001 may not stand here, remove it or write \\u0001 in double quotes at line 3 column 7/],
  [of("'\x7f'"), /U\+007F may not/],
  [of("'\x84'"), /U\+0084 may not/],
  [of("\uFFFE"), /U\+FFFE may not/],
  [`${P}# \x07\n`, /U\+0007 may not/],
  [of('"\\ud800"'), /half of a character as an escape, write the character at line 3 column 7/],
  [of('"\\\\\\ud83d\\ude00"'), /half of a character/],
  [of('"\\U0000d83d"'), /half of a character/],
  [`%YAML 1.1\n---\n${P}`, /kubectl takes no directives, remove the line at line 1 column 1/],
  [`%YAML 1.2\n---\n${P}`, /no directives/],
  [`%TAG ! x\n---\n${P}`, /no directives/],
  ["--- {}\n", /`---` stands alone on its line for kubectl, write what follows below it at line 1 column 4/],
  [`--- text\n${P}`, /stands alone/],
  [`${P}---x\n`, /stands alone on its line .* at line 3 column 4/],
  [of(".inf"), /\.inf can't be written as JSON/],
  [of("!!int 1.5"), /tag tag:yaml\.org,2002:int does not fit the value at line 3/],
  [of("!!bool 1"), /does not fit/],
  [of("!!null x"), /does not fit/],
  [of("!!binary '*'"), /expected a text in base64/],
  [of("!e!x y"), /Could not resolve tag/],
  [of("%x"), /Plain value cannot start with directive indicator/],
  [of("{a:[b]}"), /`:` is part of a key for kubectl, write a blank behind it/],
  [of("&a.b 1"), /an anchor is named by letters/],
  [of("[a?]"), /`\?` and `:` are signs within/],
  [of("&a {x: *a}"), /an alias stands inside what it names/],
  [J('{"a":1e999}'), /number 1e999 is out of range/],
];

const DECLINED: readonly Declined[] = [
  // Of two it takes any, or the last.
  [
    of("{a: 1, a: 2}"),
    ['{"a":2}'],
    /spec\.a is given twice, first at line 3 column 8 and again at line 3 column 14/,
  ],
  [J('{"a":1,"\\u0061":2}'), ['{"a":2}'], /spec\.a is given twice/],
  ...[
    "{1: a, '1': a}",
    "{true: a, 'true': a}",
    "{y: a, on: a}",
    "{1.0: a, 1: a}",
    "{0x1: a, 1: a}",
    "{1.10: a, '1.1': a}",
  ]
    .map((
      map,
    ): Declined => [of(map), [
      `{"${/^{(?:t|y)/.test(map) ? "true" : map.includes("1.10") ? "1.1" : "1"}":"a"}`,
    ], /is given twice/]),
  // Keys that Go writes with the digits of 32 bits.
  [
    key("1234567.5"),
    ['{"1.2345675e+06":1}'],
    /a number that kubectl writes otherwise as a key, write a text in quotes/,
  ],
  [key("0.00001"), ['{"1e-05":1}'], /a number that kubectl writes otherwise/],
  [key("-0.0"), ['{"-0":1}'], /a number that kubectl writes otherwise/],
  [key(".inf"), ['{".inf":1}'], /can't be written as JSON/],
  // What is no YAML 1.2.
  [
    of('"a\nb"'),
    ['"a b"'],
    /Missing closing "quote, or its lines are not indented more than the key at line 3/,
  ],
  [
    of("'a\nb'"),
    ['"a b"'],
    /Missing closing 'quote, or its lines are not indented more than the key at line 3/,
  ],
  [
    of("'it''\ns : b\n  c'"),
    ['"it\' s : b c"'],
    /a text in quotes, indent its lines more than the key at line 3/,
  ],
  [
    of('"it\\"\ns : b\n  c"'),
    ['"it\\" s : b c"'],
    /a text in quotes, indent its lines more than the key at line 3/,
  ],
  [of("&a:b c"), ['":b c"'], /an anchor is named by letters, digits, `-` and `_` for kubectl/],
  [of("[\n{\n}]"), ["[{}]"], /must be sufficiently indented/],
  [of('"a"#c'), ['"a"'], /Comments must be separated/],
  // What the parser would read otherwise.
  [of("{a:}"), ['{"a:":null}'], /`:` is part of a key for kubectl/],
  [of("{?a: 1}"), ['{"a":1}'], /`\?` and `:` are signs within/],
  [of("[!b, c]"), ['["c"]'], /a tag without a value/],
  [of('"a\\\n\n  b"'), ['"a\\nb"'], /an empty line behind `\\`/],
  [of("|1\n  a\n  "), ['" a\\n \\n"'], /a block with a number and lines of blanks/],
  // A mark is part of the first key there.
  [`---\n\uFEFF${of("1")}`, ["1"], /U\+FEFF may not stand here/],
  [`${P}# c\u2028spec: 1\n`, ["1"], /U\+2028 may not stand here/],
  [of("|\r\r\n  a\r\r\n"), ['"a\\n"'], /a line has two ends \(CR CR LF\), save the file with single ones/],
  // What it passes over.
  [`${of("1")}...\n${of("2")}`, ["1"], /kubectl passes over what stands behind `\.\.\.`/],
  [`${of("1")}\r---\r${of("2")}`, ["1"], /kubectl passes over what stands behind `\.\.\.`/],
  // Replaced there.
  [J('"\\ud800"'), ['"\uFFFD"'], /half of a character/],
  [of("!!binary /w=="), ['"\uFFFD"'], /expected a text in base64/],
  [of("!!timestamp 2001-12-14"), ['"2001-12-14"'], /tag .*timestamp is not supported, write a text/],
];

/** JSON with sorted keys, its numbers as they are written. */
function sorted(value: DocumentValue): DocumentValue {
  if (value.kind === "list") return { ...value, items: value.items.map(sorted) };
  if (value.kind !== "map") return value;
  const entries = value.entries.map((entry) => ({ ...entry, value: sorted(entry.value) }));
  return { ...value, entries: entries.sort((a, b) => a.key < b.key ? -1 : 1) };
}

/** The `spec` of an object. */
function specOf(json: string, path: readonly string[]): string {
  let value = readJson(json);
  for (const name of path) {
    value = value?.kind === "map" ? value.entries.find(({ key }) => key === name)?.value : undefined;
  }
  return value === undefined ? "none" : jsonText(sorted(value));
}

function ours(text: string): readonly string[] | string {
  try {
    return requestsIn(new TextEncoder().encode(text), "pod.yml", false)
      .map(({ json }) => specOf(new TextDecoder().decode(json), ["object", "spec"]));
  } catch (error) {
    return (error as Error).message;
  }
}

test("manifests are read as kubectl reads them, or refused with a place and a remedy", () => {
  const wrong: string[] = [];
  const check = (text: string, expected: readonly string[] | RegExp) => {
    const said = ours(text);
    const right = expected instanceof RegExp
      ? typeof said === "string" && expected.test(said)
      : typeof said !== "string" && said.join() === expected.join();
    if (!right) wrong.push(`${JSON.stringify(text)}\n  wanted ${expected}\n  ours: ${said}`);
  };
  for (const [text, ...specs] of READ) check(text, specs);
  for (const [text, says] of REFUSED) check(text, says);
  for (const [text, , says] of DECLINED) check(text, says);
  assert.is(wrong.join("\n"), "");
});

if (existsSync(KUBECTL)) {
  test("kubectl answers as it did", () => {
    const folder = mkdtempSync(join(tmpdir(), "portreeve-manifests-"));
    const kubectl = (texts: readonly string[]) => {
      const files = texts.flatMap((text, index) => {
        const file = join(folder, `${index}.yml`);
        writeFileSync(file, text);
        return ["-f", file];
      });
      const options = { encoding: "utf8", env: { HOME: folder } } as const;
      return spawnSync(KUBECTL, ["label", "--local", ...files, "a=b", "-o", "json"], options);
    };
    try {
      const read = [...READ, ...DECLINED.map(([text, specs]): Read => [text, ...specs])];
      const { stdout, stderr } = kubectl(read.map(([text]) => text));
      assert.is(stderr, "");
      const answers = jsonStream(stdout).map(({ json }) => specOf(json, ["spec"]));
      assert.equal(answers, read.flatMap(([, ...specs]) => specs));
      for (const [text] of REFUSED) assert.is(kubectl([text]).status, 1, JSON.stringify(text));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
} else test.skip(`kubectl answers as it did (${HOW_TO_GET_NODE})`, () => {});

test.run();
