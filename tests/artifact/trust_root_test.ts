/** The trust root: from a file, from a TUF mirror, from its cache without a network; never silently none. */
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadTrustRoot } from "../../artifact/mod.ts";
import { trustedRootOf } from "../../artifact/types/trust_root.ts";
import { startServer, type TestServer } from "./_server.ts";
import { failure, inDirectory, listening } from "./_setting.ts";
import { createSigstore } from "./_sigstore.ts";
import { createTufRepository } from "./_tuf.ts";

const sigstore = await createSigstore();
const trustedRoot = sigstore.trustedRoot();
const MEDIA_TYPE = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json";

function fromFile(content: string | object, name = "trust.json") {
  return inDirectory(async (directory) => {
    const path = join(directory, name);
    await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
    return await loadTrustRoot({ kind: "file", path }).then((root) => ({ root, message: "" }), (error) => ({
      root: undefined,
      message: String(error.message).replaceAll(path, "P"),
    }));
  });
}

/** The same document with snake_case names. */
function snakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCase);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map((
      [key, item],
    ) => [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), snakeCase(item)]),
  );
}

test("a trust-config file: only its trusted root counts, in both spellings", async () => {
  const signingConfig = { whatever: { itHolds: 1 } };
  for (
    const document of [
      { mediaType: MEDIA_TYPE, trustedRoot, signingConfig },
      { trustedRoot },
      { mediaType: "anything", trusted_root: snakeCase(trustedRoot) },
    ]
  ) {
    const { root, message } = await fromFile(document);
    assert.is(message, "");
    assert.is(root && trustedRootOf(root).tlogs.length, 1);
    assert.is(root && trustedRootOf(root).certificateAuthorities.length, 1);
  }
});

test("trust-config files that cannot be used are refused with the specified texts", async () => {
  const absent = await failure(loadTrustRoot({ kind: "file", path: "/nonexistent/trust.json" }));
  assert.match(absent.message, "could not read Sigstore trust config file /nonexistent/trust.json: ENOENT");
  assert.match((await fromFile("{")).message, "could not parse Sigstore trust config file P: ");
  assert.match((await fromFile("[]")).message, "could not parse Sigstore trust config file P: ");
  assert.is(
    (await fromFile({ mediaType: MEDIA_TYPE })).message,
    "Sigstore trust config file P missing trusted_root field",
  );
  const unknown = await fromFile({ trustedRoot: { ...trustedRoot, surprise: [] } });
  assert.is(unknown.message, "could not parse Sigstore trust config file P: unknown field `surprise`");
  const broken = sigstore.trustedRoot((root) => root.tlogs[0].publicKey.rawBytes = "AAAA");
  assert.match(
    (await fromFile({ trustedRoot: broken })).message,
    "could not parse Sigstore trust config file P: ",
  );
  const wrong = sigstore.trustedRoot((root) =>
    root.certificateAuthorities[0].certChain.certificates[0].rawBytes = "AAAA"
  );
  assert.match(
    (await fromFile({ trustedRoot: wrong })).message,
    "could not parse Sigstore trust config file P: ",
  );
  const nobody = sigstore.trustedRoot((root) => root.certificateAuthorities = []);
  assert.is((await fromFile({ trustedRoot: nobody })).message, "Fulcio certificates not found (P)");
});

/** A mirror on loopback, whose content a test may change. */
async function withMirror(
  run: (
    mirror: TestServer,
    directory: string,
    content: Map<string, string>,
    rootPath: string,
  ) => Promise<void>,
  repository = createTufRepository("trusted_root.json", JSON.stringify(trustedRoot)),
) {
  const { root, served } = repository(1);
  const content = new Map(served);
  const mirror = await startServer((request, response) => {
    const found = content.get(request.url ?? "");
    if (found === undefined) response.statusCode = 404;
    response.end(found);
  });
  try {
    await inDirectory(async (directory) => {
      const rootPath = join(directory, "first-root.json");
      await writeFile(rootPath, root);
      await run(mirror, directory, content, rootPath);
    });
  } finally {
    await mirror.stop();
  }
}

test("a TUF mirror; its metadata and target are cached", () =>
  withMirror(async (mirror, directory, _content, rootPath) => {
    const source = {
      kind: "tuf",
      cacheDir: join(directory, "cache"),
      mirror: mirror.base,
      rootPath,
    } as const;
    const { options } = listening();
    const root = await loadTrustRoot(source, options);
    assert.is(trustedRootOf(root).tlogs[0]?.baseUrl, "http://rekor.test");
    const [folder = ""] = await readdir(join(directory, "cache"));
    assert.equal((await readdir(join(directory, "cache", folder))).sort(), [
      "root.json",
      "snapshot.json",
      "targets",
      "targets.json",
      "timestamp.json",
    ]);
    const before = mirror.requests.length;
    await loadTrustRoot(source, options);
    const again = mirror.requests.slice(before).map((request) => request.line);
    assert.not.ok(again.some((line) => line.includes("/targets/")), "the target is not downloaded again");
    await loadTrustRoot({ ...source, offline: true }, options);
    assert.is(mirror.requests.length, before + again.length, "offline: nothing is asked for");
  }));

