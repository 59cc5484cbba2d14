/**
 * Issue 13, fault 8: no builtin runs longer than the evaluation's limit and 100 ms, nor takes memory without bound, whatever it
 * is given. Every builtin has a row of its worst operands: as large as they are taken, and larger.
 */
import { generateKeyPairSync } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadBuiltins } from "../../evaluator/apply/rego_builtins.ts";
import { RegoEvaluation } from "../../evaluator/apply/rego_evaluation.ts";
import { objectOf, setOf } from "../../evaluator/render/rego_value.ts";
import {
  BuiltinError,
  BuiltinHalt,
  RegoNumber,
  RegoObject,
  type RegoValue,
} from "../../evaluator/types/rego.ts";
import { REGO_BUILTINS } from "../../evaluator/types/rego_builtin_names.ts";
import { REGO_LIMITS } from "../../evaluator/types/rego_limits.ts";
import { usedMs } from "./thread_time.ts";

const LIMIT_MS = 50;
/** What the issue allows beyond the limit. */
const LATE_MS = 100;
const MIB = 1024 * 1024;

type Operands = () => readonly RegoValue[];

const number = (text: string | number | bigint) => new RegoNumber(String(text));
const fill = (unit: string, length: number) =>
  unit === "" ? "" : unit.repeat(Math.max(1, Math.floor(length / unit.length)));
const list = (count: number, element: (at: number) => RegoValue): RegoValue[] =>
  Array.from({ length: count }, (_, at) => element(at));
const nested = (depth: number): RegoValue => {
  let value: RegoValue = [];
  for (let level = 0; level < depth; level++) value = [value];
  return value;
};
const record = (members: Readonly<Record<string, RegoValue>>) => objectOf(Object.entries(members));
/** Entries in order already, because sorting a million of them takes longer than the tests. */
const wide = (count: number, value: (at: number) => RegoValue): RegoObject =>
  new RegoObject(Array.from({ length: count }, (_, at) => [String(at).padStart(8, "0"), value(at)] as const));

/** Texts of which one or the other is slow in whatever reads texts. */
const UNITS = [
  "a",
  "\u{1f600}",
  " ",
  "0",
  '"',
  "\\",
  "%",
  "&a=",
  "a\n",
  "\u0001",
  "[",
  "-----BEGIN A-----\n",
];
const texts = (name: string): Operands[] =>
  UNITS.map((unit) => () => [fill(unit, REGO_LIMITS.get(name)!.characters)]);
/** Two operands that share the characters that are allowed. */
const pairs = (name: string, units: readonly (readonly [string, string])[]): Operands[] =>
  units.map(([one, other]) => () => {
    const half = Math.floor(REGO_LIMITS.get(name)!.characters / 2);
    return [fill(one, half), fill(other, half)];
  });
const SHORT = 16 * 1024;
const HUGE = ["1e1000000", "-1e1000000", "1e-1000000", "9".repeat(SHORT - 10), `1e${"9".repeat(1000)}`];
const hugeNumbers = (...rest: readonly RegoValue[]): Operands[] =>
  HUGE.map((text) => () => [number(text), ...rest]);

const moments: Operands[] = [
  ...hugeNumbers(),
  () => [[number(0), fill("A/", SHORT - 100), "January"]],
  () => [[number(0), "America/Argentina/Buenos_Aires", fill("Monday MST January ", SHORT - 100)]],
];

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const jwk = privateKey.export({ format: "jwk" });
const publicJwk = publicKey.export({ format: "jwk" });
const base64Url = (text: string) => Buffer.from(text).toString("base64url");
const token = (alg: string, payload = "{}") => `${base64Url(`{"alg":"${alg}"}`)}.${base64Url(payload)}.AAAA`;
const manyKeys = (count: number) => JSON.stringify({ keys: Array(count).fill(publicJwk) });

const verified = (alg: string): Operands[] => [
  () => [token(alg), manyKeys(1500)],
  () => [token(alg, `"${fill("a", 200_000)}"`), manyKeys(1000)],
  () => [token(alg), JSON.stringify({ ...publicJwk, n: fill("_", 900_000) })],
  () => [token(alg), JSON.stringify({ ...publicJwk, e: fill("_", 900_000) })],
  () => [token(alg), fill("-----BEGIN A-----\n", MIB - 1000)],
  () => [token(alg), `-----BEGIN PUBLIC KEY-----\n${fill("A", MIB - 1000)}\n-----END PUBLIC KEY-----`],
  () => [fill(".", MIB), "{}"],
  () => [token(alg), fill("[", MIB - 1000)],
  () => [token(alg), fill("[", 400_000) + fill("]", 400_000)],
];
const hmacVerified: Operands[] = [
  () => [token("HS256"), fill("a", MIB - 1000)],
  () => [`${token("HS256", fill("a", MIB / 2))}`, "a"],
  () => [fill(".", MIB), "a"],
];

