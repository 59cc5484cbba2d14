/** Sigstore bundles v0.3: found through the referrers API and the fallback tag, and every way of making them wrongly. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseVerificationConfig, verifyPolicy } from "../../artifact/mod.ts";
import { digestOf, type Layer, OCI_INDEX, OCI_MANIFEST, WASM_LAYER, wasmModule } from "./_image.ts";
import { type Answer, memoryRegistry, startServer } from "./_server.ts";
import { insecure, listening, trustRootOf } from "./_setting.ts";
import { BUNDLE, createSigstore, keyPair, pem } from "./_sigstore.ts";

const sigstore = await createSigstore();
const trustRoot = await trustRootOf(sigstore.trustedRoot());
const byUser = [{
  kind: "genericIssuer",
  issuer: "https://accounts.test",
  subject: { equal: "user@provider.test" },
}];

type Found = "referrers" | "fallback tag";

/** Serves one image with these bundles (and others' referrers) and verifies it. */
async function verify(
  bundles: (digest: string) => Promise<readonly Layer[]>,
  options: {
    readonly found?: Found;
    readonly entries?: readonly unknown[];
    readonly root?: typeof trustRoot | "none";
    readonly simpleSigning?: (digest: string) => Layer;
    readonly before?: (registry: ReturnType<typeof memoryRegistry>) => Answer;
  } = {},
) {
  const registry = memoryRegistry();
  const put = (layer: Layer) =>
    registry.blob("tests/policy", layer.mediaType, layer.bytes, { ...layer.annotations });
  const config = put({ mediaType: "application/vnd.oci.empty.v1+json", bytes: Buffer.from("{}") });
  const image = registry.manifest("tests/policy", "v1", {
    schemaVersion: 2,
    config,
    layers: [put({ mediaType: WASM_LAYER, bytes: wasmModule("bundle") })],
  }, OCI_MANIFEST);
  const attached = (await bundles(image.digest)).map((layer) => {
    const manifest = {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      artifactType: layer.mediaType,
      config,
      layers: [put(layer)],
    };
    const { digest, size } = registry.manifest(
      "tests/policy",
      `b${digestOf(layer.bytes).slice(7, 20)}`,
      manifest,
      OCI_MANIFEST,
    );
    return { mediaType: OCI_MANIFEST, digest, size, artifactType: layer.mediaType };
  });
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: attached };
  if ((options.found ?? "referrers") === "referrers") {
    registry.content.set(`tests/policy/referrers/${image.digest}`, {
      type: OCI_INDEX,
      bytes: Buffer.from(JSON.stringify(index)),
    });
  } else registry.manifest("tests/policy", image.digest.replace(":", "-"), index, OCI_INDEX);
  if (options.simpleSigning !== undefined) {
    const layers = [put(options.simpleSigning(image.digest))];
    registry.manifest("tests/policy", `${image.digest.replace(":", "-")}.sig`, {
      schemaVersion: 2,
      config,
      layers,
    }, OCI_MANIFEST);
  }
  const server = await startServer(options.before?.(registry) ?? registry.answer);
  const { options: settings, lines } = listening({ sources: insecure(server.host) });
  const parsed = parseVerificationConfig(
    JSON.stringify({ apiVersion: "v1", allOf: options.entries ?? byUser }),
  );
  try {
    const { digest } = await verifyPolicy(
      `${server.host}/tests/policy:v1`,
      parsed,
      options.root === "none" ? undefined : options.root ?? trustRoot,
      settings,
    );
    assert.is(digest, image.digest);
    return { error: undefined, lines: lines() };
  } catch (error) {
    return { error: error as Error, lines: lines() };
  } finally {
    await server.stop();
  }
}

const user = () => sigstore.certificate({ email: "user@provider.test" });

test("a bundle is found through the referrers API and through the fallback tag", async () => {
  for (const found of ["referrers", "fallback tag"] as const) {
    const { error } = await verify(async (d) => [await sigstore.bundle(d, { certificate: await user() })], {
      found,
    });
    assert.is(error, undefined, found);
  }
});

test("other referrers are passed over; a signature of the older kind counts beside bundles", async () => {
  const keys = keyPair();
  const sbom: Layer = { mediaType: "application/spdx+json", bytes: Buffer.from("{}") };
  const entries = [...byUser, { kind: "pubKey", key: pem(keys.publicKey) }];
  const { error } = await verify(
    async (d) => [sbom, await sigstore.bundle(d, { certificate: await user() })],
    {
      entries,
      simpleSigning: (d) => sigstore.simpleSigning(d, { keys }),
    },
  );
  assert.is(error, undefined);
});

test("annotations of a bundle are those that cosign 3 puts into its statement", async () => {
  const made = async (
    d: string,
  ) => [await sigstore.bundle(d, { certificate: await user(), annotations: { env: "prod", n: 2 } })];
  const entry = (annotations: object) => ({ entries: byUser.map((each) => ({ ...each, annotations })) });
  assert.is((await verify(made, entry({ env: "prod", n: "2" }))).error, undefined);
  assert.match((await verify(made, entry({ env: "dev" }))).error?.message ?? "", "missing signatures");
});

