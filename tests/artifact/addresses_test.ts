// Where a registry can send us: over plain HTTP only to hosts that insecure_sources lists, whoever names
// them, and never with somebody else's credentials. Every case runs against real servers; what must not be asked counts requests.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type ArtifactOptions,
  fetchPolicy,
  listTags,
  loadTrustRoot,
  manifestDigest,
  pushPolicy,
  type Sources,
} from "../../artifact/mod.ts";
import { namedAddress } from "../../artifact/types/address.ts";
import { createAuthority } from "./_certificates.ts";
import { OCI_MANIFEST, sha256, WASM_LAYER, wasmModule } from "./_image.ts";
import { type Answer, memoryRegistry, startServer, type TestServer } from "./_server.ts";
import { createTufRepository } from "./_tuf.ts";
import { failure, inDirectory, listening, refusalOf } from "./_setting.ts";

const module = wasmModule("addresses", 5000);
const LOGIN = Buffer.from("user:secret").toString("base64");

type Scene = {
  /** Speaks TLS with a certificate that the sources trust, for this host alone. */
  readonly tls: boolean;
  readonly registry: TestServer;
  /** Speaks plain HTTP and is listed nowhere, unless the case lists it. Holds the module under every path. */
  readonly victim: TestServer;
  readonly directory: string;
  readonly options: ArtifactOptions;
};

type Case = {
  readonly what: string;
  /** What stands before the registry's own answers, given the victim's address. */
  readonly answer: (victim: string, ask: { base: string }) => Answer | undefined;
  /** Addresses of the layer; its blob is then missing from the registry. */
  readonly urls?: (victim: string) => readonly string[];
  readonly run: (scene: Scene) => Promise<unknown>;
  /** What the refusal says. */
  readonly says: RegExp;
};

const pull = ({ registry, directory, options }: Scene) =>
  fetchPolicy(`${registry.host}/tests/policy:v1`, { kind: "store", root: directory }, options);
const digest = ({ registry, options }: Scene) => manifestDigest(`${registry.host}/tests/policy:v1`, options);
const tags = ({ registry, options }: Scene) => listTags(`${registry.host}/tests/policy`, options);
const push = async ({ registry, directory, options }: Scene) => {
  const path = join(directory, "module.wasm");
  await writeFile(path, module);
  return await pushPolicy(path, `registry://${registry.host}/tests/policy:v1`, {}, options);
};

const redirect = (pattern: RegExp, location: string): Answer | undefined => (request, response, body) => {
  if (!pattern.test(request.url ?? "")) return passOn(request, response, body);
  response.writeHead(307, { location });
  response.end();
};
/** Set by each scene: what the registry itself answers. */
let passOn: Answer;

const challenged = (realm: string): Answer => (request, response, body) => {
  if (request.url !== "/v2/") return passOn(request, response, body);
  response.writeHead(401, { "www-authenticate": `Bearer realm="${realm}",service="x"` });
  response.end();
};

const upload = (location: string): Answer => (request, response, body) => {
  if (request.method === "GET") return passOn(request, response, body);
  response.writeHead(202, { location });
  response.end();
};

const REFUSED =
  /without TLS only hosts in insecure_sources are spoken to|without TLS: refused|gives TLS up: refused/;

const CASES: readonly Case[] = [
  {
    what: "a layer's urls",
    answer: () => undefined,
    urls: (victim) => [`${victim}/module`],
    run: pull,
    says: REFUSED,
  },
  {
    what: "a layer's urls with a login",
    answer: () => undefined,
    urls: (victim) => [victim.replace("//", "//user:secret@")],
    run: pull,
    says: /with a user name or password/,
  },
  {
    what: "a layer's urls with other schemes",
    answer: () => undefined,
    urls: (
      victim,
    ) => ["file:///etc/hostname", "ftp://localhost/x", "gopher://localhost:1/x", `data:,${victim}`],
    run: pull,
    says: /an unsupported address: file:/,
  },
  {
    what: "a manifest's redirect",
    answer: (victim) => redirect(/manifests/, `${victim}/m`),
    run: digest,
    says: REFUSED,
  },
  {
    what: "a blob's redirect",
    answer: (victim) => redirect(/blobs/, `${victim}/b`),
    run: pull,
    says: REFUSED,
  },
  {
    what: "a redirect with a login",
    answer: (victim) => redirect(/blobs/, `${victim.replace("//", "//a:b@")}/b`),
    run: pull,
    says: /with a user name or password/,
  },
  {
    what: "the redirect of the first request",
    answer: (victim) => redirect(/^\/v2\/$/, `${victim}/v2/`),
    run: digest,
    says: REFUSED,
  },
  { what: "a token realm", answer: (victim) => challenged(`${victim}/token`), run: digest, says: REFUSED },
  {
    what: "a token realm with a login",
    answer: (victim) => challenged(`${victim.replace("//", "//a:b@")}/token`),
    run: digest,
    says: /with a user name or password/,
  },
  {
    what: "a token realm that redirects",
    answer: (victim, { base }) => (request, response, body) => {
      if (!request.url?.startsWith("/token")) return challenged(`${base}/token`)(request, response, body);
      response.writeHead(302, { location: `${victim}/token` });
      response.end();
    },
    run: digest,
    says: REFUSED,
  },
  {
    what: "a token realm that is no URL of ours",
    answer: () => challenged("file:///etc/hostname"),
    run: digest,
    says: /an unsupported address: file:/,
  },
  {
    what: "an upload's Location",
    answer: (victim) => upload(`${victim}/upload`),
    run: push,
    says: /sends an upload to another host/,
  },
  {
    what: "an upload's Location with a login",
    answer: (victim) => upload(`${victim.replace("//", "//a:b@")}/upload`),
    run: push,
    says: /with a user name or password/,
  },
];

