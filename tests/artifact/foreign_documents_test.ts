// Documents that others wrote: their size, nesting and counts are bounded, their names are names and nothing else, and a server
// that sends them slowly is not waited for.
import { mkdir, writeFile } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import { join } from "node:path";
import { createHash } from "node:crypto";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type ArtifactOptions,
  fetchPolicy,
  listTags,
  loadTrustRoot,
  manifestDigest,
  ociManifest,
  ociManifestAndConfig,
  parseReference,
  parseVerificationConfig,
  pushPolicy,
  readSources,
  readVerificationConfig,
  verifyPolicy,
} from "../../artifact/mod.ts";
import { findCredentials } from "../../artifact/apply/docker_credentials.ts";
import { MAX_FILE_BYTES, readBounded } from "../../program/apply/bounded_file.ts";
import { parseJson } from "../../artifact/types/json_text.ts";
import { digestOf, OCI_INDEX, OCI_MANIFEST, WASM_LAYER, wasmModule } from "./_image.ts";
import { type Answer, memoryRegistry, startServer, type TestServer } from "./_server.ts";
import { failure, inDirectory, insecure, listening } from "./_setting.ts";

const module = wasmModule("foreign", 2000);
const DEEP = "[".repeat(200_000);
const INHERITED = ["constructor", "__proto__", "toString", "hasOwnProperty", "valueOf"];

type Scene = {
  readonly server: TestServer;
  readonly memory: ReturnType<typeof memoryRegistry>;
  readonly options: ArtifactOptions;
  readonly image: string;
  readonly directory: string;
  readonly layer: Record<string, unknown>;
  readonly config: Record<string, unknown>;
};

async function scene(
  front: (memory: ReturnType<typeof memoryRegistry>) => Answer | undefined,
  run: (scene: Scene) => Promise<void>,
  limits: ArtifactOptions["limits"] = {},
): Promise<void> {
  const memory = memoryRegistry();
  const config = memory.blob("tests/policy", "application/vnd.wasm.config.v1+json", Buffer.from("{}"));
  const layer = memory.blob("tests/policy", WASM_LAYER, module);
  memory.manifest("tests/policy", "v1", { schemaVersion: 2, config, layers: [layer] }, OCI_MANIFEST);
  const server = await startServer(front(memory) ?? memory.answer);
  try {
    await inDirectory(async (directory) => {
      const { options } = listening({ sources: insecure(server.host), limits: { retries: 0, ...limits } });
      await run({
        server,
        memory,
        options,
        directory,
        layer,
        config,
        image: `${server.host}/tests/policy:v1`,
      });
    });
  } finally {
    await server.stop();
  }
}

const pull = ({ image, directory, options }: Scene) =>
  fetchPolicy(image, { kind: "store", root: directory }, options);

/** The manifest `v1`, replaced by a text. */
const replaced = (text: string, type = OCI_MANIFEST) => (memory: ReturnType<typeof memoryRegistry>) => {
  memory.manifest("tests/policy", "v1", text, type);
  return undefined;
};

const descriptor = (more: Record<string, unknown>) =>
  JSON.stringify({
    schemaVersion: 2,
    config: { mediaType: "x/y", digest: digestOf("{}"), size: 2 },
    layers: [{ mediaType: WASM_LAYER, digest: digestOf("x"), size: 1, ...more }],
  });