test("the key of a bundle's certificate is its key", async () => {
  const keys = keyPair();
  const certificate = await sigstore.certificate({ keys, foreign: true });
  const made = async (d: string) => [await sigstore.bundle(d, { certificate })];
  assert.is(
    (await verify(made, { entries: [{ kind: "pubKey", key: pem(keys.publicKey) }] })).error,
    undefined,
  );
  assert.match((await verify(made)).error?.message ?? "", "missing signatures");
});

test("one place that fails is a warning if the other has what is needed, and the reason if not", async () => {
  const keys = keyPair();
  const failing = (registry: ReturnType<typeof memoryRegistry>): Answer => (request, response, body) => {
    if (!/referrers/.test(request.url ?? "")) return registry.answer(request, response, body);
    response.statusCode = 403;
    response.end("not for you");
  };
  const none = () => Promise.resolve([]);
  const entries = [{ kind: "pubKey", key: pem(keys.publicKey) }];
  const enough = await verify(none, {
    entries,
    before: failing,
    simpleSigning: (d) => sigstore.simpleSigning(d, { keys }),
  });
  assert.is(enough.error, undefined);
  assert.ok(enough.lines.some((line) => line.startsWith("warn cannot look for signatures everywhere")));
  const { error } = await verify(none, { entries, before: failing });
  assert.match(
    error?.message ?? "",
    /^no signatures found for image: \S+ \(.*code: 403, message: not for you/,
  );
});

test("as Rekor v2 does it: no promise of the log's, but a timestamp over the signature", async () => {
  const made = (timestamp: "genuine" | "another" | "none", certificate = user()) => async (d: string) => [
    await sigstore.bundle(d, { certificate: await certificate, timestamp }),
  ];
  const good = await verify(made("genuine"));
  assert.is(good.error, undefined, good.lines.join("\n"));
  for (const timestamp of ["another", "none"] as const) {
    const { error, lines } = await verify(made(timestamp));
    assert.match(error?.message ?? "accepted", "No Signature Layer passed verification", timestamp);
    assert.ok(lines.some((line) => /timestamp/.test(line)), lines.join("\n"));
  }
  const long = 3_600_000;
  const expired = sigstore.certificate({
    email: "user@provider.test",
    notBefore: new Date(Date.now() - 2 * long),
    notAfter: new Date(Date.now() - long),
  });
  assert.match((await verify(made("genuine", expired))).error?.message ?? "accepted", "missing signatures");
  const untrusted = await trustRootOf(sigstore.trustedRoot((root) => root.timestampAuthorities = []));
  const { error } = await verify(made("genuine"), { root: untrusted });
  assert.match(error?.message ?? "accepted", "No Signature Layer passed verification");
});

const wrongs: readonly (readonly [string, string | RegExp, (digest: string) => Promise<Layer>])[] = [
  [
    "another image",
    "the in-toto statement is about another image",
    async () => await sigstore.bundle(digestOf("x"), { certificate: await user() }),
  ],
  [
    "another statement type",
    "the in-toto statement has the type",
    async (d) =>
      await sigstore.bundle(d, {
        certificate: await user(),
        statement: (s) => ({ ...s, _type: "https://in-toto.io/Statement/v0.1" }),
      }),
  ],
  [
    "an attestation instead of a signature",
    "the in-toto statement is no signature",
    async (d) =>
      await sigstore.bundle(d, {
        certificate: await user(),
        statement: (s) => ({ ...s, predicateType: "https://slsa.dev/provenance/v1" }),
      }),
  ],
  [
    "a signature by another key",
    "signature verification failed",
    async (d) => await sigstore.bundle(d, { certificate: await user(), signWith: keyPair() }),
  ],
  [
    "a payload changed after signing",
    /signature verification failed|payload hash mismatch/,
    async (d) =>
      await sigstore.bundle(d, {
        certificate: await user(),
        change: (bundle) => {
          const statement = JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, "base64").toString());
          statement.subject[0].annotations = { forged: "yes" };
          bundle.dsseEnvelope.payload = Buffer.from(JSON.stringify(statement)).toString("base64");
        },
      }),
  ],
  [
    "two signatures",
    "invalid bundle: content.dsseEnvelope.signatures",
    async (d) =>
      await sigstore.bundle(d, {
        certificate: await user(),
        change: (bundle) => bundle.dsseEnvelope.signatures.push(bundle.dsseEnvelope.signatures[0]),
      }),
  ],
  [
    "another payload type",
    "the envelope's payloadType",
    async (d) =>
      await sigstore.bundle(d, {
        certificate: await user(),
        change: (bundle) => bundle.dsseEnvelope.payloadType = "text/plain",
      }),
  ],
  [
    "a log entry about another certificate",
    "the log entry is about another certificate",
    async (d) => {
      const verifier = Buffer.from((await user()).pem).toString("base64");
      return await sigstore.bundle(d, {
        certificate: await user(),
        body: (body) => ({
          ...body,
          spec: { ...body.spec, signatures: [{ ...body.spec.signatures[0], verifier }] },
        }),
      });
    },
  ],
  [
    "a log entry about another signature",
    "tlog entry signature mismatch",
    async (d) =>
      await sigstore.bundle(d, {
        certificate: await user(),
        body: (body) => ({
          ...body,
          spec: { ...body.spec, signatures: [{ ...body.spec.signatures[0], signature: "AAAA" }] },
        }),
      }),
  ],
  ["a log entry about another payload", "payload hash mismatch", async (d) =>
    await sigstore.bundle(d, {
      certificate: await user(),
      body: (body) => ({
        ...body,
        spec: { ...body.spec, payloadHash: { algorithm: "sha256", value: "00" } },
      }),
    })],
  [
    "no log entry",
    /tlog entries|timestamps/,
    async (d) =>
      await sigstore.bundle(d, {
        certificate: await user(),
        change: (bundle) => bundle.verificationMaterial.tlogEntries = [],
      }),
  ],
  [
    "a log's promise that is not the log's",
    "inclusion promise could not be verified",
    async (d) =>
      await sigstore.bundle(d, {
        certificate: await user(),
        change: (bundle) =>
          bundle.verificationMaterial.tlogEntries[0].inclusionPromise.signedEntryTimestamp = "AAAA",
      }),
  ],
  [
    "another time than the log promised",
    "inclusion promise could not be verified",
    async (d) =>
      await sigstore.bundle(d, {
        certificate: await user(),
        change: (bundle) => bundle.verificationMaterial.tlogEntries[0].integratedTime = "1700000000",
      }),
  ],
  ["a proof for another tree", /inclusion|checkpoint|root hash/i, async (d) =>
    await sigstore.bundle(d, {
      certificate: await user(),
      change: (bundle) => {
        const { inclusionProof } = bundle.verificationMaterial.tlogEntries[0];
        inclusionProof.checkpoint.envelope = inclusionProof.checkpoint.envelope.replace("\n1\n", "\n2\n");
      },
    })],
  [
    "a foreign authority",
    "the certificate comes from no trusted authority",
    async (d) => await sigstore.bundle(d, { certificate: await sigstore.certificate({ foreign: true }) }),
  ],
  [
    "an expired certificate",
    "the certificate is valid from",
    async (d) =>
      await sigstore.bundle(d, {
        certificate: await sigstore.certificate({
          notBefore: new Date(Date.now() - 7_200_000),
          notAfter: new Date(Date.now() - 3_600_000),
        }),
      }),
  ],
  [
    "a certificate that is not for signing code",
    "the certificate's ExtendedKeyUsage",
    async (d) =>
      await sigstore.bundle(d, { certificate: await sigstore.certificate({ codeSigning: false }) }),
  ],
  [
    "a forged promise of the certificate log",
    "the certificate's signed timestamp (SCT) is not its log's",
    async (d) => await sigstore.bundle(d, { certificate: await sigstore.certificate({ sct: "forged" }) }),
  ],
  ["no JSON", /JSON/, () => Promise.resolve({ mediaType: BUNDLE, bytes: Buffer.from("{") })],
  [
    "no bundle",
    /bundle/i,
    () => Promise.resolve({ mediaType: BUNDLE, bytes: Buffer.from('{"mediaType":"x"}') }),
  ],
];