async function scene(
  { answer, urls }: Pick<Case, "answer" | "urls">,
  tls: boolean,
  listed: (victim: TestServer) => readonly string[],
  run: (scene: Scene) => Promise<void>,
): Promise<void> {
  const authority = await createAuthority();
  const memory = memoryRegistry();
  const victim = await startServer((_request, response) => void response.end(module));
  const config = memory.blob("tests/policy", "application/vnd.wasm.config.v1+json", Buffer.from("{}"));
  const layer = memory.blob("tests/policy", WASM_LAYER, module);
  memory.manifest("tests/policy", "v1", {
    schemaVersion: 2,
    config,
    layers: [{ ...layer, ...(urls && { urls: urls(victim.base) }) }],
  }, OCI_MANIFEST);
  if (urls) memory.content.delete(`tests/policy/blobs/${layer.digest}`);
  passOn = memory.answer;
  const front: { answer?: Answer | undefined } = {};
  const registry = await startServer(
    (request, response, body) => (front.answer ?? memory.answer)(request, response, body),
    tls ? await authority.issue() : undefined,
  );
  front.answer = answer(victim.base, { base: registry.base });
  try {
    await inDirectory(async (directory) => {
      await mkdir(join(directory, "docker"));
      await writeFile(
        join(directory, "docker/config.json"),
        JSON.stringify({ auths: { [registry.host]: { auth: LOGIN } } }),
      );
      const sources: Sources = {
        insecureSources: new Set([...tls ? [] : [registry.host], ...listed(victim)]),
        sourceAuthorities: new Map(tls ? [[registry.host, [authority.ca]]] : []),
        proxies: undefined,
      };
      const { options } = listening({
        sources,
        dockerConfigDir: join(directory, "docker"),
        limits: { retries: 0 },
      });
      await run({ tls, registry, victim, directory, options });
    });
  } finally {
    await Promise.all([registry.stop(), victim.stop()]);
  }
}

for (const tls of [false, true]) {
  const kind = tls ? "a registry with TLS" : "a plain registry that is listed";
  for (const one of CASES) {
    test(`${kind} leads nowhere by ${one.what}`, () =>
      scene(one, tls, () => [], async (place) => {
        const error = await failure(one.run(place));
        assert.match(error.message, one.says);
        assert.equal(place.victim.requests, [], "the victim was asked");
        assert.not.match(error.message, "secret");
      }));
  }

  test(`${kind} leads to hosts that are listed, without its credentials`, async () => {
    const followed = CASES.filter(({ what }) =>
      ["a layer's urls", "a blob's redirect", "a token realm"].includes(what)
    );
    assert.is(followed.length, 3);
    for (const one of followed) {
      await scene(one, tls, (victim) => [victim.host], async (place) => {
        if (one.what === "a token realm") {
          // It answers with a module, which is no token: the registry then answers without.
          await one.run(place);
          assert.is(
            place.victim.requests[0]?.headers.authorization,
            `Basic ${LOGIN}`,
            "a realm is who asks for them",
          );
          return;
        }
        assert.is((await pull(place)).sha256, sha256(module), one.what);
        assert.equal(
          place.victim.requests.map(({ headers }) => headers.authorization),
          [undefined],
          one.what,
        );
      });
    }
  });

  test(`${kind}: the pages of a list of tags stay on their host`, () =>
    scene(
      {
        answer: (victim) => (request, response, body) => {
          if (!request.url?.includes("tags")) return passOn(request, response, body);
          const next = request.url.includes("n=2") ? `${victim}/tags` : "/v2/tests/policy/tags/list?n=2";
          response.setHeader("link", `<${next}>; rel="next"`);
          response.end(JSON.stringify({ tags: [request.url.includes("n=2") ? "two" : "one"] }));
        },
      },
      tls,
      () => [],
      async (place) => {
        assert.equal(await tags(place), ["one", "two"]);
        assert.equal(place.victim.requests, []);
      },
    ));
}

