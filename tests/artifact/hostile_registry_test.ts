/** Registries that answer slowly, cut, lie, redirect, refuse, or serve what is no policy. */
import { readdirSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type ArtifactOptions,
  fetchPolicy,
  manifestDigest,
  ociManifest,
  pushPolicy,
} from "../../artifact/mod.ts";
import { digestOf, OCI_INDEX, OCI_MANIFEST, sha256, WASM_LAYER, wasmModule } from "./_image.ts";
import { type Answer, memoryRegistry, startServer, type TestServer } from "./_server.ts";
import { failure, inDirectory, insecure, listening } from "./_setting.ts";

const module = wasmModule("hostile", 200_000);
const CONFIG = "application/vnd.wasm.config.v1+json";

/** An in-memory registry with one policy, `tests/policy:v1`, and `change` in front of it. */
async function withRegistry(
  change: (registry: ReturnType<typeof memoryRegistry>) => Answer | void,
  run: (
    server: TestServer,
    pull: (
      name?: string,
      options?: ArtifactOptions,
    ) => Promise<{ sha256?: string | undefined; path: string }>,
    directory: string,
  ) => Promise<void>,
): Promise<void> {
  const registry = memoryRegistry();
  const config = registry.blob("tests/policy", CONFIG, Buffer.from("{}"));
  const layer = registry.blob("tests/policy", WASM_LAYER, module);
  registry.manifest("tests/policy", "v1", { schemaVersion: 2, config, layers: [layer] }, OCI_MANIFEST);
  const server = await startServer(change(registry) ?? registry.answer);
  const host = server.host;
  try {
    await inDirectory(async (directory) => {
      const pull = (name = "tests/policy:v1", options: ArtifactOptions = {}) => {
        const { options: defaults } = listening({ sources: insecure(host), ...options });
        return fetchPolicy(`${host}/${name}`, { kind: "store", root: directory }, defaults);
      };
      await run(server, pull, directory);
      const left = readdirSync(directory, { recursive: true }).filter((name) =>
        String(name).endsWith(".part")
      );
      assert.equal(left, [], "nothing unfinished stays behind");
    });
  } finally {
    await server.stop();
  }
}

/** Puts an answer before the registry's for paths that match. */
function instead(
  registry: ReturnType<typeof memoryRegistry>,
  pattern: RegExp,
  answer: Answer,
  times = Infinity,
): Answer {
  let left = times;
  return (request, response, body) => {
    if (pattern.test(request.url ?? "") && left-- > 0) return answer(request, response, body);
    return registry.answer(request, response, body);
  };
}

const stored = (directory: string) =>
  readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;

test("the honest registry works", () =>
  withRegistry(() => {}, async (server, pull) => {
    const policy = await pull();
    assert.is(policy.sha256, sha256(module));
    const before = server.requests.length;
    await pull();
    assert.is(server.requests.length, before, "what is stored is used without asking");
  }));

test("a registry that does not answer ends in a time-out that names it", () =>
  withRegistry((registry) => instead(registry, /manifests/, () => {}), async (server, pull) => {
    const error = await failure(pull(undefined, { limits: { responseMs: 150 } }));
    assert.is(error.code, "timeout");
    assert.match(error.message, `http://${server.host} did not answer within 150 ms`);
  }));

test("a registry that stops in the middle of a blob ends in a time-out", () =>
  withRegistry((registry) =>
    instead(registry, /blobs/, (_request, response) => {
      response.setHeader("content-length", module.length);
      response.write(module.subarray(0, 1000));
    }), async (_server, pull, directory) => {
    const error = await failure(pull(undefined, { limits: { idleMs: 150 } }));
    assert.is(error.code, "timeout");
    assert.match(error.message, "sent nothing for 150 ms");
    assert.is(stored(directory), 0);
  }));

