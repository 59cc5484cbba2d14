/** What policies ask about an image's signatures: the five kinds of requests, and how they are refused. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readSigstoreRequest, sigstoreVerify } from "../../artifact/mod.ts";
import { type Layer, putImage, putPolicy, wasmModule } from "./_image.ts";
import { REGISTRY_BINARY, REGISTRY_MISSING, startRegistry, type TestRegistry } from "./_registry.ts";
import { insecure, listening, trustRootOf } from "./_setting.ts";
import { type Certificate, createSigstore, keyPair, pem } from "./_sigstore.ts";

let registry: TestRegistry;
const sigstore = await createSigstore();
const trustRoot = await trustRootOf(sigstore.trustedRoot());
let image = 0;

if (REGISTRY_BINARY === undefined) test.skip(`requests: ${REGISTRY_MISSING}`, () => {});
else {
  test.before(async () => {
    registry = await startRegistry();
  });
  test.after(() => registry.stop());
}
const real: typeof test = (REGISTRY_BINARY === undefined ? test.skip : test) as typeof test;

async function signed(layers: (digest: string) => readonly Layer[]) {
  const tag = `v${++image}`;
  const base = `http://${registry.host}`;
  const digest = await putPolicy(base, "tests/image", tag, wasmModule(tag));
  await putImage(base, "tests/image", `${digest.replace(":", "-")}.sig`, layers(digest));
  return { image: `${registry.host}/tests/image:${tag}`, digest };
}

/** The answer as JSON, or the message that the policy is told. */
async function ask(
  version: "v1" | "v2",
  payload: unknown,
  root: typeof trustRoot | undefined = trustRoot,
): Promise<string> {
  const { options } = listening({ sources: insecure(registry.host) });
  try {
    return JSON.stringify(await sigstoreVerify(readSigstoreRequest(version, payload), root, options));
  } catch (error) {
    return (error as Error).message;
  }
}

const yes = (digest: string) => `{"is_trusted":true,"digest":"${digest}"}`;
const bytes = (text: string) => [...Buffer.from(text)];

real("public keys: all must have signed, with all annotations", async () => {
  const [one, two, other] = [keyPair(), keyPair(), keyPair()];
  const { image, digest } = await signed((d) => [
    sigstore.simpleSigning(d, { keys: one, annotations: { env: "prod" } }),
    sigstore.simpleSigning(d, { keys: two, annotations: { env: "prod", more: "x" } }),
  ]);
  const keys = (...pairs: ReturnType<typeof keyPair>[]) => pairs.map((pair) => pem(pair.publicKey));
  const request = { image, pub_keys: keys(one, two), annotations: { env: "prod" } };
  assert.is(await ask("v1", { SigstorePubKeyVerify: request }), yes(digest));
  assert.is(await ask("v2", { type: "SigstorePubKeyVerify", ...request }), yes(digest));
  assert.is(
    await ask("v1", {
      SigstorePubKeyVerify: { ...request, image: `registry://${image}`, annotations: null },
    }),
    yes(digest),
  );
  assert.match(
    await ask("v1", { SigstorePubKeyVerify: { ...request, pub_keys: keys(one, other) } }),
    "missing signatures",
  );
  assert.match(
    await ask("v1", { SigstorePubKeyVerify: { ...request, annotations: { more: "x" } } }),
    "missing signatures",
  );
  assert.is(
    await ask("v1", { SigstorePubKeyVerify: { ...request, pub_keys: [] } }),
    "Must provide at least one pub key",
  );
});

real("keyless, by subject, by prefix, and by GitHub repository", async () => {
  const uri = "https://github.com/kubewarden/policy/.github/workflows/release.yml@refs/heads/main";
  const issuer = "https://token.actions.githubusercontent.com";
  const workflow = await sigstore.certificate({ uri, issuer, repository: "kubewarden/policy" });
  const mail = await sigstore.certificate({ email: "user@provider.test" });
  const { image, digest } = await signed((d) => [
    sigstore.simpleSigning(d, { certificate: workflow }),
    sigstore.simpleSigning(d, { certificate: mail }),
  ]);
  const both = [{ issuer, subject: uri }, { issuer: "https://accounts.test", subject: "user@provider.test" }];
  assert.is(
    await ask("v1", { SigstoreKeylessVerify: { image, keyless: both, annotations: null } }),
    yes(digest),
  );
  assert.is(await ask("v2", { type: "SigstoreKeylessVerify", image, keyless: both }), yes(digest));
  const third = [...both, { issuer, subject: "nobody" }];
  assert.match(
    await ask("v2", { type: "SigstoreKeylessVerify", image, keyless: third }),
    "subject: !equal nobody",
  );
  assert.is(
    await ask("v2", { type: "SigstoreKeylessVerify", image, keyless: [] }),
    "Must provide keyless info",
  );
  const prefix = (url_prefix: string) =>
    ask("v2", { type: "SigstoreKeylessPrefixVerify", image, keyless_prefix: [{ issuer, url_prefix }] });
  assert.is(await prefix("https://github.com/kubewarden"), yes(digest));
  assert.match(await prefix("https://github.com/kube"), "subject: !urlPrefix https://github.com/kube/");
  assert.match(await prefix("no URL"), "expected a URL", "an ordinary error");
  assert.is(
    await ask("v2", { type: "SigstoreKeylessPrefixVerify", image, keyless_prefix: [] }),
    "Must provide keyless info",
  );
  const github = (more: object) => ask("v2", { type: "SigstoreGithubActionsVerify", image, ...more });
  assert.is(await github({ owner: "kubewarden" }), yes(digest));
  assert.is(await github({ owner: "kubewarden", repo: "policy" }), yes(digest));
  assert.match(await github({ owner: "kubewarden", repo: "other" }), "missing signatures");
  assert.is(await github({ owner: "" }), "Must provide owner info");
});