/** DER: an element of a tag around bytes. */
function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const size = length < 128
    ? [length]
    : [0x84, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255];
  return Buffer.concat([Uint8Array.of(tag, ...size), ...parts]);
}
const bytes = (length: number) => new Uint8Array(length).fill(0x55);
const rsaOid = der(0x06, Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01));
const signedBy = der(0x30, der(0x06, Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b)));
/** A certificate of which one part is as large as told. */
function certificate(large: {
  readonly serial?: number;
  readonly modulus?: number;
  readonly oid?: number;
  readonly names?: number;
  readonly constraints?: number;
}): Uint8Array {
  const validity = der(
    0x30,
    der(0x17, Buffer.from("200101000000Z")),
    der(0x17, Buffer.from("400101000000Z")),
  );
  const name = der(
    0x30,
    der(0x31, der(0x30, der(0x06, large.oid ? bytes(large.oid) : Uint8Array.of(0x55, 4, 3)), der(0x13))),
  );
  const key = der(
    0x30,
    der(0x30, rsaOid, der(0x05)),
    der(
      0x03,
      Uint8Array.of(0),
      der(0x30, der(0x02, bytes(large.modulus ?? 256)), der(0x02, Uint8Array.of(3))),
    ),
  );
  const hosts = Array.from({ length: large.names ?? 1 }, (_, at) => der(0x82, Buffer.from(`${at}.b`)));
  const trees = Array.from(
    { length: large.constraints ?? 1 },
    (_, at) => der(0x30, der(0x82, Buffer.from(`${at}.c`))),
  );
  const extension = (id: number, content: Uint8Array) =>
    der(0x30, der(0x06, Uint8Array.of(0x55, 0x1d, id)), der(0x04, content));
  const extensions = der(
    0xa3,
    der(
      0x30,
      extension(17, der(0x30, ...hosts)),
      extension(19, der(0x30, der(0x01, Uint8Array.of(255)))),
      extension(30, der(0x30, der(0xa1, ...trees))),
    ),
  );
  const signed = der(
    0x30,
    der(0xa0, der(0x02, Uint8Array.of(2))),
    der(0x02, bytes(large.serial ?? 8)),
    signedBy,
    name,
    validity,
    name,
    key,
    extensions,
  );
  return der(0x30, signed, signedBy, der(0x03, Uint8Array.of(0), bytes(256)));
}
const base64 = (content: Uint8Array) => Buffer.from(content).toString("base64");
const pem = (type: string, content: Uint8Array) =>
  `-----BEGIN ${type}-----\n${base64(content)}\n-----END ${type}-----\n`;
const certificates = (...more: readonly RegoValue[]): Operands[] => [
  ...["a", "-----BEGIN A-----\n", "-----BEGIN CERTIFICATE-----\n", " ", "A"].map((unit) => () => [
    fill(unit, MIB - 100),
    ...more,
  ]),
  () => [base64(certificate({ serial: 700_000 })), ...more],
  () => [base64(certificate({ modulus: 700_000 })), ...more],
  () => [base64(certificate({ oid: 300_000 })), ...more],
  () => [base64(certificate({ names: 60_000 })), ...more],
  () => [fill(pem("CERTIFICATE", certificate({})), MIB - 1000), ...more],
  () => {
    const [root, leaf] = [certificate({ constraints: 25_000 }), certificate({ names: 25_000 })];
    return [pem("CERTIFICATE", root) + pem("CERTIFICATE", leaf), ...more];
  },
  () => {
    let deep: Uint8Array = new Uint8Array();
    for (let level = 0; level < 5000; level++) deep = der(0x30, deep);
    return [base64(deep), ...more];
  },
];
const hugeKey = () =>
  der(0x30, ...Array.from({ length: 9 }, (_, at) => der(0x02, bytes(at === 0 ? 1 : 70_000))));
const keys: Operands[] = [
  ...["a", "-----BEGIN A-----\n", "A"].map((unit) => () => [fill(unit, MIB - 100)]),
  () => [pem("RSA PRIVATE KEY", hugeKey())],
  () => [fill(privateKey.export({ format: "pem", type: "pkcs1" }) as string, MIB - 2000)],
];

const aliases = (count: number, of: (before: string) => string) =>
  ["a0: &a0 {k: v}", ...Array.from({ length: count }, (_, at) => `a${at + 1}: &a${at + 1} ${of(`*a${at}`)}`)]
    .join(
      "\n",
    );
