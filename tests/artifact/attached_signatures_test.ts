/**
 * Where registries and clients put signatures. An optional listing that is missing, paged, mislabelled or broken proves nothing: a signed
 * image is verified whichever of these it is. Sources: OCI distribution specification 1.1 ("Listing Referrers", "Unavailable Referrers
 * API", "Referrers Tag Schema"), OCI image specification ("Guidelines for Artifact Usage"), cosign 2.6 and 3.0 as writers.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { copyArtifact, listSignatures, parseVerificationConfig, verifyPolicy } from "../../artifact/mod.ts";
import { digestOf, type Layer, OCI_INDEX, OCI_MANIFEST, WASM_LAYER, wasmModule } from "./_image.ts";
import { REGISTRY_BINARY, startRegistry } from "./_registry.ts";
import { type Answer, memoryRegistry, startServer } from "./_server.ts";
import { insecure, listening, trustRootOf } from "./_setting.ts";
import { createSigstore, keyPair, pem } from "./_sigstore.ts";

const sigstore = await createSigstore();
const trustRoot = await trustRootOf(sigstore.trustedRoot());
const keys = keyPair();
const certificate = await sigstore.certificate({ email: "user@provider.test" });
const byUser = {
  kind: "genericIssuer",
  issuer: "https://accounts.test",
  subject: { equal: "user@provider.test" },
};
const byKey = { kind: "pubKey", key: pem(keys.publicKey) };

const EMPTY = "application/vnd.oci.empty.v1+json";
const REPOSITORY = "tests/policy";

type Entry = Record<string, unknown>;

/** An image in a registry of memory, and what is needed to hang signatures on it. */
function setting() {
  const registry = memoryRegistry();
  const put = (layer: Layer) =>
    registry.blob(REPOSITORY, layer.mediaType, layer.bytes, { ...layer.annotations });
  const config = put({ mediaType: EMPTY, bytes: Buffer.from("{}") });
  const image = registry.manifest(REPOSITORY, "v1", {
    schemaVersion: 2,
    config,
    layers: [put({ mediaType: WASM_LAYER, bytes: wasmModule("attached") })],
  }, OCI_MANIFEST);
  const tag = image.digest.replace(":", "-");
  const signature = async (format: "bundle" | "simple signing") =>
    format === "bundle"
      ? await sigstore.bundle(image.digest, { certificate })
      : sigstore.simpleSigning(image.digest, { keys });
  /** A manifest that refers to the image; returns its entry for a list. */
  const refer = (layer: Layer, manifest: Entry = {}, entry: Entry = {}): Entry => {
    const pushed = registry.manifest(REPOSITORY, `r${digestOf(layer.bytes).slice(7, 20)}`, {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config,
      layers: [put(layer)],
      subject: { mediaType: OCI_MANIFEST, digest: image.digest, size: image.size },
      ...manifest,
    }, OCI_MANIFEST);
    return { mediaType: OCI_MANIFEST, ...pushed, ...entry };
  };
  const index = (manifests: unknown) => JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
  const list = (manifests: unknown) => {
    registry.content.set(`${REPOSITORY}/referrers/${image.digest}`, {
      type: OCI_INDEX,
      bytes: Buffer.from(index(manifests)),
    });
  };
  const fallback = (manifests: unknown) => registry.manifest(REPOSITORY, tag, index(manifests), OCI_INDEX);
  const sig = (document: Entry, type = OCI_MANIFEST) =>
    registry.manifest(REPOSITORY, `${tag}.sig`, document, type);
  return { registry, put, config, image, tag, signature, refer, index, list, fallback, sig };
}

type Setting = ReturnType<typeof setting>;

/** Puts the signature somewhere; may answer requests in the registry's place. */
type Place = (at: Setting) => Promise<Answer | void> | Answer | void;

