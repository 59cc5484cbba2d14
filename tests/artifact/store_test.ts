/** The store: what is in it, what finds it, and that a process killed at any moment leaves nothing wrong behind. */
import { spawn } from "node:child_process";
import { chmod, mkdir, readdir, readFile, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  defaultStoreRoot,
  fetchPolicy,
  findBySha256,
  findInStore,
  listStore,
  readModule,
  verifyLocalChecksum,
} from "../../artifact/mod.ts";
import { writeAtomically } from "../../artifact/apply/store.ts";
import { digestOf, OCI_INDEX, OCI_MANIFEST, sha256, WASM_LAYER, wasmModule } from "./_image.ts";
import { memoryRegistry, startServer } from "./_server.ts";
import { failure, inDirectory, insecure, listening } from "./_setting.ts";

async function put(root: string, path: string, content: Uint8Array | string): Promise<string> {
  const file = join(root, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
  return file;
}

test("the root of the store follows XDG, if it is absolute", () => {
  if (process.platform !== "linux") return;
  assert.is(defaultStoreRoot({ HOME: "/h", XDG_CACHE_HOME: "/c" }), "/c/kubewarden/store");
  assert.is(defaultStoreRoot({ HOME: "/h", XDG_CACHE_HOME: "c" }), "/h/.cache/kubewarden/store");
  assert.is(defaultStoreRoot({ HOME: "/h" }), "/h/.cache/kubewarden/store");
});

test("what lies in the store is listed; what is unfinished or elsewhere is not", () =>
  inDirectory(async (root) => {
    assert.equal(await listStore(join(root, "absent")), []);
    await put(root, "registry/ghcr.io/a/b:v1", "1");
    await put(root, `registry/localhost:5000/x@${digestOf("x")}`, "2");
    await put(root, "https/h.test/a/p.wasm", "3");
    await put(root, "http/h.test:8080/p.wasm", "4");
    await put(root, "ftp/h.test/p.wasm", "no scheme of the store");
    await put(root, "registry/ghcr.io/a/.portreeve-0123456789abcdef.part", "unfinished");
    await symlink(join(root, "https/h.test/a/p.wasm"), join(root, "https/h.test/linked.wasm"));
    const uris = (await listStore(root)).map((policy) => policy.uri).sort();
    assert.equal(uris, [
      "http://h.test:8080/p.wasm",
      "https://h.test/a/p.wasm",
      "https://h.test/linked.wasm",
      "registry://ghcr.io/a/b:v1",
      `registry://localhost:5000/x@${digestOf("x")}`,
    ]);
  }));

test("policies are found by URI, however it is spelt, and by the beginning of their SHA-256", () =>
  inDirectory(async (root) => {
    const tagged = await put(root, "registry/ghcr.io/a/b:latest", "1");
    const short = await put(root, "registry/docker.io/library/busybox:latest", "2");
    const typed = await put(root, "registry/index.docker.io/x/y:v1", "3");
    const found = async (uri: string) => (await findInStore(root, uri))?.path;
    assert.is(await found("registry://ghcr.io/a/b:latest"), tagged);
    assert.is(await found("ghcr.io/a/b"), tagged);
    assert.is(await found("registry://busybox"), short);
    assert.is(await found("registry://index.docker.io/x/y:v1"), typed, "as the original stored it");
    assert.is(await found("ghcr.io/a/c"), undefined);
    assert.is((await failure(findInStore(root, "ftp://x/y"))).message, "unknown scheme: ftp");
    assert.is((await failure(findInStore(root, "file:///x"))).message, "unknown scheme: file");
    assert.is((await findBySha256(root, sha256("1").slice(0, 8)))?.path, tagged);
    assert.is(await findBySha256(root, "zz"), undefined);
    assert.is(
      (await failure(findBySha256(root, ""))).message,
      "multiple policies found with the same prefix: ",
    );
  }));

test("file URIs are used in place", async () => {
  const policy = await fetchPolicy("file:///nonexistent/policy.wasm", {
    kind: "store",
    root: "/nonexistent",
  });
  assert.equal([policy.path, policy.downloaded, policy.sha256], [
    "/nonexistent/policy.wasm",
    false,
    undefined,
  ]);
  const error = await failure(
    fetchPolicy("file://host/policy.wasm", { kind: "store", root: "/nonexistent" }),
  );
  assert.is(
    error.message,
    "cannot retrieve path from uri: file://host/policy.wasm: a whole path follows file://, as in file:///policies/x.wasm",
  );
});

const listed = (root: string) => failure(listStore(root));

test("a store that cannot be written says so, before anything is asked for", () =>
  inDirectory(async (root) => {
    await put(root, "registry", "a file where a folder should be");
    await put(root, "empty", "");
    const places: readonly (readonly [root: string, reason: string])[] = [
      [join(root, "empty"), "Not a directory (os error 20)"],
      [root, "File exists (os error 17)|Not a directory (os error 20)"],
      [join(root, "a".repeat(300)), "File name too long (os error 36)"],
      // Answers "no such file" to whoever makes a folder in it: Node's own way to make folders never ends there.
      ...process.platform === "linux" ? [["/proc", "No such file or directory (os error 2)"]] as const : [],
    ];
    for (const [root, reason] of places) {
      const error = await failure(
        fetchPolicy("localhost:1/a/b:v1", { kind: "store", root }, listening().options),
      );
      assert.match(error.message, /^cannot write to \S+: [^:;]*; .*XDG_CACHE_HOME[^\n]*$/);
      assert.ok(reason.split("|").some((one) => error.message.includes(one)), error.message);
      if (reason.startsWith("Not")) assert.match((await listed(root)).message, reason);
    }
    if (process.getuid?.() === 0) return;
    await chmod(root, 0o500);
    const denied = await failure(
      fetchPolicy("https://localhost:1/x.wasm", { kind: "store", root }, listening().options),
    );
    assert.match(denied.message, /^cannot write to .*XDG_CACHE_HOME/);
  }));

test("a write that fails leaves what was there; what others abandoned is cleared away", () =>
  inDirectory(async (root) => {
    const path = await put(root, "module", "before");
    const abandoned = await put(root, ".portreeve-00.part", "old");
    const fresh = await put(root, ".portreeve-11.part", "somebody is writing this");
    await utimes(abandoned, new Date(0), new Date(0));
    const error = await failure(writeAtomically(path, async (file) => {
      await file.write("half");
      throw new Error("the network is gone");
    }));
    assert.is(error.message, "the network is gone");
    assert.is(await readFile(path, "utf8"), "before");
    assert.equal((await readdir(root)).sort(), [".portreeve-11.part", "module"]);
    assert.ok(fresh);
    await writeAtomically(path, (file) => file.write("after"));
    assert.is(await readFile(path, "utf8"), "after");
  }));

test("a process killed during pulls never leaves a module that is not the registry's", async () => {
  const module = wasmModule("killed", 3_000_000);
  const registry = memoryRegistry();
  const config = registry.blob("tests/policy", "application/vnd.wasm.config.v1+json", Buffer.from("{}"));
  const layer = registry.blob("tests/policy", WASM_LAYER, module);
  registry.manifest("tests/policy", "latest", { schemaVersion: 2, config, layers: [layer] }, OCI_MANIFEST);
  const server = await startServer(registry.answer);
  const script = join(dirname(fileURLToPath(import.meta.url)), "_pull_forever.ts");
  try {
    await inDirectory(async (root) => {
      let whole = 0;
      for (let round = 0; round < 12; round++) {
        const child = spawn(process.execPath, [script, `registry://${server.host}/tests/policy`, root], {
          stdio: ["ignore", "pipe", "inherit"],
        });
        const ended = new Promise((resolve) => child.on("exit", resolve));
        const started = server.requests.length;
        // At another moment each time: in the first pull, or (every second round) in the next one after a whole pull.
        const asked = () =>
          server.requests.slice(started).filter((request) => request.line.includes("/blobs/")).length;
        await new Promise<void>((resolve, reject) => {
          const limit = setTimeout(() => reject(new Error("it never asked for the module")), 60_000);
          const look = setInterval(() => {
            if (asked() <= round % 2) return;
            clearInterval(look);
            clearTimeout(limit);
            setTimeout(resolve, round * 3);
          }, 1);
        });
        child.kill("SIGKILL");
        await ended;
        for (const policy of await listStore(root)) {
          assert.is(sha256(await readFile(policy.path)), sha256(module), `round ${round}`);
          whole++;
        }
      }
      assert.ok(whole > 0, "some pulls were finished before the kill");
      const { options } = listening({ sources: insecure(server.host) });
      const policy = await fetchPolicy(
        `registry://${server.host}/tests/policy`,
        { kind: "store", root },
        options,
      );
      assert.is(sha256(await readModule(policy.path, policy.sha256 ?? "")), sha256(module));
    });
  } finally {
    await server.stop();
  }
});

test("a file is checked against the manifest that was verified", async () => {
  const module = wasmModule("checked");
  const registry = memoryRegistry();
  const config = registry.blob("tests/policy", "application/vnd.wasm.config.v1+json", Buffer.from("{}"));
  const layer = registry.blob("tests/policy", WASM_LAYER, module);
  const put = (tag: string, layers: readonly unknown[]) =>
    registry.manifest("tests/policy", tag, { schemaVersion: 2, config, layers }, OCI_MANIFEST).digest;
  const good = put("good", [layer]);
  const two = put("two", [layer, layer]);
  const other = put("other", [{ ...layer, mediaType: "text/plain" }]);
  const strong = put("strong", [{ ...layer, digest: `sha512:${"ab".repeat(64)}` }]);
  const go = { x64: "amd64", arm64: "arm64" }[process.arch as string] ?? process.arch;
  const index = registry.manifest("tests/policy", "index", {
    schemaVersion: 2,
    manifests: [{
      mediaType: OCI_MANIFEST,
      digest: good,
      size: 1,
      platform: { os: process.platform, architecture: go },
    }],
  }, OCI_INDEX).digest;
  const server = await startServer(registry.answer);
  try {
    await inDirectory(async (root) => {
      const path = join(root, "policy.wasm");
      await writeFile(path, module);
      const { options, lines } = listening({ sources: insecure(server.host) });
      const check = (digest: string, uri = `${server.host}/tests/policy:v1`, file = path) =>
        verifyLocalChecksum(uri, file, digest, options).then(
          () => "accepted",
          (error) => String(error.message),
        );
      assert.is(await check(good), "accepted");
      assert.ok(lines().some((line) => line.includes("Local file checksum verification passed")));
      assert.is(await check(index), "accepted", "an index is resolved to this platform");
      const text = "Cannot verify local file integrity, the remote manifest doesn't have only one WASM layer";
      assert.is(await check(two), text);
      assert.is(await check(other), text);
      assert.is(
        await check(strong),
        "The checksum inside of the remote manifest is not using the sha256 hashing algorithm as expected.",
      );
      assert.is(
        await check(good, "https://h.test/x.wasm"),
        "Verification only works with OCI images: Not a valid oci image: Invalid OCI image reference: invalid reference format",
      );
      assert.is(
        await check(good, undefined, `${path}.absent`),
        `Policy cannot be verified, local wasm file doesn't exist: ${path}.absent`,
      );
      await writeFile(path, "tampered");
      assert.is(
        await check(good),
        "The digest of the local file doesn't match with the one reported inside of the signed manifest. " +
          `Got ${sha256("tampered")} instead of ${sha256(module)}`,
      );
    });
  } finally {
    await server.stop();
  }
});

test.run();