const yaml: Operands[] = [
  ...[
    ...["1,", "[],", "'',", "a: b,", "{a: ", "*a,", "&a ", "! ", "!!str a,", "#\n", ",", "\n"],
  ].flatMap((unit) => [() => [`[${fill(unit, 256 * 1024)}]`], () => [`[${fill(unit, 4 * MIB - 100)}`]]),
  ...["[", "- ", "? ", "a:\n", "- a\n", "---\n", "%A b\n", "a: 1\n", "\t", "}\n", ":\n", "&a\n"].flatMap((
    unit,
  ) => [
    () => [fill(unit, 256 * 1024)],
    () => [fill(unit, 4 * MIB)],
  ]),
  ...[
    ...[['"', "\\n"], ['"', "a\n\n "], ["'", "''"], ["|\n", " a\n"], [">\n", " a\n\n  b\n"], ["a", "\n a"], [
      "1",
      "1",
    ]] as const,
  ].flatMap(([begin, unit]) => [
    () => [begin + fill(unit, 256 * 1024)],
    () => [begin + fill(unit, 4 * MIB - 100)],
  ]),
  () => [list(2000, (at) => `${" ".repeat(at)}a:`).join("\n")],
  () => [aliases(30, (before) => `[${Array(10).fill(before).join(",")}]`)],
  () => [aliases(30, (before) => `{"<<": [${Array(10).fill(before).join(",")}]}`)],
  () => [aliases(30, (before) => `{<<: [${Array(10).fill(before).join(",")}]}`)],
  () => [aliases(20_000, (before) => `{<<: ${before}}`)],
  () => [`a: &a ${fill("1", MIB)}\nb: [${fill("*a,", 60_000)}]`],
  () => [`!!binary ${fill("A", 3 * MIB)}`],
  () => [`0x${fill("f", 3 * MIB)}`],
];

const patterns: readonly string[] = [
  ...["(a*)*b", "(a|aa)+$b", "(?:a?){1000}a{1000}", "((((a{10}){10}){10}))", "a{1000}".repeat(1000)],
  ...["\\pL".repeat(20_000), "(?i)[\\x{41}-\\x{10000}]".repeat(2500), "(".repeat(30_000), "[".repeat(60_000)],
  ...["(?i)\\W".repeat(10_000), fill("a", 64 * 1024), fill("a|", 64 * 1024), fill("(a)", 64 * 1024)],
  ...["", ".", "(a)(a)?(b)?", "[^b]*b", `${fill("a", 4000)}b`, "(?:a|b|c|d|e|f|g)*x", "\\Q".repeat(30_000)],
];
const TEXT = 8 * MIB;
const matched = (operands: (pattern: string, text: string) => readonly RegoValue[]): Operands[] =>
  patterns.map((pattern) => () => operands(pattern, fill("a", TEXT)));

const edges = (count: number, reach: number) =>
  wide(count, (at) => list(reach, (step) => String((at + step + 1) % count).padStart(8, "0")));

const schemas: readonly (() => RegoValue)[] = [
  () => record({ $ref: "#" }),
  () => record({ anyOf: list(40, () => record({ $ref: "#" })) }),
  () => record({ allOf: list(50_000, () => record({ enum: list(2, (at) => number(at)) })) }),
  () => record({ items: record({ enum: list(20_000, (at) => `a${at}`) }) }),
  () =>
    record({ properties: wide(60_000, () => true), items: record({ properties: wide(20_000, () => true) }) }),
  () => record({ required: list(100_000, (at) => `a${at}`), enum: list(100_000, (at) => number(at)) }),
  () =>
    record({
      patternProperties: objectOf(
        Array.from({ length: 2000 }, (_, at) => [`a{${at % 1000}}b{${at >> 4}}`, true]),
      ),
    }),
  () => record({ items: record({ pattern: "(a|aa)+$b", format: "email" }) }),
  () => record({ items: record({ format: "regex" }), uniqueItems: true }),
  () =>
    record({
      definitions: record({ a: record({ allOf: list(2000, () => record({})) }) }),
      allOf: list(2000, (at) =>
        record({ $ref: `#/definitions/${"%61".repeat(at % 2)}${at % 2 ? "" : "a"}${"/".repeat(0)}` })),
    }),
  () => record({ items: record({ multipleOf: number("1e-5000") }) }),
  () => record({ items: record({ anyOf: list(1000, () => record({ type: "object" })) }) }),
  () => nested(400),
];
const documents: readonly (() => RegoValue)[] = [
  () => list(100_000, (at) => `a${at}`),
  () => list(100_000, () => number("1.5")),
  () => list(4, () => fill("<", MIB - 10)),
  () => wide(100_000, () => "a"),
  () => nested(450),
  () => [number("1e1000000")],
  () => list(3, () => fill("(", MIB)),
];
const schemaRows: Operands[] = documents.flatMap((document) =>
  schemas.map((schema) => () => [document(), schema()])
);

