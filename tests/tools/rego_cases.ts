/**
 * Calls of builtins, chosen and generated, that are put to OPA itself and to the builtins here. The generator has a fixed seed:
 * the same calls every time.
 */
import { readFileSync } from "node:fs";

/** One call; operands are JSON. */
export interface RegoCase {
  readonly name: string;
  readonly operands: readonly unknown[];
}

/** A small generator of pseudo-random numbers (mulberry32). */
function randomness(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A number that JavaScript would not keep. */
const big = (text: string) => (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text);

const random = randomness(20260412);
const below = (limit: number) => Math.floor(random() * limit);
const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
const times = <T>(count: number, make: (at: number) => T): T[] =>
  Array.from({ length: count }, (_, at) => make(at));
const letters = ["a", "b", "c", "-", ".", "/", "ä", "ß", "日", "😀", " ", "0", "1", "9", "%", "&", "="];
const word = (most = 8) => times(below(most + 1), () => pick(letters)).join("");

const cases: RegoCase[] = [];
const add = (name: string, ...calls: readonly (readonly unknown[])[]) => {
  for (const operands of calls) cases.push({ name, operands });
};

// Text.
const verbs = [
  "v",
  "d",
  "s",
  "q",
  "x",
  "X",
  "t",
  "b",
  "o",
  "O",
  "c",
  "U",
  "e",
  "E",
  "f",
  "F",
  "g",
  "G",
  "T",
  "%",
  "z",
  "é",
];
const flags = ["", "", "", "+", "-", "#", "0", " ", "+0", "#0", "-0"];
const values: readonly unknown[] = [
  0,
  1,
  -1,
  42,
  65,
  255,
  -255,
  1e3,
  123456789,
  0.5,
  -0.25,
  3.14159,
  1e21,
  1.5e-7,
  100.0,
  2.5,
  1234567.891,
  big("1.0"),
  big("9007199254740993"),
  big("123456789012345678901234567890"),
  big("-98765432109876543210"),
  big("1e400"),
  big("1E2"),
  big("0.1e-3"),
  "",
  "text",
  'quo"te',
  "line\nbreak",
  "日本",
  "😀",
  "a\u0000b",
  "\u200b",
  "`tick`",
  null,
  true,
  false,
  [],
  [1, "a", null],
  {},
  { a: 1, b: [true] },
  [[1], { x: "y" }],
  [1.5, big("1e3")],
];
add(
  "sprintf",
  ["plain", []],
  ["%d of %s", [1, "two"]],
  ["%s", []],
  ["%d", ["x"]],
  ["%d", [1.5]],
  ["%s", [1]],
  ["%", [1]],
  ["%!", []],
  ["extra", [1, "a", 2.5, null]],
  ["%[2]d %[1]d", [1, 2]],
  ["%[3]d", [1, 2]],
  ["%[x]d", [1]],
  ["%[1]d %d %d", [1, 2, 3]],
  ["%*d|%-*d|", [5, 1, 5, 2]],
  ["%.*f", [2, 3.14159]],
  ["%[2]*[1]d", [2, 6]],
  ["%.[2]*[1]f", [12.0, 2]],
  ["%[", [1]],
  ["%[1", [1]],
  ["%[]d", [1]],
  ["%-010d|", [5]],
  ["%+d % d %+v %#v", [1, 2, 3, 4]],
  ["%#v %#v", ["a", 1.5]],
  ["%6.2f|%-8.3f|%08.3f|%+.2e|%g", [3.14159, 2.71828, -1.5, 12345.678, 1e-7]],
  ["%x %X %#x % x %# x", ["hi", "hi", "hi", "hi", "hi"]],
  ["%q %+q %#q %x", ["日本", "日本", "a", "日"]],
  ["%c%c%U%#U", [72, 26085, 26085, 26085]],
  ["%5t|%t", [true, "x"]],
  ["%5s|%-5s|%.2s|%05s", ["ab", "ab", "abcdef", "ab"]],
  ["%v %v %v", [{ "b": 1, "a": [1, "x"] }, [], {}]],
  ["%T %T %T %T", [1, "a", 1.5, big("123456789012345678901")]],
  ["%d %x %b", [big("123456789012345678901"), big("255"), big("-123456789012345678901")]],
  ["%999999999999d", [1]],
  ["%.3d|%.0d|%+.3d", [7, 0, 7]],
  ["%w %p %p", [1, "a", 1]],
  [1, []],
  ["%d", "not an array"],
  ...times(260, () => {
    const precision = pick(["", "", "", ".0", ".1", ".2", ".5", ".", ".10", ".20"]);
    return [
      `<%${pick(flags)}${pick(["", "", "", "3", "6", "12"])}${precision}${pick(verbs)}>`,
      [pick(values)],
    ];
  }),
);
add("indexof_n", ["sad", "a"], ["banana", "an"], ["aaaa", "aa"], ["x", ""], ["日本日", "日"], ["", "a"], [
  1,
  "a",
]);
add("indexof_n", ...times(15, () => [word(12), pick(letters)]));
for (const name of ["strings.any_prefix_match", "strings.any_suffix_match"]) {
  add(name, ["abc", "a"], ["abc", ["x", "ab"]], [["abc", "xyz"], ["yz", "q"]], ["abc", []], [[], "a"], [[
    "a",
    1,
  ], "a"], [1, "a"]);
  add(name, ...times(10, () => [times(below(3), () => word(4)), times(below(3), () => word(1))]));
}
add("strings.count", ["cheese", "e"], ["five", ""], ["", ""], ["日本", ""], ["aaa", "aa"], [1, "a"]);
add("strings.count", ...times(10, () => [word(12), pick(letters)]));
add(
  "strings.split_n",
  ["a.b.c.d", ".", 2],
  ["a.b.c.d", ".", -2],
  ["a.b", ".", 0],
  ["abc", "", 2],
  ["abc", "", -1],
  ["a", ".", 9007199254740991],
  ["", ".", 1],
  ["a.b", ".", 1.5],
  ["", "", 3],
);
add("strings.split_n", ...times(15, () => [word(10), pick(["a", ".", "-", "", "/"]), below(7) - 3]));

// Patterns.
const patterns = [
  "a+",
  "(a)(b)?",
  "[a-c]+",
  "\\bfoo\\b",
  "^a",
  "a$",
  "(?i)AB",
  "x*",
  "",
  "(?P<name>a.)",
  "\\pL",
  "\\d{2,3}",
  "a|ab",
  "(",
  "[",
  "a**",
  "(?=a)",
  "\\p{Greek}",
  "[[:alpha:]]+",
  "(?s).",
  "(?m)^b",
  "\\Q.\\E",
  "a{1001}",
  "\\x{65E5}",
  "日",
  "\\C",
  "(?U)a+",
  "a??",
  "\\z",
  "[^a]",
];
const texts = [
  "",
  "a",
  "ab",
  "aab abc",
  "foo bar foo",
  "a\nb",
  "日本日",
  "12 345 6789",
  "ABab",
  "xaxbx",
  "éàü",
  "a.b.c",
];
for (const pattern of patterns) {
  add("regex.find_n", [pattern, pick(texts), -1], [pattern, pick(texts), 1], [pattern, pick(texts), 2], [
    pattern,
    "aab abc foo 12\n日本",
    -1,
  ]);
  add("regex.split", [pattern, pick(texts)], [pattern, "aab abc foo 12\n日本"], [pattern, ""]);
  add("regex.replace", [
    pick(texts),
    pattern,
    pick(["<$0>", "$1", "${1}x", "$1x", "$$", "$", "${name}!", "-", "$name", "${", "$9"]),
  ]);
  add("regex.replace", ["aab abc foo 12\n日本", pattern, "[$0]"]);
}
add("regex.find_n", ["a", "aaa", 0], ["a", "aaa", 1.5], [1, "a", 1]);
add(
  "regex.template_match",
  ["urn:foo:{.*}", "urn:foo:bar:baz", "{", "}"],
  ["urn:foo:<.*>", "urn:foo:bar", "<", ">"],
  ["{[0-9]{2}}x", "12x", "{", "}"],
  ["{a", "a", "{", "}"],
  ["a}", "a", "{", "}"],
  ["a{b}", "xab", "{", "}"],
  ["a.{b}", "axb", "{", "}"],
  ["{(}", "a", "{", "}"],
  ["|a|", "a", "|", "|"],
  ["{a}", "a", "{{", "}"],
  ["{a}", "a", "é", "}"],
);
add(
  "regex.globs_match",
  ["a.a.[0-9]+z", "b.b.*"],
  ["[a-z]+", "[0-9]*"],
  ["a+", "aaa"],
  ["a*b", ".*"],
  ["[", "a"],
  ["a]", "a"],
  ["+", "a"],
  ["", ""],
  ["a", ""],
  ["a*", ""],
  ["\\.", "."],
  ["\\.", "a"],
  ["[a-]", "a"],
  ["[a\\-]", "-"],
  ["a**", "a"],
);
add(
  "regex.globs_match",
  ...times(60, () => {
    const glob = () =>
      times(1 + below(4), () => pick(["a", "b", ".", "[ab]", "[b-d]", "c"]) + pick(["", "", "+", "*"])).join(
        "",
      );
    return [glob(), glob()];
  }),
);
add("glob.quote_meta", ["*.github.com"], ["a?[b]{c}\\d!-,"], [""], ["日*"], [1]);

// Encodings.
for (
  const name of [
    "base64url.encode_no_pad",
    "hex.encode",
    "urlquery.encode",
    "urlquery.decode",
    "hex.decode",
    "crypto.md5",
    "crypto.sha1",
    "crypto.sha256",
  ]
) {
  add(
    name,
    [""],
    ["a"],
    ["ab"],
    ["~_-.!*'()"],
    ["a b+c&d=e/f?g#h%"],
    ["日本😀"],
    ["00ff"],
    ["0"],
    ["zz"],
    ["%41%zz"],
    ["%E6%97%A5"],
    ["%"],
    ["%4"],
    ["616263"],
    ["C3A9"],
    ["ff"],
    ["\n\u0001"],
    [1],
    [null],
  );
  add(name, ...times(5, () => [word(10)]));
}
add(
  "urlquery.encode_object",
  [{ a: "b", c: ["d", "e"], "ä b": "x&y" }],
  [{}],
  [{ a: 1 }],
  [{ a: [1] }],
  [{ a: [] }],
  [{ z: "1", a: "2", "a-b": "3" }],
  ["x"],
);
add(
  "urlquery.decode_object",
  ["a=b&c=d&a=e"],
  [""],
  ["a"],
  ["a=b=c&&"],
  ["a;b"],
  ["%zz=a"],
  ["a=%E6%97%A5+x"],
  ["=b"],
  ["a=1&a=&a"],
);
const uris = [
  "https://user:pw@example.com:8080/a%20b/c?x=1&y=2#frag",
  "http://[::1]:80/x",
  "mailto:a@b.c",
  "/just/path",
  "//host/path",
  "a:b",
  "a/b:c",
  "1a:b",
  "::",
  ":x",
  "http://example.com",
  "http://example.com:",
  "http://example.com:port/",
  "http://[fe80::1%25eth0]/",
  "http://a b/",
  "http://a/%zz",
  "http://a/a b",
  "",
  "*",
  "#f",
  "?q",
  "http://ex%41mple.com/",
  "http://exämple.com/ü",
  "HTTP://UPPER.Case/Path",
  "http://a\u0001/",
  "http://a/%2F",
  "http://a/b;c",
  "///x",
  "http:///x",
  "http://[::1",
  "http://[gg]/",
  "urn:isbn:123",
  "http://a@b@c/",
  "http://user@/",
  "http://a/#%zz",
  "file:///etc/passwd",
  "x://y:1:2/",
  "http://1.2.3.4/",
  "ftp://[::ffff:1.2.3.4]/",
  "http://a?b?c#d#e",
  "http://a/[b]",
  'http://a/"q"',
  "a+b-c.d://x/",
  "http://a:80a/",
  "http://us er@h/",
  "http://h/%41%C3%A9",
  "http://a/!$&'()*+,;=:@",
  "http://[v1.x]/",
  "http://a,b/",
  "http://a|b/",
  "http://%zz/",
  "http://a/\u007f",
];
for (const uri of uris) add("uri.parse", [uri]), add("uri.is_valid", [uri]);
add("uri.is_valid", [1], [null]);
const trees: readonly unknown[] = [
  {},
  [],
  null,
  "a<b>&\u2028",
  1.5,
  { b: 1, a: [1, { c: null }], "<": "x" },
  [[], {}, [[]]],
  big("1.10"),
  { "2": 1, "10": 2 },
  true,
  { a: { b: { c: [1, 2] } } },
];
for (const tree of trees) {
  add("json.marshal_with_options", [tree, {}], [tree, { pretty: true }], [tree, { indent: "  " }], [tree, {
    prefix: ">",
    indent: "-",
  }], [tree, { pretty: false, indent: " " }]);
}
add("json.marshal_with_options", [1, { unknown: 1 }], [1, { pretty: "x" }], [1, { indent: 1 }], [1, 2]);
add(
  "uuid.parse",
  ["00000000-0000-0000-0000-000000000000"],
  ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6"],
  ["000003e8-48b9-21ee-b200-325096b39f47"],
  ["urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"],
  ["{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}"],
  ["f81d4fae7dec11d0a76500a0c91e6bf6"],
  ["F81D4FAE-7DEC-41D0-C765-00A0C91E6BF6"],
  ["f81d4fae-7dec-11d0-e765-03a0c91e6bf6"],
  ["f81d4fae-7dec-11d0-0765-02a0c91e6bf6"],
  ["nope"],
  [""],
  [1],
  ["f81d4fae-7dec-21d0-8765-01a0c91e6bf6"],
  ["(f81d4fae-7dec-11d0-a765-00a0c91e6bf6)"],
);

// YAML.
const yamls = [
  "a: 1\nb: [x, y]\n",
  "- 1\n- two\n- 3.0\n- ~\n- true\n- yes\n- on\n",
  "a: &x {b: 1}\nc: *x\n",
  "a: &x {b: 1, d: 2}\nc:\n  <<: *x\n  b: 3\n",
  "",
  "# only a comment\n",
  "a: |\n  line\n  two\n",
  "a: >-\n  fold\n  ed\n",
  "0o17",
  "017",
  "0x1F",
  "0b11",
  "1_000",
  ".5",
  "1e3",
  "1E400",
  ".inf",
  ".nan",
  "-.INF",
  "2020-01-01",
  "2020-01-01T00:00:00Z",
  "'quo''ted'",
  '"esc\\n\\u00e9"',
  "a: b: c",
  "\tx: 1",
  "[1, 2",
  "a: 1\na: 2\n",
  "? [a]\n: b\n",
  "1: x\n1.5: y\ntrue: z\nnull: w\n",
  "---\na: 1\n---\nb: 2\n",
  'a: !!str 1\nb: !!int "3"\nc: !!float 1\n',
  "*unknown",
  "&a [*a]",
  "18446744073709551615",
  "18446744073709551616",
  "-9223372036854775808",
  "-9223372036854775809",
  "1.0",
  "+1",
  "1.",
  "0.1e-7",
  "a: {b: c, d: }\n",
  "- - 1\n  - 2\n- {}\n",
  "key with space: 'v'\n",
  "%YAML 1.2\n---\na",
  "a:\n- b\n- c\n",
  "{}",
  "!!binary aGk=",
  "a: 'b\n  c'\n",
  "~",
  "null",
  "Null",
  "TRUE",
  "x: 12e03",
  "x: 1:30",
  "- &a 1\n- *a\n",
  "a: b # comment\n",
  "a: 'unclosed",
  "@at",
  "`x`",
  "<<: {a: 1}\nb: 2\n",
  "<<: [{a: 1}, {a: 2, c: 3}]\n",
  "a: |+\n  x\n\n\nb: 1\n",
  "a: |2\n    x\n",
];
for (const text of yamls) add("yaml.unmarshal", [text]), add("yaml.is_valid", [text]);
add("yaml.is_valid", [1]);
const strings = [
  "",
  "a",
  "a b",
  " a",
  "a ",
  "a: b",
  "a:",
  "#x",
  "a #b",
  "a#b",
  "- x",
  "-x",
  "?",
  "? x",
  "true",
  "True",
  "yes",
  "No",
  "y",
  "null",
  "~",
  "1",
  "1.5",
  "0x1f",
  "1e3",
  "1:30",
  "2020-01-01",
  "2020-01-01T00:00:00Z",
  "line\nbreak",
  "end\n",
  "end\n\n",
  "\nstart",
  " lead\nx",
  "x \ny",
  "tab\tx",
  "'q'",
  '"q"',
  "it's",
  "@a",
  "`a",
  "%a",
  "&a",
  "*a",
  "!a",
  "|",
  ">",
  "{a}",
  "[a]",
  "a,b",
  "a]",
  "---",
  "--- a",
  "...",
  "日本",
  "😀",
  "\u0000",
  "\u0001x",
  "\u007f",
  "\u0085",
  "\u00a0x",
  "\u2028",
  "\ufeff",
  "\r\n",
  "a\\b",
  "<<",
  ".inf",
  "=",
  "a: b\nc",
  "#\nb",
  "\n",
  "x\n ",
  "on",
  "0o7",
  "+1",
  "-",
  "--",
  "_1",
  "1_000",
];
add(
  "yaml.marshal",
  ...strings.map((text) => [{ key: text }]),
  ...strings.map((text) => [[text]]),
  ...strings.map((text) => [{ [text]: 1 }]),
  ...strings.map((text) => [text]),
);
add(
  "yaml.marshal",
  [{}],
  [[]],
  [{ a: {}, b: [] }],
  [{ a: [1, [2, [3]], { b: 1, c: [4] }] }],
  [[{ a: 1, b: 2 }, [1, 2], []]],
  [{ a1: 1, a10: 2, a2: 3, B: 4, b: 5, "": 6, _: 7, "1": 8, "01": 9, "10": 10 }],
  [big("123456789012345678901234567890")],
  [big("1.0")],
  [1e21],
  [1e20],
  [123456789],
  [1.5e-7],
  [0.1],
  [null],
  [true],
  [{ a: { b: { c: "x\ny\n" } }, l: ["m\nn"] }],
  [big("9007199254740993")],
  [-0.5],
  [big("1e3")],
  [1234567.5],
  [{ a: "x".repeat(130), ["y".repeat(140)]: 1 }],
);
add("yaml.marshal#set", [[3, 1, 2]], [["b", "a"]]);

// Objects and graphs.
const documents = [{ a: 1, b: { c: [1, 2, 3] } }, [1, 2, { a: "b" }], {}, { "a/b": 1, "m~n": 2 }, "scalar"];
const patches: readonly unknown[] = [
  [{ op: "add", path: "/x", value: 1 }],
  [{ op: "add", path: "x", value: 1 }],
  [{ op: "remove", path: "/a" }],
  [{ op: "replace", path: "/a", value: { z: 1 } }],
  [{ op: "add", path: "/b/c/1", value: 9 }],
  [{ op: "add", path: "/b/c/-", value: 9 }],
  [{ op: "move", from: "/a", path: "/q" }],
  [{ op: "copy", from: "/b", path: "/q" }],
  [{ op: "test", path: "/a", value: 1 }],
  [{ op: "test", path: "/a", value: 2 }],
  [{ op: "add", path: "", value: 5 }],
  [{ op: "remove", path: "/0" }],
  [{ op: "replace", path: "/2/a", value: null }],
  [{ op: "add", path: ["b", "d"], value: 1 }],
  [{ op: "remove", path: "/a~1b" }],
  [{ op: "replace", path: "/m~0n", value: 3 }],
  [{ op: "bogus", path: "/a" }],
  [{ path: "/a" }],
  [{ op: "add", value: 1 }],
  [{ op: "add", path: "/a" }],
  [{ op: "add", path: "/b/c/7", value: 1 }],
  [{ op: "remove", path: "/b/c/01" }],
  [1],
  [],
  [{ op: "add", path: "/x", value: 1 }, { op: "remove", path: "/x" }],
  [{ op: "move", from: "/b/c/0", path: "/b/c/2" }],
  [{ op: "replace", path: "/nope", value: 1 }],
  [{ op: "replace", path: "", value: 1 }],
  [{ op: "test", path: "", value: "scalar" }],
  [{ op: "add", path: "/b/c/0/x", value: 1 }],
  [{ op: "remove", path: "/b/c/-1" }],
  [{ op: "copy", from: "", path: "/self" }],
  [{ op: "add", path: ["b", "c", 0], value: 7 }],
];
for (const document of documents) for (const patch of patches) add("json.patch", [document, patch]);
add(
  "object.subset",
  [{ a: 1, b: { c: 2 } }, { b: { c: 2 } }],
  [{ a: 1 }, { a: 2 }],
  [[1, 2, 3], [2, 3]],
  [[1, 2, 3], [1, 3]],
  [[], []],
  [{}, {}],
  [{ a: [1, 2] }, { a: [2] }],
  [{ a: [1, 2] }, { a: { b: 1 } }],
  [[1], {}],
  ["a", "a"],
  [{ a: { b: 1, c: 2 } }, { a: { b: 1 } }],
  [[1, 2, 1, 2, 3], [1, 2, 3]],
);
add("object.subset#set", [[1, 2, 3], [1]], [[{ a: 1 }], []]);
add(
  "graph.reachable_paths",
  [{ a: ["b"], b: ["c"], c: ["a"] }, ["a"]],
  [{ a: ["b", "c"], b: [], c: ["d"], d: [] }, ["a"]],
  [{ a: [] }, ["a"]],
  [{ a: ["x"] }, ["a"]],
  [{}, ["a"]],
  [{ a: ["a"] }, ["a"]],
  [{ a: null, b: ["a"] }, ["a", "b"]],
  [[], []],
  [{ a: ["b"], b: ["a", "c"], c: ["b"] }, ["a", "c"]],
);

// Networks.
const networks = [
  "10.0.0.0/8",
  "10.1.0.0/16",
  "10.0.0.1",
  "192.168.0.0/24",
  "192.168.1.0/24",
  "::1/128",
  "2001:db8::/32",
  "2001:db8::1",
  "1.2.3.4/33",
  "01.2.3.4/8",
  "x",
  "::ffff:1.2.3.4/120",
  "::ffff:1.2.3.4",
  "0.0.0.0/0",
  "::/0",
  "1.2.3.4/",
  "1.2.3.4/08",
  "fe80::1%eth0/64",
  "10.1.2.3/16",
  "1.2.3/8",
  "::/129",
  "1::2::3/64",
  "2001:DB8:0:0:1:0:0:1/127",
  "0:0:0:0:0:0:0:0/127",
  "1:2:3:4:5:6:7::/126",
];
for (const network of networks) add("net.cidr_is_valid", [network]);
add("net.cidr_is_valid", [1], [null]);
add(
  "net.cidr_expand",
  ["192.168.0.0/30"],
  ["10.0.0.5/32"],
  ["2001:db8::/126"],
  ["x"],
  ["::ffff:1.2.3.4/126"],
  ["2001:DB8:0:0:1:0:0:1/127"],
  ["0:0:0:0:0:0:0:0/127"],
  ["1:2:3:4:5:6:7::/126"],
  ["1:0:0:2:0:0:0:0/127"],
  ["255.255.255.252/30"],
);
add(
  "net.cidr_merge",
  [["192.0.128.0/24", "192.0.129.0/24"]],
  [["10.0.0.0/8", "10.1.0.0/16"]],
  [["192.0.2.112/30", "192.0.2.116/31", "192.0.2.118/31"]],
  [[]],
  [["1.2.3.4"]],
  [["200.1.2.3", "200.1.2.9"]],
  [["::1"]],
  [["2001:db8::/33", "2001:db8:8000::/33"]],
  [["x"]],
  [[1]],
  [["10.0.0.0/24", "10.0.2.0/24", "10.0.1.0/24"]],
  ["x"],
  [["0.0.0.0/1", "128.0.0.0/1"]],
  [["10.0.0.0/8", "2001:db8::/32"]],
);
add(
  "net.cidr_merge",
  ...times(15, () => [times(2 + below(4), () => `10.0.${below(4)}.${below(4) * 64}/${24 + below(4)}`)]),
);
add("net.cidr_merge#set", [["192.0.128.0/24", "192.0.129.0/24"]]);
add(
  "net.cidr_contains_matches",
  ["1.1.1.0/24", "1.1.1.128"],
  [["1.1.1.0/24", "1.1.2.0/24"], "1.1.1.128"],
  [[["1.1.0.0/16", "foo"], "1.1.2.0/24"], ["1.1.1.128", ["1.1.254.254", "bar"]]],
  [{ x: "1.1.0.0/16", y: ["2.0.0.0/8", 1] }, { a: "1.1.1.1", b: "2.2.2.2" }],
  ["1.1.1.0/24", "x"],
  ["x", "1.1.1.1"],
  [[1], "1.1.1.1"],
  [[[]], "1.1.1.1"],
  ["::/0", "1.2.3.4"],
  ["0.0.0.0/0", "::1"],
  ["2001:db8::/32", "2001:db8:1::/48"],
  ["10.0.0.0/24", "10.0.0.0/23"],
);
add("net.cidr_contains_matches#set", [["1.1.1.0/24", "1.1.2.0/24"], ["1.1.1.128", "1.1.2.4"]]);

// Numbers and quantities.
add(
  "numbers.range_step",
  [0, 10, 2],
  [10, 0, 3],
  [5, 5, 1],
  [0, 1, 0],
  [0, 1, -1],
  [0.5, 2, 1],
  [big("9007199254740993"), big("9007199254740999"), 3],
  [0, 3, 10],
  ["a", 1, 1],
  [-3, 3, 2],
  [big("1e1"), 12, 1],
);
const quantities = [
  "0",
  "1",
  "10",
  "1.5",
  "100m",
  "1k",
  "1K",
  "1Ki",
  "1ki",
  "1M",
  "1m",
  "1Mi",
  "1mi",
  "2G",
  "2Gi",
  "1.5T",
  "3Ti",
  "1P",
  "1Pi",
  "1E",
  "1Ei",
  "1e3",
  "1e3k",
  "1e",
  "1 k",
  "",
  "k",
  "1x",
  '"10"',
  ".5",
  "5.",
  "-1",
  "-1.5k",
  "+3",
  "1e-3",
  "0.0001m",
  "1KI",
  "1mB",
  "1.2.3",
  "1e9999999",
  "123456789.123456789",
  "0.333m",
  "7MB",
  "7mib",
  "1kb",
  "1KiB",
  "1GB",
  "1e3Mi",
  "1E3",
  "0.1Gi",
  "1.1Ki",
  "--1",
  "1e+2",
  "1E-2k",
  "18446744073709551616",
  "0.00000000001",
  "99999999999999999999.5",
  "1e30",
  "12345678901234567890123Ki",
];
for (const quantity of quantities) add("units.parse", [quantity]), add("units.parse_bytes", [quantity]);
add("units.parse_bytes", [1]);
add("units.parse", [1]);
const versions = [
  "1.2.3",
  "1.2.3-alpha",
  "1.2.3-alpha.1",
  "1.2.3-alpha.beta",
  "1.2.3-beta.2",
  "1.2.3-beta.11",
  "1.2.3-rc.1",
  "1.2.3+build",
  "v1.2.3",
  "1.2",
  "01.2.3",
  "1.2.3-01",
  "1.2.3-",
  "",
  "1.2.3.4",
  "10.0.0",
  "2.0.0",
  "1.2.3-0",
  "1.2.3-a-b",
  "9223372036854775808.0.0",
  "1.2.3+",
  "1.2.3-x+y.z",
  "+1.2.3",
  "1.-2.3",
];
for (const version of versions) add("semver.is_valid", [version]), add("semver.compare", [version, "1.2.3"]);
add("semver.is_valid", [1], [null]);
add("semver.compare", ...times(40, () => [pick(versions), pick(versions)]));

// Time.
const moments = [
  0,
  1,
  1000000000,
  1700000000123456789n,
  1707133074028819500n,
  951782400000000000n,
  -2208988800000000000n,
  1711846800000000000n,
  1729990800000000000n,
  9223372036854775807n,
  -9223372036854775808n,
  1585443600000000000n,
  4102444800000000000n,
];
const zoneNames = [
  "UTC",
  "",
  "America/New_York",
  "Europe/Berlin",
  "Asia/Kolkata",
  "Australia/Lord_Howe",
  "Asia/Tokyo",
  "Nowhere/Land",
  "America/Sao_Paulo",
  "Europe/London",
  "Asia/Kathmandu",
];
const ns = (moment: number | bigint) => big(String(moment));
const layouts = [
  "",
  "RFC3339",
  "RFC3339Nano",
  "ANSIC",
  "UnixDate",
  "RubyDate",
  "RFC822",
  "RFC822Z",
  "RFC850",
  "RFC1123",
  "RFC1123Z",
  "2006-01-02",
  "Jan _2 2006 3:04PM",
  "002 __2 06 pm .000 .999",
  "Monday January 02 15:04:05.000000 -07:00:00 Z0700 -07",
  "1/2/06 03:04:05,999",
  "_2006 Janet Mondays",
  "Z07:00 -070000 Z070000",
  "no elements",
  "05.00 05.000x .0001",
];
for (const moment of moments) {
  for (const name of ["time.clock", "time.date", "time.weekday", "time.format"]) {
    add(name, [ns(moment)], [[ns(moment), pick(zoneNames)]]);
  }
  // Abbreviations from before 1970 are the time zone database's own (docs/rego_builtins.md).
  const named = moment < 0
    ? ["UTC"]
    : ["UTC", "UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Asia/Tokyo"];
  add("time.format", ...layouts.map((layout) => [[ns(moment), pick(named), layout]]));
  add("time.diff", [ns(moment), ns(pick(moments))], [[ns(moment), pick(zoneNames)], [
    ns(pick(moments)),
    pick(zoneNames),
  ]]);
  add("time.add_date", [ns(moment), below(5) - 2, below(30) - 15, below(100) - 50], [
    [ns(moment), pick(zoneNames)],
    0,
    below(30) - 15,
    1,
  ], [ns(moment), 0, 0, 0]);
}
for (const zone of zoneNames) add("time.clock", ...moments.map((moment) => [[ns(moment), zone]]));
for (const name of ["time.clock", "time.weekday"]) {
  add(
    name,
    [[]],
    ["x"],
    [1.5],
    [big("9223372036854775808")],
    [[0, 1]],
    [[0, "Local"]],
    [[0, "utc"]],
    [[0, "../etc"]],
    [[0, "Etc/GMT+5"]],
    [[0, "EST"]],
  );
}
add("time.add_date", [0, 1, 1, 1.5], [0, 1000, 0, 0], [0, "a", 0, 0]);
const stamps = [
  "2024-02-29T12:34:56Z",
  "2024-02-29T12:34:56.789Z",
  "2024-02-29T12:34:56+02:00",
  "2023-02-29T00:00:00Z",
  "2024-1-1T00:00:00Z",
  "2024-01-01 00:00:00Z",
  "2024-01-01T24:00:00Z",
  "2024-01-01T23:59:60Z",
  "1600-01-01T00:00:00Z",
  "2024-01-01T00:00:00",
  "2024-01-01T00:00:00z",
  "2024-01-01T00:00:00,5Z",
  "2024-01-01T1:00:00Z",
  "2024-12-31T23:59:59.999999999-23:59",
  "",
  "2024-01-01T00:00:00+25:00",
  "2024-01-01T00:00:00.Z",
  "0000-01-01T00:00:00Z",
  "2024-13-01T00:00:00Z",
  "2024-00-01T00:00:00Z",
  "2024-01-00T00:00:00Z",
  " 2024-01-01T00:00:00Z",
  "2024-01-01T00:00:00.1234567891Z",
  "2262-04-11T23:47:16.854775807Z",
  "2262-04-11T23:47:16.854775808Z",
  "1677-09-21T00:12:43.145224192Z",
];
for (const stamp of stamps) {
  add("time.parse_rfc3339_ns", [stamp]),
    add("time.parse_ns", [pick(["RFC3339", "2006-01-02T15:04:05Z07:00", "RFC3339Nano"]), stamp]);
}
add(
  "time.parse_ns",
  ["2006-01-02", "2024-02-29"],
  ["RFC1123", "Thu, 29 Feb 2024 12:34:56 GMT"],
  ["RFC1123", "Thu, 29 Feb 2024 12:34:56 CET"],
  ["RFC1123Z", "Thu, 29 Feb 2024 12:34:56 -0700"],
  ["RFC850", "Thursday, 29-Feb-24 12:34:56 UTC"],
  ["ANSIC", "Thu Feb 29 12:34:56 2024"],
  ["ANSIC", "Thu Feb  2 12:34:56 2024"],
  ["RFC822", "29 Feb 24 12:34 MST"],
  ["UnixDate", "Thu Feb 29 12:34:56 EST 2024"],
  ["Jan 2, 2006 at 3:04pm (MST)", "Feb 3, 2013 at 7:54pm (PST)"],
  ["3:04PM", "12:05AM"],
  ["3:04PM", "12:05PM"],
  ["15:04:05", "12:34:56.789"],
  ["15:04:05.000", "12:34:56.7"],
  ["15:04:05.999", "12:34:56"],
  ["2006-002", "2024-060"],
  ["2006-002", "2023-366"],
  ["06-1-2", "68-1-2"],
  ["06-1-2", "69-1-2"],
  ["2006-01-02 MST", "2024-01-01 GMT+3"],
  ["2006-01-02 MST", "2024-01-01 XYZW"],
  ["2006-01-02 MST", "2024-01-01 +03"],
  ["January 2006", "february 2024"],
  ["Jan 2006", "FEB 2024"],
  ["2006-01-02", "2024-02-30"],
  ["2006-01-02", "2024-02-29x"],
  ["x2006", "x2024"],
  ["2006 ", "2024"],
  ["2006  01", "2024 01"],
  ["_2 Jan 2006", " 1 Jan 2024"],
  ["__2 2006", "  1 2024"],
  ["-07:00:00 2006", "+01:02:03 2024"],
  ["Z0700 2006", "-0330 2024"],
  ["", ""],
  ["2006", 1],
);
add(
  "time.parse_duration_ns",
  ...[
    "1h",
    "1h30m",
    "-1.5h",
    "1ms",
    "1us",
    "1µs",
    "1ns",
    "0",
    "",
    "1",
    "h",
    "1d",
    "2w",
    "1y",
    "1d12h",
    "1.5d",
    "-1w2d",
    "1x",
    "300y",
    "1dd",
    "d",
    "1.2.3s",
    ".5s",
    "5.s",
    ".s",
    "+5s",
    "9223372036854775807ns",
    "9223372036854775808ns",
    "-9223372036854775808ns",
    "1h1d",
    "1 h",
    "0.1d3ns",
    "1m1s1ms",
    "1e3s",
    "0.3333333333333333333h",
    "100ms1w",
  ].map((text) => [text]),
);
add("trace", ["note"], [1]);

// Cryptography.
for (const name of ["crypto.hmac.md5", "crypto.hmac.sha1", "crypto.hmac.sha256", "crypto.hmac.sha512"]) {
  add(name, ["", ""], ["message", "key"], ["日本", "ключ"], ["m", "k".repeat(200)], [1, "k"]);
}
add("crypto.hmac.equal", ["a", "a"], ["a", "b"], ["", ""], ["a", "aa"], [1, "a"]);

// JSON schemas; one finding each where the order of several would be random.
const schemas: readonly (readonly [schema: unknown, ...documents: unknown[]])[] = [
  [{ type: "string" }, '"a"', "1", "null", "1.5", "[]", "{}", "true", "1.0"],
  [{ type: "integer" }, "1", "1.0", "1.5", '"1"', "12345678901234567890"],
  [{ type: ["string", "null"] }, "null", "1", '"a"'],
  [{ type: "number" }, "1", "1.5", "{}"],
  [{ properties: { a: { type: "string" } }, required: ["a"] }, { a: "x" }, { a: 1 }, {}, [1], "5"],
  [{ properties: { a: { properties: { b: { minimum: 3 } } } } }, { a: { b: 2 } }, { a: { b: 3 } }, { a: 1 }],
  [
    { additionalProperties: false, properties: { a: {} }, patternProperties: { "^x-": { type: "integer" } } },
    { a: 1, "x-1": 2 },
    { b: 1 },
    { "x-1": "a" },
  ],
  [{ additionalProperties: { type: "string" } }, { a: "x" }, { a: 1 }],
  [{ items: { type: "integer" } }, [1, 2], [1, "a"], [[], 1]],
  [
    { items: [{ type: "integer" }, { type: "string" }], additionalItems: false },
    [1, "a"],
    [1, "a", 2],
    ["a"],
    [],
  ],
  [{ items: [{ type: "integer" }], additionalItems: { type: "string" } }, [1, "a"], [1, 2]],
  [{ minItems: 2, maxItems: 3, uniqueItems: true }, [1], [1, 2], [1, 2, 3, 4], [1, 1.0], [{ a: 1 }, {
    a: 1,
  }]],
  [{ contains: { type: "string" } }, [1, "a"], [1, 2], []],
  [{ minProperties: 1, maxProperties: 2 }, {}, { a: 1 }, { a: 1, b: 2, c: 3 }],
  [{ propertyNames: { pattern: "^a" } }, { ab: 1 }, { b: 1 }],
  [{ dependencies: { a: ["b"] } }, { a: 1 }, { a: 1, b: 2 }, { b: 1 }],
  [{ dependencies: { a: { required: ["c"] } } }, { a: 1 }, { a: 1, c: 2 }],
  [{ multipleOf: 0.1 }, "1.1", "1.15", "0"],
  [{ multipleOf: 3, minimum: 3, maximum: 9 }, "6", "7", "0", "12"],
  [{ exclusiveMinimum: 1, exclusiveMaximum: 5 }, "1", "3", "5"],
  [{ minimum: 1, exclusiveMinimum: true, maximum: 5, exclusiveMaximum: true }, "1", "3", "5"],
  [{ minimum: 1000000, maximum: 1e30 }, "1"],
  [{ minimum: 0.5 }, "0.25"],
  [{ minLength: 2, maxLength: 3 }, '"a"', '"日本"', '"abcd"', "5"],
  [{ pattern: "^a+$" }, '"aa"', '"b"', "5"],
  [{ enum: ["a", 1, null, { b: 1 }] }, '"a"', "1.0", "null", { b: 1 }, "2"],
  [{ enum: [] }, "1"],
  [{ const: { a: [1, 2] } }, { a: [1, 2] }, { a: [2, 1] }],
  [{ anyOf: [{ type: "string" }, { minimum: 5 }] }, '"a"', "6", "1"],
  [{ oneOf: [{ minimum: 5 }, { multipleOf: 2 }] }, "5", "6", "4", "3"],
  [{ allOf: [{ minimum: 5 }, { multipleOf: 2 }] }, "6", "5", "4", "3"],
  [{ not: { type: "string" } }, "1", '"a"'],
  [{ if: { minimum: 5 }, then: { multipleOf: 2 }, else: { multipleOf: 3 } }, "6", "7", "3", "4"],
  [{ $ref: "#/definitions/p", definitions: { p: { type: "integer" } } }, "1", '"a"'],
  [{ properties: { child: { $ref: "#" } }, required: ["n"] }, { n: 1, child: { n: 2 } }, { n: 1, child: {} }],
  [{ $schema: "http://json-schema.org/draft-04/schema#", minimum: 1, exclusiveMinimum: true }, "1", "2"],
  [{ $schema: "http://json-schema.org/draft-07/schema#", const: 1 }, "1", "2"],
  [{ $schema: "http://json-schema.org/draft-04/schema#", const: 1 }, "2"],
  [{ properties: { a: true, b: false } }, { a: 1 }, { b: 1 }],
  ['{"type": "string"}', '"a"', "1"],
  [{ properties: { "a.b": { type: "string" } } }, { "a.b": 1 }],
  ...[
    "date",
    "time",
    "date-time",
    "hostname",
    "email",
    "ipv4",
    "ipv6",
    "uri",
    "uri-reference",
    "uri-template",
    "uuid",
    "regex",
    "json-pointer",
    "relative-json-pointer",
    "unknown",
  ].map((format) =>
    [
      { format },
      ...[
        "2024-02-29",
        "2023-02-29",
        "12:00:00Z",
        "2024-02-29T12:00:00Z",
        "example.com",
        "-bad-",
        "a@b.c",
        "A B <a@b.c>",
        "a b",
        "1.2.3.4",
        "::1",
        "http://a/b",
        "/a/{b}",
        "{a",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "a(",
        "/a~1b",
        "1/a",
        "0#",
        "",
      ].map((text) => JSON.stringify(text)),
      "5",
    ] as const
  ),
  // Wrong schemas.
  ...[
    { type: "text" },
    { type: 1 },
    { type: ["string", "string"] },
    { type: [1] },
    { properties: 1 },
    { required: "a" },
    { required: [1] },
    { required: ["a", "a"] },
    { minimum: "a" },
    { exclusiveMinimum: true },
    { exclusiveMaximum: "a" },
    { multipleOf: 0 },
    { multipleOf: "a" },
    { minLength: 1.5 },
    { minLength: -1 },
    { minLength: 3, maxLength: 2 },
    { minProperties: 3, maxProperties: 2 },
    { minItems: 3, maxItems: 2 },
    { pattern: "(" },
    { pattern: 1 },
    { patternProperties: { "(": {} } },
    { patternProperties: 1 },
    { additionalProperties: 1 },
    { items: 1 },
    { items: [1] },
    { additionalItems: 1 },
    { uniqueItems: 1 },
    { enum: 1 },
    { enum: [1, 1.0] },
    { oneOf: 1 },
    { anyOf: {} },
    { allOf: [1] },
    { not: 1 },
    { if: 1 },
    { then: 1 },
    { dependencies: 1 },
    { dependencies: { a: 1 } },
    { definitions: 1 },
    { definitions: { a: 1 } },
    { title: 1 },
    { $ref: 1 },
    { $schema: 1 },
    { propertyNames: 1 },
    { contains: 1 },
    { format: 1 },
    { id: 1 },
    "nope",
    "5",
    5,
    null,
    "true",
    "[]",
    [],
    true,
  ].map((schema) => [schema, "1"] as const),
];
for (const [schema, ...instances] of schemas) {
  add("json.verify_schema", [schema]);
  for (const instance of instances) add("json.match_schema", [instance, schema]);
}
add("json.match_schema", ["nope", {}], [5, {}], [null, {}]);

// Requests for AWS.
const aws = {
  aws_access_key: "AKID",
  aws_secret_access_key: "secret",
  aws_service: "s3",
  aws_region: "us-east-1",
};
const signing = 1451782801000000000;
add(
  "providers.aws.sign_req",
  [{ method: "get", url: "https://examplebucket.s3.amazonaws.com/key" }, aws, signing],
  [
    {
      method: "POST",
      url: "https://a.example:8443/a b/%2F?x=1&a=2",
      headers: { Foo: "bar", "User-Agent": "x" },
      body: { b: [1, "<"] },
    },
    { ...aws, aws_service: "ec2", aws_session_token: "token" },
    signing,
  ],
  [
    { method: "PUT", url: "https://a/", raw_body: "text" },
    { ...aws, disable_payload_signing: true },
    signing,
  ],
  [{ method: "PUT", url: "https://a/" }, { ...aws, disable_payload_signing: "x" }, signing],
  [{ method: "PUT", url: "https://a/" }, { aws_service: "s3" }, signing],
  [{ method: "PUT" }, aws, signing],
  [{ method: 1, url: "https://a/" }, aws, signing],
  [{ method: "PUT", url: "https://a/", bogus: 1 }, aws, signing],
  [{ method: "PUT", url: "https://a/" }, aws, 1.5],
  [{ method: "PUT", url: "https://a/", headers: [] }, aws, signing],
);

// Tokens, with keys made for these calls alone; signatures of some kinds are random, so they were made once.
// So were certificates.
for (const file of ["rego_token_cases.json", "rego_certificate_cases.json"]) {
  const made = JSON.parse(readFileSync(new URL(file, import.meta.url), "utf8")) as RegoCase[];
  for (const { name, operands } of made) add(name, operands);
}

/** Calls of what Rego's current version knows. */
export const CASES: readonly RegoCase[] = cases;

/** Calls of what only its old version knows. */
export const OLD_CASES: readonly RegoCase[] = [null, true, "text", 1, [3, 1, 1], { a: 1 }].flatMap((value) =>
  ["cast_array", "cast_boolean", "cast_null", "cast_object", "cast_set", "cast_string"]
    .map((name) => ({ name, operands: [value] }))
).concat([{ name: "cast_array#set", operands: [[3, 1, 2]] }]);
