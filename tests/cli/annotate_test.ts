// annotate and inspect: what goes into a module, and what is told of it (spec/cli.md §10, §15).
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseDocument } from "../../deps.ts";
import { customSections } from "../../evaluator/render/custom_section.ts";
import { Writer } from "../../evaluator/render/wasm_binary.ts";
import { inPlace, PLAIN, root, type TestPlace } from "./place.ts";

const plain = readFileSync(PLAIN);
const OPA = join(root, "tests/policies/opa-labels/policy.wasm");
const WASI = join(root, "tests/policies/wasi-go/policy.wasm");
const RULES = `rules:\n- {apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}\n`;
const METADATA = `${RULES}mutating: false\n`;

const encoder = new TextEncoder();
const metadataIn = (module: Uint8Array) =>
  customSections(module, "io.kubewarden.metadata").map((section) =>
    JSON.parse(new TextDecoder().decode(section))
  );

/** Annotates the recordings' module; the metadata it carries then. */
async function annotated({ reeve, file, cwd }: TestPlace, metadata: string, ...more: string[]) {
  file("m.yml", metadata);
  file("in.wasm", plain);
  const { exit, stdout, stderr } = await reeve(
    "annotate",
    "-m",
    "m.yml",
    "-o",
    "out.wasm",
    ...more,
    "in.wasm",
  );
  const output = join(cwd, "out.wasm");
  return { exit, stdout, stderr, metadata: existsSync(output) ? metadataIn(readFileSync(output)) : [] };
}

test("what is left out has its default, and members stand in 1.36's order", () =>
  inPlace(async (place) => {
    const { exit, stdout, stderr, metadata } = await annotated(place, `${METADATA}contextAware: true\n`);
    assert.equal([exit, stdout, stderr], [0, "", ""]);
    assert.equal(metadata, [{
      protocolVersion: "v1",
      rules: [{ apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] }],
      annotations: { "io.kubewarden.kwctl": "1.36.0-beta.1" },
      mutating: false,
      backgroundAudit: true,
      executionMode: "kubewarden-wapc",
      policyType: "kubernetes",
      contextAwareResources: [],
    }]);
    assert.equal(Object.keys(metadata[0]), [
      "protocolVersion",
      "rules",
      "annotations",
      "mutating",
      "backgroundAudit",
      "executionMode",
      "policyType",
      "contextAwareResources",
    ]);
  }));

test("annotating again replaces what was there, and the rest of the module stays", () =>
  inPlace(async (place) => {
    await annotated(place, METADATA);
    const { reeve, file, cwd } = place;
    file("other.yml", METADATA.replace("false", "true"));
    for (const extra of [[], ["--force"]]) {
      assert.is((await reeve("annotate", "-m", "other.yml", "-o", "out.wasm", ...extra, "out.wasm")).exit, 0);
      const [only, ...rest] = metadataIn(readFileSync(join(cwd, "out.wasm")));
      assert.equal([only.mutating, rest.length], [true, 0]);
    }
    assert.equal(readFileSync(join(cwd, "out.wasm")).subarray(0, plain.length), plain);
    assert.equal(readdirSync(cwd).sort(), ["in.wasm", "m.yml", "other.yml", "out.wasm"]);
  }));

test("single annotations are added to the metadata that a module has, or that a file gives", () =>
  inPlace(async (place) => {
    const first = await annotated(place, METADATA, "-a", "title=one", "-a", "who=me=you");
    assert.equal(first.metadata[0].annotations, {
      "io.kubewarden.kwctl": "1.36.0-beta.1",
      title: "one",
      "who": "me=you",
    });
    const { reeve, file, cwd } = place;
    file("long.txt", "many\nlines\n");
    assert.is(
      (await reeve("annotate", "-a", "title=two", "-a", "text=@long.txt", "-o", "out.wasm", "out.wasm")).exit,
      0,
    );
    const [{ annotations }] = metadataIn(readFileSync(join(cwd, "out.wasm")));
    assert.equal([annotations.title, annotations.text, annotations.who], ["two", "many\nlines\n", "me=you"]);

    const none = await reeve("annotate", "-a", "x=y", "-o", "x.wasm", "in.wasm");
    assert.equal([none.exit, none.stderr], [
      1,
      "Error: in.wasm has no metadata to add to: give them with --metadata-path\n",
    ]);
    for (const words of [["-o", "x.wasm", "in.wasm"], ["-a", "x", "-o", "x.wasm", "in.wasm"]]) {
      assert.is((await reeve("annotate", ...words)).exit, 2);
    }
    assert.not(existsSync(join(cwd, "x.wasm")));
  }));