const MANIFESTS: readonly (readonly [what: string, text: string, says: RegExp])[] = [
  ["nested without end", DEEP, /nested deeper than 64 levels/],
  ["nested without end, in objects", '{"a":'.repeat(100_000), /nested deeper than 64 levels/],
  [
    "nested without end in a field that nobody reads",
    `{"schemaVersion":2,"x":${DEEP}${"]".repeat(200_000)},"manifests":[]}`,
    /nested deeper than 64 levels/,
  ],
  ["of another version", `{"schemaVersion":"${"2".repeat(100_000)}"}`, /^.{0,1500}$/s],
  ["of a type with control characters", descriptor({ mediaType: "a\u001b[2J\n" }), /no valid mediaType/],
  [
    "of a type of a million characters",
    descriptor({ mediaType: "a".repeat(1_000_000) }),
    /no valid mediaType/,
  ],
  ["with a size that is no number", descriptor({ size: "1" }), /no valid size/],
  ["with a size beyond counting", descriptor({ size: 2 ** 53 }), /no valid size/],
  ["with an infinite size", descriptor({}).replace('"size":1', '"size":1e999'), /no valid size/],
  ["with a digest that is an object", descriptor({ digest: { a: 1 } }), /digest of layers\[0\] is not valid/],
  [
    "with a digest of a million characters",
    descriptor({ digest: `sha256:${"a".repeat(1_000_000)}` }),
    /^.{0,1500}is not valid.{0,1500}$/s,
  ],
  ...[...INHERITED, "sha1", "md5", "SHA256", "sha256 "].map((algorithm) =>
    [
      `with a digest by ${algorithm}`,
      descriptor({ digest: `${algorithm}:${"a".repeat(64)}` }),
      /digest of layers\[0\] is not valid/,
    ] as const
  ),
  [
    "with more layers than any image",
    descriptor({}).replace(/"layers":\[(.*)\]/, (_, one) => `"layers":[${`${one},`.repeat(5000)}${one}]`),
    /more than 4096 entries/,
  ],
];

for (const [what, text, says] of MANIFESTS) {
  test(`a manifest ${what}`, () =>
    scene(replaced(text), async (place) => {
      const failures = await Promise.all([
        pull(place),
        ociManifest(place.image, place.options),
        ociManifestAndConfig(place.image, place.options),
      ].map(failure));
      for (const error of failures) {
        assert.match(error.message.replace(/; tried before[\s\S]*/, ""), says);
        assert.ok(error.message.length < 4000, `${error.message.length} characters`);
      }
    }));
}

test("names of a manifest's annotations are names, and change nothing else", () =>
  scene(
    replaced(
      `{"schemaVersion":2,"manifests":[],"annotations":{"__proto__":"one","constructor":"two","toString":"three"}}`,
      OCI_INDEX,
    ),
    async ({ image, options }) => {
      const document = await ociManifest(image, options);
      assert.is(
        JSON.stringify(document["annotations"]),
        `{"__proto__":"one","constructor":"two","toString":"three"}`,
      );
      assert.is(({} as Record<string, unknown>)["one"], undefined);
    },
  ));

test("a module's annotations reach the registry under any name", async () => {
  let pushed = "";
  const server = await startServer((request, response, body) => {
    if (request.method === "PUT" && request.url?.includes("manifests")) pushed = body.toString();
    if (request.method === "POST" || request.method === "PATCH") {
      response.writeHead(202, { location: "/v2/a/b/blobs/uploads/1" });
    } else if (request.method === "PUT") response.writeHead(201);
    response.end();
  });
  try {
    await inDirectory(async (directory) => {
      const path = join(directory, "m.wasm");
      await writeFile(path, module);
      const annotations = JSON.parse(`{"__proto__":"one","constructor":"two"}`);
      const { options } = listening({ sources: insecure(server.host) });
      await pushPolicy(path, `registry://${server.host}/a/b:v1`, annotations, options);
      assert.match(pushed, `"annotations":{"__proto__":"one","constructor":"two"}`);
    });
  } finally {
    await server.stop();
  }
});

test("compressed answers are not unpacked: a gigabyte in a megabyte stays a megabyte", () => {
  const bomb = gzipSync(Buffer.alloc(600_000_000));
  return scene(
    (memory) => (request, response, body) => {
      if (!/manifests|blobs|tags/.test(request.url ?? "")) return memory.answer(request, response, body);
      response.writeHead(200, { "content-encoding": "gzip", "content-type": OCI_MANIFEST });
      response.end(bomb);
    },
    async (place) => {
      const before = process.memoryUsage.rss();
      assert.match((await failure(pull(place))).message, "it is no JSON");
      assert.match((await failure(listTags(place.image, place.options))).message, "is no JSON");
      assert.ok(process.memoryUsage.rss() - before < 200_000_000);
    },
  );
});

