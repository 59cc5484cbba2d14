/** Simple-signing signatures: who counts as having signed, and every way of signing wrongly. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseVerificationConfig, verifyPolicy } from "../../artifact/mod.ts";
import { digestOf, type Layer, putImage, putPolicy, wasmModule } from "./_image.ts";
import { REGISTRY_BINARY, REGISTRY_MISSING, startRegistry, type TestRegistry } from "./_registry.ts";
import { failure, insecure, listening, trustRootOf } from "./_setting.ts";
import { createSigstore, keyPair, pem, SIMPLE_SIGNING } from "./_sigstore.ts";
import { x509 } from "./_packages.ts";

const HOUR = 3_600_000;
let registry: TestRegistry;
const sigstore = await createSigstore();
const trustRoot = await trustRootOf(sigstore.trustedRoot());
const repository = "tests/policy";
let image = 0;

if (REGISTRY_BINARY === undefined) test.skip(`signatures: ${REGISTRY_MISSING}`, () => {});
else {
  test.before(async () => {
    registry = await startRegistry();
  });
  test.after(() => registry.stop());
}
const real: typeof test = (REGISTRY_BINARY === undefined ? test.skip : test) as typeof test;

/** Pushes a new image with these signature layers. */
async function signed(layers: (digest: string) => readonly Layer[] | Promise<readonly Layer[]>) {
  const base = `http://${registry.host}`;
  const tag = `v${++image}`;
  const digest = await putPolicy(base, repository, tag, wasmModule(tag));
  const made = await layers(digest);
  if (made.length > 0) await putImage(base, repository, `${digest.replace(":", "-")}.sig`, made);
  return { reference: `${registry.host}/${repository}:${tag}`, digest };
}

/** Verifies; gives the digest or the error, and the log lines. */
async function verify(reference: string, config: unknown, root: typeof trustRoot | undefined = trustRoot) {
  const { options, lines } = listening({ sources: insecure(registry.host) });
  const parsed = parseVerificationConfig(JSON.stringify({ apiVersion: "v1", ...config as object }));
  try {
    const { digest } = await verifyPolicy(reference, parsed, root, options);
    return { digest, error: undefined, lines: lines() };
  } catch (error) {
    return { digest: undefined, error: error as Error & { cause?: Error }, lines: lines() };
  }
}

const generic = (subject: unknown, extra = {}) => ({
  kind: "genericIssuer",
  issuer: "https://accounts.test",
  subject,
  ...extra,
});
const byUser = { allOf: [generic({ equal: "user@provider.test" })] };

real("a key's signature is accepted, with the digest of the manifest", async () => {
  for (const type of ["P-256", "P-384", "ed25519", "rsa"] as const) {
    const keys = keyPair(type);
    const { reference, digest } = await signed((d) => [sigstore.simpleSigning(d, { keys })]);
    const config = { allOf: [{ kind: "pubKey", key: pem(keys.publicKey) }] };
    assert.is((await verify(reference, config)).digest, digest, type);
    assert.is(
      (await verify(`registry://${reference}`, config, undefined)).digest,
      digest,
      `${type} without a trust root`,
    );
  }
});

real("a key that did not sign is named, whole, in the refusal", async () => {
  const [keys, other] = [keyPair(), keyPair()];
  const { reference } = await signed((d) => [sigstore.simpleSigning(d, { keys })]);
  const entry = { kind: "pubKey", owner: "us", key: pem(other.publicKey), annotations: { env: "prod" } };
  const { error } = await verify(reference, { allOf: [{ kind: "pubKey", key: pem(keys.publicKey) }, entry] });
  assert.is(
    error?.message,
    "Image verification failed: missing signatures\nThe following constraints were not satisfied:\n" +
      `kind: pubKey\nowner: us\nkey: |\n${
        pem(other.publicKey).trim().replace(/^/gm, "  ")
      }\nannotations:\n  env: prod\n`,
  );
});