const templates: readonly string[] = [
  ...["{{range .l}}{{range $.l}}{{range $.l}}x{{end}}{{end}}{{end}}", "{{range 1000000000}}{{end}}"],
  `{{$x := "&"}}{{range 1000}}{{$x = html $x}}{{end}}{{$x}}`,
  `{{$x := "\\\\"}}{{range 1000}}{{$x = js $x}}{{end}}{{$x}}`,
  `{{$x := "a"}}{{range 1000}}{{$x = print $x $x}}{{end}}{{$x}}`,
  `{{$x := "%"}}{{range 1000}}{{$x = urlquery $x}}{{end}}{{$x}}`,
  `{{$x := "a"}}{{range 1000}}{{$x = printf "%1000s%s" $x $x}}{{end}}{{$x}}`,
  `{{define "a"}}{{template "a" .}}{{template "a" .}}{{end}}{{template "a" .}}`,
  `{{define "b"}}{{range .l}}{{template "c" $}}{{end}}{{end}}{{define "c"}}{{range .l}}{{.}}{{end}}{{end}}{{template "b" .}}`,
  `{{range .l}}{{println $}}{{end}}`,
  fill("{{", 250_000),
  fill("{{if .l}}", 250_000),
  fill('{{"', 250_000),
  fill("{{.l}}", 250_000),
  fill("{{$a := 1}}{{if $a}}{{end}}", 250_000),
  `{{"${fill("a", 250_000)}"}}`,
  `{{${fill("1", 250_000)}}}`,
  `{{${fill("(", 250_000)}}}`,
  `{{${fill(" ", 250_000)}}}`,
  `a${fill(" ", 250_000)}b{{- .l}}`,
  `{{/*${fill(" ", 250_000)}*/}}`,
  `{{.${fill("a.a", 250_000)}}}`,
];

const patchOf = (op: string, path: RegoValue, more: Readonly<Record<string, RegoValue>> = {}) =>
  record({ op, path, ...more });