test("a compressed module is not the module", () =>
  scene(
    (memory) => (request, response, body) => {
      if (!request.url?.includes(digestOf(module))) return memory.answer(request, response, body);
      response.writeHead(200, { "content-encoding": "gzip" });
      response.end(gzipSync(module));
    },
    async (place) => assert.match((await failure(pull(place))).message, /Digest error|invalid wasm file/),
  ));

/** A server that writes bytes as they are. */
async function raw(answer: (path: string) => string, run: (host: string) => Promise<void>): Promise<void> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("data", (data) => socket.end(answer(data.toString().split(" ")[1] ?? "")));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await run(`localhost:${(server.address() as net.AddressInfo).port}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("lengths that are lies end the request", async () => {
  const manifest = descriptor({});
  for (
    const length of [
      "99999999999999999999",
      String(manifest.length + 1000),
      "-1",
      "1e3",
      "0x10",
      `${manifest.length}, ${manifest.length + 1}`,
    ]
  ) {
    await raw(
      (path) =>
        path === "/v2/"
          ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
          : `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${manifest}`,
      async (host) => {
        const { options } = listening({ sources: insecure(host), limits: { retries: 0, idleMs: 2000 } });
        const error = await failure(ociManifest(`${host}/tests/policy:v1`, options));
        assert.ok(
          ["connect", "limit", "timeout", "tls", "protocol"].includes(error.code ?? ""),
          `${length}: ${error}`,
        );
      },
    );
  }
});

const drip = (response: http.ServerResponse, status = 200, headers: http.OutgoingHttpHeaders = {}) => {
  response.writeHead(status, headers);
  if (response.req.method === "HEAD") return void response.end();
  response.write('{"tags":["');
  const timer = setInterval(() => response.write("x"), 20);
  response.on("close", () => clearInterval(timer));
};

const DRIPS: readonly (readonly [
  what: string,
  pattern: RegExp,
  start: (response: http.ServerResponse, base: string) => void,
  run: (place: Scene) => Promise<unknown>,
])[] = [
  ["a manifest", /manifests/, (response) => drip(response), pull],
  ["a list of tags", /tags/, (response) => drip(response), ({ image, options }) => listTags(image, options)],
  [
    "a refusal",
    /manifests/,
    (response) => drip(response, 403),
    ({ image, options }) => manifestDigest(image, options),
  ],
  ["the refusal of a module", /blobs/, (response) => drip(response, 403), pull],
  [
    "a configuration",
    /blobs/,
    (response) => drip(response),
    ({ image, options, memory, config, layer }) => {
      // More than the registry will ever send.
      memory.manifest("tests/policy", "v1", {
        schemaVersion: 2,
        config: { ...config, size: 1_000_000 },
        layers: [layer],
      }, OCI_MANIFEST);
      return ociManifestAndConfig(image, options);
    },
  ],
  [
    "a token",
    /token|^\/v2\/$/,
    (response, base) =>
      response.req.url?.includes("token")
        ? drip(response)
        : void response.writeHead(401, { "www-authenticate": `Bearer realm="${base}/token"` }).end(),
    ({ image, options }) => manifestDigest(image, options),
  ],
];

for (const [what, pattern, start, run] of DRIPS) {
  test(`${what} that is sent a byte at a time is not waited for`, () =>
    scene(
      (memory) => (request, response, body) =>
        pattern.test(request.url ?? "")
          ? start(response, `http://${request.headers.host}`)
          : memory.answer(request, response, body),
      async (place) => {
        const started = performance.now();
        await failure(run(place));
        // Two requests at most, each with its own limit; without it the server would drip for ever.
        assert.ok(performance.now() - started < 10_000);
      },
      { documentMs: 300, idleMs: 60_000, transferMs: 600_000 },
    ));
}