real("without a trust root, keys work and keyless fails", async () => {
  const keys = keyPair();
  const certificate = await sigstore.certificate();
  const { image, digest } = await signed((d) => [
    sigstore.simpleSigning(d, { keys }),
    sigstore.simpleSigning(d, { certificate }),
  ]);
  const { options } = listening({ sources: insecure(registry.host) });
  const request = (payload: unknown) =>
    sigstoreVerify(readSigstoreRequest("v2", payload), undefined, options);
  const keyed = await request({ type: "SigstorePubKeyVerify", image, pub_keys: [pem(keys.publicKey)] });
  assert.is(keyed.digest, digest);
  const keyless = [{ issuer: "https://accounts.test", subject: "user@provider.test" }];
  const refused = await request({ type: "SigstoreKeylessVerify", image, keyless }).then(
    () => "",
    (error) => error.message,
  );
  assert.match(refused, "missing signatures");
});

real("a certificate that the policy brings: chain, log entry, annotations on the same layer", async () => {
  const day = 86_400_000;
  const long = { notBefore: new Date(Date.now() - day), notAfter: new Date(Date.now() + day) };
  const certificate = await sigstore.certificate(long);
  const root = sigstore.trustedRoot().certificateAuthorities[0]?.certChain.certificates[0]?.rawBytes ?? "";
  const rootPem = `-----BEGIN CERTIFICATE-----\n${root}\n-----END CERTIFICATE-----\n`;
  const { image, digest } = await signed((d) => [
    sigstore.simpleSigning(d, { certificate, annotations: { env: "prod" } }),
    sigstore.simpleSigning(d, { annotations: { other: "layer" } }),
  ]);
  const request = (of: Certificate, more: object = {}) => ({
    type: "SigstoreCertificateVerify",
    image,
    certificate: bytes(of.pem),
    certificate_chain: [bytes(rootPem)],
    require_rekor_bundle: true,
    ...more,
  });
  assert.is(await ask("v2", request(certificate)), yes(digest));
  assert.is(await ask("v2", request(certificate, { certificate_chain: null })), yes(digest));
  assert.is(await ask("v2", request(certificate, { annotations: { env: "prod" } })), yes(digest));
  const failed = "verification failed: Several Signature Layers failed verification";
  assert.is(
    await ask("v2", request(certificate, { annotations: { other: "layer" } })),
    failed,
    "annotations of another layer",
  );
  assert.is(await ask("v2", request(await sigstore.certificate(long))), failed, "another certificate");
  const foreign = await sigstore.certificate({ ...long, foreign: true });
  assert.match(
    await ask("v2", request(foreign)),
    "verification failed: the certificate comes from no trusted",
  );
  const expired = await sigstore.certificate({
    notBefore: new Date(Date.now() - 2 * day),
    notAfter: new Date(Date.now() - day),
  });
  assert.match(
    await ask("v2", request(expired)),
    "verification failed: the certificate is valid from",
  );
  const early = await sigstore.certificate({
    notBefore: new Date(Date.now() + day),
    notAfter: new Date(Date.now() + 2 * day),
  });
  assert.match(await ask("v2", request(early, { certificate_chain: null })), "is not valid before");
  const serving = await sigstore.certificate({ ...long, codeSigning: false });
  assert.match(
    await ask("v2", request(serving)),
    "verification failed: the certificate's ExtendedKeyUsage",
  );
  assert.match(
    await ask("v2", request({ ...certificate, pem: "nonsense" })),
    "verification failed: not a PEM certificate",
  );

  const unlogged = await sigstore.certificate(long);
  const bare = await signed((d) => [sigstore.simpleSigning(d, { certificate: unlogged, log: false })]);
  const about = (more: object) => ask("v2", { ...request(unlogged, more), image: bare.image });
  assert.is(await about({ require_rekor_bundle: false }), yes(bare.digest));
  assert.is(await about({ require_rekor_bundle: true }), failed);
  const late = await signed((d) => [
    sigstore.simpleSigning(d, { certificate, log: { time: new Date(Date.now() - 3 * day) } }),
  ]);
  assert.is(
    await ask("v2", { ...request(certificate), image: late.image }),
    failed,
    "logged before it was valid",
  );
});

test("payloads that are not understood are refused with what is missing", () => {
  const refusal = (version: "v1" | "v2", payload: unknown) => {
    try {
      readSigstoreRequest(version, payload);
      return "accepted";
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.is(refusal("v2", { type: "SigstorePubKeyVerify", pub_keys: [] }), "missing field `image`");
  assert.is(refusal("v2", { type: "SigstorePubKeyVerify", image: "x" }), "missing field `pub_keys`");
  assert.is(refusal("v2", {}), "missing field `type`");
  assert.match(refusal("v2", { type: "X" }), "unknown variant `X`, expected one of `SigstorePubKeyVerify`");
  assert.match(
    refusal("v1", { X: {} }),
    "unknown variant `X`, expected `SigstorePubKeyVerify` or `SigstoreKeylessVerify`",
  );
  assert.match(refusal("v1", { SigstoreGithubActionsVerify: {} }), "unknown variant");
  const certificate = { type: "SigstoreCertificateVerify", image: "x", certificate: [300] };
  assert.is(refusal("v2", certificate), "missing field `require_rekor_bundle`");
  assert.match(
    refusal("v2", { ...certificate, require_rekor_bundle: true }),
    "invalid type: integer `300`, expected u8",
  );
  assert.match(
    refusal("v2", { type: "SigstorePubKeyVerify", image: "x", pub_keys: ["k"], annotations: [] }),
    "expected a map",
  );
});

test.run();