real("annotations must be on the layer of the signature and compare as text", async () => {
  const keys = keyPair();
  const key = pem(keys.publicKey);
  const { reference } = await signed((d) => [
    sigstore.simpleSigning(d, {
      keys,
      annotations: { env: "prod", stable: true, n: 1.5, list: [1], creator: "me", timestamp: 5 },
    }),
    sigstore.simpleSigning(d, { keys, annotations: { other: "layer" } }),
    sigstore.simpleSigning(d, { keys, annotations: null }),
  ]);
  const met = async (annotations: object) =>
    (await verify(reference, { allOf: [{ kind: "pubKey", key, annotations }] })).error === undefined;
  assert.ok(await met({ env: "prod", stable: "true", n: "1.5" }));
  assert.ok(await met({}));
  assert.not(await met({ env: "dev" }));
  assert.not(await met({ env: "prod", other: "layer" }), "two layers");
  assert.not(await met({ list: "1" }), "a list never matches");
  assert.not(await met({ creator: "me" }), "creator is a field of its own");
  assert.not(await met({ timestamp: "5" }), "timestamp is a field of its own");
  assert.not(await met({ absent: "x" }));
});

real("generic issuers: e-mail and URI, equal and prefix", async () => {
  const uri = "https://github.com/kubewarden/policy/.github/workflows/release.yml@refs/heads/main";
  const mail = await sigstore.certificate({ email: "user@provider.test" });
  const workflow = await sigstore.certificate({ uri });
  const { reference, digest } = await signed((d) => [
    sigstore.simpleSigning(d, { certificate: mail }),
    sigstore.simpleSigning(d, { certificate: workflow }),
  ]);
  const met = async (signature: unknown) =>
    (await verify(reference, { allOf: [signature] })).digest === digest;
  assert.ok(await met(generic({ equal: "user@provider.test" })));
  assert.ok(await met(generic({ equal: uri })));
  assert.ok(await met(generic({ urlPrefix: "https://github.com/kubewarden" })));
  assert.ok(await met(generic({ urlPrefix: "https://GitHub.com:443/kubewarden/" })));
  assert.not(await met(generic({ urlPrefix: "https://github.com/kube" })), "a look-alike owner");
  assert.not(await met(generic({ equal: "user@provider.tes" })));
  assert.not(await met({ ...generic({ equal: "user@provider.test" }), issuer: "https://accounts.test/" }));
});

real("an issuer is also read from the newer extension", async () => {
  const certificate = await sigstore.certificate({ issuerV2Only: true });
  const { reference, digest } = await signed((d) => [sigstore.simpleSigning(d, { certificate })]);
  assert.is((await verify(reference, byUser)).digest, digest);
});

real("GitHub actions are judged by the repository in which they ran", async () => {
  const issuer = "https://token.actions.githubusercontent.com";
  const uri = "https://github.com/reused/workflows/.github/workflows/r.yml@refs/tags/v1";
  const of = (more: object) =>
    sigstore.certificate({ uri, issuer, repository: "kubewarden/policy", ...more });
  const good = await of({});
  const met = async (reference: string, signature: object) =>
    (await verify(reference, { allOf: [{ kind: "githubAction", ...signature }] })).error === undefined;
  const { reference } = await signed((d) => [sigstore.simpleSigning(d, { certificate: good })]);
  assert.ok(await met(reference, { owner: "kubewarden" }));
  assert.ok(await met(reference, { owner: "kubewarden", repo: "policy" }));
  assert.not(await met(reference, { owner: "kubewarden", repo: "other" }));
  assert.not(await met(reference, { owner: "Kubewarden" }));
  assert.not(await met(reference, { owner: "reused" }));
  for (
    const wrong of [
      { issuer: "https://accounts.test" },
      { repository: undefined },
      { repository: "kubewarden" },
      { uri: "https://gitlab.test/reused/workflows" },
      { uri: undefined, email: "a@b.test" },
    ]
  ) {
    const certificate = await of(wrong);
    const other = await signed((d) => [sigstore.simpleSigning(d, { certificate })]);
    assert.not(await met(other.reference, { owner: "kubewarden" }), JSON.stringify(wrong));
  }
});