test("a registry that does not know of the TLS before it: the next page is asked with it", () =>
  scene(
    {
      answer: (_victim, { base }) => (request, response, body) => {
        if (!request.url?.includes("tags")) return passOn(request, response, body);
        const second = request.url.includes("n=2");
        if (!second) {
          response.setHeader(
            "link",
            `<${base.replace("https:", "http:")}/v2/tests/policy/tags/list?n=2>; rel="next"`,
          );
        }
        response.end(JSON.stringify({ tags: [second ? "two" : "one"] }));
      },
    },
    true,
    () => [],
    async (place) => {
      assert.equal(await tags(place), ["one", "two"]);
    },
  ));

test("pages that lead back to themselves end", () =>
  scene(
    {
      answer: () => (request, response, body) => {
        if (!request.url?.includes("tags")) return passOn(request, response, body);
        response.setHeader("link", `</v2/tests/policy/tags/list?again>; rel="next"`);
        response.end(JSON.stringify({ tags: ["one", 1, "no tag\n", "x".repeat(200)] }));
      },
    },
    false,
    () => [],
    async (place) => {
      assert.equal(await tags(place), ["one", "one"]);
    },
  ));

test("an upload does not leave TLS on its own host", () =>
  scene(
    { answer: (_victim, { base }) => upload(`${base.replace("https:", "http:")}/upload`) },
    true,
    () => [],
    async (place) => {
      const error = await failure(push(place));
      assert.match(error.message, "sends an upload to another host: http://");
      assert.is(place.registry.requests.filter(({ line }) => /PATCH|PUT/.test(line)).length, 0);
    },
  ));

test("a redirect back to the registry does not get the credentials back", () =>
  scene(
    {
      answer: (victim) => (request, response, body) => {
        if (request.url === "/v2/") {
          response.writeHead(401, { "www-authenticate": "Basic realm=x" });
          return void response.end();
        }
        return redirect(/blobs/, `${victim}/b`)!(request, response, body);
      },
    },
    false,
    (victim) => [victim.host],
    async ({ registry, directory, options }) => {
      let back = "";
      const bouncing = await startServer((_request, response) => {
        response.writeHead(307, { location: back });
        response.end();
      });
      try {
        back = `${registry.base}/v2/tests/policy/elsewhere`;
        const seen: (string | undefined)[] = [];
        const listed = new Set([...options.sources!.insecureSources, bouncing.host]);
        const previous = passOn;
        passOn = (request, response, body) => {
          if (request.url?.includes("elsewhere")) {
            seen.push(request.headers.authorization);
            return void response.end(module);
          }
          return previous(request, response, body);
        };
        const answer = redirect(/blobs/, `${bouncing.base}/x`)!;
        const other = await startServer((request, response, body) => answer(request, response, body));
        try {
          await fetchPolicy(`${other.host}/tests/policy:v1`, { kind: "store", root: directory }, {
            ...options,
            sources: { ...options.sources!, insecureSources: new Set([...listed, other.host]) },
          });
          assert.equal(seen, [undefined]);
        } finally {
          await other.stop();
        }
      } finally {
        await bouncing.stop();
      }
    },
  ));

test("a mirror of the trust root is asked, and nobody that it names", async () => {
  const victim = await startServer((_request, response) => void response.end("{}"));
  const mirror = await startServer((_request, response) => {
    response.writeHead(302, { location: `${victim.base}/root.json` });
    response.end();
  });
  try {
    await inDirectory(async (directory) => {
      const { root } = createTufRepository("trusted_root.json", "{}")(1);
      const rootPath = join(directory, "root.json");
      await writeFile(rootPath, root);
      const source = { kind: "tuf", cacheDir: directory, mirror: mirror.base, rootPath } as const;
      await failure(loadTrustRoot(source, listening({ limits: { retries: 0 } }).options));
      assert.ok(mirror.requests.length > 0);
      assert.equal(victim.requests, []);
    });
  } finally {
    await Promise.all([victim.stop(), mirror.stop()]);
  }
});