test("a registry that drips ends when the whole takes too long", () =>
  withRegistry((registry) =>
    instead(registry, /blobs/, (_request, response) => {
      response.setHeader("content-length", module.length);
      response.write(module.subarray(0, 100));
      const timer = setInterval(() => response.write("x"), 20);
      response.on("close", () => clearInterval(timer));
    }), async (_server, pull) => {
    const error = await failure(pull(undefined, { limits: { idleMs: 1000, transferMs: 300 } }));
    assert.is(error.code, "timeout");
    assert.match(error.message, "needed more than 300 ms");
  }));

test("a slow registry is waited for, and its progress told", () =>
  withRegistry((registry) =>
    instead(registry, /blobs/, async (_request, response) => {
      response.setHeader("content-length", module.length);
      for (let at = 0; at < module.length; at += 50_000) {
        response.write(module.subarray(at, at + 50_000));
        await new Promise((resolve) => setTimeout(resolve, 120));
      }
      response.end();
    }), async (server, _pull, directory) => {
    const { options, events } = listening({ sources: insecure(server.host) });
    await fetchPolicy(`${server.host}/tests/policy:v1`, { kind: "store", root: directory }, options);
    const progress = events.filter((event) => event.kind === "progress");
    assert.ok(progress.length >= 2);
    assert.equal(progress.at(-1), {
      kind: "progress",
      reference: `${server.host}/tests/policy:v1`,
      receivedBytes: module.length,
      totalBytes: module.length,
      done: true,
    });
  }));

test("a connection cut midway is tried again; one that is always cut fails", async () => {
  const cut: Answer = (_request, response) => {
    response.setHeader("content-length", module.length);
    response.write(module.subarray(0, 5000), () => response.destroy());
  };
  await withRegistry((registry) => instead(registry, /blobs/, cut, 2), async (_server, pull) => {
    assert.is((await pull()).sha256, sha256(module));
  });
  await withRegistry((registry) => instead(registry, /blobs/, cut), async (_server, pull, directory) => {
    const error = await failure(pull());
    assert.is(error.code, "connect");
    assert.is(stored(directory), 0);
  });
});

test("lies about content and digests are refused, whichever way they are told", async () => {
  const other = wasmModule("other", 200_010);
  const sameSize = Buffer.from(module).fill(9, 100, 200);
  const blob = (bytes: Uint8Array, header?: string): Answer => (_request, response) => {
    if (header !== undefined) response.setHeader("docker-content-digest", header);
    response.end(bytes);
  };
  const lies: readonly (readonly [string, RegExp, Answer, RegExp])[] = [
    [
      "other bytes",
      /blobs/,
      blob(sameSize),
      /Digest error: Invalid digest\. Expected sha256:.{64}, got sha256:.{64}/,
    ],
    ["too many bytes", /blobs/, blob(other), /Digest error: Invalid size\. Expected \d+ bytes, got more/],
    [
      "too few bytes",
      /blobs/,
      blob(module.subarray(0, 500)),
      /Digest error: Invalid size\. Expected \d+ bytes, got 500/,
    ],
    ["another digest in the header", /blobs/, blob(module, digestOf("x")), /Digest error: Invalid digest/],
    ["a header that is no digest", /blobs/, blob(module, "sha256:xyz"), /Invalid digest: sha256:xyz/],
    ["a manifest that is not what the header says", /manifests/, (_request, response) => {
      response.setHeader("docker-content-digest", digestOf("x"));
      response.end('{"schemaVersion":2}');
    }, /Digest error: Invalid digest/],
  ];
  for (const [what, pattern, answer, text] of lies) {
    await withRegistry((registry) => instead(registry, pattern, answer), async (_server, pull, directory) => {
      const error = await failure(pull());
      assert.match(error.message, text, what);
      assert.match(error.message, "Fail to interact with OCI registry: ", what);
      assert.is(stored(directory), 0, what);
    });
  }
  const digest = digestOf("another manifest");
  await withRegistry((registry) => {
    registry.manifest("tests/policy", digest, { schemaVersion: 2, config: {}, layers: [] }, OCI_MANIFEST);
  }, async (server, pull) => {
    assert.match((await failure(pull(`tests/policy@${digest}`))).message, "Digest error: Invalid digest");
    const { options } = listening({ sources: insecure(server.host) });
    const lying = manifestDigest(`${server.host}/tests/policy@${digest}`, options);
    assert.match((await failure(lying)).message, "Digest error: Invalid digest. Expected " + digest);
  });
});