test("signatures that come too slowly do not count, and end the wait", () =>
  scene(
    (memory) => {
      const manifest = memory.content.get("tests/policy/manifests/v1")!;
      const digest = `sha256-${createHash("sha256").update(manifest.bytes).digest("hex")}`;
      const layers = Array.from(
        { length: 50 },
        (_, at) =>
          memory.blob(
            "tests/policy",
            "application/vnd.dev.cosign.simplesigning.v1+json",
            Buffer.from(`{"a":${at}}`),
          ),
      );
      memory.manifest("tests/policy", `${digest}.sig`, {
        schemaVersion: 2,
        config: layers[0],
        layers,
      }, OCI_MANIFEST);
      return async (request, response, body) => {
        if (request.url?.includes("blobs")) await new Promise((resolve) => setTimeout(resolve, 100));
        return await memory.answer(request, response, body);
      };
    },
    async ({ image, options, server }) => {
      const config = parseVerificationConfig(
        `{"apiVersion":"v1","allOf":[{"kind":"githubAction","owner":"kubewarden"}]}`,
      );
      const error = await failure(verifyPolicy(image, config, undefined, options));
      assert.is(error.code, "signature");
      const asked = server.requests.filter(({ line }) => line.includes("blobs")).length;
      assert.ok(asked < 20, `${asked} of 50`);
    },
    { signaturesMs: 350 },
  ));

test("tokens that are none", async () => {
  for (
    const body of [
      "",
      "null",
      "[]",
      DEEP,
      `{"token":1}`,
      `{"token":""}`,
      `{"token":"a\\r\\nX-Injected: 1"}`,
      `{"token":"\u202e"}`,
      `{"token":{"toString":"x"}}`,
    ]
  ) {
    const headers: http.IncomingHttpHeaders[] = [];
    await scene(
      (memory) => (request, response, sent) => {
        if (request.url?.startsWith("/token")) return void response.end(body);
        if (request.url !== "/v2/") {
          headers.push(request.headers);
          return memory.answer(request, response, sent);
        }
        response.writeHead(401, { "www-authenticate": `Bearer realm="http://${request.headers.host}/token"` })
          .end();
      },
      async ({ image, options }) => {
        await manifestDigest(image, options);
        assert.equal(headers.map(({ authorization }) => authorization), [undefined], body.slice(0, 40));
        assert.ok(headers.every((sent) => sent["x-injected"] === undefined));
      },
    );
  }
});

test("a million tags are as many as are taken", () =>
  scene(
    (memory) => (request, response, body) =>
      request.url?.includes("tags")
        ? void response.end(`{"tags":[${'"a",'.repeat(900_000)}"b"]}`)
        : memory.answer(request, response, body),
    async ({ image, options }) => assert.is((await listTags(image, options)).length, 100_000),
  ));

test("references: algorithms and hosts that are names of objects", () => {
  for (const name of INHERITED) {
    assert.throws(
      () => parseReference(`ghcr.io/a/b@${name}:${"a".repeat(64)}`),
      /unsupported digest algorithm|invalid reference format/,
    );
  }
});

test("Docker's configuration: hosts, helpers and nesting", async () => {
  await inDirectory(async (directory) => {
    const find = async (config: string, server: string) => {
      await writeFile(join(directory, "config.json"), config);
      return await findCredentials({ registry: server, repository: "a/b" }, {
        env: { HOME: directory, PATH: "/nonexistent" },
        dockerConfigDir: directory,
      });
    };
    const auth = Buffer.from("u:p").toString("base64");
    const config = `{"auths":{"h.test":{"auth":"${auth}"},"__proto__":{"auth":"${auth}"}},"credHelpers":{}}`;
    assert.is((await find(config, "h.test")).credentials.kind, "basic");
    for (const server of ["constructor", "toString", "other.test"]) {
      assert.is((await find(config, server)).credentials.kind, "anonymous", server);
    }
    for (const helper of ["../evil", "a/b", "a b", "", "a;b", "$(x)"]) {
      const { credentials, explanation } = await find(
        JSON.stringify({ credHelpers: { "h.test": helper }, credsStore: helper }),
        "h.test",
      );
      assert.is(credentials.kind, "anonymous", helper);
      if (helper !== "") assert.match(explanation, "no helper's name");
    }
    for (const text of [DEEP, "x".repeat(MAX_FILE_BYTES + 1), `{"auths":${DEEP}`, `{"auths":[]}`]) {
      const { credentials, explanation } = await find(text, "h.test");
      assert.is(credentials.kind, "anonymous");
      assert.ok(explanation.length < 500);
    }
  });
});