test("sets are sorted, without repetitions", () =>
  inPlace(async (place) => {
    const { metadata } = await annotated(
      place,
      `${METADATA}contextAwareResources:
- {apiVersion: v1, kind: Service}
- {apiVersion: apps/v1, kind: Deployment}
- {apiVersion: v1, kind: Namespace}
- {apiVersion: v1, kind: Service}
hostCapabilities: [oci/v1/verify, net/v1/dns_lookup_host, oci/v1/verify]
`,
    );
    assert.equal(metadata[0].contextAwareResources, [
      { apiVersion: "apps/v1", kind: "Deployment" },
      { apiVersion: "v1", kind: "Namespace" },
      { apiVersion: "v1", kind: "Service" },
    ]);
    assert.equal(metadata[0].hostCapabilities, ["net/v1/dns_lookup_host", "oci/v1/verify"]);
  }));

test("the execution mode has to be the module's; the protocol's version is asked of waPC modules alone", () =>
  inPlace(async ({ reeve, file, cwd }) => {
    const annotate = async (mode: string, module: string) => {
      file("m.yml", `${METADATA}executionMode: ${mode}\n`);
      return await reeve("annotate", "-m", "m.yml", "-o", "out.wasm", module);
    };
    const wrong = "Error: Wrong value inside of policy's metadata for 'executionMode'.";
    // Which mode it is stands behind that (`tests/evaluator/mode_hints_test.ts`).
    for (const mode of ["opa", "gatekeeper"]) {
      const { stderr } = await annotate(mode, PLAIN);
      assert.ok(
        stderr.startsWith(`${wrong} The policy has not been created using Rego; the module `),
        stderr,
      );
    }
    const { stderr: rego } = await annotate("kubewarden-wapc", OPA);
    assert.ok(rego.startsWith(`${wrong} This policy has been created using Rego; the module `), rego);
    for (const [mode, module] of [["opa", OPA], ["wasi", WASI]] as const) {
      const { exit, stderr } = await annotate(mode, module);
      assert.is(exit, 0, stderr);
      assert.is(metadataIn(readFileSync(join(cwd, "out.wasm")))[0].protocolVersion, "Unknown");
    }
    const asked = await annotate("kubewarden-wapc", WASI);
    assert.is(asked.exit, 1);
    assert.match(asked.stderr, /^Error: Error while detecting Kubewarden protocol version: /);
  }));

const bad: readonly (readonly [string, RegExp])[] = [
  ["mutating: false\n", /missing field `rules`/],
  [RULES, /missing field `mutating`/],
  ["a: [\n", /Error unmarshalling metadata .* at line \d+ column \d+/],
  ["", /Error unmarshalling metadata /],
  ...[
    [
      "operations: [PATCH]",
      /rules\[0\]\.operations\[0\]: unknown variant `PATCH`, .* at line 2 column 17 in m\.yml/,
    ],
    ["operations: [CREATE, update]", /rules\[0\]\.operations\[1\]: unknown variant `update`/],
    ["operations: [CREATE], scope: Namespaced", /rules\[0\]\.scope: .* have no scope: remove it here/],
    ["operations: [CREATE], resourceNames: [a]", /rules\[0\]\.resourceNames: .* have no resourceNames/],
    ["operations: [CREATE], resourceNames: a", /rules\[0\]\.resourceNames: /],
  ].map(([more, text]) =>
    [
      `rules:\n- {${more},\n apiGroups: [""], apiVersions: [v1], resources: [pods]}\nmutating: false\n`,
      text as RegExp,
    ] as const
  ),
  [`${METADATA}annotations: {version: 1.0}\n`, /annotations\.version: invalid type/],
  [`${METADATA}minimumKubewardenVersion: one\n`, /minimumKubewardenVersion/],
  [
    `${METADATA}contextAwareResources: [{apiVersion: "", kind: Pod}]\n`,
    /Metadata is invalid: .*contextAwareResources\[0\]/,
  ],
  [
    "rules: [{apiGroups: [], apiVersions: [v1], resources: [pods], operations: [CREATE]}]\nmutating: false\n",
    /rules\[0\]\.apiGroups/,
  ],
  ...[
    ['["*/*", pods]', /if '\*\/\*' is present/],
    ['["*", pods]', /if '\*' is present/],
    ['["pods/*", pods/log]', /pods/],
    ['["*/scale", deployments/scale]', /scale/],
    ['[""]', /Metadata is invalid/],
  ].map(([resources, text]) =>
    [
      `rules: [{apiGroups: [""], apiVersions: [v1], resources: ${resources}, operations: [CREATE]}]\nmutating: false\n`,
      text as RegExp,
    ] as const
  ),
];