async function verifyAt(place: Place, entries: readonly unknown[], others: readonly string[] = []) {
  const at = setting();
  const server = await startServer(await place(at) ?? at.registry.answer);
  const { options, lines } = listening({ sources: insecure(server.host, ...others) });
  const image = `${server.host}/${REPOSITORY}:v1`;
  const config = parseVerificationConfig(JSON.stringify({ apiVersion: "v1", allOf: entries }));
  try {
    const verified = await verifyPolicy(image, config, trustRoot, options).then(
      ({ digest }) => digest === at.image.digest ? "verified" : `verified ${digest}`,
      (error: Error) => error.message,
    );
    const listed = await listSignatures(image, options);
    const layers = listed.manifests.flatMap((manifest) => manifest["layers"] as readonly unknown[]);
    return { verified, layers: layers.length, lines: lines(), requests: server.requests.length };
  } finally {
    await server.stop();
  }
}

const sbom = (n: number): Layer => ({ mediaType: "application/spdx+json", bytes: Buffer.from(`{"n":${n}}`) });
const BUNDLE_V03 = "application/vnd.dev.sigstore.bundle.v0.3+json";

/** An API that answers something else than its list, with the fallback tag in place. */
const instead = (status: number, body = "not here", type = "text/plain"): Place => async (at) => {
  const bundle = await at.signature("bundle");
  at.fallback([at.refer(bundle, {}, { artifactType: bundle.mediaType })]);
  return (request, response, received) => {
    if (!/\/referrers\//.test(request.url ?? "")) return at.registry.answer(request, response, received);
    response.statusCode = status;
    response.setHeader("content-type", type);
    response.end(body);
  };
};

/** Pages of the list, by the `Link` header. */
const paged = (link: (next: string, host: string) => string): Place => async (at) => {
  const bundle = await at.signature("bundle");
  const pages = [
    [at.refer(sbom(1), {}, { artifactType: "application/spdx+json" })],
    [at.refer(sbom(2), {}, { artifactType: "application/spdx+json" })],
    [at.refer(bundle, {}, { artifactType: bundle.mediaType })],
  ];
  return (request, response, received) => {
    const url = new URL(request.url ?? "", "http://registry.test");
    if (!url.pathname.includes("/referrers/")) return at.registry.answer(request, response, received);
    const page = Number(url.searchParams.get("page") ?? "0");
    response.setHeader("content-type", OCI_INDEX);
    if (page < 2) {
      response.setHeader("link", link(`${url.pathname}?page=${page + 1}`, request.headers.host ?? ""));
    }
    response.end(at.index(pages[page]));
  };
};

/** What stands in for a tag that is not there. */
const noSuchTag = (status: number, body: string, type = "application/json"): Place => async (at) => {
  const bundle = await at.signature("bundle");
  at.list([at.refer(bundle, {}, { artifactType: bundle.mediaType })]);
  return (request, response, received) => {
    if (!/\/manifests\/sha256-/.test(request.url ?? "")) {
      return at.registry.answer(request, response, received);
    }
    response.writeHead(status, { "content-type": type }).end(body);
  };
};

const envelope = (...errors: readonly unknown[]) => JSON.stringify({ errors });

/** As the services answered, in the reports that are named. */
const HOSTED: Readonly<Record<string, Place>> = {
  "Artifactory has no API (google/go-containerregistry#1962)": instead(
    ...[406, envelope({ status: 406, message: "Not Acceptable" }), "application/json"] as const,
  ),
  "Quay cannot read the manifest (quay/quay#3071)": instead(
    ...[400, envelope({ code: "MANIFEST_INVALID", detail: {}, message: "manifest invalid" })] as const,
    "application/json",
  ),
  "docker-registry (notaryproject/notation-go#221)": instead(
    ...[404, "404 page not found\n", "text/plain; charset=utf-8"] as const,
  ),
  "registries that answer 200 to whatever is asked (sigstore/sigstore-js#1187)": instead(200, "{}"),
  "Artifactory forbids a tag that is not there (sigstore/cosign#2973)": noSuchTag(
    403,
    envelope({
      code: "UNAUTHORIZED",
      message:
        "The client does not have permission for manifest: Download request for repo:path is forbidden",
      detail: { manifest: "team/policy" },
    }),
  ),
  "a list that is called text (google/go-containerregistry#1760)": async (at) => {
    const bundle = await at.signature("bundle");
    at.list([at.refer(bundle, {}, { artifactType: bundle.mediaType })]);
    return (request, response, received) => {
      if (!/\/referrers\//.test(request.url ?? "")) return at.registry.answer(request, response, received);
      response.setHeader("content-type", "text/plain; charset=utf-8");
      response.end(at.registry.content.get(`${REPOSITORY}/referrers/${at.image.digest}`)?.bytes);
    };
  },
};

/** Bundles that are no signatures, as GitHub's actions hang on an image for each build, and one that is. */
async function attested(at: Setting, listed: boolean): Promise<void> {
  const bundle = await at.signature("bundle");
  const annotations = { "dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1" };
  const entry = { artifactType: bundle.mediaType, ...(listed ? { annotations } : {}) };
  at.list([
    ...Array.from(
      { length: 101 },
      (_, n) =>
        at.refer({ mediaType: bundle.mediaType, bytes: Buffer.from(`{"n":${n}}`) }, { annotations }, entry),
    ),
    at.refer(bundle, {}, { artifactType: bundle.mediaType }),
  ]);
}

const BUNDLES: Readonly<Record<string, Place>> = {
  "cosign 3: the referrers API": async (at) => {
    const bundle = await at.signature("bundle");
    at.list([at.refer(bundle, { artifactType: bundle.mediaType }, { artifactType: bundle.mediaType })]);
  },
  "cosign 3, no referrers API: the fallback tag": async (at) => {
    const bundle = await at.signature("bundle");
    at.fallback([at.refer(bundle, {}, { artifactType: bundle.mediaType })]);
  },
  "an entry of the empty type": async (at) =>
    at.list([at.refer(await at.signature("bundle"), {}, { artifactType: EMPTY })]),
  "an entry of no type": async (at) => at.list([at.refer(await at.signature("bundle"))]),
  "an entry whose type is null": async (at) =>
    at.list([at.refer(await at.signature("bundle"), {}, { artifactType: null })]),
  "an entry whose type is empty": async (at) =>
    at.list([at.refer(await at.signature("bundle"), {}, { artifactType: "" })]),
  "an entry with the type of an image's configuration": async (at) =>
    at.list([
      at.refer(await at.signature("bundle"), {}, {
        artifactType: "application/vnd.oci.image.config.v1+json",
      }),
    ]),
  "two pages and a third": paged((next) => `<${next}>; rel="next"`),
  "pages with an absolute address": paged((next, host) => `<http://${host}${next}>; rel=next`),
  "pages among other links": paged((next) => `</v2/first>; rel="first", <${next}>; rel="next"`),
  // RFC 8288 §3: parameters in any order, commas within quotes, several relations.
  "pages by a link with a title": paged((next) => `<${next}>; title="the next, please"; rel="next"`),
  "pages by a link of two relations": paged((next) => `<${next}>; rel="last next"`),
  "pages by a link in capitals": paged((next) => `<${next}>;REL="NEXT"`),
  "pages by a link after one with a title": paged((next) =>
    `</v2/first>; rel="first"; title="a, b", <${next}>; rel="next"`
  ),
  "pages by a link with a comma in its address": paged((next) => `<${next}&artifactTypes=a,b>; rel="next"`),
  // As registries answer that make the list by themselves: crane and oras look at its entries alone.
  "a list without its version": async (at) => {
    const bundle = await at.signature("bundle");
    const entry = at.refer(bundle, {}, { artifactType: bundle.mediaType });
    at.registry.content.set(`${REPOSITORY}/referrers/${at.image.digest}`, {
      type: OCI_INDEX,
      bytes: Buffer.from(JSON.stringify({ mediaType: OCI_INDEX, manifests: [entry] })),
    });
  },
  "a list whose type is empty": async (at) => {
    const bundle = await at.signature("bundle");
    const entry = at.refer(bundle, {}, { artifactType: bundle.mediaType });
    at.registry.content.set(`${REPOSITORY}/referrers/${at.image.digest}`, {
      type: "application/json",
      bytes: Buffer.from(
        JSON.stringify({ schemaVersion: 2, mediaType: "", manifests: [entry], annotations: null }),
      ),
    });
  },
  "an elder bundle's type, as older clients wrote it": async (at) => {
    const bundle = {
      ...await at.signature("bundle"),
      mediaType: "application/vnd.dev.sigstore.bundle+json;version=0.3",
    };
    at.list([at.refer(bundle, {}, { artifactType: bundle.mediaType })]);
  },
  "a manifest of Docker's type, and an empty configuration as Go writes it": async (at) => {
    const bundle = await at.signature("bundle");
    const type = "application/vnd.docker.distribution.manifest.v2+json";
    at.list([
      at.refer(bundle, { mediaType: type, config: { mediaType: "", digest: "", size: 0 } }, {
        artifactType: bundle.mediaType,
      }),
    ]);
  },
  "a list that has the image itself in it": async (at) => {
    const bundle = await at.signature("bundle");
    at.list([
      { mediaType: OCI_MANIFEST, ...at.image },
      at.refer(bundle, {}, { artifactType: bundle.mediaType }),
    ]);
  },
  // Cosign's own tag is still where some tools put bundles (fluxcd/flux-mirror#66).
  "the .sig tag": async (at) => {
    at.sig({ schemaVersion: 2, config: at.config, layers: [at.put(await at.signature("bundle"))] });
  },
  // What older go-containerregistry wrote into the fallback tag (docker/buildx#4010).
  "a fallback tag whose entry has the type of an image's configuration": async (at) => {
    const bundle = await at.signature("bundle");
    at.fallback([at.refer(bundle, {}, { artifactType: "application/vnd.docker.container.image.v1+json" })]);
  },
  "a fallback tag that is a manifest, and the API's list": async (at) => {
    const bundle = await at.signature("bundle");
    at.registry.manifest(
      REPOSITORY,
      at.tag,
      { schemaVersion: 2, config: at.config, layers: [] },
      OCI_MANIFEST,
    );
    at.list([at.refer(bundle, {}, { artifactType: bundle.mediaType })]);
  },
  "an entry twice": async (at) => {
    const bundle = await at.signature("bundle");
    const entry = at.refer(bundle, {}, { artifactType: bundle.mediaType });
    at.list([entry, entry]);
    at.fallback([entry]);
  },
  "an index among the referrers": async (at) => {
    const bundle = await at.signature("bundle");
    const nested = at.registry.manifest(REPOSITORY, "nested", at.index([]), OCI_INDEX);
    at.list([
      { mediaType: OCI_INDEX, ...nested, artifactType: BUNDLE_V03 },
      at.refer(bundle, {}, { artifactType: bundle.mediaType }),
    ]);
  },
  "101 other referrers first": async (at) => {
    const bundle = await at.signature("bundle");
    at.list([
      ...Array.from(
        { length: 101 },
        (_, n) => at.refer(sbom(n), {}, { artifactType: "application/spdx+json" }),
      ),
      at.refer(bundle, {}, { artifactType: bundle.mediaType }),
    ]);
  },
  "101 entries of no type first": async (at) => {
    const bundle = await at.signature("bundle");
    at.list([
      ...Array.from({ length: 101 }, (_, n) => at.refer(sbom(n))),
      at.refer(bundle, {}, { artifactType: bundle.mediaType }),
    ]);
  },
  // go-containerregistry's registry calls every referrer by its configuration's type, in no order.
  "101 entries of the empty type first, and its own is the empty one too": async (at) => {
    const bundle = await at.signature("bundle");
    at.list([
      ...Array.from({ length: 101 }, (_, n) => at.refer(sbom(n), {}, { artifactType: EMPTY })),
      at.refer(bundle, {}, { artifactType: EMPTY }),
    ]);
  },
  "999 entries of no type first, and only its annotations tell what it is": async (at) => {
    const bundle = await at.signature("bundle");
    at.list([
      ...Array.from({ length: 999 }, (_, n) => at.refer(sbom(n))),
      at.refer(bundle, {}, { annotations: { "dev.sigstore.bundle.content": "dsse-envelope" } }),
    ]);
  },
  "101 attestations first": (at) => attested(at, true),
  "101 attestations first, by a list without annotations": (at) => attested(at, false),
  "an entry that leads nowhere, before": async (at) => {
    const bundle = await at.signature("bundle");
    const lost = { mediaType: OCI_MANIFEST, digest: digestOf("lost"), size: 4, artifactType: BUNDLE_V03 };
    at.list([lost, at.refer(bundle, {}, { artifactType: bundle.mediaType })]);
  },
  "entries that are none, before": async (at) => {
    const bundle = await at.signature("bundle");
    at.list([
      null,
      7,
      {},
      { mediaType: OCI_MANIFEST, digest: "sha256:short", size: 1 },
      at.refer(bundle, {}, { artifactType: bundle.mediaType, annotations: null, platform: null, urls: null }),
    ]);
  },
  "a manifest with null where nothing is": async (at) => {
    const bundle = await at.signature("bundle");
    at.list([at.refer(bundle, { mediaType: null, config: null, annotations: null, artifactType: null })]);
  },
  "a manifest with layers that are none beside": async (at) => {
    const bundle = await at.signature("bundle");
    at.list([
      at.refer(bundle, { config: {}, layers: [null, 7, { digest: "sha256:short" }, at.put(bundle)] }),
    ]);
  },
  "an empty list, and the fallback tag of a time before the API": async (at) => {
    const bundle = await at.signature("bundle");
    at.list([]);
    at.fallback([at.refer(bundle, {}, { artifactType: bundle.mediaType })]);
  },
  "a list of what was pushed since the registry has the API, and the fallback tag of before": async (at) => {
    const bundle = await at.signature("bundle");
    at.list([at.refer(sbom(1), {}, { artifactType: "application/spdx+json" }), at.refer(sbom(2))]);
    at.fallback([at.refer(bundle, {}, { artifactType: bundle.mediaType })]);
  },
  "a list that is null, and the fallback tag": async (at) => {
    const bundle = await at.signature("bundle");
    at.list(null);
    at.fallback([at.refer(bundle, {}, { artifactType: bundle.mediaType })]);
  },
  ...Object.fromEntries(
    [204, 400, 401, 403, 404, 405, 406, 410, 415, 418, 429, 500, 501, 502, 503].map((
      status,
    ) => [`the API answers ${status}`, instead(status)]),
  ),
  "the API answers with a page of HTML": instead(200, "<html>Sign in</html>", "text/html"),
  "the API answers with nothing": instead(200, ""),
  "the API answers with half a list": instead(200, '{"schemaVersion":2,"manifests":[{"medi', OCI_INDEX),
  "the API answers with null": instead(200, "null", OCI_INDEX),
  "the API breaks off": async (at) => {
    const bundle = await at.signature("bundle");
    at.fallback([at.refer(bundle, {}, { artifactType: bundle.mediaType })]);
    return (request, response, received) => {
      if (!/\/referrers\//.test(request.url ?? "")) return at.registry.answer(request, response, received);
      response.destroy();
    };
  },
  ...Object.fromEntries(
    [400, 401, 403, 405, 406, 410, 429, 500, 501, 502, 503].map((
      status,
    ) => [`tags that are not there answer ${status}`, noSuchTag(status, "not here", "text/plain")]),
  ),
  ...HOSTED,
  "the API answers with JSON of its own": instead(200, `{"message":"no such route"}`, "application/json"),
};

const SIMPLE: Readonly<Record<string, Place>> = {
  "cosign 2: the .sig tag": async (at) => {
    at.sig({ schemaVersion: 2, config: at.config, layers: [at.put(await at.signature("simple signing"))] });
  },
  "a .sig tag with null where nothing is": async (at) => {
    const layer = { ...at.put(await at.signature("simple signing")), urls: null, platform: null };
    at.sig({ schemaVersion: 2, mediaType: null, config: null, annotations: null, layers: [layer] });
  },
  "a .sig tag of Docker's types (COSIGN_DOCKER_MEDIA_TYPES)": async (at) => {
    const type = "application/vnd.docker.distribution.manifest.v2+json";
    const config = { ...at.config, mediaType: "application/vnd.docker.container.image.v1+json" };
    at.sig({
      schemaVersion: 2,
      mediaType: type,
      config,
      layers: [at.put(await at.signature("simple signing"))],
    }, type);
  },
  "a .sig tag whose type is empty": async (at) => {
    at.sig({
      schemaVersion: 2,
      mediaType: "",
      config: at.config,
      layers: [at.put(await at.signature("simple signing"))],
    });
  },
  "a .sig tag with layers that are none, before and after": async (at) => {
    const layer = at.put(await at.signature("simple signing"));
    const nameless = { ...layer, mediaType: null };
    at.sig({
      schemaVersion: 2,
      config: "none",
      layers: [null, "x", nameless, layer, { ...layer, size: -1 }],
    });
  },
  "a .sig tag with annotations of other types beside": async (at) => {
    const layer = at.put(await at.signature("simple signing"));
    const annotations = { ...layer["annotations"] as object, a: 1, b: null, c: {} };
    at.sig({
      schemaVersion: 2,
      config: at.config,
      layers: [{ ...layer, annotations, platform: 7, urls: "x" }],
    });
  },
  "a .sig tag that is an index": async (at) => {
    const entry = at.refer(await at.signature("simple signing"));
    at.sig({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entry] }, OCI_INDEX);
  },
  "a referrer, as cosign 2 writes it in its OCI 1.1 mode": async (at) => {
    const type = "application/vnd.dev.cosign.artifact.sig.v1+json";
    at.list([at.refer(await at.signature("simple signing"), { artifactType: type }, { artifactType: type })]);
  },
  "a referrer of no type": async (at) => at.list([at.refer(await at.signature("simple signing"))]),
};

for (
  const [format, places, entry] of [["bundle", BUNDLES, byUser], ["simple signing", SIMPLE, byKey]] as const
) {
  for (const [what, place] of Object.entries(places)) {
    test(`${format}: ${what}`, async () => {
      const { verified, layers, lines } = await verifyAt(place, [entry]);
      assert.is(verified, "verified", lines.join("\n"));
      assert.is(layers, 1, "inspect sees it");
    });
  }
}

test("GHCR sends whoever asks for referrers to its web site, which may throttle (artifacthub/hub#4785)", async () => {
  for (
    const [status, type, body] of [
      [429, "text/plain", "Too Many Requests"],
      [404, "text/html", "<html>Not Found</html>"],
      [403, "text/html", "<html>Sign in</html>"],
      [500, "text/html", "<html>Oops</html>"],
    ] as const
  ) {
    const site = await startServer((_request, response) => {
      response.writeHead(status, { "content-type": type, "retry-after": "60" }).end(body);
    });
    try {
      const { verified, layers, lines } = await verifyAt(
        async (at) => {
          const bundle = await at.signature("bundle");
          at.fallback([at.refer(bundle, {}, { artifactType: bundle.mediaType })]);
          return (request, response, received) => {
            if (!/\/referrers\//.test(request.url ?? "")) {
              return at.registry.answer(request, response, received);
            }
            const location =
              `${site.base}/-/v2/packages/container/package/tests%2Fpolicy%2Freferrers%2Fsha256`;
            response.writeHead(303, { location }).end();
          };
        },
        [byUser],
        [site.host],
      );
      assert.equal([verified, layers], ["verified", 1], `${status}: ${lines.join("\n")}`);
      // Once to verify, once to list: what a web site says is no reason to ask again, and none to warn.
      assert.is(site.requests.length, 2, String(status));
      assert.not.match(lines.join("\n"), "cannot look for signatures everywhere");
    } finally {
      await site.stop();
    }
  }
});

test("what could not be read is said beside what was not found", async () => {
  const { verified } = await verifyAt(
    (at) => (request, response, received) => {
      if (!/\/referrers\//.test(request.url ?? "")) return at.registry.answer(request, response, received);
      response.statusCode = 403;
      response.end("not for you");
    },
    [byKey],
  );
  assert.match(verified, /^no signatures found for image: \S+ \(.*code: 403, message: not for you/);
});

test("a signature that 101 referrers hold counts once, and is shown once", async () => {
  const { verified, layers } = await verifyAt(async (at) => {
    const type = "application/vnd.dev.cosign.artifact.sig.v1+json";
    const entry = (n: number, layer: Layer) =>
      at.refer(layer, { artifactType: type, annotations: { n: String(n) } }, { artifactType: type });
    const other = sigstore.simpleSigning(at.image.digest, { keys: keyPair() });
    at.list([
      ...Array.from({ length: 101 }, (_, n) => entry(n, other)),
      entry(101, await at.signature("simple signing")),
    ]);
  }, [byKey]);
  assert.equal([verified, layers], ["verified", 2]);
});

test("more than a thousand manifests of no type are not fetched", async () => {
  const { verified, requests } = await verifyAt((at) => {
    at.list(Array.from({ length: 1100 }, (_, n) => at.refer(sbom(n))));
  }, [byKey]);
  assert.match(
    verified,
    /^no signatures found for image: \S+ \(the referrers of sha256:\w+ are more than 1000, the rest is ignored\)/,
  );
  // Once to verify, once to list.
  assert.ok(requests < 2100, `${requests} requests`);
});

test("an endless list ends", async () => {
  const { verified, requests } = await verifyAt(
    (at) => {
      let page = 0;
      return (request, response, received) => {
        if (!/\/referrers\//.test(request.url ?? "")) return at.registry.answer(request, response, received);
        const path = (request.url ?? "").split("?")[0];
        response.setHeader("link", `<${path}?page=${++page}>; rel="next"`);
        response.end(at.index([at.refer(sbom(page), {}, { artifactType: "application/spdx+json" })]));
      };
    },
    [byKey],
  );
  assert.match(
    verified,
    /^no signatures found for image: \S+ \(the referrers of \S+ are more than could be read\)/,
  );
  assert.ok(requests < 300, `${requests} requests`);
});

const real = REGISTRY_BINARY === undefined ? test.skip : test;

real(
  "a copy takes the signatures that refer to an image along, and lists them where the target has no API",
  async () => {
    for (
      const [what, place] of Object.entries({ ...BUNDLES, ...SIMPLE }).filter(([name]) =>
        /cosign [23]|forbids a tag/.test(name)
      )
    ) {
      const at = setting();
      const source = await startServer(await place(at) ?? at.registry.answer);
      const target = await startRegistry();
      const { options } = listening({ sources: insecure(source.host, target.host) });
      try {
        await copyArtifact(`${source.host}/${REPOSITORY}:v1`, `${target.host}/copies/policy:v1`, options);
        const entry = /cosign 3|Artifactory/.test(what) ? byUser : byKey;
        const config = parseVerificationConfig(
          JSON.stringify({ apiVersion: "v1", allOf: [/cosign 2/.test(what) ? byKey : entry] }),
        );
        const { digest } = await verifyPolicy(`${target.host}/copies/policy:v1`, config, trustRoot, options);
        assert.is(digest, at.image.digest, what);
      } finally {
        await source.stop();
        await target.stop();
      }
    }
  },
);

test.run();