test("configuration files: endless, nested, repeated, and with names of objects", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "file.yml");
    const put = async (text: string) => (await writeFile(path, text), path);
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${
      "bcdefghi".split("").map((name, at) =>
        `${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[at]}`).join(",")}]`
      ).join("\n")
    }\ninsecure_sources: *i\n`;
    for (
      const [what, text] of [
        ["flow nesting", "a: " + "[".repeat(20_000)],
        ["closed nesting", `a: ${"[".repeat(5000)}${"]".repeat(5000)}`],
        ["aliases", bomb],
        ["size", `# ${"x".repeat(MAX_FILE_BYTES)}`],
      ] as const
    ) {
      for (const read of [readSources, readVerificationConfig]) {
        const error = await failure(read(await put(text)));
        assert.is(error.code, "config", `${what}: ${error.message}`);
        assert.ok(error.message.length < 2000, what);
      }
    }
    for (const kind of INHERITED) {
      const error = await failure(
        readVerificationConfig(await put(`{"apiVersion":"v1","allOf":[{"kind":"${kind}"}]}`)),
      );
      assert.match(error.message, `unknown variant \`${kind}\``);
      const authority = await failure(
        readSources(await put(`{"source_authorities":{"h":[{"type":"${kind}"}]}}`)),
      );
      assert.match(authority.message, `unknown variant \`${kind}\``);
    }
    const sources = await readSources(
      await put(`{"insecure_sources":["constructor"],"source_authorities":{"__proto__":[]}}`),
    );
    assert.equal([sources.insecureSources.has("toString"), sources.sourceAuthorities.has("constructor")], [
      false,
      false,
    ]);
    assert.match(
      (await failure(loadTrustRoot({ kind: "file", path: await put(DEEP) }))).message,
      "could not parse Sigstore trust config file",
    );
    for (const name of INHERITED.filter((one) => one !== "__proto__")) {
      const error = await failure(
        loadTrustRoot({ kind: "file", path: await put(`{"trustedRoot":{"${name}":1}}`) }),
      );
      assert.match(error.message, `unknown field \`${name}\``);
    }
  });
});

test("a name that leads to something endless is an error", async () => {
  if (process.platform !== "linux") return;
  assert.match((await failure(readBounded("/dev/zero"))).message, "/dev/zero is larger than 4194304 bytes");
  for (const read of [readSources, readVerificationConfig]) {
    assert.match((await failure(read("/dev/zero"))).message, "is larger than");
  }
  await inDirectory(async (directory) => {
    const path = join(directory, "sources.yml");
    await writeFile(
      path,
      JSON.stringify({ source_authorities: { h: [{ type: "Path", path: "/dev/zero" }] } }),
    );
    assert.match((await failure(readSources(path))).message, "is larger than");
    await mkdir(join(directory, "d"));
  });
});

test("JSON is nested as deep as allowed, and brackets in texts do not count", () => {
  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  assert.ok(parseJson(nested(64), "it"));
  assert.throws(() => parseJson(nested(65), "it"), /nested deeper than 64/);
  assert.equal(parseJson(`["${"[".repeat(1000)}","\\"${"{".repeat(1000)}"]`, "it"), [
    "[".repeat(1000),
    `"${"{".repeat(1000)}`,
  ]);
  assert.equal(parseJson(`[${"[],".repeat(1000)}1]`, "it"), [...Array(1000).fill([]), 1]);
});

test.run();