test("a mirror that is gone: the cache is used, and that is said; without a cache it is an error", () =>
  withMirror(async (mirror, directory, content, rootPath) => {
    const source = {
      kind: "tuf",
      cacheDir: join(directory, "cache"),
      mirror: mirror.base,
      rootPath,
    } as const;
    await loadTrustRoot(source, listening().options);
    content.clear();
    await mirror.stop();
    const { options, lines } = listening();
    assert.match((await loadTrustRoot(source, options)).source, "(cached)");
    assert.ok(
      lines().some((line) =>
        line.startsWith("warn Cannot refresh the Sigstore trust root, using the cached one")
      ),
    );
    await rm(join(directory, "cache"), { recursive: true });
    const error = await failure(loadTrustRoot(source, options));
    assert.is(error.code, "trust_root");
    assert.match(error.message, `Cannot create Sigstore trust root from ${mirror.base}`);
    assert.match((await failure(loadTrustRoot({ ...source, offline: true }, options))).message, "offline: ");
  }));

test("what was tampered with, replayed or has expired is refused", async () => {
  const repository = createTufRepository("trusted_root.json", JSON.stringify(trustedRoot));
  await withMirror(async (mirror, directory, content, rootPath) => {
    const load = (name: string) =>
      loadTrustRoot(
        { kind: "tuf", cacheDir: join(directory, name), mirror: mirror.base, rootPath },
        listening().options,
      );
    const replace = (change: (text: string) => string, pattern: RegExp) => {
      for (const [path, text] of content) if (pattern.test(path)) content.set(path, change(text));
    };
    const whole = new Map(content);
    replace((text) => text.replace("rekor.test", "rekor.evil"), /trusted_root/);
    assert.match((await failure(load("target"))).message, "Cannot create Sigstore trust root");
    for (const [path, text] of whole) content.set(path, text);
    replace((text) => text.replace('"version":1', '"version":2'), /timestamp/);
    assert.match((await failure(load("signature"))).message, "Cannot create Sigstore trust root");

    for (const [path, text] of repository(2).served) content.set(path, text);
    await load("replay");
    content.set("/timestamp.json", whole.get("/timestamp.json") ?? "");
    const replayed = await load("replay").then((root) => root.source, (error) => String(error.message));
    assert.match(replayed, /cached|version/, "an older timestamp is not taken");

    for (const [path, text] of repository(3, -1000).served) content.set(path, text);
    assert.match((await failure(load("expired"))).message, "expired");
  }, repository);
});

test("a root that a killed process left half written is begun anew", () =>
  withMirror(async (mirror, directory, _content, rootPath) => {
    const source = {
      kind: "tuf",
      cacheDir: join(directory, "cache"),
      mirror: mirror.base,
      rootPath,
    } as const;
    await loadTrustRoot(source, listening().options);
    const [folder = ""] = await readdir(source.cacheDir);
    for (const name of ["root.json", "timestamp.json", "targets.json"]) {
      await writeFile(join(source.cacheDir, folder, name), '{"sign');
      assert.ok(await loadTrustRoot(source, listening().options), name);
    }
  }));

test("an unknown mirror needs a root to start from; a mirror that never answers ends", () =>
  withMirror(async (mirror, directory, _content, rootPath) => {
    const cacheDir = join(directory, "cache");
    const unknown = await failure(
      loadTrustRoot({ kind: "tuf", cacheDir, mirror: mirror.base }, listening().options),
    );
    assert.match(
      unknown.message,
      `no TUF root is known for ${mirror.base}: say which root.json to start from`,
    );
    const silent = await startServer(() => {});
    try {
      const { options } = listening({ limits: { responseMs: 100, retries: 0 } });
      const source = { kind: "tuf", cacheDir, mirror: silent.base, rootPath } as const;
      assert.match((await failure(loadTrustRoot(source, options))).message, "did not answer within 100 ms");
    } finally {
      await silent.stop();
    }
  }));

test("a cache that cannot be written is named before anything is asked for", () =>
  inDirectory(async (directory) => {
    await writeFile(join(directory, "file"), "");
    const places = [join(directory, "file"), ...process.platform === "linux" ? ["/proc"] : []];
    for (const cacheDir of places) {
      const { message } = await failure(loadTrustRoot({ kind: "tuf", cacheDir }, listening().options));
      assert.match(message, `(cache ${cacheDir}): cannot write to ${cacheDir}/`);
      assert.match(message, /\(os error (20|2)\); .*--sigstore-cache-dir/);
    }
  }));

test("the public instance's first root is built in: without a network the failure is about the network", () =>
  inDirectory(async (directory) => {
    const proxy = await startServer((_request, response) => void response.destroy());
    try {
      const { options } = listening({ env: { HTTPS_PROXY: proxy.base }, limits: { retries: 0 } });
      const error = await failure(loadTrustRoot({ kind: "tuf", cacheDir: directory }, options));
      assert.match(error.message, "cannot reach https://tuf-repo-cdn.sigstore.dev through the proxy");
    } finally {
      await proxy.stop();
    }
  }));

test.run();