real("anyOf counts entries; what is missing is listed in full", async () => {
  const [one, two, three] = [keyPair(), keyPair(), keyPair()];
  const { reference, digest } = await signed((d) => [
    sigstore.simpleSigning(d, { keys: one }),
    sigstore.simpleSigning(d, { keys: two }),
  ]);
  const entry = (keys: ReturnType<typeof keyPair>) => ({ kind: "pubKey", key: pem(keys.publicKey) });
  const any = (minimumMatches: number, ...keys: ReturnType<typeof keyPair>[]) => ({
    anyOf: { minimumMatches, signatures: keys.map(entry) },
  });
  assert.is((await verify(reference, any(2, one, two, three))).digest, digest);
  assert.is(
    (await verify(reference, any(2, one, one))).digest,
    digest,
    "the same key listed twice counts twice",
  );
  for (
    const nothing of [any(0, three), { allOf: [] }, {
      allOf: [],
      anyOf: { minimumMatches: 0, signatures: [] },
    }]
  ) {
    const { error } = await verify(reference, nothing);
    assert.is(
      error?.message,
      "Image verification failed: no signatures to verify",
      `nothing is required, so nothing is verified: ${JSON.stringify(nothing)}`,
    );
  }
  assert.is(
    (await verify(reference, { anyOf: { signatures: [entry(one), entry(three)] } })).digest,
    digest,
    "default 1",
  );
  const { error } = await verify(reference, any(2, one, three));
  assert.match(
    error?.message ?? "",
    "minimum number of signatures not reached: needed 2, got 1\nThe following constraints",
  );
  assert.ok(error?.message.includes(pem(three.publicKey).trim().split("\n")[1] ?? "?"));
  const both = await verify(reference, { allOf: [entry(three)], ...any(1, one) });
  assert.match(both.error?.message ?? "", "missing signatures", "allOf and anyOf must both hold");
  const { options } = listening({ sources: insecure(registry.host) });
  const empty = await failure(
    verifyPolicy(reference, { allOf: undefined, anyOf: undefined }, trustRoot, options),
  );
  assert.is(empty.message, "Image verification failed: no signatures to verify");
});

real("no signatures: the text of the original; other causes are appended to it", async () => {
  const { reference } = await signed(() => []);
  const { error } = await verify(reference, byUser);
  assert.is(error?.message, `no signatures found for image: ${reference} `);
});

real("one useless layer takes no other with it; only useless ones are an error", async () => {
  const keys = keyPair();
  const config = { allOf: [{ kind: "pubKey", key: pem(keys.publicKey) }] };
  const foreign: Layer = { mediaType: "application/octet-stream", bytes: Buffer.from("foreign") };
  const broken: Layer = { mediaType: SIMPLE_SIGNING, bytes: Buffer.from("{"), annotations: {} };
  const mixed = await signed((d) => [foreign, broken, sigstore.simpleSigning(d, { keys })]);
  assert.is((await verify(mixed.reference, config)).digest, mixed.digest);
  const useless = await signed(() => [broken]);
  const { error } = await verify(useless.reference, { allOf: [] });
  assert.is(error?.message, "failed to get image trusted layers: No Signature Layer passed verification");
});

real("without a trust root a keyless entry is unmet, and it is said why", async () => {
  const certificate = await sigstore.certificate();
  const { reference } = await signed((d) => [sigstore.simpleSigning(d, { certificate })]);
  const { error, lines } = await verify(reference, byUser, undefined).then((result) => result);
  assert.is(error, undefined, "default parameter: with the trust root it is met");
  const { options, lines: told } = listening({ sources: insecure(registry.host) });
  const config = parseVerificationConfig(JSON.stringify({ apiVersion: "v1", ...byUser }));
  const refused = await failure(verifyPolicy(reference, config, undefined, options));
  assert.match(refused.message, "Image verification failed: missing signatures");
  assert.ok(told().some((line) => line.includes("there are no transparency log keys")), told().join("\n"));
  assert.ok(lines.length > 0);
});