test("a registry that names no digests: the bytes are hashed", () =>
  withRegistry((registry) => (request, response, body) => {
    response.setHeader = ((set) => (name: string, value: string) =>
      name === "docker-content-digest" ? response : set.call(response, name, value))(
        response.setHeader,
      ) as never;
    return registry.answer(request, response, body);
  }, async (server, pull) => {
    assert.is((await pull()).sha256, sha256(module));
    const { options } = listening({ sources: insecure(server.host) });
    assert.match(await manifestDigest(`${server.host}/tests/policy:v1`, options), /^sha256:[0-9a-f]{64}$/);
  }));

test("a redirect to another host is followed without the credentials", async () => {
  const target = await startServer((_request, response) => void response.end(module));
  try {
    await withRegistry((registry) => (request, response, body) => {
      if (request.url === "/v2/") {
        response.statusCode = 401;
        response.setHeader("www-authenticate", "Basic realm=x");
        return void response.end();
      }
      if (/blobs/.test(request.url ?? "")) {
        response.statusCode = 307;
        response.setHeader("location", `${target.base}/elsewhere`);
        return void response.end();
      }
      return registry.answer(request, response, body);
    }, async (server, _pull, directory) => {
      const { writeFile, mkdir } = await import("node:fs/promises");
      await mkdir(`${directory}/docker`);
      const auth = Buffer.from("user:secret").toString("base64");
      await writeFile(
        `${directory}/docker/config.json`,
        JSON.stringify({ auths: { [server.host]: { auth } } }),
      );
      const { options } = listening({
        sources: insecure(server.host, target.host),
        dockerConfigDir: `${directory}/docker`,
      });
      const policy = await fetchPolicy(
        `${server.host}/tests/policy:v1`,
        { kind: "store", root: directory },
        options,
      );
      assert.is(policy.sha256, sha256(module));
      const manifest = server.requests.find((request) => /manifests/.test(request.line));
      assert.is(manifest?.headers.authorization, `Basic ${auth}`);
      assert.equal(target.requests.map((request) => request.headers.authorization), [undefined]);
    });
  } finally {
    await target.stop();
  }
});

test("redirects without end, to nowhere, or to other schemes are refused", async () => {
  const to = (location: string): Answer => (_request, response) => {
    response.statusCode = 302;
    response.setHeader("location", location);
    response.end();
  };
  for (
    const [location, text] of [
      ["/v2/tests/policy/manifests/v1", "redirects more than 10 times"],
      ["file:///etc/passwd", "redirects to an unsupported address: file:///etc/passwd"],
      ["http://[", "redirects to what is no URL"],
    ] as const
  ) {
    await withRegistry((registry) => instead(registry, /manifests/, to(location)), async (_server, pull) => {
      assert.match((await failure(pull())).message, text);
    });
  }
});

