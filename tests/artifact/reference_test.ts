/** References, policy URIs, and where they lie in a store. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { formatReference, parseImage, parsePolicyUrl, parseReference } from "../../artifact/mod.ts";
import { isLatest, registryHost } from "../../artifact/render/reference.ts";
import { storeComponents, storedUri } from "../../artifact/render/store_path.ts";
import { proxyFor } from "../../artifact/render/proxy.ts";
import { exempt } from "../../http/render/no_proxy.ts";
import { parseChallenge, tokenUrl } from "../../artifact/render/challenge.ts";
import { manifestAnnotations } from "../../artifact/render/manifest_document.ts";
import { digestOfLocation } from "../../artifact/apply/registry_push.ts";

const hex = (length: number) => "ab".repeat(length / 2);

function message(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
}

test("image references are normalised", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["busybox", "docker.io/library/busybox:latest"],
    ["registry://busybox", "docker.io/library/busybox:latest"],
    ["test.com:5000", "docker.io/library/test.com:5000"],
    ["foo_bar.com:8080", "docker.io/library/foo_bar.com:8080"],
    ["test:5000/repo", "test:5000/repo:latest"],
    ["opensuse/leap:15.3", "docker.io/opensuse/leap:15.3"],
    ["index.docker.io/opensuse/leap", "docker.io/opensuse/leap:latest"],
    ["docker.io/busybox", "docker.io/library/busybox:latest"],
    ["localhost/x", "localhost/x:latest"],
    ["localhost:5000/psp:v1", "localhost:5000/psp:v1"],
    ["ghcr.io/a/b/c-d__e.f:V1.2_x", "ghcr.io/a/b/c-d__e.f:V1.2_x"],
    ["192.168.1.1:80/x", "192.168.1.1:80/x:latest"],
    ["[::1]:5000/x", "[::1]:5000/x:latest"],
    [`ghcr.io/a@sha256:${hex(64)}`, `ghcr.io/a@sha256:${hex(64)}`],
    [`ghcr.io/a:v1@sha512:${hex(128)}`, `ghcr.io/a:v1@sha512:${hex(128)}`],
    [`ghcr.io/a@sha384:${hex(96)}`, `ghcr.io/a@sha384:${hex(96)}`],
  ];
  for (const [text, full] of cases) assert.is(formatReference(parseImage(text)), full, text);
  assert.is(registryHost(parseReference("busybox")), "index.docker.io");
  assert.is(registryHost(parseReference("ghcr.io/x")), "ghcr.io");
});

test("malformed references are refused with the original's texts", () => {
  const invalid = "Invalid OCI image reference: ";
  const cases: readonly (readonly [string, string])[] = [
    ["", "repository name must have at least one component"],
    ["ghcr.io/Upper", "invalid reference format"],
    ["ghcr.io/a//b", "invalid reference format"],
    ["ghcr.io/../a", "invalid reference format"],
    ["ghcr.io/", "invalid reference format"],
    ["ghcr.io/a:", "invalid reference format"],
    ["ghcr.io/a:.x", "invalid reference format"],
    ["ghcr.io/a b", "invalid reference format"],
    ["https://ghcr.io/a", "invalid reference format"],
    ["user:pass@ghcr.io/a", "invalid reference format"],
    ["ghcr.io/a@sha256", "invalid checksum digest format"],
    [`ghcr.io/a@sha256:${hex(62)}`, "invalid checksum digest length"],
    [`ghcr.io/a@md5:${hex(32)}`, "unsupported digest algorithm"],
    ["ghcr.io/a@sha256:xyz", "invalid reference format"],
    [`ghcr.io/${"a".repeat(256)}`, "repository name must not be more than 255 characters"],
    [`ghcr.io/${"a/".repeat(5000)}a`, "repository name must not be more than 255 characters"],
  ];
  for (const [text, reason] of cases) assert.is(message(() => parseReference(text)), invalid + reason, text);
});

test("a reference that nobody could read takes no time to refuse", () => {
  const hostile = `ghcr.io/${"a-".repeat(400)}!`;
  for (let round = 0; round < 1000; round++) {
    assert.match(message(() => parseReference(hostile)), "invalid reference format");
  }
});

test("policy URIs: four schemes, and what is only misread as another", () => {
  for (const text of ["registry://ghcr.io/k/p/test:1.2", "ghcr.io/k/p/test:1.2", " ghcr.io/k/p/test "]) {
    const url = parsePolicyUrl(text);
    assert.is(url.scheme, "registry");
    assert.is(url.scheme === "registry" && url.hostAndPort, "ghcr.io");
  }
  const host = (text: string) => {
    const url = parsePolicyUrl(text);
    return url.scheme === "file" ? "" : `${url.scheme} ${url.hostAndPort}`;
  };
  assert.is(host("localhost:5000/psp:v1"), "registry localhost:5000");
  assert.is(host("ghcr.io:443/x"), "registry ghcr.io:443");
  assert.is(host("registry://ghcr.io:443/x"), "registry ghcr.io:443");
  assert.is(host("10.0.0.1:5000/x"), "registry 10.0.0.1:5000");
  assert.is(host("10.0.0.1/x"), "registry 10.0.0.1");
  assert.is(host("registry://busybox"), "registry docker.io");
  assert.is(host("https://h.test:443/x"), "https h.test");
  assert.is(host("http://h.test:8080/x"), "http h.test:8080");
  assert.is(parsePolicyUrl("file:///tmp/policy.wasm").scheme, "file");
  assert.is(message(() => parsePolicyUrl("ftp://x/y")), "unknown scheme: ftp");
  for (const scheme of ["oci", "docker"]) {
    assert.is(
      message(() => parsePolicyUrl(`${scheme}://ghcr.io/a/b:v1`)),
      `unknown scheme: ${scheme}: an image is named with registry://, or without a scheme`,
    );
  }
  assert.match(
    message(() => parsePolicyUrl("registry:ghcr.io/a/b")),
    /an image is named by registry:\/\/HOST\/REPO/,
  );
  for (
    const [reference, capital] of [
      ["ghcr.io/Me/policy:v1", true],
      ["Me/policy:v1", true],
      ["localhost/Me:v1", true],
      ["localhost:5000/Me", true],
      ["GHCR.io/me/policy:V1@sha1:A", false],
    ] as const
  ) {
    assert.is(
      message(() => parsePolicyUrl(reference)).endsWith(
        `: the name of a repository has no capital letters (registry://${reference})`,
      ),
      capital,
      reference,
    );
  }
  assert.match(message(() => parsePolicyUrl("registry:///x")), "invalid URL: ");
  assert.match(message(() => parsePolicyUrl("https://[")), "invalid URL: ");
  const paths: readonly (readonly [path: string, url: string])[] = [
    ["/policies/a.wasm", "file:///policies/a.wasm"],
    ["C:\\policies\\a.wasm", "file:///C:/policies/a.wasm"],
    ["C:/policies/a.wasm", "file:///C:/policies/a.wasm"],
    ...["./a.wasm", "../a.wasm", "~/a.wasm", "policies\\a.wasm", "\\\\server\\share\\a.wasm"].map((path) =>
      [path, "file:// and its whole path"] as const
    ),
  ];
  for (const [path, url] of paths) {
    const refused = message(() => parsePolicyUrl(path));
    assert.match(refused, `${path} is a path; the URL of a file is ${url}`);
    assert.not.match(refused, "\n");
  }
  assert.match(message(() => parsePolicyUrl("registry://ghcr.io/UPPER")), "Invalid OCI image reference: ");
  for (const named of ["registry://me:s3cret@ghcr.io/a", "me:s3cret@ghcr.io/a"]) {
    const refused = message(() => parsePolicyUrl(named));
    assert.match(refused, "invalid reference format (registry://***@ghcr.io/a)");
    assert.not.match(refused, "s3cret");
  }
});

test("a digest is never `latest`", () => {
  assert.ok(isLatest(parseReference("ghcr.io/a")));
  assert.ok(isLatest(parseReference("ghcr.io/a:latest")));
  assert.not(isLatest(parseReference("ghcr.io/a:v1")));
  assert.not(isLatest(parseReference(`ghcr.io/a:latest@sha256:${hex(64)}`)));
});

test("the layout of the store is the original's", () => {
  const path = (uri: string) => storeComponents(parsePolicyUrl(uri)).join("/");
  assert.is(
    path("registry://ghcr.io/kubewarden/policies/pod-privileged:v0.2.2"),
    "registry/ghcr.io/kubewarden/policies/pod-privileged:v0.2.2",
  );
  assert.is(
    path("https://github.com/k/p/releases/download/v0.1/policy.wasm "),
    "https/github.com/k/p/releases/download/v0.1/policy.wasm",
  );
  assert.is(path("http://localhost:8080/a/../b.wasm?q=1#f"), "http/localhost:8080/b.wasm");
  assert.is(path(`localhost:5000/x@sha256:${hex(64)}`), `registry/localhost:5000/x@sha256:${hex(64)}`);
  assert.is(path("registry://busybox"), "registry/docker.io/library/busybox:latest");
  assert.match(message(() => path("https://h.test/")), "it names no file");
  assert.match(message(() => path("https://h.test/a//b")), "it names no file");
  assert.is(message(() => path("file:///x")), "unknown scheme: file");
  const windows = storeComponents(parsePolicyUrl("registry://ghcr.io/a/b:v1"), "base64");
  assert.equal(windows, ["registry", "Z2hjci5pbw", "YQ", "Yjp2MQ"]);
  assert.is(storedUri(windows, "base64"), "registry://ghcr.io/a/b:v1");
});

test("no_proxy: addresses, networks, domains, everything", () => {
  const direct: readonly (readonly [string, string])[] = [
    ["ghcr.io", "ghcr.io"],
    ["sub.ghcr.io", "ghcr.io"],
    ["sub.ghcr.io", ".ghcr.io"],
    ["ghcr.io", ".ghcr.io"],
    ["GHCR.IO", "other, ghcr.io"],
    ["anything", "*"],
    ["10.1.2.3", "10.0.0.0/8"],
    ["10.1.2.3", "10.1.2.3"],
    ["[::1]", "::1"],
    ["[fd00::1:2]", "fd00::/8"],
    ["ghcr.io", "ghcr.io:443"],
    ["sub.ghcr.io", ".ghcr.io:443"],
    ["sub.ghcr.io", "*.ghcr.io:443"],
    ["10.1.2.3", "10.1.2.3:443"],
    ["[::1]", "[::1]"],
    ["[::1]", "[::1]:443"],
    ["10.1.2.3", "10.96.0.1/4"],
    ["10.1.2.3", "10.0.0.0/8:443"],
    ["10.1.2.3", "0.0.0.0/0"],
    ["[::ffff:a00:1]", "10.0.0.0/8"],
    ["[fd00::1]", "FD00::1/128"],
    ["ghcr.io", "\tghcr.io , x"],
    ["ghcr.io", "io"],
    ["a.cluster.local", ".svc,.cluster.local,10.0.0.0/8"],
  ];
  for (const [host, list] of direct) assert.ok(exempt(list, host, "443"), `${host} in ${list}`);
  const proxied: readonly (readonly [string, string | undefined])[] = [
    ["notghcr.io", "ghcr.io"],
    ["ghcr.io", "sub.ghcr.io"],
    ["11.1.2.3", "10.0.0.0/8"],
    ["10.1.2.3", "10.0.0.0/x"],
    ["10.1.2.3.test", "10.1.2.3"],
    ["[fe80::1]", "fd00::/8"],
    ["ghcr.io", ""],
    ["ghcr.io", undefined],
    ["ghcr.io", "ghcr.io:5000"],
    ["sub.ghcr.io", ".ghcr.io:80"],
    ["10.1.2.3", "10.1.2.3:80"],
    ["[::1]", "[::1]:80"],
    // What is no network is not the network of everything.
    ["10.1.2.3", "10.0.0.0/"],
    ["10.1.2.3", "10.0.0.0/-1"],
    ["10.1.2.3", "10.1.2.3/33"],
    ["10.1.2.3", "10.1.2.3/32/8"],
    ["10.1.2.3", "10.0.0.0/8:80"],
    ["10.1.2.3", "10.*"],
    ["[fd00::1]", "fd00::/129"],
    ["[fd00::1]", "fd00::/"],
    ["ghcr.io", "*ghcr.io"],
    ["ghcr.io", "https://ghcr.io"],
    ["ghcr.io", "x ghcr.io"],
    ["ghcr.io", "."],
    ["ghcr.io", "*:80"],
    ["127.0.0.1", "localhost"],
  ];
  for (const [host, list] of proxied) assert.not(exempt(list, host, "443"), `${host} not in ${list}`);
  const proxies = { httpProxy: "p.test:1", httpsProxy: "https://s.test:2", noProxy: "direct.test" };
  assert.is(proxyFor(new URL("http://x.test/"), proxies), "http://p.test:1");
  assert.is(proxyFor(new URL("https://x.test/"), proxies), "https://s.test:2");
  assert.is(proxyFor(new URL("https://direct.test/"), proxies), undefined);
  for (const scheme of ["socks", "socks4", "socks4a", "socks5", "socks5h", "SOCKS5"]) {
    const proxy = `${scheme}://me:secret@p.test:1080`;
    const asked = () => proxyFor(new URL("https://x.test/"), { ...proxies, httpsProxy: proxy });
    assert.throws(
      asked,
      new RegExp(
        `^https_proxy names a ${scheme.toLowerCase()}:// proxy, which is not supported: give an http`,
      ),
    );
    assert.throws(asked, (error: Error) => !error.message.includes("secret"));
  }
});

test("challenges: what the registry asks for", () => {
  const bearer = parseChallenge('Bearer realm="https://auth.test/token",service="r.test",scope="x"');
  assert.equal(bearer, { scheme: "bearer", realm: "https://auth.test/token", service: "r.test" });
  assert.is(
    bearer.scheme === "bearer" && tokenUrl(bearer, "repository:a/b:pull"),
    "https://auth.test/token?scope=repository%3Aa%2Fb%3Apull&service=r.test",
  );
  assert.equal(parseChallenge('Basic realm="x"'), { scheme: "basic" });
  assert.equal(parseChallenge("Bearer"), { scheme: "basic" });
  assert.equal(parseChallenge('Bearer service="x"'), { scheme: "basic" });
  assert.equal(parseChallenge("bearer realm=http://a.test/t"), {
    scheme: "bearer",
    realm: "http://a.test/t",
    service: undefined,
  });
});

test("annotations of a manifest: one line each, the source under both names", () => {
  const { kept, dropped } = manifestAnnotations({
    a: " one ",
    b: "line\n",
    c: "two\nlines",
    "io.kubewarden.policy.source": "https://here.test",
    "org.opencontainers.image.source": "https://there.test",
  });
  assert.equal(kept, {
    a: "one",
    b: "line",
    "io.kubewarden.policy.source": "https://here.test",
    "org.opencontainers.image.source": "https://there.test",
  });
  assert.equal(dropped, ["c"]);
});

test("the digest in a pushed manifest's Location", () => {
  const at = (digest: string) => message(() => digestOfLocation(`https://r.test/v2/a/manifests/${digest}`));
  assert.is(at(`sha256:${hex(64)}`), "accepted");
  assert.is(at(`sha512:${hex(128)}`), "accepted");
  assert.is(at(`sha384:${hex(96)}`), `unknown algorithm 'sha384' for manifest sha384:${hex(96)}`);
  assert.is(at(`sha256:${hex(62)}`), `The digest of the returned manifest is not valid: sha256:${hex(62)}`);
  assert.is(
    at(`sha256:${"z".repeat(64)}`),
    `The digest of the returned manifest is not valid: sha256:${"z".repeat(64)}`,
  );
  assert.is(at("v1"), "Invalid digest: v1");
  assert.is(
    message(() => digestOfLocation("nonsense")),
    "Cannot extract manifest digest from the OCI registry response: nonsense",
  );
});

test.run();