// Each of these signs something wrong in exactly one way. `rule` is what the log line must say.
type Wrong = {
  readonly what: string;
  readonly rule: string;
  readonly layer: (digest: string) => Layer | Promise<Layer>;
  /** The certificate's own key still counts for `pubKey` entries. */
  readonly root?: typeof trustRoot;
};
const past = (hours: number) => new Date(Date.now() - hours * HOUR);
const user = (more = {}) => sigstore.certificate({ email: "user@provider.test", ...more });

// deno-lint-ignore no-explicit-any
const signatureSpec = (body: any, change: object) => ({
  ...body,
  spec: { ...body.spec, signature: { ...body.spec.signature, ...change } },
});

const wrongs: readonly Wrong[] = [
  {
    what: "a genuine certificate and log entry copied onto a forged payload (rule 1)",
    rule: "the log entry is about other bytes",
    layer: async (digest) => {
      const genuine = sigstore.simpleSigning(digestOf("another image"), { certificate: await user() });
      const forged = sigstore.simpleSigning(digest, { log: false });
      return { ...forged, annotations: genuine.annotations ?? {} };
    },
  },
  {
    what: "a signature by another key than the certificate's (rule 1)",
    rule: "the layer's signature does not verify",
    layer: async (digest) => {
      const certificate = await user();
      return sigstore.simpleSigning(digest, { certificate: { ...certificate, keys: keyPair() } });
    },
  },
  {
    what: "a log entry about other bytes (rule 2)",
    rule: "the log entry is about other bytes",
    layer: async (digest) =>
      sigstore.simpleSigning(digest, {
        certificate: await user(),
        log: {
          body: (body) => ({
            ...body,
            spec: { ...body.spec, data: { hash: { algorithm: "sha256", value: digestOf("x").slice(7) } } },
          }),
        },
      }),
  },
  {
    what: "a log entry about another signature (rule 2)",
    rule: "the log entry is about another signature",
    layer: async (digest) =>
      sigstore.simpleSigning(digest, {
        certificate: await user(),
        log: { body: (body) => signatureSpec(body, { content: "AAAA" }) },
      }),
  },
  {
    what: "a log entry about another certificate (rule 2)",
    rule: "the log entry is about another certificate",
    layer: async (digest) => {
      const other = await user();
      const content = Buffer.from(other.pem).toString("base64");
      return sigstore.simpleSigning(digest, {
        certificate: await user(),
        log: { body: (body) => signatureSpec(body, { publicKey: { content } }) },
      });
    },
  },
  {
    what: "a log entry of another kind (rule 2)",
    rule: "unsupported log entry intoto",
    layer: async (digest) =>
      sigstore.simpleSigning(digest, {
        certificate: await user(),
        log: { body: (body) => ({ ...body, kind: "intoto" }) },
      }),
  },
  {
    what: "a log entry with a weak hash (rule 2)",
    rule: "the log entry hashes with sha1",
    layer: async (digest) =>
      sigstore.simpleSigning(digest, {
        certificate: await user(),
        log: {
          body: (body) => ({
            ...body,
            spec: { ...body.spec, data: { hash: { algorithm: "sha1", value: "00" } } },
          }),
        },
      }),
  },
  {
    what: "a log that nobody trusts (rule 3)",
    rule: "no trusted transparency log",
    layer: async (digest) =>
      sigstore.simpleSigning(digest, { certificate: await user(), log: { logId: "ab".repeat(32) } }),
  },
  {
    what: "a wrong log key (d)",
    rule: "the log's signature",
    layer: async (digest) =>
      sigstore.simpleSigning(digest, { certificate: await user(), log: { key: keyPair().privateKey } }),
  },
  {
    what: "a log key that was not valid at that time (rule 3)",
    rule: "the key of log",
    root: await trustRootOf(sigstore.trustedRoot((root) => {
      root.tlogs[0].publicKey.validFor = { start: past(900).toISOString(), end: past(800).toISOString() };
    })),
    layer: async (digest) => sigstore.simpleSigning(digest, { certificate: await user() }),
  },
  {
    what: "a certificate that had expired when the log took it in (rule 4)",
    rule: "the certificate is valid from",
    layer: async (digest) =>
      sigstore.simpleSigning(digest, { certificate: await user({ notBefore: past(2), notAfter: past(1) }) }),
  },
  {
    what: "a certificate that was not yet valid (rule 4)",
    rule: "the certificate is valid from",
    layer: async (digest) =>
      sigstore.simpleSigning(digest, { certificate: await user(), log: { time: past(1) } }),
  },
  {
    what: "an authority whose time was over (rule 4)",
    rule: "the authority of the certificate",
    root: await trustRootOf(sigstore.trustedRoot((root) => {
      root.certificateAuthorities[0].validFor = {
        start: past(900).toISOString(),
        end: past(800).toISOString(),
      };
    })),
    layer: async (digest) => sigstore.simpleSigning(digest, { certificate: await user() }),
  },
  {
    what: "a certificate without digitalSignature (rule 4)",
    rule: "the certificate's KeyUsage",
    layer: async (digest) =>
      sigstore.simpleSigning(digest, {
        certificate: await user({ keyUsage: x509.KeyUsageFlags.keyAgreement }),
      }),
  },
  {
    what: "a certificate without KeyUsage",
    rule: "the certificate has no KeyUsage",
    layer: async (digest) =>
      sigstore.simpleSigning(digest, { certificate: await user({ keyUsage: "absent" }) }),
  },
  {
    what: "a certificate that is not for signing code",
    rule: "the certificate's ExtendedKeyUsage",
    layer: async (digest) =>
      sigstore.simpleSigning(digest, { certificate: await user({ codeSigning: false }) }),
  },
  {
    what: "a certificate that names nobody",
    rule: "the certificate names no",
    layer: async (digest) => sigstore.simpleSigning(digest, { certificate: await user({ noName: true }) }),
  },
  {
    what: "a certificate of a foreign authority",
    rule: "the certificate comes from no trusted authority",
    layer: async (digest) => sigstore.simpleSigning(digest, { certificate: await user({ foreign: true }) }),
  },
  {
    what: "a forged promise of the certificate log (rule 5)",
    rule: "the certificate's signed timestamp (SCT)",
    layer: async (digest) => sigstore.simpleSigning(digest, { certificate: await user({ sct: "forged" }) }),
  },
  {
    what: "no log entry at all (e)",
    rule: "the layer carries no log entry",
    layer: async (digest) => sigstore.simpleSigning(digest, { certificate: await user(), log: false }),
  },
  {
    what: "a payload about another image (b)",
    rule: "the payload is about another image",
    layer: async () => sigstore.simpleSigning(digestOf("another"), { certificate: await user() }),
  },
];