test("file servers: a redirect is held to the same", async () => {
  const authority = await createAuthority();
  const victim = await startServer((_request, response) => void response.end(module));
  const server = await startServer((_request, response) => {
    response.writeHead(302, { location: `${victim.base}/policy.wasm` });
    response.end();
  }, await authority.issue());
  try {
    await inDirectory(async (directory) => {
      const sources = {
        insecureSources: new Set<string>(),
        sourceAuthorities: new Map([[server.host, [authority.ca]]]),
        proxies: undefined,
      };
      const { options } = listening({ sources });
      const error = await failure(
        fetchPolicy(`${server.base}/p.wasm`, { kind: "store", root: directory }, options),
      );
      assert.match(error.message, REFUSED);
      assert.equal(victim.requests, []);
    });
  } finally {
    await Promise.all([victim.stop(), server.stop()]);
  }
});

test("proxies are http: or https:, and their passwords are not told", () =>
  scene({ answer: () => undefined }, false, () => [], async ({ registry, directory, options }) => {
    for (
      const proxy of [
        "file:///etc/passwd",
        "socks5://user:secret@localhost:1",
        "ftp://user:secret@h",
        "http://user:secret@[",
      ]
    ) {
      const proxies = { httpProxy: proxy, httpsProxy: proxy, noProxy: undefined };
      const error = await failure(
        fetchPolicy(`${registry.host}/tests/policy:v1`, { kind: "store", root: directory }, {
          ...options,
          sources: { ...options.sources!, proxies },
        }),
      );
      assert.is(error.code, "config", error.message);
      assert.match(
        error.message,
        /https?_proxy (?:is no http:\/\/ or https:\/\/ URL of a proxy|names a socks5:\/\/ proxy, which is not supported)/,
      );
      assert.not.match(error.message, "secret");
    }
    assert.equal(registry.requests, []);
  }));

test("hosts are listed in any case, and with the port that is the scheme's own", () =>
  scene({ answer: () => undefined }, false, () => [], async ({ registry, directory, options }) => {
    const spelt = registry.host.replace("localhost", "LocalHost");
    const sources = { ...options.sources!, insecureSources: new Set([spelt]) };
    const policy = await fetchPolicy(`${spelt}/tests/policy:v1`, { kind: "store", root: directory }, {
      ...options,
      sources,
    });
    assert.is(policy.sha256, sha256(module));
    const { options: other } = listening({
      sources: { ...options.sources!, insecureSources: new Set(["localhost:80"]) },
      limits: { retries: 0, connectMs: 1000, responseMs: 1000 },
    });
    // Nothing listens there as a rule: what counts is that it is not refused before it is tried.
    const tried = await failure(
      fetchPolicy("localhost:80/a/b:v1", { kind: "store", root: directory }, other),
    );
    assert.not.match(tried.message, REFUSED);
  }));

test("addresses that a server names: what is refused before anybody is asked", () => {
  const base = "https://registry.test/v2/x";
  for (
    const text of [
      "http://169.254.169.254/latest/meta-data",
      "https://169.254.169.254/",
      "https://2852039166/",
      "https://0xa9fea9fe/",
      "https://0251.0376.0251.0376/",
      "https://169.254.169.254./",
      "https://[::ffff:169.254.169.254]/",
      "https://[::ffff:a9fe:a9fe]/",
      "https://[fe80::1]/",
      "https://[febf::1]/",
      "https://[fd00:ec2::254]/",
      "//169.254.169.254/",
      "https://user@registry.test/",
      "https://:password@registry.test/",
      "file:///etc/passwd",
      "javascript:alert(1)",
      "unix:/run/docker.sock",
      "http://[",
      "https://",
      `https://registry.test/${"x".repeat(9000)}`,
    ]
  ) {
    assert.throws(() => namedAddress(text, base, "it names"), /^it names /, text);
  }
  for (
    const text of [
      "ftp://me:s3cret@h.test/",
      "https://me:s3cret@[",
      "http://me:s3cret@h.test/",
      "//me:s3cret@h.test:99999/",
      `ftp://me:s3cret@${"x".repeat(8000)}`,
    ]
  ) {
    const { message } = refusalOf(() => namedAddress(text, base, "it names"));
    assert.not.match(message, "s3cret", text);
    assert.ok(message.length < 500, message);
  }
  for (
    const text of ["/v2/y?z", "https://cdn.test:8443/x", "http://other.test/", "https://[fec0::1]/", "../y"]
  ) {
    assert.is(namedAddress(text, base, "it names").href, new URL(text, base).href);
  }
});

test.run();
