/**
 * Indexes and manifests of the field, and what a policy is among their entries. Sources: OCI image specification (`platform` is optional,
 * null members as Go writes them), the Wasm OCI artifact layout (`wasip1/wasm`), BuildKit's attestation entries (`unknown/unknown`).
 */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fetchPolicy, ociManifest, ociManifestAndConfig, readModule } from "../../artifact/mod.ts";
import { OCI_INDEX, OCI_MANIFEST, WASM_LAYER, wasmModule } from "./_image.ts";
import { memoryRegistry, startServer } from "./_server.ts";
import { failure, inDirectory, insecure, listening } from "./_setting.ts";

const REPOSITORY = "tests/policy";
const host = {
  os: process.platform === "win32" ? "windows" : process.platform,
  architecture: process.arch === "x64" ? "amd64" : process.arch,
};
type Entry = Readonly<Record<string, unknown>>;

/** A registry with one module per name, each in an image of its own. */
function images() {
  const registry = memoryRegistry();
  const config = registry.blob(REPOSITORY, "application/vnd.wasm.config.v1+json", Buffer.from("{}"));
  const layer = (name: string) => registry.blob(REPOSITORY, WASM_LAYER, wasmModule(name));
  const image = (name: string, manifest: Entry = {}) =>
    registry.manifest(
      REPOSITORY,
      name,
      { schemaVersion: 2, config, layers: [layer(name)], ...manifest },
      OCI_MANIFEST,
    );
  const entry = (name: string, fields: Entry = {}) => ({
    mediaType: OCI_MANIFEST,
    ...image(name),
    ...fields,
  });
  const index = (manifests: unknown, fields: Entry = {}) =>
    registry.manifest(
      REPOSITORY,
      "v1",
      { schemaVersion: 2, mediaType: OCI_INDEX, manifests, ...fields },
      OCI_INDEX,
    );
  return { registry, config, layer, image, entry, index };
}
type Images = ReturnType<typeof images>;

/** Pulls `v1`; the name of the module that came, or the error. */
async function pulled(make: (images: Images) => unknown): Promise<string> {
  const made = images();
  make(made);
  const server = await startServer(made.registry.answer);
  const { options } = listening({ sources: insecure(server.host) });
  try {
    return await inDirectory(async (directory) => {
      const uri = `registry://${server.host}/${REPOSITORY}:v1`;
      const policy = await fetchPolicy(uri, { kind: "file", path: join(directory, "p.wasm") }, options);
      const text = Buffer.from(await readModule(policy.path, policy.sha256 ?? "")).toString("latin1");
      return text.slice(8).split("\x07")[0] ?? "";
    });
  } catch (error) {
    return (error as Error).message;
  } finally {
    await server.stop();
  }
}

const wasip1 = { platform: { os: "wasip1", architecture: "wasm" } };
const foreign = { platform: { os: "plan9", architecture: "mips" } };
const attestation = {
  platform: { os: "unknown", architecture: "unknown" },
  annotations: { "vnd.docker.reference.type": "attestation-manifest" },
};

test("which entry of an index is the policy", async () => {
  const rows: readonly (readonly [string, (images: Images) => unknown, string | RegExp])[] = [
    [
      "this platform's",
      ({ entry, index }) => index([entry("a", foreign), entry("b", { platform: host })]),
      "b",
    ],
    [
      "this platform's before WebAssembly's",
      ({ entry, index }) => index([entry("a", wasip1), entry("b", { platform: host })]),
      "b",
    ],
    ["WebAssembly's", ({ entry, index }) => index([entry("a", foreign), entry("b", wasip1)]), "b"],
    [
      "WebAssembly's, as wasi/wasm32",
      ({ entry, index }) => index([entry("b", { platform: { os: "wasi", architecture: "wasm32" } })]),
      "b",
    ],
    ["the only one, of no platform", ({ entry, index }) => index([entry("b")]), "b"],
    ["of a platform that is null", ({ entry, index }) => index([entry("b", { platform: null })]), "b"],
    [
      "of a platform of empty names, as Go writes none",
      ({ entry, index }) => index([entry("b", { platform: { os: "", architecture: "" } })]),
      "b",
    ],
    [
      "of a platform of null names",
      ({ entry, index }) => index([entry("b", { platform: { os: null, architecture: null } })]),
      "b",
    ],
    [
      "WebAssembly's, as wasip2/wasm",
      ({ entry, index }) => index([entry("b", { platform: { os: "wasip2", architecture: "wasm" } })]),
      "b",
    ],
    [
      "WebAssembly's by its system alone",
      ({ entry, index }) =>
        index([entry("a", foreign), entry("b", { platform: { os: "wasip1", architecture: "" } })]),
      "b",
    ],
    [
      "this platform's with a variant",
      ({ entry, index }) =>
        index([entry("b", { platform: { ...host, variant: "v8", "os.features": null } })]),
      "b",
    ],
    [
      "between two attestations and a signature",
      ({ entry, index }) =>
        index([
          entry("a", attestation),
          entry("c", { artifactType: "application/vnd.dev.sigstore.bundle.v0.3+json" }),
          entry("b"),
          entry("d", attestation),
        ]),
      "b",
    ],
    [
      "Docker's list",
      ({ entry, index }) =>
        index([entry("b", wasip1)], {
          mediaType: "application/vnd.docker.distribution.manifest.list.v2+json",
        }),
      "b",
    ],
    [
      "an attestation alone",
      ({ entry, index }) => index([entry("a", attestation)]),
      /no entry found .* has unknown\/unknown/,
    ],
    ["beside an attestation", ({ entry, index }) => index([entry("b"), entry("a", attestation)]), "b"],
    [
      "beside an artifact of another type",
      ({ entry, index }) => index([entry("a", { artifactType: "application/spdx+json" }), entry("b")]),
      "b",
    ],
    ["beside entries that are none", ({ entry, index }) => index([null, {}, 7, entry("b")]), "b"],
    [
      "two of no platform",
      ({ entry, index }) => index([entry("a"), entry("b")]),
      /no entry found .*or one for WebAssembly; .* has unknown, unknown/,
    ],
    [
      "another platform's alone",
      ({ entry, index }) => index([entry("a", foreign)]),
      /no entry found .* has plan9\/mips/,
    ],
    ["none at all", ({ index }) => index([]), /no entry found/],
    ["null instead of a list", ({ index }) => index(null), /no entry found/],
  ];
  for (const [what, make, expected] of rows) {
    const got = await pulled(make);
    if (typeof expected === "string") assert.is(got, expected, what);
    else assert.match(got, expected, what);
  }
});