test("refusals have the texts of the original", async () => {
  const status =
    (code: number, body = "", headers: Record<string, string> = {}): Answer => (_request, response) => {
      response.writeHead(code, headers);
      response.end(body);
    };
  const envelope = JSON.stringify({ errors: [{ code: "DENIED", message: "not for you" }] });
  const cases: readonly (readonly [number, Answer, string, string])[] = [
    [401, status(401, "{}"), "unauthorized", "Not authorized: url "],
    [403, status(403, envelope), "forbidden", "envelope: OCI API errors: [OCI API error: not for you]"],
    [404, status(404, envelope), "not_found", "Registry error: url "],
    [404, status(404, "<html>"), "not_found", "code: 404, message: <html>"],
    [429, status(429, "slow down"), "throttled", "code: 429, message: slow down"],
    [500, status(500, "oh\nno"), "server", "code: 500, message: oh no"],
    [204, status(204), "protocol", "OCI distribution spec violation: Expected HTTP Status 200 OK, got 204"],
  ];
  for (const [code, answer, kind, text] of cases) {
    await withRegistry((registry) => instead(registry, /manifests/, answer), async (server, pull) => {
      const error = await failure(pull());
      assert.is(error.code, kind, String(code));
      assert.ok(error.message.startsWith("Fail to interact with OCI registry: "), error.message);
      assert.match(error.message, text);
      assert.match(error.message, `http://${server.host}/v2/tests/policy/manifests/v1`);
      assert.match(error.message, "tried before: HTTPS: ");
      assert.match(error.message, "HTTPS without certificate verification: ");
    });
  }
});

test("429 and 500 pass: asked again, as late as Retry-After says within bounds", async () => {
  for (const code of [429, 500, 502, 503]) {
    await withRegistry((registry) =>
      instead(registry, /manifests/, (_request, response) => {
        response.writeHead(code, { "retry-after": "86400" });
        response.end();
      }, 2), async (server, pull) => {
      assert.is((await pull()).sha256, sha256(module));
      assert.is(server.requests.filter((request) => /manifests/.test(request.line)).length, 3);
    });
  }
  await withRegistry((registry) =>
    instead(registry, /manifests/, (_request, response) => {
      response.writeHead(404);
      response.end();
    }), async (server, pull) => {
    await failure(pull());
    assert.is(server.requests.filter((request) => /manifests/.test(request.line)).length, 1, "404 is final");
  });
});

test("manifests and modules have a cap", async () => {
  const huge = `{"schemaVersion":2,"x":"${"x".repeat(10 * 1024 * 1024)}"}`;
  await withRegistry((registry) => {
    registry.manifest("tests/policy", "huge", huge, OCI_MANIFEST);
    return (request, response, body) => {
      if (!/chunked/.test(request.url ?? "")) return registry.answer(request, response, body);
      response.setHeader("content-type", OCI_MANIFEST);
      for (let at = 0; at < huge.length; at += 1_000_000) response.write(huge.slice(at, at + 1_000_000));
      response.end();
    };
  }, async (_server, pull) => {
    for (const tag of ["huge", "chunked"]) {
      const error = await failure(pull(`tests/policy:${tag}`));
      assert.is(error.code, "limit");
      assert.match(error.message, `the manifest of tests/policy:${tag}`);
      assert.match(error.message, "is larger than 4194304 bytes");
    }
    const error = await failure(pull(undefined, { limits: { moduleBytes: 1000 } }));
    assert.is(error.code, "limit");
    assert.match(error.message, "is larger than 1000 bytes");
  });
});