for (const wrong of wrongs) {
  real(`refused: ${wrong.what}`, async () => {
    const { reference } = await signed(async (digest) => [await wrong.layer(digest)]);
    const { error, lines } = await verify(reference, byUser, wrong.root ?? trustRoot);
    assert.match(error?.message ?? "accepted", /missing signatures|No Signature Layer passed/);
    assert.ok(lines.some((line) => line.includes(wrong.rule)), lines.join("\n"));
    assert.ok(error?.cause?.message.includes(wrong.rule), String(error?.cause));
  });
}

real("accepted: certificates without a log's promise, or with one of an unknown log (rule 5)", async () => {
  for (const sct of ["none", "unknown log", "genuine"] as const) {
    const certificate = await user({ sct });
    const { reference, digest } = await signed((d) => [sigstore.simpleSigning(d, { certificate })]);
    assert.is((await verify(reference, byUser)).digest, digest, sct);
  }
});

real("accepted: an expired certificate, if the log proves that it was used in time", async () => {
  const certificate = await user({ notBefore: past(500), notAfter: past(499) });
  const { reference, digest } = await signed((d) => [
    sigstore.simpleSigning(d, { certificate, log: { time: past(499.5) } }),
  ]);
  assert.is((await verify(reference, byUser)).digest, digest);
});

