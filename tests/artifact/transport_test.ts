/** Connections: certificates, private authorities, proxies, file servers. The same on Node and on Bun. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fetchPolicy, manifestDigest } from "../../artifact/mod.ts";
import { createHttpClient } from "../../artifact/apply/http.ts";
import { DEFAULT_LIMITS } from "../../artifact/types/options.ts";
import { createAuthority } from "./_certificates.ts";
import { digestOf, OCI_MANIFEST, sha256, wasmModule } from "./_image.ts";
import { type Answer, memoryRegistry, startProxy, startServer } from "./_server.ts";
import { failure, inDirectory, insecure, listening, trusting } from "./_setting.ts";

const DAY = 86_400_000;
const authority = await createAuthority();
const module = wasmModule("file server", 50_000);
const file: Answer = (request, response) => {
  if (request.url?.startsWith("/policies/policy.wasm")) return void response.end(module);
  if (request.url === "/page") return void response.end("<html>a page that is no module</html>");
  response.statusCode = 404;
  response.end("not here");
};

test("an HTTPS file server with a private authority", async () => {
  const server = await startServer(file, await authority.issue());
  try {
    await inDirectory(async (directory) => {
      const uri = `${server.base}/policies/policy.wasm`;
      const store = { kind: "store", root: directory } as const;
      const unknown = await failure(fetchPolicy(uri, store, listening().options));
      assert.is(unknown.code, "tls");
      const { options } = listening({ sources: trusting(server.host, authority.ca) });
      const policy = await fetchPolicy(`${uri}?x=1 `, store, options);
      assert.is(policy.path, join(directory, "https", server.host, "policies/policy.wasm"));
      assert.is(policy.sha256, sha256(module));
      const before = server.requests.length;
      assert.is((await fetchPolicy(uri, store, options)).downloaded, false);
      assert.is(server.requests.length, before);
      const absent = await failure(fetchPolicy(`${server.base}/policies/absent.wasm`, store, options));
      assert.match(
        absent.message,
        `Server error: url ${server.base}/policies/absent.wasm, code: 404, message: not here`,
      );
      const page = await failure(fetchPolicy(`${server.base}/page`, store, options));
      assert.is(page.message, "invalid wasm file");
      assert.match(
        (await failure(fetchPolicy(`${server.base}/`, store, options))).message,
        "it names no file",
      );
      const careless = listening({ sources: insecure(server.host) }).options;
      const path = join(directory, "careless.wasm");
      assert.is((await fetchPolicy(uri, { kind: "file", path }, careless)).sha256, sha256(module));
    });
  } finally {
    await server.stop();
  }
});

test("plain HTTP file servers: only hosts in insecure_sources, and TLS is never given up on the way", async () => {
  const plain = await startServer(file);
  const secure = await startServer((_request, response) => {
    response.writeHead(302, { location: `${plain.base}/policies/policy.wasm` });
    response.end();
  }, await authority.issue());
  try {
    await inDirectory(async (directory) => {
      const store = { kind: "store", root: directory } as const;
      const uri = `${plain.base}/policies/policy.wasm`;
      const refused = await failure(fetchPolicy(uri, store, listening().options));
      assert.match(refused.message, `http://${plain.host} is refused`);
      const { options } = listening({ sources: insecure(plain.host) });
      assert.is((await fetchPolicy(uri, store, options)).sha256, sha256(module));
      const only = listening({ sources: trusting(secure.host, authority.ca) }).options;
      const downgrade = await failure(fetchPolicy(`${secure.base}/moved.wasm`, store, only));
      assert.match(downgrade.message, "which gives TLS up: refused");
      const both = { ...trusting(secure.host, authority.ca), insecureSources: new Set([plain.host]) };
      const moved = await fetchPolicy(
        `${secure.base}/moved.wasm`,
        store,
        listening({ sources: both }).options,
      );
      assert.is(moved.sha256, sha256(module));
    });
  } finally {
    await plain.stop();
    await secure.stop();
  }
});

test("expired, not-yet-valid and misnamed certificates are told apart", async () => {
  const cases = [
    [{ notBefore: new Date(Date.now() - 2 * DAY), notAfter: new Date(Date.now() - DAY) }, "has expired"],
    [{ notBefore: new Date(Date.now() + DAY / 2), notAfter: new Date(Date.now() + DAY) }, "is not valid yet"],
    [{ names: ["other.test"] }, "was issued for another name"],
  ] as const;
  for (const [certificate, text] of cases) {
    const server = await startServer(file, await authority.issue(certificate));
    try {
      const { options } = listening({ sources: trusting(server.host, authority.ca) });
      const error = await failure(manifestDigest(`${server.host}/tests/policy:v1`, options));
      assert.is(error.code, "tls", text);
      assert.match(error.message, `cannot reach https://${server.host}: the server's certificate ${text}`);
    } finally {
      await server.stop();
    }
  }
});

test("a host that is not there is named, with what was tried", async () => {
  const server = await startServer(file);
  await server.stop();
  const { options } = listening({ sources: insecure(server.host), limits: { retries: 1 } });
  const error = await failure(manifestDigest(`${server.host}/tests/policy:v1`, options));
  assert.is(error.code, "connect");
  for (
    const text of [
      `cannot reach http://${server.host}`,
      `${server.host}/tests/policy:v1`,
      "tried before: HTTPS: ",
      "HTTPS without certificate verification: ",
    ]
  ) {
    assert.match(error.message, text);
  }
});

test("where nothing listens, both runtimes say so and ask nothing back", async () => {
  const gone = await startServer(() => {});
  await gone.stop();
  const { options } = listening({ limits: { retries: 0 } });
  const { message } = await failure(manifestDigest(`${gone.host}/a/b:v1`, options));
  assert.match(message, /cannot reach https:\/\/localhost:\d+: .*ECONNREFUSED/);
  assert.not.match(message, "?");
});

test("SSL_CERT_FILE and SSL_CERT_DIR replace the system's roots", () =>
  inDirectory(async (directory) => {
    const server = await startServer(file, await authority.issue());
    try {
      const path = join(directory, "roots.pem");
      const none = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
      await writeFile(path, `a comment\n${none}${authority.ca}${none}`);
      const uri = `${server.base}/policies/policy.wasm`;
      for (const env of [{ SSL_CERT_FILE: path }, { SSL_CERT_DIR: directory }]) {
        const target = { kind: "file", path: join(directory, "out.wasm") } as const;
        assert.is((await fetchPolicy(uri, target, { env })).sha256, sha256(module));
      }
      const target = { kind: "file", path: join(directory, "out.wasm") } as const;
      await writeFile(path, "no certificate");
      const empty = await failure(fetchPolicy(uri, target, { env: { SSL_CERT_FILE: path } }));
      assert.match(empty.message, `SSL_CERT_FILE: ${path} holds no PEM certificate`);
      const absent = await failure(fetchPolicy(uri, target, { env: { SSL_CERT_FILE: `${path}.absent` } }));
      assert.match(absent.message, "SSL_CERT_FILE: cannot read");
    } finally {
      await server.stop();
    }
  }));

/** An authority that is PEM but no certificate that TLS can use: the connection to its host fails, others do not. */
test("an authority that TLS cannot use fails its own host only", async () => {
  const nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const [good, bad] = [
    await startServer(file, await authority.issue()),
    await startServer(file, await authority.issue()),
  ];
  try {
    await inDirectory(async (directory) => {
      const sources = {
        insecureSources: new Set<string>(),
        sourceAuthorities: new Map([[good.host, [authority.ca]], [bad.host, [nonsense]]]),
        proxies: undefined,
      };
      const { options } = listening({ sources });
      const store = { kind: "store", root: directory } as const;
      assert.ok(await fetchPolicy(`${good.base}/policies/policy.wasm`, store, options));
      const error = await failure(fetchPolicy(`${bad.base}/policies/policy.wasm`, store, options));
      assert.match(error.message, `cannot reach https://${bad.host}`);
    });
  } finally {
    await good.stop();
    await bad.stop();
  }
});