test("what is no policy is refused by name", async () => {
  const cases:
    readonly (readonly [string, (registry: ReturnType<typeof memoryRegistry>) => unknown, string])[] = [
      ["another layer type", (registry) => ({
        schemaVersion: 2,
        config: registry.blob("tests/policy", CONFIG, Buffer.from("{}")),
        layers: [
          registry.blob("tests/policy", "application/vnd.oci.image.layer.v1.tar+gzip", Buffer.from("tar")),
        ],
      }), "Incompatible layer media type: application/vnd.oci.image.layer.v1.tar+gzip"],
      ["no layers", (registry) => ({
        schemaVersion: 2,
        config: registry.blob("tests/policy", CONFIG, Buffer.from("{}")),
        layers: [],
      }), "No layers to pull"],
      ["schema 1", () => ({ schemaVersion: 1 }), "Unsupported schema version: 1"],
      [
        "unknown type",
        () => ({ schemaVersion: 2, mediaType: "text/plain" }),
        "Unsupported media type: text/plain",
      ],
      ["neither", () => ({ schemaVersion: 2 }), "it has neither layers nor manifests"],
      ["a path for a digest", (registry) => ({
        schemaVersion: 2,
        config: registry.blob("tests/policy", CONFIG, Buffer.from("{}")),
        layers: [{ mediaType: WASM_LAYER, digest: "sha256:../../../etc", size: 3 }],
      }), "the digest of layers[0] is not valid"],
      ["a negative size", (registry) => ({
        schemaVersion: 2,
        config: registry.blob("tests/policy", CONFIG, Buffer.from("{}")),
        layers: [{ mediaType: WASM_LAYER, digest: digestOf("x"), size: -1 }],
      }), "layers[0] has no valid size"],
    ];
  for (const [what, document, text] of cases) {
    await withRegistry((registry) => {
      registry.manifest("tests/policy", "odd", document(registry) as object, OCI_MANIFEST);
    }, async (_server, pull) => {
      assert.match((await failure(pull("tests/policy:odd"))).message, text, what);
    });
  }
  await withRegistry((registry) => {
    registry.manifest("tests/policy", "text", "<html>", OCI_MANIFEST);
    const layer = registry.blob("tests/policy", WASM_LAYER, Buffer.from("<html>no wasm</html>"));
    const config = registry.blob("tests/policy", CONFIG, Buffer.from("{}"));
    registry.manifest("tests/policy", "nowasm", { schemaVersion: 2, config, layers: [layer] }, OCI_MANIFEST);
  }, async (_server, pull, directory) => {
    assert.match(
      (await failure(pull("tests/policy:text"))).message,
      "Failed to parse the manifest: it is no JSON",
    );
    const error = await failure(pull("tests/policy:nowasm"));
    assert.is(error.message, "invalid wasm file");
    assert.is(stored(directory), 0);
  });
});

test("an index is resolved to this platform; without it, what there is is listed", async () => {
  const go = { x64: "amd64", arm64: "arm64" }[process.arch as string] ?? process.arch;
  await withRegistry((registry) => {
    const image = registry.content.get("tests/policy/manifests/v1")?.bytes as Uint8Array;
    const entry = (os: string, architecture: string, digest = digestOf(image)) => ({
      mediaType: OCI_MANIFEST,
      digest,
      size: image.length,
      platform: { os, architecture },
    });
    registry.manifest("tests/policy", "multi", {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [entry("plan9", "vax", digestOf("x")), entry(process.platform, go)],
    }, OCI_INDEX);
    registry.manifest(
      "tests/policy",
      "foreign",
      { schemaVersion: 2, manifests: [entry("plan9", "vax")] },
      OCI_INDEX,
    );
    const inner = registry.manifest("tests/policy", "inner", { schemaVersion: 2, manifests: [] }, OCI_INDEX);
    registry.manifest("tests/policy", "nested", {
      schemaVersion: 2,
      manifests: [entry(process.platform, go, inner.digest)],
    }, OCI_INDEX);
  }, async (server, pull) => {
    assert.is((await pull("tests/policy:multi")).sha256, sha256(module));
    const error = await failure(pull("tests/policy:foreign"));
    assert.match(
      error.message,
      "Image manifest not found: no entry found in image index manifest matching client's default platform",
    );
    assert.match(error.message, `tests/policy:foreign has plan9/vax`);
    assert.match((await failure(pull("tests/policy:nested"))).message, "index inside an index");
    const { options } = listening({ sources: insecure(server.host) });
    const index = await ociManifest(`${server.host}/tests/policy:multi`, options);
    assert.is(
      (index["manifests"] as unknown[]).length,
      2,
      "the plain manifest call returns the index itself",
    );
  });
});

