/** sources.yml and the verification configuration: what is read, and what is said when it cannot be. */
import { generateKeyPairSync } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type ArtifactEvent,
  dockerConfigDir,
  parseVerificationConfig,
  readSources,
  readVerificationConfig,
  signatureYaml,
} from "../../artifact/mod.ts";
import { effectiveProxies } from "../../artifact/render/proxy.ts";
import { createAuthority } from "./_certificates.ts";
import { failure, inDirectory, listening } from "./_setting.ts";

const authority = await createAuthority();

/** Loads a sources file; paths in its error are written `P`. */
function sources(content: string | object, files: Readonly<Record<string, string | Uint8Array>> = {}) {
  return inDirectory(async (directory) => {
    for (const [name, data] of Object.entries(files)) await writeFile(join(directory, name), data);
    const path = join(directory, "sources.yml");
    const text = typeof content === "string" ? content : JSON.stringify(content);
    await writeFile(path, text.replaceAll("@DIR@", directory));
    return await readSources(path).then((read) => ({ read, message: "" }), (error) => ({
      read: undefined,
      message: String(error.message).replaceAll(path, "P").replaceAll(directory, "D"),
    }));
  });
}

test("only one document is read, so a file of several is refused: what stands in the others would not count", async () => {
  const several = /more than one YAML document/;
  const signer = (owner: string) => `apiVersion: v1\nallOf:\n- {kind: githubAction, owner: ${owner}}\n`;
  const parsed = (text: string) => () => parseVerificationConfig(text);
  for (
    const text of [
      `${signer("a")}---\n${signer("b")}`,
      `---\n${signer("a")}---\n${signer("b")}`,
      `${signer("a")}...\n---\n${signer("b")}`,
      `${signer("a")}---\nallOf: []\n`,
      `{}\n---\n${signer("a")}`,
    ]
  ) assert.throws(parsed(text), several, text);
  for (
    const text of [
      `---\n${signer("a")}`,
      `${signer("a")}...\n`,
      `# a comment\n---\n${signer("a")}# another\n`,
    ]
  ) {
    assert.equal(parseVerificationConfig(text).allOf?.length, 1, text);
  }
  assert.match((await sources("insecure_sources: [a.test]\n---\nproxies: {}\n")).message, several);
});

const NO_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";

test("sources: everything that may be written", async () => {
  const { read, message } = await sources(
    `
insecure_sources: ["localhost:5000", h.test]
source_authorities:
  a.test:
    - { type: Data, data: ${JSON.stringify(authority.ca)} }
    - { type: Path, path: "@DIR@/ca.der" }
  b.test:5000:
    - { type: Path, path: "@DIR@/ca.pem" }
    - type: Data
      data: [${[...authority.der].join(", ")}]
proxies: { https_proxy: "http://p.test:3128" }
something_new: [1]
`,
    { "ca.der": authority.der, "ca.pem": authority.ca },
  );
  assert.is(message, "");
  assert.equal(read?.insecureSources, new Set(["localhost:5000", "h.test"]));
  const base64 = (pem: string | undefined) => (pem ?? "").replace(/-----[^-]+-----|\s/g, "");
  for (const host of ["a.test", "b.test:5000"]) {
    const list = read?.sourceAuthorities.get(host) ?? [];
    assert.equal(list.map(base64), [base64(authority.ca), base64(authority.ca)], host);
  }
  // As Windows' tools and editors leave it.
  for (
    const [name, bytes] of Object.entries({
      "utf16.pem": Buffer.from(`\uFEFF${authority.ca}`, "utf16le"),
      "bom.pem": Buffer.from(`\uFEFF${authority.ca}`),
      "text.pem": Buffer.from(`ca: ${authority.ca}`),
      "crlf.pem": Buffer.from(authority.ca.replaceAll("\n", "\r\n")),
      "joined.pem": Buffer.from(authority.ca.trimEnd() + authority.ca),
    })
  ) {
    const { read, message } = await sources(
      `source_authorities: {a.test: [{type: Path, path: "@DIR@/${name}"}]}`,
      { [name]: bytes },
    );
    assert.is(message, "", name);
    const [text = ""] = read?.sourceAuthorities.get("a.test") ?? [];
    for (const block of text.match(/^-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/gm) ?? [""]) {
      assert.is(base64(block), base64(authority.ca), name);
    }
    assert.equal([...text.matchAll(/.*-----BEGIN/g)].map(([line]) => line), text.match(/-----BEGIN/g), name);
  }
  assert.equal(read?.proxies, { httpProxy: undefined, httpsProxy: "http://p.test:3128", noProxy: undefined });
  for (const empty of ["", "{}", "---\n", "proxies: null\n"]) {
    assert.is((await sources(empty)).message, "", empty);
  }
  assert.is((await sources({ insecure_sources: ["x"] })).read?.insecureSources.size, 1, "JSON is read too");
});

