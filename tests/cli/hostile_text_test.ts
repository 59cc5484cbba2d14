// Words of others never steer the terminal: every command, at a terminal and through a pipe, with a policy, a store, requests
// and a registry that try.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { LOADERS } from "../../cli/serve/commands.ts";
import { loadTar, parseDocument } from "../../deps.ts";
import { withCustomSection } from "../../evaluator/render/custom_section.ts";
import { OCI_MANIFEST, WASM_LAYER } from "../artifact/_image.ts";
import { memoryRegistry, startServer } from "../artifact/_server.ts";
import { policy } from "./folder.ts";
import { inPlace, POLICY, type TestPlace } from "./place.ts";

/** A window's title, a cleared screen, a hidden text, C1, DEL, marks of direction, invisible and line-breaking characters. */
const STEERING =
  "\u001b]0;t\u0007\u001b[2J\u001b[8m\u009b1A\u009d\u007f\u0008\u202e\u2066\u200e\u061c\u2028\u2029\u200b\ufeff\u{e0041}";
/** Lines that look like others. */
const FORGED = `x\r\nError: FORGED${STEERING}`;

/** What the tool itself writes to a terminal. */
// deno-lint-ignore no-control-regex
const OWN = /\u001b\[(?:0|1|2|3|3[1-46]|1;3[126])m|\r\u001b\[2K/g;
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

function requireHarmless(output: string, terminal: boolean, what: string): void {
  const shown = terminal ? output.replace(OWN, "") : output;
  const at = shown.replace(/[\n\t]/g, " ").search(UNSAFE);
  assert.is(at, -1, `${what}: ${JSON.stringify(shown.slice(Math.max(0, at - 60), at + 20))}`);
}

const metadata = {
  rules: [{
    apiGroups: [STEERING],
    apiVersions: ["v1"],
    resources: [`pods${STEERING}`],
    operations: ["CREATE"],
  }],
  annotations: {
    "io.kubewarden.policy.title": `title${STEERING}`,
    "io.kubewarden.policy.description": FORGED,
    "io.kubewarden.policy.author": `Me${STEERING} <me@example.com>`,
    "io.kubewarden.policy.url": `https://example.com/${STEERING}`,
    "io.kubewarden.policy.version": "1.0.0",
    "io.kubewarden.policy.ociUrl": `ghcr.io/a/b${STEERING}`,
    "io.kubewarden.policy.license": STEERING,
    "io.kubewarden.policy.usage":
      `# Read${STEERING}\n\n**bold${STEERING}** and \`code${STEERING}\`, [a](b${STEERING})\r\n`,
    "io.artifacthub.displayName": STEERING,
    "io.artifacthub.keywords": `a${STEERING}`,
    [`name${STEERING}`]: FORGED,
    [`lines\nmutating: false${STEERING}`]: "x",
    __proto__2: STEERING,
  },
  mutating: false,
  contextAwareResources: [{ apiVersion: `v1${STEERING}`, kind: `Pod${STEERING}` }],
  executionMode: "kubewarden-wapc",
  protocolVersion: "v1",
  minimumKubewardenVersion: "1.0.0",
};

const hostile = withCustomSection(
  readFileSync(policy("tests/policies/host-caller/policy.wasm")),
  "io.kubewarden.metadata",
  new TextEncoder().encode(JSON.stringify(metadata)),
);

/** A request that makes host-caller ask for what no host has, under a hostile name. */
const REQUEST = {
  uid: `1${STEERING}`,
  kind: { group: "", version: "v1", kind: `Pod${STEERING}` },
  resource: { group: "", version: "v1", resource: "pods" },
  operation: "CREATE",
  userInfo: { username: "u" },
  object: {
    metadata: {
      name: "p",
      annotations: {
        "host-call": JSON.stringify({ namespace: `oci${STEERING}`, operation: FORGED, payload: FORGED }),
      },
    },
  },
};

const ECHO = policy("tests/vectors/verdict-echo.wasm");
/** What verdict-echo answers. */
const VERDICT = {
  accepted: false,
  message: FORGED,
  warnings: [FORGED],
  audit_annotations: { [STEERING]: FORGED },
};

const quick = ["--warm-up-time", "0.01", "--measurement-time", "0.02", "--num-samples", "3"];
const NAME = `dir${STEERING}/policy.wasm`;

/** Command lines by command. `HOST`: a registry whose answers are hostile. The exit code is not what this is about. */
const CALLS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  annotate: [
    ["annotate", "hostile.wasm", "-m", "hostile.yml", "-o", "out.wasm"],
    ["annotate", "hostile.wasm", "--annotation", `a${STEERING}`, "-o", "out.wasm"],
    ["annotate", `absent${FORGED}`, "-m", "hostile.yml", "-o", "out.wasm"],
  ],
  bench: [
    ["bench", "hostile.wasm", "-r", "request.json", ...quick],
    ["bench", "named.yml", "-r", "request.json", "--json", ...quick],
    ["bench", "named.yml", "-r", "request.json", "--against", "hostile.wasm", ...quick],
  ],
  build: [
    ["build", "throws.ts"],
    ["build", "says.ts", "--skip-type-check", "-m", "hostile.yml"],
    ["build", "says.ts", "--skip-type-check"],
    ["build", "syntax.ts", "--skip-type-check"],
    ["build", "syntax.ts"],
    ["build", `absent${FORGED}.ts`],
  ],
  completions: ["bash", "elvish", "fish", "powershell", "zsh"].map((
    shell,
  ) => ["completions", "--shell", shell]),
  digest: [
    ["digest", "HOST/tests/refusing:v1"],
    ["digest", "HOST/tests/policy:v1"],
    ["digest", `HOST/tests/${FORGED}`],
  ],
  docs: [["docs", "--output", "reference.md"], ["docs", "--output", `no/such${FORGED}`]],
  explain: [
    ["explain", "hostile.wasm", "-r", "request.json", "--allow-context-aware"],
    ["explain", "named.yml", "-r", "request.json"],
    ["explain", ECHO, "-r", "echo.json"],
    [
      "explain",
      "hostile.wasm",
      "-r",
      "request.json",
      "--settings-json",
      JSON.stringify({ [STEERING]: FORGED }),
    ],
  ],
  info: [["info"]],
  inspect: [
    ["inspect", "hostile.wasm"],
    ["inspect", "hostile.wasm", "-o", "yaml"],
    ["inspect", "registry://HOST/tests/policy:v1", "--show-signatures"],
    ["inspect", "registry://HOST/tests/policy:v1", "--show-signatures", "-o", "yaml"],
    ["inspect", "registry://HOST/tests/refusing:v1", "--show-signatures"],
    ["inspect", NAME],
    ["inspect", `absent${FORGED}`],
  ],
  load: [["load", "--input", "hostile.tar"], ["load", "--input", `absent${FORGED}`], [
    "load",
    "--input",
    "request.json",
  ]],
  new: [["new", `a${FORGED}`], ["new", `b${STEERING}/c`]],
  policies: [["policies"]],
  pull: [
    ["pull", "HOST/tests/policy:v1"],
    ["pull", "HOST/tests/refusing:v2"],
    ["pull", "HOST/tests/odd:v1"],
    ["pull", `http://HOST/${STEERING}.wasm`],
    ["pull", `absent${FORGED}`],
  ],
  push: [
    ["push", "hostile.wasm", "HOST/tests/refusing:v1"],
    ["push", "hostile.wasm", "HOST/tests/refusing:v1", "-o", "json"],
    ["push", `absent${FORGED}`, "HOST/a/b"],
  ],
  rm: [["rm", `absent${FORGED}`], ["rm", `https://h/${FORGED}`]],
  run: [
    ["run", "hostile.wasm", "-r", "request.json"],
    ["run", "named.yml", "-r", "request.json"],
    ["run", "hostile.wasm", "-r", "steering.json"],
    ["run", ECHO, "-r", "echo.json"],
    ["run", "hostile.wasm", "-r", "request.json", "--settings-json", `{"${FORGED}`],
    ["run", `absent${FORGED}`, "-r", "request.json"],
    ["run", "hostile.wasm", "-r", `absent${FORGED}`],
    ["run", "hostile.wasm", "-r", "request.json", "--verification-config-path", "verification.yml"],
  ],
  save: [["save", `absent${FORGED}`, "-o", "x.tgz"], ["save", NAME, "-o", `no/such${FORGED}`]],
  "scaffold admission-request": [
    ["scaffold", "admission-request", "--operation", "CREATE", "--object", "object.yml"],
  ],
  "scaffold artifacthub": [
    ["scaffold", "artifacthub", "-m", "hostile.yml"],
    ["scaffold", "artifacthub", "-m", "hub.yml"],
  ],
  "scaffold manifest": [
    ["scaffold", "manifest", "hostile.wasm", "-t", "ClusterAdmissionPolicy"],
    ["scaffold", "manifest", "hostile.wasm", "-t", "ClusterAdmissionPolicy", "--allow-context-aware"],
    ["scaffold", "manifest", `absent${FORGED}`, "-t", "ClusterAdmissionPolicy"],
  ],
  "scaffold vap": [["scaffold", "vap", "-p", "vap.yml", "-b", "binding.yml"]],
  "scaffold verification-config": [["scaffold", "verification-config"]],
  test: [["test", "suite.yml"], ["test", `absent${FORGED}`]],
  verify: [
    ["verify", "HOST/tests/policy:v1", "--verification-config-path", "verification.yml"],
    ["verify", "HOST/tests/refusing:v1", "--verification-config-path", "verification.yml"],
    ["verify", "HOST/tests/policy:v1", "--verification-config-path", "broken.yml"],
    ["verify", "HOST/tests/policy:v1", "-k", `absent${FORGED}`],
  ],
};

test("every command is in the table", () => {
  assert.equal(Object.keys(CALLS).sort(), Object.keys(LOADERS).sort());
});

/** A registry with a policy, signatures with hostile annotations, and refusals in hostile words. */
async function hostileRegistry() {
  const registry = memoryRegistry();
  const config = registry.blob("tests/policy", "application/vnd.wasm.config.v1+json", Buffer.from("{}"));
  const layer = registry.blob("tests/policy", WASM_LAYER, hostile);
  const { digest } = registry.manifest(
    "tests/policy",
    "v1",
    { schemaVersion: 2, config, layers: [layer], annotations: { [STEERING]: FORGED } },
    OCI_MANIFEST,
  );
  const signature = registry.blob(
    "tests/policy",
    "application/vnd.dev.cosign.simplesigning.v1+json",
    Buffer.from(JSON.stringify({
      critical: {
        identity: { "docker-reference": FORGED },
        image: { "docker-manifest-digest": digest },
        type: "cosign container image signature",
      },
      optional: { [FORGED]: FORGED },
    })),
  );
  registry.manifest("tests/policy", `${digest.replace(":", "-")}.sig`, {
    schemaVersion: 2,
    config,
    layers: [{
      ...signature,
      annotations: { "dev.cosignproject.cosign/signature": "AAAA", [`name${FORGED}`]: FORGED },
    }],
  }, OCI_MANIFEST);
  registry.manifest("tests/odd", "v1", {
    schemaVersion: 2,
    config,
    layers: [{ ...layer, mediaType: `application/${FORGED}` }],
  }, OCI_MANIFEST);
  return await startServer((request, response, body) => {
    if (!request.url?.includes("refusing")) return registry.answer(request, response, body);
    response.statusCode = 403;
    response.end(
      request.url.includes("v2") && !request.url.includes("/v2/tests/refusing/manifests/v2")
        ? `plain ${FORGED}`
        : JSON.stringify({ errors: [{ code: FORGED, message: FORGED }] }),
    );
  });
}

async function archive(name: string): Promise<Uint8Array> {
  const { pack } = await loadTar();
  const tar = pack();
  const pieces: Uint8Array[] = [];
  const read = (async () => {
    for await (const piece of tar) pieces.push(piece as Uint8Array);
  })();
  tar.entry({ name }, "x");
  tar.finalize();
  await read;
  return Buffer.concat(pieces);
}

async function prepare({ file, home, stored }: TestPlace, host: string): Promise<void> {
  const config = join(home, ".config/kubewarden");
  mkdirSync(config, { recursive: true });
  writeFileSync(join(config, "sources.yaml"), JSON.stringify({ insecure_sources: [host] }));
  const resource = (name: string) => ({
    apiVersion: "policies.kubewarden.io/v1",
    kind: "ClusterAdmissionPolicy",
    metadata: { name },
    spec: {
      module: `file://${policy("tests/policies/host-caller/policy.wasm")}`,
      mutating: false,
      rules: [],
    },
  });
  file("hostile.wasm", hostile);
  file(NAME, hostile);
  file("hostile.yml", JSON.stringify(metadata));
  const { "io.kubewarden.policy.url": _url, "io.kubewarden.policy.author": _author, ...annotations } =
    metadata.annotations;
  file("hub.yml", JSON.stringify({ ...metadata, annotations }));
  file("named.yml", JSON.stringify(resource(`named${FORGED}`)));
  file("request.json", JSON.stringify(REQUEST));
  file(
    "echo.json",
    JSON.stringify({
      ...REQUEST,
      object: { metadata: { annotations: { verdict: JSON.stringify(VERDICT) } } },
    }),
  );
  file("steering.json", `{"uid": "${STEERING}`);
  file(
    "object.yml",
    JSON.stringify({ apiVersion: `v1${STEERING}`, kind: `Pod${STEERING}`, metadata: { name: FORGED } }),
  );
  file("throws.ts", `throw new Error(${JSON.stringify(FORGED)});\n`);
  const sdk = 'import { accept, definePolicy } from "portreeve/policy";\n';
  file(
    "says.ts",
    `${sdk}console.log(${
      JSON.stringify(FORGED)
    });\nexport default definePolicy({ validate: () => accept() });\n`,
  );
  file("syntax.ts", `const a: number = "${STEERING}"; const b = ;\n`);
  file("vap.yml", JSON.stringify({ apiVersion: FORGED, kind: "ValidatingAdmissionPolicy" }));
  file("binding.yml", JSON.stringify({ apiVersion: FORGED, kind: FORGED }));
  file(
    "suite.yml",
    JSON.stringify({
      policy: "named.yml",
      cases: [{ name: FORGED, request: REQUEST, allowed: true, message: FORGED }],
    }),
  );
  file(
    "verification.yml",
    JSON.stringify({
      apiVersion: "v1",
      allOf: [{ kind: "pubKey", owner: FORGED, key: `key${FORGED}`, annotations: { [FORGED]: FORGED } }],
    }),
  );
  file("broken.yml", JSON.stringify({ apiVersion: "v1", [FORGED]: [] }));
  file("hostile.tar", await archive(`registry/h/a/b${FORGED}`));
  // As 1.36 would have taken it from an archive.
  stored(`https/h.test/p${FORGED}|x.wasm`, hostile);
  stored(`registry/${host}/tests/policy:v1`, hostile);
  stored(`registry/${host}/tests/refusing:v1`, hostile);
}

for (const terminal of [false, true]) {
  test(`nothing steers ${terminal ? "a terminal" : "what reads a pipe"}`, async () => {
    const server = await hostileRegistry();
    try {
      await inPlace(async (place) => {
        await prepare(place, server.host);
        for (const calls of Object.values(CALLS)) {
          for (const call of calls) {
            for (const flags of [[], ["-v"]]) {
              const words = [...flags, ...call].map((word) => word.replace("HOST", server.host));
              const { stdout, stderr } = await place.reeveWith(
                { terminal: { out: terminal, err: terminal, columns: 80 } },
                ...words,
              );
              const what = JSON.stringify(words);
              assert.ok(
                stdout.length + stderr.length > 0 || call[0] === "docs" || call[0] === "annotate" ||
                  call[0] === "pull" || call[0] === "load",
                what,
              );
              requireHarmless(stdout, terminal, what);
              requireHarmless(stderr, terminal, what);
              assert.not.match(
                stderr.replace(OWN, ""),
                /^(?:TIME|\d{4}-)[^\n]*\nError: FORGED/m,
                `a log line stays one: ${what}`,
              );
            }
          }
        }
      });
    } finally {
      await server.stop();
    }
  });
}

test("what is hostile is shown, escaped, in its place", () =>
  inPlace(async (place) => {
    await prepare(place, "localhost:1");
    const { stdout } = await place.reeve("policies");
    const rows = stdout.trimEnd().split("\n").filter((line) => line.startsWith("|"));
    assert.is(rows.length, 4, stdout);
    assert.match(stdout, "| https://h.test/px\\r\\nError: FORGED\\u{1b}]0;t\\u{7}\\u{1b}[2J");
    assert.equal(new Set(rows.map((row) => row.length)).size, 1, "columns are as wide as what they show");
    const inspected = (await place.reeve("inspect", "hostile.wasm")).stdout;
    assert.match(inspected, /^title: +title\\u\{1b\}\]0;t/m);
    assert.match(inspected, /^lines\\nmutating: false\\u\{1b\}/m, "a name can't make a row");
    assert.match(inspected, /^ +Error: FORGED/m, "nor can a value");
    assert.is(inspected.match(/^mutating:/gm)?.length, 1);
  }));