real("accepted: a key of the log that was rotated out since (rule 3)", async () => {
  const root = await trustRootOf(sigstore.trustedRoot((value) => {
    value.tlogs[0].publicKey.validFor = { start: past(900).toISOString(), end: past(400).toISOString() };
  }));
  const certificate = await user({ notBefore: past(500), notAfter: past(499) });
  const { reference, digest } = await signed((d) => [
    sigstore.simpleSigning(d, { certificate, log: { time: past(499.5) } }),
  ]);
  assert.is((await verify(reference, byUser, root)).digest, digest);
});

real("accepted: rekord entries, sha384 and sha512 in the log (rule 2)", async () => {
  const { createHash } = await import("node:crypto");
  for (const algorithm of ["sha384", "sha512"]) {
    const { reference, digest } = await signed(async (d) => {
      const certificate = await user();
      const plain = sigstore.simpleSigning(d, { certificate });
      const value = createHash(algorithm).update(plain.bytes).digest("hex");
      // ECDSA is not deterministic: sign once, then log that signature.
      const signature = plain.annotations?.["dev.cosignproject.cosign/signature"] ?? "";
      return [sigstore.simpleSigning(d, {
        certificate,
        signature,
        log: {
          body: (body) => ({
            ...body,
            kind: "rekord",
            spec: { ...body.spec, data: { hash: { algorithm, value } } },
          }),
        },
      })];
    });
    assert.is((await verify(reference, byUser)).digest, digest, algorithm);
  }
});

real(
  "a key-signed layer whose log entry is about something else is dropped, and so is one whose log names another key",
  async () => {
    const keys = keyPair();
    const config = { allOf: [{ kind: "pubKey", key: pem(keys.publicKey) }] };
    const mismatch = await signed((d) => [
      sigstore.simpleSigning(d, { keys, log: { body: (body) => signatureSpec(body, { content: "AAAA" }) } }),
    ]);
    assert.match(
      (await verify(mismatch.reference, config)).error?.message ?? "",
      "No Signature Layer passed",
    );
    const content = Buffer.from(pem(keyPair().publicKey)).toString("base64");
    const other = await signed((d) => [
      sigstore.simpleSigning(d, {
        keys,
        log: { body: (body) => signatureSpec(body, { publicKey: { content } }) },
      }),
    ]);
    const { error, lines } = await verify(other.reference, config);
    assert.match(error?.message ?? "", "missing signatures");
    assert.ok(lines.some((line) => line.includes("the log names another key")));
  },
);

real("a layer that lost its identity still counts for its key", async () => {
  const keys = keyPair();
  const certificate = await user({ keys, foreign: true });
  const { reference, digest } = await signed((d) => [sigstore.simpleSigning(d, { certificate })]);
  assert.is(
    (await verify(reference, { allOf: [{ kind: "pubKey", key: pem(keys.publicKey) }] })).digest,
    digest,
  );
});

real("keys that cannot be read meet nothing and stop nothing", async () => {
  const keys = keyPair();
  const { reference, digest } = await signed((d) => [sigstore.simpleSigning(d, { keys })]);
  const good = { kind: "pubKey", key: pem(keys.publicKey) };
  const bad = { kind: "pubKey", key: "nonsense" };
  assert.is((await verify(reference, { anyOf: { signatures: [bad, good] } })).digest, digest);
  assert.match((await verify(reference, { allOf: [bad, good] })).error?.message ?? "", "key: nonsense");
});

real("an image that is not in the registry cannot be verified", async () => {
  const { error } = await verify(`${registry.host}/tests/absent:v1`, byUser);
  assert.match(
    error?.message ?? "",
    `failed to get image trusted layers: Cannot fetch manifest of ${registry.host}/tests/absent:v1: `,
  );
  const { error: scheme } = await verify("https://registry.test/x:v1", byUser);
  assert.is(scheme?.message, "Invalid OCI image reference: invalid reference format");
});

test.run();