test("a layer's own addresses are tried when the registry fails, without credentials", async () => {
  const mirror = await startServer((_request, response) => void response.end(module));
  try {
    await withRegistry((registry) => {
      const config = registry.blob("tests/policy", CONFIG, Buffer.from("{}"));
      const urls = ["ftp://localhost/x", `${mirror.base}/module`];
      const layer = { mediaType: WASM_LAYER, digest: digestOf(module), size: module.length, urls };
      registry.manifest(
        "tests/policy",
        "mirrored",
        { schemaVersion: 2, config, layers: [layer] },
        OCI_MANIFEST,
      );
      registry.content.delete(`tests/policy/blobs/${digestOf(module)}`);
    }, async (server, pull) => {
      const sources = insecure(server.host, mirror.host);
      assert.is((await pull("tests/policy:mirrored", { sources })).sha256, sha256(module));
    });
  } finally {
    await mirror.stop();
  }
});

test("a registry that takes no chunks gets the module whole; one that sends uploads elsewhere gets nothing", async () => {
  const elsewhere = await startServer((_request, response) => void response.end());
  let whole: Uint8Array = new Uint8Array();
  let away = false;
  const server = await startServer((request, response, body) => {
    const url = request.url ?? "";
    if (url === "/v2/") return void response.end();
    if (request.method === "POST") {
      response.writeHead(202, {
        location: away ? `${elsewhere.base}/upload` : "/v2/tests/policy/blobs/uploads/1",
      });
      return void response.end();
    }
    // As some registries do: 200 to a PATCH, and a tag in the manifest's Location.
    if (request.method === "PUT" && url.includes("/blobs/")) whole = body.length > 2 ? body : whole;
    response.writeHead(request.method === "PUT" ? 201 : 200, { location: "/v2/tests/policy/manifests/v1" });
    response.end();
  });
  try {
    await inDirectory(async (directory) => {
      const { writeFile } = await import("node:fs/promises");
      await writeFile(`${directory}/policy.wasm`, module);
      const { options } = listening({ sources: insecure(server.host) });
      const push = () =>
        pushPolicy(`${directory}/policy.wasm`, `registry://${server.host}/tests/policy:v1`, {}, options);
      const pushed = await push();
      assert.is(sha256(whole), sha256(module));
      assert.match(pushed.digest, /^sha256:[0-9a-f]{64}$/, "the body's own digest");
      away = true;
      assert.match((await failure(push())).message, `sends an upload to another host: ${elsewhere.base}`);
      assert.is(elsewhere.requests.length, 0);
    });
  } finally {
    await server.stop();
    await elsewhere.stop();
  }
});

test("parallel pulls of one module fetch it once; a stopped caller stops nobody else", () => {
  let onBlob = () => {};
  let gate = Promise.resolve();
  return withRegistry((registry) => {
    const manifest = registry.content.get("tests/policy/manifests/v1");
    registry.manifest("tests/policy", "again", Buffer.from(manifest?.bytes ?? []).toString(), OCI_MANIFEST);
    return instead(registry, /blobs/, async (_request, response) => {
      onBlob();
      await gate;
      response.end(module);
    });
  }, async (server, pull) => {
    const policies = await Promise.all([pull(), pull(), pull(), pull("tests/policy:v1")]);
    assert.equal(new Set(policies.map((policy) => policy.sha256)), new Set([sha256(module)]));
    assert.is(server.requests.filter((request) => /blobs/.test(request.line)).length, 1);

    const controller = new AbortController();
    let open = () => {};
    gate = new Promise<void>((resolve) => open = resolve);
    onBlob = () => controller.abort();
    const stopped = failure(pull("tests/policy:again", { signal: controller.signal }));
    const other = pull("tests/policy:again");
    assert.is((await stopped).code, "aborted");
    open();
    assert.is((await other).sha256, sha256(module), "the second caller's own download");
  });
});

test.run();