test("YAML and JSON hold what was there, for whoever parses them", () =>
  inPlace(async (place) => {
    await prepare(place, "localhost:1");
    const yaml = (await place.reeve("inspect", "hostile.wasm", "-o", "yaml")).stdout;
    const read = parseDocument(yaml).toJS() as typeof metadata;
    assert.equal(read.annotations, { ...metadata.annotations });
    assert.equal(read.rules[0]!.resources, metadata.rules[0]!.resources);
    assert.equal(read.contextAwareResources, metadata.contextAwareResources);
    const { stdout } = await place.reeve("run", "hostile.wasm", "-r", "request.json");
    assert.is(JSON.parse(stdout).uid, REQUEST.uid);
    const scaffolded = await place.reeve(
      "scaffold",
      "admission-request",
      "--operation",
      "CREATE",
      "--object",
      "object.yml",
    );
    assert.is(JSON.parse(scaffolded.stdout).object.metadata.name, FORGED);
    const manifest = await place.reeve(
      "scaffold",
      "manifest",
      "hostile.wasm",
      "-t",
      "ClusterAdmissionPolicy",
      "--title",
      "t",
    );
    assert.equal(parseDocument(manifest.stdout).toJS().spec.rules[0].apiGroups, [STEERING]);
  }));

test("an archive is not written to a terminal", () =>
  inPlace(async ({ reeveWith, file }) => {
    file("policy.wasm", readFileSync(POLICY));
    const { exit, bytes, stderr } = await reeveWith(
      { terminal: { out: true, err: true, columns: 80 } },
      "save",
      "-o",
      "-",
      "policy.wasm",
    );
    assert.equal([exit, bytes.length], [1, 0]);
    assert.match(stderr, "an archive is not written to a terminal");
  }));

test.run();