for (const [what, reason, made] of wrongs) {
  test(`refused: ${what}`, async () => {
    const { error, lines } = await verify(async (digest) => [await made(digest)]);
    assert.match(error?.message ?? "accepted", /missing signatures|No Signature Layer passed verification/);
    const told = lines.filter((line) =>
      line.includes("signature not used") || line.includes("without trusted identity")
    );
    assert.ok(
      told.some((line) => typeof reason === "string" ? line.includes(reason) : reason.test(line)),
      told.join("\n"),
    );
  });
}

test("another trust root, or none, gives a bundle no identity; its key still counts", async () => {
  const keys = keyPair();
  const certificate = await sigstore.certificate({ email: "user@provider.test", keys });
  const made = async (d: string) => [await sigstore.bundle(d, { certificate })];
  const entries = [{ kind: "pubKey", key: pem(keys.publicKey) }];
  const other = await trustRootOf((await createSigstore()).trustedRoot());
  const foreign = await verify(made, { root: other });
  assert.match(foreign.error?.message ?? "accepted", "No Signature Layer passed verification");
  const none = await verify(made, { root: "none" });
  assert.match(none.error?.message ?? "accepted", "missing signatures");
  assert.ok(none.lines.some((line) => line.includes("there is no trust root")));
  assert.is((await verify(made, { root: "none", entries })).error, undefined);
});

test.run();