test("members of metadata that nothing reads are told", () =>
  inPlace(async (place) => {
    const { exit, stderr } = await annotated(
      place,
      `${METADATA.replace("operations:", 'scope: "*", resourceNames: [], operation: [], operations:')}` +
        "backgroundaudit: false\nhostCapabilites: []\ncontextAware: true\nprotocolVersion: v1\n" +
        "contextAwareResources: [{apiVersion: v1, kind: Pod, group: apps}]\nconstructor: 1\n",
    );
    assert.is(exit, 0, stderr);
    assert.equal(
      stderr.match(/m\.yml: metadata has no field \S+: it is passed over/g)?.map((line) =>
        line.split(" ")[5]
      ),
      [
        "backgroundaudit:",
        "hostCapabilites:",
        "constructor:",
        "rules[0].operation:",
        "contextAwareResources[0].group:",
      ],
      stderr,
    );
  }));

test("metadata that can't be are refused, and nothing is written", () =>
  inPlace(async (place) => {
    for (const [metadata, text] of bad) {
      const { exit, stdout, stderr } = await annotated(place, metadata);
      assert.equal([exit, stdout], [1, ""], metadata);
      assert.match(stderr, /^Error: (Error unmarshalling metadata|Metadata is invalid:) /, metadata);
      assert.match(stderr, text);
      assert.not(existsSync(join(place.cwd, "out.wasm")));
    }
    for (const resources of ['["*", pods/log]', '["pods/*", pods]', '["*/*"]']) {
      const rules =
        `rules: [{apiGroups: [""], apiVersions: [v1], resources: ${resources}, operations: ["*"]}]\n`;
      assert.is((await annotated(place, `${rules}mutating: false\n`)).exit, 0, resources);
    }
  }));

