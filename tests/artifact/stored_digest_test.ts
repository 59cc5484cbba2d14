// A reference by digest is served from the store only as what the digest names: whatever happened to the
// files of the store, and with or without a registry to ask.
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fetchPolicy, listStore } from "../../artifact/mod.ts";
import { createHash } from "node:crypto";
import { digestOf, OCI_INDEX, OCI_MANIFEST, sha256, WASM_LAYER, wasmModule } from "./_image.ts";
import { memoryRegistry, startServer, type TestServer } from "./_server.ts";
import { failure, inDirectory, insecure, listening } from "./_setting.ts";

const module = wasmModule("stored", 3000);
const other = wasmModule("another", 3000);
const architecture = { x64: "amd64", arm64: "arm64" }[process.arch as string] ?? process.arch;
const sha512 = (bytes: Uint8Array) => `sha512:${createHash("sha512").update(bytes).digest("hex")}`;

type Shelf = {
  readonly server: TestServer;
  readonly root: string;
  /** `<repository>@<digest>` of the image, of an index that leads to it, and of the image by SHA-512. */
  readonly names: Readonly<Record<"image" | "index" | "sha512", string>>;
  readonly fetch: (name: string) => ReturnType<typeof fetchPolicy>;
  readonly lines: () => readonly string[];
  readonly modulePath: (name: string) => string;
  readonly manifestPath: (digest: string) => string;
  /** Requests since the last call, by kind. */
  readonly asked: () => { readonly manifests: number; readonly blobs: number };
};

async function onShelf(run: (shelf: Shelf) => Promise<void>): Promise<void> {
  const memory = memoryRegistry();
  const config = memory.blob("tests/policy", "application/vnd.wasm.config.v1+json", Buffer.from("{}"));
  const layer = memory.blob("tests/policy", WASM_LAYER, module);
  const image = { schemaVersion: 2, config, layers: [layer] };
  const { digest, size } = memory.manifest("tests/policy", "v1", image, OCI_MANIFEST);
  const index = memory.manifest("tests/policy", "multi", {
    schemaVersion: 2,
    manifests: [{ mediaType: OCI_MANIFEST, digest, size, platform: { os: process.platform, architecture } }],
  }, OCI_INDEX);
  const long = sha512(Buffer.from(JSON.stringify(image)));
  const found = memory.content.get(`tests/policy/manifests/v1`)!;
  memory.content.set(`tests/policy/manifests/${long}`, found);
  const server = await startServer(memory.answer);
  try {
    await inDirectory(async (root) => {
      const { options, lines } = listening({ sources: insecure(server.host), limits: { retries: 0 } });
      let seen = 0;
      await run({
        server,
        root,
        names: {
          image: `tests/policy@${digest}`,
          index: `tests/policy@${index.digest}`,
          sha512: `tests/policy@${long}`,
        },
        fetch: (name) => fetchPolicy(`${server.host}/${name}`, { kind: "store", root }, options),
        lines,
        modulePath: (name) => join(root, "registry", server.host, name),
        manifestPath: (digest) => join(root, ".manifests", ...digest.split(":")),
        asked: () => {
          const fresh = server.requests.slice(seen);
          seen = server.requests.length;
          const count = (part: string) => fresh.filter(({ line }) => line.includes(`/${part}/`)).length;
          return { manifests: count("manifests"), blobs: count("blobs") };
        },
      });
    });
  } finally {
    await server.stop();
  }
}