/** For every builtin the worst that it may be given. */
const ROWS: Readonly<Record<string, readonly Operands[]>> = {
  "base64url.encode_no_pad": texts("base64url.encode_no_pad"),
  cast_array: [() => [new RegoObject([])], () => [setOf(list(300_000, (at) => number(at)))]],
  cast_boolean: [() => [nested(600)]],
  cast_null: [() => [list(2_000_000, () => null)]],
  cast_object: [() => [wide(600_000, () => null)]],
  cast_set: [
    () => [list(900_000, (at) => number((at * 7919) % 900_001))],
    () => [list(16, () => fill("a", MIB - 100))],
    () => [list(800, () => number("9".repeat(20_000)))],
    () => [list(200_000, (at) => number(`${at}e${999_999_999 - at}`))],
    () => [list(2000, () => nested(480))],
  ],
  cast_string: [() => [fill("a", 64 * MIB)]],
  "crypto.hmac.equal": pairs("crypto.hmac.equal", [["a", "a"], ["\u{1f600}", "\u{1f600}"]]),
  "crypto.hmac.md5": pairs("crypto.hmac.md5", [["a", "a"]]),
  "crypto.hmac.sha1": pairs("crypto.hmac.sha1", [["a", "a"]]),
  "crypto.hmac.sha256": pairs("crypto.hmac.sha256", [["a", "\u{1f600}"]]),
  "crypto.hmac.sha512": pairs("crypto.hmac.sha512", [["a", "a"]]),
  "crypto.md5": texts("crypto.md5").slice(0, 2),
  "crypto.parse_private_keys": keys,
  "crypto.sha1": texts("crypto.sha1").slice(0, 2),
  "crypto.sha256": texts("crypto.sha256").slice(0, 2),
  "crypto.x509.parse_and_verify_certificates": certificates(),
  "crypto.x509.parse_and_verify_certificates_with_options": [
    ...certificates(record({ DNSName: "a" })),
    ...certificates(record({ DNSName: `${fill('"', 10_000)}a`, CurrentTime: number("9".repeat(30_000)) }))
      .slice(-3),
  ],
  "crypto.x509.parse_certificate_request": certificates(),
  "crypto.x509.parse_certificates": certificates(),
  "crypto.x509.parse_keypair": [
    () => [pem("CERTIFICATE", certificate({ modulus: 200_000 })), pem("RSA PRIVATE KEY", hugeKey())],
    () => [
      fill(pem("CERTIFICATE", certificate({})), MIB / 2),
      fill("-----BEGIN A PRIVATE KEY-----\n", MIB / 2 - 100),
    ],
  ],
  "crypto.x509.parse_rsa_private_key": keys,
  "glob.quote_meta": texts("glob.quote_meta"),
  "graph.reachable_paths": [
    () => [edges(1000, 900), ["00000000"]],
    () => [edges(100_000, 1), ["00000000"]],
    () => [edges(60, 2), list(50, (at) => String(at).padStart(8, "0"))],
  ],
  "hex.decode": [...texts("hex.decode"), () => [fill("0a", 64 * MIB)], () => [fill("ff", 16 * MIB)]],
  "hex.encode": texts("hex.encode"),
  indexof_n: [
    ...pairs("indexof_n", [["a", "a"], ["a", "b"], ["\u{1f600}", "\u{1f600}"]]),
    () => [fill("a", 15 * MIB), "a"],
    () => [fill("a", 12 * MIB), `${fill("a", 3 * MIB)}b`],
    () => [fill("a", 12 * MIB), `b${fill("a", 3 * MIB)}`],
  ],
  "io.jwt.decode": [
    ...texts("io.jwt.decode"),
    () => [token("HS256", fill('{"a":', 300_000))],
    () => [`${base64Url('{"cty":"JWT"}')}.${base64Url(`${fill('"', 600_000)}a`)}.A`],
    () => [`${base64Url('{"cty":"JWT"}')}.${base64Url(`a${fill('"', 600_000)}a`)}.A`],
  ],
  "io.jwt.decode_verify": [
    () => [token("RS256"), record({ cert: manyKeys(1500) })],
    () => [token("HS256", fill("[", 300_000)), record({ secret: "a" })],
    () => [fill(".", MIB - 1000), record({ secret: "a" })],
    () => [token("HS256"), record({ secret: "a", time: number("9".repeat(30_000)) })],
  ],
  "io.jwt.encode_sign": [
    () => [
      record({ alg: "RS256" }),
      wide(9000, () => "a"),
      objectOf(Object.entries(jwk) as [string, string][]),
    ],
    () => [
      record({ alg: "RS256" }),
      record({}),
      objectOf(Object.entries({ ...jwk, dp: fill("_", 900_000) }) as [string, string][]),
    ],
    () => [record({ alg: "HS256" }), record({}), record({ kty: "oct", k: fill("_", 900_000) })],
  ],
  "io.jwt.encode_sign_raw": [
    () => ['{"alg":"RS256"}', fill("[", MIB - 100_000), JSON.stringify(jwk)],
    ...["n", "e", "d", "p", "q", "dp", "dq", "qi"].map((name) => () => [
      '{"alg":"PS512"}',
      "{}",
      JSON.stringify({ ...jwk, [name]: fill("_", 900_000) }),
    ]),
    () => ["null", "{}", "{}"],
    () => ['{"alg":"__proto__"}', "{}", "null"],
  ],
  ...Object.fromEntries(
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"].map((alg) => [
      `io.jwt.verify_${alg.toLowerCase()}`,
      alg === "RS256" || alg === "PS512" ? verified(alg) : verified(alg).slice(0, 1),
    ]),
  ),
  "io.jwt.verify_hs256": hmacVerified,
  "io.jwt.verify_hs384": hmacVerified,
  "io.jwt.verify_hs512": hmacVerified,
  "json.marshal_with_options": [
    () => [nested(490), record({ indent: fill(" ", 8 * MIB), prefix: fill("-", 4 * MIB) })],
    () => [list(900_000, (at) => number(at)), record({ indent: fill(" ", 1000) })],
    () => [list(15, () => fill("<", MIB)), record({ pretty: false })],
    () => [wide(400_000, () => "a"), record({ pretty: true })],
  ],
  "json.match_schema": [
    ...schemaRows,
    () => [fill("[", 2 * MIB), fill("[", MIB)],
    () => [fill('{"a":', 2 * MIB), "{}"],
    () => [`[${fill("1,", 300_000)}1]`, "{}"],
    () => ["{}", '{"$schema":"constructor"}'],
  ],
  "json.patch": [
    // The measured attack: an operation for each of many places in a large document.
    () => [
      wide(100_000, (at) => number(at)),
      list(100_000, (at) => patchOf("replace", `/${String(at).padStart(8, "0")}`, { value: null })),
    ],
    () => [list(200_000, (at) => number(at)), list(100_000, () => patchOf("remove", "/0"))],
    () => [list(200_000, (at) => number(at)), list(100_000, () => patchOf("add", "/0", { value: null }))],
    () => [
      setOf(list(20_000, (at) => number(at))),
      list(50_000, (at) => patchOf("add", [number(-at)], { value: number(-at) })),
    ],
    // Every copy doubles the document, or makes it deeper.
    () => [record({ a: [] }), list(5000, (at) => patchOf("copy", `/a/${at}`, { from: "" }))],
    () => [record({}), list(5000, (at) => patchOf("copy", `${"/a".repeat(at % 700)}/a`, { from: "" }))],
    () => [nested(490), list(10, () => patchOf("test", fill("/0", MIB), { value: null }))],
    () => [record({}), [patchOf("add", fill("/", 8 * MIB), { value: null })]],
    () => [[], [patchOf("add", `/${"9".repeat(MIB)}`, { value: null })]],
    () => [[], [patchOf("add", [number("1e1000000")], { value: null })]],
    () => [record({}), [patchOf("add", "/__proto__", { value: record({ polluted: true }) })]],
  ],
  "json.verify_schema": [
    ...schemas.map((schema) => () => [schema()]),
    () => [fill("[", 4 * MIB)],
    () => [fill('{"not":', 4 * MIB)],
    () => [`{"multipleOf":1e1000000}`],
  ],
  "net.cidr_contains_matches": [
    () => [list(400_000, () => "10.0.0.0/8"), list(400_000, () => "10.0.0.1")],
    () => [list(3000, () => "::/0"), list(3000, (at) => `::${at.toString(16)}`)],
    () => [[fill("1.", 8 * MIB)], [fill("1:", 7 * MIB)]],
  ],
  "net.cidr_expand": [
    () => ["0.0.0.0/0"],
    () => ["::/0"],
    () => ["10.0.0.0/16"],
    () => [fill("1", 64 * MIB)],
  ],
  "net.cidr_is_valid": [
    () => [fill("1", SHORT)],
    () => [`${fill("0", SHORT - 10)}/8`],
    () => [fill(":", SHORT)],
  ],
  "net.cidr_merge": [
    () => [list(500_000, (at) => `10.${at & 255}.${(at >> 8) & 255}.${at >> 16}/32`)],
    () => [list(300_000, (at) => `::${(at * 7919 & 0xffff).toString(16)}:${(at & 0xffff).toString(16)}/128`)],
    () => [[fill("1", 15 * MIB)]],
  ],
  "net.lookup_ip_addr": [() => [fill("a", SHORT)], () => [fill("a", 64 * MIB)]],
  "numbers.range_step": [
    () => [number(0), number("1e12"), number(1)],
    () => [number(0), number(999_998), number(1)],
    () => [number("1e1000000"), number(0), number(1)],
    () => [number("1e4999"), number("0"), number("1e4994")],
  ],
  "object.subset": [
    () => [list(400_000, (at) => number(at)), setOf(list(400_000, (at) => number(-at)))],
    () => [list(500_000, () => "a"), [...list(250_000, () => "a"), "b"]],
    () => [nested(490), nested(490)],
    () => [wide(200_000, () => "a"), wide(200_000, () => "a")],
  ],
  "opa.runtime": [() => []],
  "providers.aws.sign_req": [
    () => [
      record({
        method: "GET",
        url: "https://a/",
        body: wide(20_000, () => "<"),
        headers: wide(20_000, () => fill("a", 100)),
      }),
      record({
        aws_service: "s3",
        aws_access_key: "a",
        aws_secret_access_key: fill("a", MIB),
        aws_region: "a",
      }),
      number("1e17"),
    ],
    () => [
      record({ method: "GET", url: `https://a/${fill("\u00e9", MIB)}` }),
      record({ aws_service: "a", aws_access_key: "a", aws_secret_access_key: "a", aws_region: "a" }),
      number(0),
    ],
    () => [record({}), record({}), number("1e1000000")],
  ],
  "rand.intn": [() => [fill("a", SHORT - 10), number(2)], ...HUGE.map((text) => () => ["a", number(text)])],
  "regex.find_n": matched((pattern, text) => [pattern, text, number(-1)]),
  "regex.globs_match": [
    ...["a*", "[a-b]+", "[\u0001-\u{10ffff}]", ".*", "[ab]*c*", "\\a"].flatMap((unit) => [
      () => [fill(unit, SHORT / 2), fill(unit, SHORT / 2 - 2)],
      () => [fill(unit, SHORT / 2), fill("a", SHORT / 2)],
    ]),
  ],
  "regex.replace": matched((pattern, text) => [text, pattern, fill("$0${a}$$", 10_000)]),
  "regex.split": matched((pattern, text) => [pattern, text]),
  "regex.template_match": [
    ...patterns.slice(0, 8).map((pattern) => () => [`{${pattern}}`, fill("a", TEXT), "{", "}"]),
    () => [fill("{a}", 60_000), fill("a", TEXT), "{", "}"],
    () => [fill("{", 60_000), "a", "{", "}"],
    () => [fill("a", 15 * MIB), "a", "{", "}"],
  ],
  "semver.compare": [
    () => [`${"9".repeat(SHORT / 3)}.0.0`, "1.0.0"],
    () => [`1.0.0-${fill("1.", SHORT / 2 - 20)}1`, `1.0.0-${fill("1.", SHORT / 2 - 20)}2`],
    () => [`1.0.0-${fill("9", SHORT / 2 - 20)}`, `1.0.0-${fill("8", SHORT / 2 - 20)}`],
  ],
  "semver.is_valid": [() => [fill("1.", SHORT)], () => [`1.0.0+${fill("a.", SHORT - 10)}`]],
  sprintf: [
    () => ["%1000000d".repeat(1000), list(1000, () => number(1))],
    () => ["%.1000000f", [number("0.1")]],
    () => ["%#.1000000g%.1000000e%+#1000000x", [number("0.1"), number("1.5e300"), number("1.5")]],
    () => ["%*.*f", [number(1_000_000), number(1_000_000), number("1.5")]],
    () => ["%d", [number("9".repeat(20_000))]],
    () => ["%x", [number("9".repeat(2 * MIB))]],
    () => ["%d %v %e", [number("1e1000000"), number("1e1000000"), number("1e-1000000")]],
    () => [fill("%d", 15 * MIB), []],
    () => [fill("%[", 15 * MIB), []],
    () => ["%[1]v".repeat(100_000), [list(100_000, (at) => number(at))]],
    () => ["%q%+q%#q%x% X", list(5, () => fill("\u{1f600}", 3 * MIB))],
    () => ["", list(900_000, (at) => number(at))],
    () => ["%v", [nested(490)]],
  ],
  "strings.any_prefix_match": [
    () => [list(400_000, () => "a"), list(400_000, () => "b")],
    () => [list(100, () => `${fill("a", 80_000)}`), list(100, () => `${fill("a", 70_000)}b`)],
  ],
  "strings.any_suffix_match": [() => [list(400_000, () => "a"), list(400_000, () => "b")]],
  "strings.count": [
    ...pairs("strings.count", [["a", "a"], ["a", ""]]),
    () => [fill("a", 12 * MIB), `${fill("a", 3 * MIB)}b`],
    () => [fill("a", 12 * MIB), `b${fill("a", 3 * MIB)}`],
    () => [fill("a", 15 * MIB), "a"],
    () => [fill("\u{1f600}", 15 * MIB), ""],
  ],
  "strings.render_template": templates.map((template) => () => [
    template,
    record({ l: list(100_000, (at) => number(at)) }),
  ]),
  "strings.split_n": [
    () => [fill("a", 15 * MIB), "", number(-1)],
    () => [fill("a", 15 * MIB), "a", number(-1)],
    () => [fill("a", 15 * MIB), "a", number("1e18")],
    () => [fill("a", 12 * MIB), `${fill("a", 3 * MIB)}b`, number(5)],
    () => [fill("a", MIB), "b", number("1e1000000")],
  ],
  "time.add_date": [
    ...hugeNumbers(number(1), number(1), number(1)),
    () => [number(0), number("1e18"), number("-1e18"), number("1e1000000")],
  ],
  "time.clock": moments,
  "time.date": moments,
  "time.diff": [
    ...hugeNumbers(number(0)),
    () => [[number(0), fill("A", SHORT - 100)], number(1)],
  ],
  "time.format": moments,
  "time.now_ns": [() => []],
  "time.parse_duration_ns": [
    ...["1h", "0.1d", "9", "1y", "."].map((unit) => () => [fill(unit, SHORT)]),
    () => [`${fill("9", SHORT - 2)}h`],
    () => [fill("1.5d", 64 * MIB)],
  ],
  "time.parse_ns": [
    () => [fill("2006", SHORT / 2), fill("2006", SHORT / 2)],
    () => [fill("January", SHORT / 2), fill("January", SHORT / 2)],
    () => [`.${fill("0", SHORT / 2)}`, `.${fill("1", SHORT / 2 - 2)}`],
    () => [fill(" ", SHORT / 2), fill(" ", SHORT / 2)],
  ],
  "time.parse_rfc3339_ns": [
    () => [fill("2006", SHORT)],
    () => [`2006-01-02T15:04:05.${fill("1", SHORT - 30)}Z`],
  ],
  "time.weekday": moments,
  trace: [() => [fill("a", 16 * MIB)]],
  "units.parse": [
    ...["1", "e1", "1e", "m", '"', ".", "+"].map((unit) => () => [fill(unit, SHORT)]),
    ...HUGE.map((text) => () => [text]),
  ],
  "units.parse_bytes": [
    ...["1", "e1", "1e", "k", '"', "."].map((unit) => () => [fill(unit, SHORT)]),
    ...HUGE.map((text) => () => [text]),
    () => ["1e4999mib"],
  ],
  "uri.is_valid": [
    ...["a", "%", "/", ":", "[", "@"].map((unit) => () => [`http://${fill(unit, SHORT - 10)}`]),
  ],
  "uri.parse": [
    ...["a", "%41", "/", ":", "?", "#"].map((unit) => () => [`http://a/${fill(unit, SHORT - 10)}`]),
  ],
  "urlquery.decode": texts("urlquery.decode"),
  "urlquery.decode_object": [
    ...texts("urlquery.decode_object"),
    // The measured attack: a query of very many parts.
    () => [fill("a=b&", 16 * MIB)],
    () => [list(600_000, (at) => `a${at}=b`).join("&")],
    () => [fill("&", 16 * MIB)],
  ],
  "urlquery.encode": texts("urlquery.encode"),
  "urlquery.encode_object": [
    () => [wide(300_000, () => "\u{1f600}")],
    () => [record({ [fill("a", MIB)]: list(300_000, () => "a") })],
  ],
  "uuid.parse": [() => [fill("a", SHORT)], () => [`urn:uuid:${fill("a", 36)}`]],
  "uuid.rfc4122": [() => [fill("<", SHORT)], () => [nested(480)]],
  "yaml.is_valid": yaml.slice(0, 12),
  "yaml.marshal": [
    ...["a", " ", "\u0085 ", "a\n", "\u0001", '"', "'", "0", "- "].map((unit) => () => [fill(unit, 4 * MIB)]),
    () => [nested(490)],
    () => [wide(100_000, (at) => number(at))],
    () => [objectOf(Array.from({ length: 40 }, (_, at) => [`${fill("9", 90_000)}${at}`, null]))],
    () => [objectOf(Array.from({ length: 40 }, (_, at) => [`${fill("0", 90_000)}${at}`, null]))],
    () => [list(200_000, () => "on")],
    () => [[fill(" ", 2 * MIB) + "\u0085" + fill(" ", 2 * MIB - 10)]],
  ],
  "yaml.unmarshal": yaml,
};