test("proxies: by the environment or the sources file, which wins; no_proxy; with a login", async () => {
  const registry = memoryRegistry();
  const config = registry.blob("tests/policy", "application/vnd.wasm.config.v1+json", Buffer.from("{}"));
  const layer = registry.blob("tests/policy", "application/vnd.wasm.content.layer.v1+wasm", module);
  const { digest } = registry.manifest(
    "tests/policy",
    "v1",
    { schemaVersion: 2, config, layers: [layer] },
    OCI_MANIFEST,
  );
  const [plain, secure] = [
    await startServer(registry.answer),
    await startServer(registry.answer, await authority.issue()),
  ];
  const [proxy, other, closed] = [await startProxy(), await startProxy(), await startProxy("user:pass")];
  const sources = {
    insecureSources: new Set([plain.host]),
    sourceAuthorities: new Map([[secure.host, [authority.ca]]]),
    proxies: undefined,
  };
  const seen = async (
    host: string,
    env: Record<string, string>,
    proxies?: Record<string, string | undefined>,
  ) => {
    for (const each of [proxy, other, closed]) await each.reset();
    const chosen = { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined, ...proxies };
    const { options } = listening({
      env,
      sources: { ...sources, proxies: proxies === undefined ? undefined : chosen },
    });
    assert.is(await manifestDigest(`${host}/tests/policy:v1`, options), digest);
    return {
      proxy: [...new Set(proxy.seen)],
      other: [...new Set(other.seen)],
      closed: [...new Set(closed.seen)],
    };
  };
  try {
    const tunnel = `CONNECT ${secure.host}`;
    assert.equal((await seen(secure.host, { https_proxy: proxy.url })).proxy, [tunnel]);
    assert.equal((await seen(secure.host, { HTTPS_PROXY: proxy.url, https_proxy: other.url })).proxy, [
      tunnel,
    ], "upper case first");
    assert.equal((await seen(secure.host, { HTTP_PROXY: proxy.url })).proxy, [], "not for https");
    assert.equal((await seen(secure.host, { HTTPS_PROXY: proxy.url, NO_PROXY: "localhost" })).proxy, []);
    assert.equal(await seen(secure.host, { HTTPS_PROXY: proxy.url }, { httpsProxy: other.url }), {
      proxy: [],
      other: [tunnel],
      closed: [],
    }, "the file wins");
    assert.equal(
      (await seen(secure.host, { HTTPS_PROXY: proxy.url }, {})).proxy,
      [],
      "the file is used whole",
    );
    assert.equal((await seen(secure.host, {}, { httpsProxy: closed.url })).closed[0], tunnel);
    assert.equal((await seen(secure.host, {}, { httpsProxy: proxy.url.replace("http://", "") })).proxy, [
      tunnel,
    ], "no scheme");
    const forwarded = await seen(plain.host, { HTTP_PROXY: proxy.url });
    assert.ok(forwarded.proxy.includes(`GET ${plain.base}/v2/`), JSON.stringify(forwarded));
    assert.ok(forwarded.proxy.every((line) => !line.startsWith("CONNECT")));
    assert.equal(
      (await seen(plain.host, { HTTP_PROXY: proxy.url, NO_PROXY: "127.0.0.0/8,localhost" })).proxy,
      [],
    );
    const wrong = closed.url.replace("pass", "wrong");
    const { options } = listening({ env: { HTTPS_PROXY: wrong }, sources, limits: { retries: 0 } });
    const error = await failure(manifestDigest(`${secure.host}/tests/policy:v1`, options));
    assert.match(error.message, `cannot reach https://${secure.host} through the proxy localhost:`);
    assert.not.match(error.message, "wrong@");
  } finally {
    for (const each of [plain, secure, proxy, other, closed]) await each.stop();
  }
  assert.is(digestOf(module), layer.digest);
});

test("the client shows its own certificate to servers that ask for one", async () => {
  const server = await startServer(file, { ...await authority.issue(), clientCa: authority.ca });
  const client = await authority.issue({ names: ["client.test"], client: true });
  const connect = (certificate?: typeof client) =>
    createHttpClient({
      tlsFor: () => ({
        ca: [authority.ca],
        verify: true,
        ...(certificate === undefined ? {} : { certificate }),
      }),
      plainAllowed: () => false,
      proxies: { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined },
      limits: DEFAULT_LIMITS,
      signal: undefined,
    });
  const request = { method: "GET", url: `${server.base}/page`, headers: {} } as const;
  try {
    const [known, unknown] = [connect(client), connect()];
    const response = await known.send(request);
    assert.is(response.status, 200);
    response.discard();
    await failure(unknown.send(request));
    await known.close();
    await unknown.close();
  } finally {
    await server.stop();
  }
});

test.run();
