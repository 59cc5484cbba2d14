/** Images of a real registry, as policies ask about them (`spec/evaluator.md §5.4, §5.5, §5.9`). */
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { TrustRoot } from "../../../artifact/mod.ts";
import { ociCapabilities } from "../../../policy_server/apply/capabilities/oci.ts";
import {
  descriptor,
  OCI_INDEX,
  OCI_MANIFEST,
  putBlob,
  putImage,
  putManifest,
  putPolicy,
  wasmModule,
} from "../../artifact/_image.ts";
import {
  REGISTRY_BINARY,
  REGISTRY_MISSING,
  startRegistry,
  type TestRegistry,
} from "../../artifact/_registry.ts";
import { insecure, trustRootOf } from "../../artifact/_setting.ts";
import { createSigstore, keyPair, pem } from "../../artifact/_sigstore.ts";
import { closeCallers, failure, type HostCaller, hostCaller, quietLog, success } from "./host_caller.ts";

const real: typeof test = (REGISTRY_BINARY === undefined ? test.skip : test) as typeof test;
if (REGISTRY_BINARY === undefined) test.skip(`images: ${REGISTRY_MISSING}`, () => {});
const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar";
const sigstore = await createSigstore();
const trustRoot = await trustRootOf(sigstore.trustedRoot());

let registry: TestRegistry;
let base: string;
let caller: HostCaller;
let warnings: readonly string[];

/** A policy on a server of its own: caches are empty. */
function server(root: TrustRoot | null = trustRoot): Promise<HostCaller> {
  const { log, warnings: heard } = quietLog();
  warnings = heard;
  const artifact = {
    sources: insecure(registry.host),
    env: { HOME: "/nonexistent" },
    limits: { retryMs: 5 },
  };
  return hostCaller(ociCapabilities({ artifact, trustRoot: () => Promise.resolve(root ?? undefined), log }));
}

if (REGISTRY_BINARY !== undefined) {
  test.before(async () => {
    registry = await startRegistry();
    base = `http://${registry.host}`;
  });
  test.before.each(async () => {
    caller = await server();
  });
  test.after(async () => {
    await closeCallers();
    await registry.stop();
  });
}

/** A container image with a configuration; returns its manifest, digest and configuration. */
async function putContainer(
  tag: string,
  config: unknown = { architecture: "amd64", os: "linux", config: { User: "65533" } },
) {
  const layers = [
    { mediaType: CONFIG, bytes: Buffer.from(JSON.stringify(config)) },
    { mediaType: LAYER, bytes: Buffer.from(tag) },
  ] as const;
  for (const { bytes } of layers) await putBlob(base, "app", bytes);
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: descriptor(layers[0]),
    layers: [descriptor(layers[1])],
    annotations: { a: "b" },
  };
  const digest = await putManifest(base, "app", tag, manifest);
  return { image: `${registry.host}/app:${tag}`, manifest, digest, config };
}

real("an image's digest, manifest and configuration", async () => {
  const { image, manifest, digest, config } = await putContainer("v1");
  assert.equal(success(await caller.call("oci/v1/manifest_digest", image)), { digest });
  assert.equal(success(await caller.call("oci/v1/oci_manifest", image)), manifest);
  assert.equal(success(await caller.call("oci/v1/oci_manifest_config", image)), { manifest, digest, config });
  assert.equal(success(await caller.call("oci/v1/manifest_digest", `registry://${image}`)), { digest });
});

real("an index is shown as it is; its configuration is that of the host's platform", async () => {
  const mine = await putContainer("mine");
  const other = await putContainer("other", { architecture: "other" });
  const entry = ({ manifest, digest }: typeof mine, architecture: string) => ({
    mediaType: OCI_MANIFEST,
    digest,
    size: JSON.stringify(manifest).length,
    platform: { architecture, os: "linux" },
  });
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const index = {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: [entry(other, "s390x"), entry(mine, architecture)],
  };
  const digest = await putManifest(base, "app", "index", index, OCI_INDEX);
  const image = `${registry.host}/app:index`;
  assert.equal(success(await caller.call("oci/v1/manifest_digest", image)), { digest });
  assert.equal(success(await caller.call("oci/v1/oci_manifest", image)), index);
  assert.equal(success(await caller.call("oci/v1/oci_manifest_config", image)), {
    manifest: mine.manifest,
    digest: mine.digest,
    config: mine.config,
  });
});

real("a policy's configuration is an empty object", async () => {
  await putPolicy(base, "policy", "v1", wasmModule("config"));
  const found = success(await caller.call("oci/v1/oci_manifest_config", `${registry.host}/policy:v1`));
  assert.equal(found.config, {});
});