/** A module of the given data segments, which imports Javy's host function. */
function module(...data: readonly (string | Uint8Array)[]): Uint8Array {
  const whole = new Writer();
  whole.raw(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  const types = new Writer();
  types.raw(1, 0x60, 0, 0);
  whole.section(1, types);
  const imports = new Writer();
  imports.u32(2);
  for (const [from, name] of [["kubewarden:javy/host", "call"], ["kubewarden:javy/host", "other"]] as const) {
    imports.name(from);
    imports.name(name);
    imports.raw(0, 0);
  }
  whole.section(2, imports);
  const memory = new Writer();
  memory.raw(1, 0, 1);
  whole.section(5, memory);
  const segments = new Writer();
  segments.u32(data.length);
  for (const content of data) {
    const bytes = typeof content === "string" ? encoder.encode(content) : content;
    segments.raw(0, 0x41, 0, 0x0b);
    segments.u32(bytes.length);
    segments.copy(bytes, 0, bytes.length);
  }
  whole.section(11, segments);
  return whole.view().slice();
}

test("Javy's import is the hosts' from then on; other imports stay", () =>
  inPlace(async ({ reeve, file, cwd }) => {
    file("js.wasm", module("x"));
    file("m.yml", `${METADATA}executionMode: wasi\n`);
    assert.is((await reeve("annotate", "-m", "m.yml", "-o", "out.wasm", "js.wasm")).exit, 0);
    const compiled = await WebAssembly.compile(new Uint8Array(readFileSync(join(cwd, "out.wasm"))));
    assert.equal(WebAssembly.Module.imports(compiled).map(({ module, name }) => [module, name]), [
      ["host", "call"],
      ["kubewarden:javy/host", "other"],
    ]);
  }));

test("capabilities that module and metadata don't agree on are warned of", () =>
  inPlace(async ({ reeve, file }) => {
    const warnings = async (declared: string, ...data: string[]) => {
      file("js.wasm", module(...data));
      file("m.yml", `${METADATA}executionMode: wasi\nhostCapabilities: ${declared}\n`);
      const { exit, stderr } = await reeve("annotate", "-m", "m.yml", "-o", "out.wasm", "js.wasm");
      assert.is(exit, 0);
      return stderr.trim().split("\n").filter((line) => line !== "").map((line) =>
        `${/not (declared|detected)/.exec(line)?.[1]} ${/capabilities=(.*)$/.exec(line)?.[1]}`
      );
    };
    assert.equal(await warnings("[]", "nothing"), []);
    assert.equal(await warnings("[]", "..oci..v1/verify.."), ['declared {"oci/v1/verify"}']);
    assert.equal(await warnings("[oci/v1/verify]", "oci", "v1/verify"), []);
    assert.equal(await warnings("[oci/v1/verify, net/v1/dns_lookup_host]", "oci", "v1/verify"), [
      'detected {"net/v1/dns_lookup_host"}',
    ]);
    // A pattern declares all below it (spec/cli.md, sharp edge 21).
    assert.equal(await warnings("[oci/*]", "oci", "v1/verify", "v2/verify"), []);
    assert.equal(await warnings('["*"]', "oci", "v1/verify"), []);
    // The beginning of a longer name is not the shorter one, nor do names go from one segment on into the next.
    assert.equal(await warnings("[]", "oci v1/oci_manifest_config"), [
      'declared {"oci/v1/oci_manifest_config"}',
    ]);
    assert.equal(await warnings("[]", "oci v1/oci_manifest_config", "v1/oci_manifest"), [
      'declared {"oci/v1/oci_manifest", "oci/v1/oci_manifest_config"}',
    ]);
    assert.equal(await warnings("[]", "oci v1/ver", "ify"), []);
    assert.equal(await warnings("[]", "v1/verify"), [], "the namespace is missing");
  }));

test("inspect: the metadata as one YAML document, or as text, which is coloured for people only", () =>
  inPlace(async (place) => {
    place.recorded("meta-full.yml", "usage.md", "plain.wasm");
    const { reeve, reeveWith } = place;
    await reeve("annotate", "-m", "meta-full.yml", "-u", "usage.md", "-o", "full.wasm", "plain.wasm");
    const yaml = await reeve("inspect", "full.wasm", "-o", "yaml");
    const document = parseDocument(yaml.stdout).toJS() as Record<string, unknown>;
    assert.equal(Object.keys(document), [
      "protocolVersion",
      "rules",
      "annotations",
      "mutating",
      "backgroundAudit",
      "executionMode",
      "policyType",
      "contextAwareResources",
      "minimumKubewardenVersion",
    ]);
    const keys = Object.keys(document["annotations"] as object);
    assert.equal(keys, [...keys].sort());
    // Of a policy that is no image signatures can't be had; the document stays one.
    const signatures = await reeve("inspect", "full.wasm", "-o", "yaml", "--show-signatures");
    assert.equal([signatures.exit, signatures.stdout], [0, yaml.stdout]);
    assert.match(
      signatures.stderr,
      "Cannot determine if the policy has been signed. There was an error while attempting to " +
        "fetch its signatures from the remote registry: invalid uri",
    );

    const terminal = { out: true, err: true, columns: 60 };
    const escape = "\u001b[";
    for (
      const [special, words, coloured] of [
        [{}, [], false],
        [{ terminal }, [], true],
        [{ terminal }, ["--no-color"], false],
        [{ terminal, env: { NO_COLOR: "1" } }, [], false],
      ] as const
    ) {
      const { stdout } = await reeveWith(special, ...words, "inspect", "full.wasm");
      assert.is(stdout.includes(escape), coloured, JSON.stringify([special, words]));
      assert.match(stdout, /title: +full/);
      assert.match(stdout, /protocol version: +1 *\n/);
      assert.match(stdout, "Some");
    }
  }));

test("inspect of what carries no metadata, or broken ones", () =>
  inPlace(async ({ reeve, file }) => {
    file("plain.wasm", plain);
    const { exit, stdout, stderr } = await reeve("inspect", "plain.wasm");
    assert.equal([exit, stdout], [1, ""]);
    assert.match(
      stderr,
      /^Error: No Kubewarden metadata found inside of 'file:\/\/.*\/plain\.wasm'\.\nPolicies can be annotated/,
    );
    file("text.wasm", "not a module");
    const text = await reeve("inspect", "text.wasm");
    assert.is(text.exit, 1);
    assert.match(text.stderr, /^Error: cannot parse custom section of wasm module: [^\n]+\n$/);
  }));

test.run();