test("sources: what is passed over is told", async () => {
  const told = (content: string) =>
    inDirectory(async (directory) => {
      const path = join(directory, "sources.yml");
      await writeFile(path, content);
      const { options, lines } = listening();
      await readSources(path, options);
      return lines().filter((line) => line.startsWith("warn")).join("\n");
    });
  const rows: readonly (readonly [string, RegExp | ""])[] = [
    ["insecure_sources: [h.test, 'localhost:5000', '[::1]:5000', 10.0.0.1, under_score.test]", ""],
    ["{}", ""],
    [
      "insecure_source: [h.test]",
      /^warn insecure_source is passed over: there is no such key.*\(known: insecure_sources, /,
    ],
    ["insecureSources: [h.test]", /^warn insecureSources is passed over/],
    ["constructor: 1", /^warn constructor is passed over/],
    ["proxies: { http: 'http://p.test' }", /^warn proxies\.http is passed over.*\(known: http_proxy, /],
    ["proxies: { HTTPS_PROXY: 'http://me:s3cret@p.test' }", /^warn proxies\.HTTPS_PROXY is passed over/],
    [
      "insecure_sources: [a.test, 'http://h.test']",
      /^warn entry of insecure_sources 2 is passed over: write it as host/,
    ],
    ["insecure_sources: ['h.test/']", /^warn entry of insecure_sources 1/],
    ["insecure_sources: ['h.test/team']", /^warn entry of insecure_sources 1/],
    ["insecure_sources: ['me:s3cret@h.test']", /^warn entry of insecure_sources 1/],
    ["insecure_sources: ['h.test:http']", /^warn entry of insecure_sources 1/],
    ["insecure_sources: [' h.test']", /^warn entry of insecure_sources 1/],
    ["insecure_sources: ['']", /^warn entry of insecure_sources 1/],
    ...[0, 1].map((at) =>
      [
        `source_authorities: { h.test: [{ type: Data, data: ${
          JSON.stringify([authority.ca, authority.ca].toSpliced(at, 0, NO_CERTIFICATE).join("\n"))
        } }] }`,
        /^warn source_authorities\.h\.test has 1 PEM blocks that are no certificates, which are passed over: remove them/,
      ] as const
    ),
    ["source_authorities: { 'https://h.test': [] }", /^warn host of source_authorities 1 is passed over/],
  ];
  for (const [content, expected] of rows) {
    const said = await told(content);
    if (expected === "") assert.is(said, "", content);
    else assert.match(said, expected, content);
    assert.not.match(said, "s3cret");
  }
});

test("sources: one bad entry fails the whole file, with its place", async () => {
  const cases: readonly (readonly [string, string])[] = [
    ["source_authorities: { h: [{ something: unknown }] }", "missing field `type`"],
    ["source_authorities: { h: [{ path: 1 }] }", "missing field `type`"],
    [
      "source_authorities: { h: [{ type: path, path: x }] }",
      "unknown variant `path`, expected `Path` or `Data`",
    ],
    ["source_authorities: { h: [{ type: Path }] }", "missing field `path`"],
    [
      "source_authorities: { h: [{ type: Data, data: [300] }] }",
      "holds something that is no byte at source_authorities.h[0]",
    ],
    [
      "source_authorities: { h: [{ type: Path, path: /nonexistent.pem }] }",
      "Cannot read certificate from file: No such file or directory (os error 2) (source_authorities.h, /nonexistent.pem)",
    ],
    [
      "source_authorities: { h: [{ type: Path, path: '@DIR@/no.pem' }] }",
      "Invalid certificate: Raw certificate is not in PEM nor in DER encoding (source_authorities.h, D/no.pem)",
    ],
    ...[NO_CERTIFICATE, authority.ca.replaceAll("CERTIFICATE", "PRIVATE KEY")].map((text) =>
      [
        `source_authorities: { h: [{ type: Data, data: ${JSON.stringify(text)} }] }`,
        "Invalid certificate: Raw certificate is not in PEM nor in DER encoding (source_authorities.h)",
      ] as const
    ),
    [
      "source_authorities: { h: [{ type: Data, data: x }] }",
      "Invalid certificate: Raw certificate is not in PEM nor in DER encoding",
    ],
    ["insecure_sources: [1]", "insecure_sources[0] is no string"],
    ["insecure_sources: h", "expected a sequence at insecure_sources"],
    ["proxies: { http_proxy: 1 }", "invalid type: integer `1`, expected a string at proxies.http_proxy"],
    ["[1]", "invalid type: sequence, expected a map"],
    ["a: [", "at line 1"],
    [
      "a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c]",
      "alias",
    ],
  ];
  for (const [text, reason] of cases) {
    const { message } = await sources(text, { "no.pem": "no certificate" });
    assert.ok(message.startsWith("error while loading sources from P: "), message);
    assert.ok(message.includes(reason), `${reason}\n${message}`);
  }
  const absent = await failure(readSources("/nonexistent/sources.yml"));
  assert.match(
    absent.message,
    "error while loading sources from /nonexistent/sources.yml: No such file or directory (os error 2)",
  );
});

test("proxies: the file is used whole, else the environment, upper case first", async () => {
  const env = { HTTP_PROXY: "http://up", http_proxy: "http://low", https_proxy: "http://s", NO_PROXY: "" };
  const none = (await sources("{}")).read;
  assert.ok(none);
  assert.equal(effectiveProxies(none, env), {
    httpProxy: "http://up",
    httpsProxy: "http://s",
    noProxy: undefined,
  });
  const file = (await sources("proxies: { no_proxy: x.test }")).read;
  assert.ok(file);
  assert.equal(effectiveProxies(file, env), {
    httpProxy: undefined,
    httpsProxy: undefined,
    noProxy: "x.test",
  });
});

test("Docker's configuration directory: option, DOCKER_CONFIG, home", () => {
  assert.is(dockerConfigDir({ dockerConfigDir: "/a", env: { DOCKER_CONFIG: "/b", HOME: "/c" } }), "/a");
  assert.is(dockerConfigDir({ env: { DOCKER_CONFIG: "/b", HOME: "/c" } }), "/b");
  assert.is(dockerConfigDir({ env: { HOME: "/c" } }), "/c/.docker");
});

const parse = (text: string) => parseVerificationConfig(text);
const refusal = (text: string) => {
  try {
    parse(text);
    return "accepted";
  } catch (error) {
    return (error as Error).message;
  }
};

test("verification: every kind and subject form", () => {
  const config = parse(`
apiVersion: v1
allOf:
  - kind: githubAction
    owner: kubewarden
  - kind: githubAction
    owner: kubewarden
    repo: policy
    annotations: { env: prod }
anyOf:
  minimumMatches: 2
  signatures:
    - kind: pubKey
      owner: us
      key: |
        -----BEGIN PUBLIC KEY-----
        AAAA
        -----END PUBLIC KEY-----
      annotations: { stable: "true", env: prod }
    - kind: genericIssuer
      issuer: https://github.com/login/oauth
      subject: { equal: user1@provider.com }
    - kind: genericIssuer
      issuer: https://x.test
      subject: { urlPrefix: "HTTPS://GitHub.com:443/kubewarden" }
`);
  assert.is(config.allOf?.length, 2);
  assert.is(config.anyOf?.minimumMatches, 2);
  const [key, equal, prefix] = config.anyOf?.signatures ?? [];
  assert.ok(key && equal && prefix);
  assert.is(
    signatureYaml(equal),
    "kind: genericIssuer\nissuer: https://github.com/login/oauth\nsubject: !equal user1@provider.com\nannotations: null\n",
  );
  assert.is(
    signatureYaml(prefix),
    "kind: genericIssuer\nissuer: https://x.test\nsubject: !urlPrefix https://github.com/kubewarden/\nannotations: null\n",
  );
  assert.is(
    signatureYaml(key),
    "kind: pubKey\nowner: us\nkey: |\n  -----BEGIN PUBLIC KEY-----\n  AAAA\n  -----END PUBLIC KEY-----\n" +
      "annotations:\n  env: prod\n  stable: 'true'\n",
  );
  const github = config.allOf?.[0];
  assert.is(
    github && signatureYaml(github),
    "kind: githubAction\nowner: kubewarden\nrepo: null\nannotations: null\n",
  );
});

test("verification: what is refused, with the specified texts", () => {
  const entry = (fields: string) => `apiVersion: v1\nallOf:\n  - { ${fields} }\n`;
  const invalid = "Not a valid configuration file: ";
  assert.is(
    refusal(entry("kind: genericIssuer, issuer: https://x.test")),
    `${invalid}missing field \`subject\` at allOf[0]`,
  );
  assert.is(refusal(entry("kind: pubKey")), `${invalid}missing field \`key\` at allOf[0]`);
  assert.is(refusal(entry("kind: githubAction")), `${invalid}missing field \`owner\` at allOf[0]`);
  assert.is(refusal(entry("owner: x")), `${invalid}missing field \`kind\` at allOf[0]`);
  const cases: readonly (readonly [string, string])[] = [
    [
      entry("kind: keyless"),
      "unknown variant `keyless`, expected one of `pubKey`, `genericIssuer`, `githubAction`",
    ],
    [
      entry("kind: pubKey, key: x, x: 1"),
      "unknown field `x`, expected one of `kind`, `owner`, `key`, `annotations` at allOf[0]",
    ],
    [
      entry("kind: pubKey, key: x, annotations: { a: true }"),
      "invalid type: boolean `true`, expected a string",
    ],
    [entry("kind: pubKey, key: x, annotations: { a: 1 }"), "invalid type: integer `1`, expected a string"],
    [
      entry("kind: genericIssuer, issuer: i, subject: { equal: a, urlPrefix: b }"),
      "exactly one of `equal` or `urlPrefix`",
    ],
    [
      entry("kind: genericIssuer, issuer: i, subject: { like: a }"),
      "unknown variant `like`, expected `equal` or `urlPrefix`",
    ],
    [
      entry("kind: genericIssuer, issuer: i, subject: { urlPrefix: nothing }"),
      "expected a URL such as https://github.com/OWNER at allOf[0].subject.urlPrefix",
    ],
    ...[
      ["githubAction, owner: ''", "owner", "is empty"],
      ["githubAction, owner: ' o'", "owner", "has a blank, `/` or `*`: owner and repo are one name each"],
      ["githubAction, owner: 'o*'", "owner", "has a blank, `/` or `*`: owner and repo are one name each"],
      ["githubAction, owner: o/r", "owner", "has a blank, `/` or `*`: owner and repo are one name each"],
      ["githubAction, owner: o, repo: ''", "repo", "is empty"],
      [
        "githubAction, owner: o, repo: o/r",
        "repo",
        "has a blank, `/` or `*`: owner and repo are one name each",
      ],
      ["genericIssuer, issuer: '', subject: { equal: a }", "issuer", "is empty"],
      ["genericIssuer, issuer: i, subject: { equal: '' }", "subject.equal", "is empty"],
    ].map(([fields, place, said]) => [entry(`kind: ${fields}`), `it ${said} at allOf[0].${place}`] as const),
    ["apiVersion: v1\nsomeOf: []", "unknown field `someOf`, expected one of `apiVersion`, `allOf`, `anyOf`"],
    [
      "apiVersion: v1\nanyOf: { signatures: [], x: 1 }",
      "unknown field `x`, expected `minimumMatches` or `signatures`",
    ],
    [
      "apiVersion: v1\nanyOf: { minimumMatches: 256, signatures: [] }",
      "invalid value: integer `256`, expected u8",
    ],
    ["apiVersion: v1\nanyOf: { minimumMatches: 1 }", "missing field `signatures`"],
    ["apiVersion: v1\nallOf: {}", "invalid type: map, expected a sequence"],
    ["- 1", "invalid type: sequence, expected struct"],
  ];
  for (const [text, reason] of cases) {
    const message = refusal(text);
    assert.ok(message.startsWith(invalid) && message.includes(reason), `${reason}\n${message}`);
  }
  assert.is(refusal("apiVersion: v2\nallOf: []"), "Not a supported configuration version: Unsupported");
  assert.is(refusal("apiVersion: v1"), "config is missing signatures in both allOf and anyOff list");
  assert.is(
    refusal("apiVersion: v1\nallOf: null"),
    "config is missing signatures in both allOf and anyOff list",
  );
  assert.not.match(refusal("allOf: ["), "Not a valid configuration file");
  assert.is(refusal("{}"), "accepted", "without apiVersion, neither list is fine");
  assert.is(refusal("allOf: []"), "accepted");
});

test("verification: files that cannot be read, and what is accepted with a warning", () =>
  inDirectory(async (directory) => {
    const absent = await failure(readVerificationConfig(join(directory, "absent.yml")));
    assert.match(absent.message, "failed to read verification file: ENOENT");
    await mkdir(join(directory, "folder"));
    const folder = join(directory, "folder");
    const { message } = await failure(readVerificationConfig(folder));
    assert.match(message, "failed to read verification file");
    assert.ok(message.includes(folder), `its place is named: ${message}`);
    const typo = join(directory, "typo.yml");
    for (const text of ["more: 1", "apiVersion: v2", "apiVersion: v1", "allOf: [", "hi"]) {
      await writeFile(typo, text);
      const { message } = await failure(readVerificationConfig(typo));
      assert.ok(message.endsWith(` (${typo})`), `its file is named: ${message}`);
    }
    const warnings = async (text: string) => {
      const path = join(directory, "verification.yml");
      await writeFile(path, text);
      const events: ArtifactEvent[] = [];
      await readVerificationConfig(path, { onEvent: (event) => void events.push(event) });
      return events.map((event) => event.kind === "log" ? `${event.level} ${event.message}` : "").join("\n");
    };
    for (
      const nothing of [
        "{}",
        "allOf: []",
        "apiVersion: v1\nallOf: []",
        "apiVersion: v1\nanyOf: { minimumMatches: 0, signatures: [{ kind: githubAction, owner: x }] }",
        "apiVersion: v1\nallOf: []\nanyOf: { minimumMatches: 0, signatures: [] }",
      ]
    ) {
      const refused = await failure(warnings(nothing));
      assert.match(refused.message, /verification\.yml requires no signature: list who must have signed/);
    }
    const entry = "[{ kind: githubAction, owner: x }]";
    assert.match(await warnings(`allOf: ${entry}`), "warn the verification configuration has no apiVersion");
    assert.match(
      await warnings(`apiVersion: v1\nallOf: []\nanyOf: { signatures: ${entry} }`),
      "warn allOf is an empty list: it requires nothing",
    );
    assert.match(
      await warnings(`apiVersion: v1\nallOf: ${entry}\nanyOf: { minimumMatches: 0, signatures: [] }`),
      "warn anyOf.minimumMatches is 0: it requires nothing",
    );
    assert.match(
      await warnings("apiVersion: v1\nanyOf: { minimumMatches: 2, signatures: [] }"),
      "it can never be met",
    );
    assert.is(await warnings("apiVersion: v1\nallOf: [{ kind: githubAction, owner: x }]"), "");
    // 1.36 counts entries, not signers (`spec/fetch-verify.md §9.2` rule 3): one signature would meet what two were asked for.
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const [spki, pkcs1] = (["spki", "pkcs1"] as const).map((type) =>
      publicKey.export({ type, format: "pem" }).toString()
    );
    const other = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString();
    const key = (key: string | undefined, more = {}) => ({ kind: "pubKey", key, ...more });
    const action = { kind: "githubAction", owner: "x" };
    const issuer = (subject: object) => ({ kind: "genericIssuer", issuer: "https://i.test", subject });
    for (
      const [first, second, same] of [
        [key(spki), key(spki), true],
        [key(spki, { owner: "a" }), key(spki, { owner: "b" }), true],
        [key(spki), key(`# the same\n${spki}`), true],
        [key(spki), key(pkcs1), true],
        [key(spki), key(other), false],
        [key(spki), key(spki, { annotations: { a: "1" } }), false],
        [
          key(spki, { annotations: { a: "1", b: "2" } }),
          key(spki, { annotations: { b: "2", a: "1" } }),
          true,
        ],
        [action, action, true],
        [action, { ...action, repo: null }, true],
        [action, { ...action, repo: "y" }, false],
        [issuer({ urlPrefix: "https://h.test/a" }), issuer({ urlPrefix: "https://H.test/a/" }), true],
        [issuer({ urlPrefix: "https://h.test/a" }), issuer({ equal: "https://h.test/a" }), false],
      ] as const
    ) {
      const signatures = [first, second];
      const told = await warnings(
        JSON.stringify({ apiVersion: "v1", anyOf: { minimumMatches: 2, signatures }, allOf: signatures }),
      );
      const expected = ["allOf", "anyOf.signatures"].map((list) =>
        `warn ${list}[1] asks for the same as ${list}[0]: one signature meets both, remove one of them`
      );
      assert.is(told, same ? expected.join("\n") : "", told);
    }
  }));

test.run();