real("an answer stays for a while, a failure does not", async () => {
  const image = `${registry.host}/app:moving`;
  assert.match(failure(await caller.call("oci/v1/manifest_digest", image)), /^Callback evaluation failure: /);
  const { digest } = await putContainer("moving");
  assert.equal(success(await caller.call("oci/v1/manifest_digest", image)), { digest });
  await putContainer("moving", { changed: true });
  assert.equal(success(await caller.call("oci/v1/manifest_digest", image)), { digest });
});

real("images and registries that are not there, and references that are none", async () => {
  const told = async (image: string) => failure(await caller.call("oci/v1/oci_manifest", image));
  assert.match(await told(`${registry.host}/app:absent`), /absent|unknown|not found/i);
  assert.match(await told("localhost:1/app:v1"), /^Callback evaluation failure: /);
  assert.match(await told("NOT A REFERENCE"), /^Callback evaluation failure: .*reference/i);
  assert.match(await told(""), /^Callback evaluation failure: /);
});

async function signed(tag: string, make: (digest: string) => ReturnType<typeof sigstore.simpleSigning>) {
  const digest = await putPolicy(base, "signed", tag, wasmModule(tag));
  await putImage(base, "signed", `${digest.replace(":", "-")}.sig`, [make(digest)]);
  return { image: `${registry.host}/signed:${tag}`, digest };
}

real("public keys: all must have signed, with all annotations", async () => {
  const keys = keyPair();
  const { image, digest } = await signed(
    "key",
    (digest) => sigstore.simpleSigning(digest, { keys, annotations: { env: "prod" } }),
  );
  const pub_keys = [pem(keys.publicKey)];
  const trusted = { is_trusted: true, digest };
  const v1 = (rest: object) =>
    caller.call("oci/v1/verify", { SigstorePubKeyVerify: { image, pub_keys, ...rest } });
  const v2 = (rest: object) =>
    caller.call("oci/v2/verify", { type: "SigstorePubKeyVerify", image, pub_keys, ...rest });
  for (const verify of [v1, v2]) {
    assert.equal(success(await verify({ annotations: null })), trusted);
    assert.equal(success(await verify({ annotations: { env: "prod" } })), trusted);
    // An image that is not trusted is an error, never `false`.
    assert.match(failure(await verify({ annotations: { env: "test" } })), /^Callback evaluation failure: /);
    const strangers = { pub_keys: [...pub_keys, pem(keyPair().publicKey)] };
    assert.match(failure(await verify(strangers)), /^Callback evaluation failure: /);
  }
  // Public keys work without a trust root.
  caller = await server(null);
  assert.equal(success(await v2({})), trusted);
  assert.is(warnings.length, 3);
});

real("keyless: issuer and subject, its prefix, or GitHub's owner", async () => {
  const byUser = await sigstore.certificate({ email: "user@provider.test" });
  const user = await signed("user", (digest) => sigstore.simpleSigning(digest, { certificate: byUser }));
  const issuer = "https://accounts.test";
  const ask = (image: string, type: string, rest: object) =>
    caller.call("oci/v2/verify", { type, image, ...rest });
  const keyless = [{ issuer, subject: "user@provider.test" }];
  assert.equal(success(await ask(user.image, "SigstoreKeylessVerify", { keyless })), {
    is_trusted: true,
    digest: user.digest,
  });
  const others = [{ issuer, subject: "other@provider.test" }];
  assert.match(failure(await ask(user.image, "SigstoreKeylessVerify", { keyless: others })), /^Callback/);

  const byPage = await sigstore.certificate({
    uri: "https://github.com/org/repo/.github/workflows/x.yml@main",
  });
  const page = await signed("page", (digest) => sigstore.simpleSigning(digest, { certificate: byPage }));
  const prefix = (url_prefix: string) =>
    ask(page.image, "SigstoreKeylessPrefixVerify", { keyless_prefix: [{ issuer, url_prefix }] });
  assert.is(success(await prefix("https://github.com/org")).digest, page.digest);
  assert.match(failure(await prefix("https://github.com/or")), /^Callback/);

  // Without a trust root nobody vouches for keyless signatures.
  caller = await server(null);
  assert.match(failure(await ask(user.image, "SigstoreKeylessVerify", { keyless })), /^Callback/);
});