const BUILTINS = await loadBuiltins(REGO_BUILTINS);

/** Runs a call. Returns how it ended, and how much of this thread's time it took; the limit counts that time, too. */
function run(
  name: string,
  operands: readonly RegoValue[],
): { readonly how: string; readonly tookMs: number } {
  const begun = usedMs();
  const check = () => {
    if (usedMs() - begun > LIMIT_MS) throw new BuiltinHalt("the time is up");
  };
  const context = { ...new RegoEvaluation(60_000, () => {}).context, check };
  let how = "answered";
  try {
    BUILTINS[name]!(operands, context);
  } catch (error) {
    const clean = error instanceof BuiltinError || error instanceof BuiltinHalt;
    how = clean ? error.name : `${error}`;
  }
  return { how, tookMs: usedMs() - begun };
}

test("every builtin has a row, and every row a builtin", () => {
  assert.equal(Object.keys(ROWS).sort(), [...REGO_BUILTINS]);
  assert.equal([...REGO_LIMITS.keys()], [...REGO_BUILTINS]);
});

for (const [name, rows] of Object.entries(ROWS)) {
  test(`${name} ends within its limit for ${rows.length} worst cases`, () => {
    const late: string[] = [];
    for (const [at, row] of rows.entries()) {
      const { how, tookMs } = run(name, row());
      if (!["answered", "BuiltinError", "BuiltinHalt"].includes(how)) {
        late.push(`row ${at}: ${how.slice(0, 300)}`);
      }
      if (tookMs > LIMIT_MS + LATE_MS) late.push(`row ${at} (${how}): ${Math.round(tookMs)} ms`);
    }
    assert.equal(late, []);
  });
}

test("all of this takes a bounded amount of memory", () => {
  // Operands of 64 MiB and the garbage of hundreds of calls included; one unbounded call took more by itself.
  const mib = process.resourceUsage().maxRSS / 1024;
  assert.ok(mib < 2048, `${Math.round(mib)} MiB at most`);
});

test.run();