for (const kind of ["image", "index", "sha512"] as const) {
  test(`${kind}: what is stored is used without the network, once it is known what the digest stands for`, () =>
    onShelf(async ({ server, names, fetch, asked, root }) => {
      const first = await fetch(names[kind]);
      assert.equal([first.downloaded, first.sha256], [true, sha256(module)]);
      asked();
      const again = await fetch(names[kind]);
      assert.equal([again.downloaded, again.sha256, again.path], [false, sha256(module), first.path]);
      assert.equal(asked(), { manifests: 0, blobs: 0 });
      await server.stop();
      assert.is((await fetch(names[kind])).sha256, sha256(module));
      assert.equal(
        (await listStore(root)).map(({ path }) => path),
        [first.path],
        "manifests are no policies",
      );
    }));

  test(`${kind}: a module that was changed is fetched again; without a registry it is not used`, () =>
    onShelf(async ({ server, names, fetch, modulePath, lines }) => {
      await fetch(names[kind]);
      const path = modulePath(names[kind]);
      for (const changed of [other, module.subarray(0, 100), Buffer.from("")]) {
        await writeFile(path, changed);
        const mended = await fetch(names[kind]);
        assert.equal([mended.downloaded, mended.sha256], [true, sha256(module)]);
        assert.is(sha256(await readFile(path)), sha256(module));
        assert.ok(lines().some((line) => line.includes("the stored module is not what its digest names")));
      }
      await writeFile(path, other);
      await server.stop();
      const error = await failure(fetch(names[kind]));
      assert.match(error.message, "cannot reach ");
      assert.is(sha256(await readFile(path)), sha256(other), "what could not be replaced stays");
    }));

  test(`${kind}: a module whose digest the store knows nothing of is checked with the registry, or not used`, () =>
    onShelf(async ({ server, names, fetch, modulePath, root, asked }) => {
      const path = modulePath(names[kind]);
      await mkdir(dirname(path), { recursive: true });
      // As 1.36 leaves it.
      await writeFile(path, module);
      const checked = await fetch(names[kind]);
      assert.equal([checked.downloaded, checked.sha256], [false, sha256(module)]);
      assert.is(asked().blobs, 0, "the module is there already");
      await rm(join(root, ".manifests"), { recursive: true });
      await writeFile(path, other);
      const replaced = await fetch(names[kind]);
      assert.equal([replaced.downloaded, replaced.sha256], [true, sha256(module)]);
      await rm(join(root, ".manifests"), { recursive: true });
      await server.stop();
      const error = await failure(fetch(names[kind]));
      assert.match(
        error.message,
        "is stored, but not what its digest stands for, so that it cannot be checked: ",
      );
      assert.match(error.message, "cannot reach ");
    }));
}

test("a manifest in the store that was changed to fit a changed module counts for nothing", () =>
  onShelf(async ({ server, names, fetch, modulePath, manifestPath }) => {
    const digest = names.image.split("@")[1]!;
    await fetch(names.image);
    const manifest = JSON.parse(await readFile(manifestPath(digest), "utf8"));
    manifest.layers[0] = { ...manifest.layers[0], digest: digestOf(other), size: other.length };
    await writeFile(manifestPath(digest), JSON.stringify(manifest));
    await writeFile(modulePath(names.image), other);
    const mended = await fetch(names.image);
    assert.equal([mended.downloaded, mended.sha256], [true, sha256(module)]);
    for (const junk of ["", "{", "[]", `{"schemaVersion":2}`, "x".repeat(5_000_000)]) {
      await writeFile(manifestPath(digest), junk);
      assert.is((await fetch(names.image)).sha256, sha256(module), junk.slice(0, 20));
    }
    await writeFile(manifestPath(digest), JSON.stringify(manifest));
    await writeFile(modulePath(names.image), other);
    await server.stop();
    assert.match((await failure(fetch(names.image))).message, "cannot be checked: ");
  }));

test("a registry that names another image by the digest gets nothing into the store", async () => {
  const memory = memoryRegistry();
  const wanted = digestOf("the image that was meant");
  const config = memory.blob("tests/policy", "application/vnd.wasm.config.v1+json", Buffer.from("{}"));
  const layer = memory.blob("tests/policy", WASM_LAYER, other);
  memory.manifest("tests/policy", wanted, { schemaVersion: 2, config, layers: [layer] }, OCI_MANIFEST);
  const server = await startServer((request, response, body) => {
    // It does not say what it sends.
    response.setHeader = ((set) => (name: string, value: string) =>
      name === "docker-content-digest" ? response : set.call(response, name, value))(
        response.setHeader,
      ) as never;
    return memory.answer(request, response, body);
  });
  try {
    await inDirectory(async (root) => {
      const { options } = listening({ sources: insecure(server.host), limits: { retries: 0 } });
      const error = await failure(
        fetchPolicy(`${server.host}/tests/policy@${wanted}`, { kind: "store", root }, options),
      );
      assert.match(error.message, "Digest error: Invalid digest");
      const files = (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) =>
        entry.isFile()
      );
      assert.equal(files, []);
    });
  } finally {
    await server.stop();
  }
});

test.run();