test("a member that is null is one that is not there", async () => {
  const rows: readonly (readonly [string, (images: Images) => unknown, string | RegExp])[] = [
    ["mediaType", ({ image }) => image("v1", { mediaType: null }), "v1"],
    ["config", ({ image }) => image("v1", { config: null }), "v1"],
    // A field of Go's that is not set, and is written all the same.
    [
      "config without anything",
      ({ image }) => image("v1", { config: { mediaType: "", digest: "", size: 0 } }),
      "v1",
    ],
    [
      "config of null members",
      ({ image }) => image("v1", { config: { mediaType: null, digest: null, size: null } }),
      "v1",
    ],
    ["an empty config", ({ image }) => image("v1", { config: {} }), "v1"],
    ["mediaType, empty", ({ image }) => image("v1", { mediaType: "" }), "v1"],
    [
      "an index whose mediaType is empty",
      ({ entry, index }) =>
        index([entry("b", wasip1)], { mediaType: "", config: { mediaType: "", digest: "", size: 0 } }),
      "b",
    ],
    [
      "config with half of a descriptor",
      ({ image }) => image("v1", { config: { mediaType: "a/b" } }),
      /digest of config/,
    ],
    ["layers that are a text", ({ image }) => image("v1", { layers: "" }), /layers is no list/],
    [
      "annotations, subject, artifactType",
      ({ image }) => image("v1", { annotations: null, subject: null, artifactType: null }),
      "v1",
    ],
    [
      "a layer's",
      ({ image, layer }) =>
        image("v1", { layers: [{ ...layer("v1"), urls: null, annotations: null, platform: null }] }),
      "v1",
    ],
    [
      "an index's mediaType",
      ({ entry, index }) => index([entry("b", wasip1)], { mediaType: null, annotations: null }),
      "b",
    ],
    [
      "an index that also says null to layers",
      ({ entry, index }) => index([entry("b", wasip1)], { layers: null, config: null }),
      "b",
    ],
    ["layers", ({ image }) => image("v1", { layers: null }), /No layers to pull/],
    [
      "everything",
      ({ image }) => image("v1", { layers: null, config: null }),
      /it has neither layers nor manifests/,
    ],
    ["a layer", ({ image }) => image("v1", { layers: [null] }), /layers\[0\] is no descriptor/],
    [
      "a layer's digest",
      ({ image, layer }) => image("v1", { layers: [{ ...layer("v"), digest: null }] }),
      /the digest of layers\[0\] is not valid/,
    ],
  ];
  for (const [what, make, expected] of rows) {
    const got = await pulled(make);
    if (typeof expected === "string") assert.is(got, expected, what);
    else assert.match(got, expected, what);
  }
});

test("a policy is handed an index without the entries that are none", async () => {
  const made = images();
  const entry = made.entry("b", wasip1);
  made.index([null, 7, "x", [], entry]);
  const server = await startServer(made.registry.answer);
  try {
    const { options } = listening({ sources: insecure(server.host) });
    const document = await ociManifest(`${server.host}/${REPOSITORY}:v1`, options);
    assert.equal(document, { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entry] });
  } finally {
    await server.stop();
  }
});

test("an image without a configuration has none to be asked for", async () => {
  const made = images();
  made.image("v1", { config: null });
  const server = await startServer(made.registry.answer);
  try {
    const { options } = listening({ sources: insecure(server.host) });
    const { message } = await failure(ociManifestAndConfig(`${server.host}/${REPOSITORY}:v1`, options));
    assert.match(message, /names no configuration/);
  } finally {
    await server.stop();
  }
});

test("a module's file name that is taken for an image says so", async () => {
  const refused = { HTTPS_PROXY: "http://127.0.0.1:9", HOME: "/nonexistent" };
  for (const uri of ["policies/x.wasm", "registry://docker.io/policies/x.wasm", "x.wasm"]) {
    await inDirectory(async (directory) => {
      const { options } = listening({ env: refused, limits: { retries: 0 } });
      const { message } = await failure(fetchPolicy(uri, { kind: "store", root: directory }, options));
      assert.match(message, /it was looked for on docker\.io; a file is named with file:\/\//, uri);
    });
  }
});

test.run();