real(
  "GitHub's workflows: by their owner, or by owner and repository, as the certificate has them",
  async () => {
    const github = "https://token.actions.githubusercontent.com";
    const uri = "https://github.com/org/repo/.github/workflows/release.yml@refs/tags/v1";
    const workflow = await sigstore.certificate({ issuer: github, uri, repository: "org/repo" });
    const { image, digest } = await signed(
      "workflow",
      (digest) => sigstore.simpleSigning(digest, { certificate: workflow, annotations: { env: "prod" } }),
    );
    const trusted = { is_trusted: true, digest };
    const ask = (image: string, rest: object) =>
      caller.call("oci/v2/verify", { type: "SigstoreGithubActionsVerify", image, ...rest });
    for (
      const rest of [
        { owner: "org" },
        { owner: "org", repo: null, annotations: null },
        { owner: "org", repo: "repo" },
        { owner: "org", repo: "repo", annotations: { env: "prod" } },
      ]
    ) {
      assert.equal(success(await ask(image, rest)), trusted, JSON.stringify(rest));
    }
    for (
      const rest of [
        { owner: "or" },
        { owner: "other" },
        { owner: "org/repo" },
        { owner: "org", repo: "rep" },
        { owner: "org", repo: "other" },
        { owner: "org", repo: "repo", annotations: { env: "test" } },
      ]
    ) {
      assert.match(failure(await ask(image, rest)), /^Callback evaluation failure: /, JSON.stringify(rest));
    }
    // The same names from another issuer, or for somebody who is no workflow, say nothing of GitHub.
    for (
      const [tag, options] of [
        ["elsewhere", { issuer: "https://accounts.test", uri, repository: "org/repo" }],
        ["person", { issuer: github, email: "user@provider.test", repository: "org/repo" }],
        ["forged", { issuer: github, uri, repository: "org/repo", foreign: true }],
      ] as const
    ) {
      const certificate = await sigstore.certificate(options);
      const other = await signed(tag, (digest) => sigstore.simpleSigning(digest, { certificate }));
      assert.match(failure(await ask(other.image, { owner: "org" })), /^Callback evaluation failure: /, tag);
    }
  },
);

real("a certificate that must lead to the chain that comes with it", async () => {
  const certificate = await sigstore.certificate({ email: "user@provider.test" });
  const { image, digest } = await signed(
    "chain",
    (d) => sigstore.simpleSigning(d, { certificate, annotations: { env: "prod" } }),
  );
  const [authority] = sigstore.trustedRoot().certificateAuthorities[0]!.certChain.certificates;
  const pemOf = (base64: string) =>
    `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
  const ask = (chain: readonly string[], rest: object = {}) =>
    caller.call("oci/v2/verify", {
      type: "SigstoreCertificateVerify",
      image,
      certificate: [...Buffer.from(certificate.pem)],
      certificate_chain: chain.map((text) => [...Buffer.from(text)]),
      require_rekor_bundle: true,
      ...rest,
    });
  const root = pemOf(authority!.rawBytes);
  assert.equal(success(await ask([root])), { is_trusted: true, digest });
  assert.equal(success(await ask([root], { annotations: { env: "prod" } })), { is_trusted: true, digest });
  assert.match(
    failure(await ask([root], { annotations: { env: "test" } })),
    /^Callback evaluation failure: /,
  );
  const stranger = await createSigstore();
  const [other] = stranger.trustedRoot().certificateAuthorities[0]!.certChain.certificates;
  assert.match(failure(await ask([pemOf(other!.rawBytes)])), /^Callback evaluation failure: /);
  assert.match(failure(await ask(["no certificate"])), /^Callback evaluation failure: /);
});

real("a certificate that the policy brings; without the rekor flag there is a warning", async () => {
  const certificate = await sigstore.certificate({ email: "user@provider.test" });
  const { image, digest } = await signed(
    "certificate",
    (d) => sigstore.simpleSigning(d, { certificate, log: false }),
  );
  const ask = (rest: object) =>
    caller.call("oci/v2/verify", {
      type: "SigstoreCertificateVerify",
      image,
      certificate: [...Buffer.from(certificate.pem)],
      ...rest,
    });
  assert.is(success(await ask({ require_rekor_bundle: false })).digest, digest);
  assert.equal(warnings, []);
  assert.match(
    failure(await ask({ require_rekor_bundle: true })),
    /^Callback evaluation failure: verification failed: /,
  );
  assert.is(success(await ask({})).digest, digest);
  assert.is(success(await ask({})).digest, digest);
  assert.is(warnings.length, 1);
  assert.match(warnings[0]!, /require_rekor_bundle/);
});

real("a verification stays for a while", async () => {
  const keys = keyPair();
  const { image, digest } = await signed("kept", (d) => sigstore.simpleSigning(d, { keys }));
  const ask = () =>
    caller.call("oci/v2/verify", { type: "SigstorePubKeyVerify", image, pub_keys: [pem(keys.publicKey)] });
  assert.is(success(await ask()).digest, digest);
  await putPolicy(base, "signed", "kept", wasmModule("replaced and unsigned"));
  assert.is(success(await ask()).digest, digest);
  caller = await server();
  assert.match(failure(await ask()), /^Callback/);
});

test.run();
