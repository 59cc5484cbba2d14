/**
 * Signatures of cosign 2 and 3 in each of their forms, in registries with and without the referrers API: verified and shown by `reeve`,
 * and by cosign again where they were copied.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { copyArtifact } from "../../artifact/mod.ts";
import { parseDocument } from "../../deps.ts";
import { cosignOf } from "../artifact/_cosign.ts";
import { descriptor, digestOf, OCI_INDEX, OCI_MANIFEST, putBlob, putManifest } from "../artifact/_image.ts";
import { REGISTRY_KINDS, registryMissing, startRegistry } from "../artifact/_registry.ts";
import { insecure, listening } from "../artifact/_setting.ts";
import { createSigstore } from "../artifact/_sigstore.ts";
import { missing, onRegistry, policy, pushed, type Setting, trust } from "./interoperability.ts";
import { inPlace, type TestPlace } from "./place.ts";

const EMPTY = "application/vnd.oci.empty.v1+json";

type SignedBy = readonly [version: 2 | 3, ...flags: readonly string[]];

/** Each form in which cosign signs. All with a key and without a log: nothing outside of this machine is asked. */
const SIGNERS: Readonly<Record<string, SignedBy>> = {
  "cosign 2, the .sig tag": [2],
  "cosign 2, a referrer": [2, "--registry-referrers-mode", "oci-1-1"],
  "cosign 2, a bundle": [2, "--new-bundle-format"],
  "cosign 3, a bundle": [3, "--use-signing-config=false"],
  "cosign 3, the .sig tag": [3, "--use-signing-config=false", "--new-bundle-format=false"],
  "cosign 3, a referrer": [
    ...[3, "--use-signing-config=false", "--new-bundle-format=false"] as const,
    ...["--registry-referrers-mode", "oci-1-1"],
  ],
};

/** What `cosign verify` needs to be told of each form. */
const READERS: Readonly<Record<string, SignedBy>> = {
  "cosign 2, the .sig tag": [3, "--new-bundle-format=false"],
  "cosign 2, a referrer": [2, "--experimental-oci11"],
  "cosign 2, a bundle": [3],
  "cosign 3, a bundle": [2, "--new-bundle-format"],
  "cosign 3, the .sig tag": [2],
  "cosign 3, a referrer": [3, "--new-bundle-format=false", "--experimental-oci11"],
};

/** A key of its own for each form, `N.key` and `N.pub`, and a stranger's. */
const keys = new Map<string, { readonly private: Buffer; readonly public: Buffer }>();
const names = ["stranger", ...Object.keys(SIGNERS).map((_, index) => `key${index}`)];

test.before(() =>
  missing.length > 0 ? undefined : inPlace(async ({ cwd }) => {
    for (const name of names) {
      await cosignOf(3, cwd, "generate-key-pair", "--output-key-prefix", name);
      keys.set(name, {
        private: readFileSync(join(cwd, `${name}.key`)),
        public: readFileSync(join(cwd, `${name}.pub`)),
      });
    }
  })
);

function writeKeys({ file }: TestPlace): void {
  for (const [name, pair] of keys) {
    file(`${name}.key`, pair.private);
    file(`${name}.pub`, pair.public);
  }
}

const sign = ({ cwd }: TestPlace, image: string, key: string, [version, ...flags]: SignedBy) =>
  cosignOf(
    ...[version, cwd, "sign", "--key", `${key}.key`, "--tlog-upload=false", "--allow-http-registry"] as const,
    ...["-a", "env=prod", ...flags, image],
  );

/** Signs an image in every form, each with its own key. */
async function signInAllForms(place: TestPlace, image: string): Promise<void> {
  for (const [index, how] of Object.values(SIGNERS).entries()) await sign(place, image, `key${index}`, how);
}

/** How many signatures `inspect` shows of a policy, which has to be in the store for it. */
async function signaturesSeen({ reeve }: TestPlace, reference: string): Promise<number> {
  assert.is((await reeve("pull", reference)).exit, 0);
  const { exit, stdout, stderr } = await reeve(
    ...["inspect", "-o", "yaml", "--show-signatures", `registry://${reference}`],
  );
  assert.equal([exit, stderr], [0, ""]);
  const { signatures } = parseDocument(stdout).toJS() as { signatures?: { layers: readonly unknown[] } };
  // A referrer that cosign writes holds again what stood under the `.sig` tag by then.
  return new Set(signatures?.layers.map((layer) => JSON.stringify(layer))).size;
}

/** cosign 2 leaves the annotations out of its bundles: they were not signed, and to ask for them is to be refused. */
const annotationOf = (form: string): readonly string[] =>
  form === "cosign 2, a bundle" ? [] : ["-a", "env=prod"];

/** Every form is accepted by its own key and annotation, and refused by another. */
async function requireAllForms(place: TestPlace, reference: string): Promise<void> {
  const verify = (...flags: readonly string[]) => place.reeve("verify", ...flags, reference);
  for (const [index, form] of Object.keys(SIGNERS).entries()) {
    const { exit, stderr } = await verify("-k", `key${index}.pub`);
    assert.is(exit, 0, `${form}: ${stderr}`);
    const annotation = await verify("-k", `key${index}.pub`, "-a", "env=dev");
    assert.is(annotation.exit, 1, form);
    assert.match(annotation.stderr, "Image verification failed: missing signatures", form);
    const annotated = annotationOf(form).length > 0;
    assert.is((await verify("-k", `key${index}.pub`, "-a", "env=prod")).exit, annotated ? 0 : 1, form);
  }
  const all = Object.keys(SIGNERS).flatMap((_, index) => ["-k", `key${index}.pub`]);
  assert.is((await verify(...all)).exit, 0, "all of them at once");
  const stranger = await verify(...all, "-k", "stranger.pub");
  assert.is(stranger.exit, 1);
  assert.match(stranger.stderr, "Image verification failed: missing signatures");
}

// cosign itself signs nothing where a digest is not announced.
for (const kind of REGISTRY_KINDS.filter((kind) => kind !== "ociregistry as ECR")) {
  // Copies go to a registry that has the referrers API where this one has not.
  const targetKind = kind === "docker-registry 2" ? "ociregistry" : "docker-registry 2";
  const real = onRegistry(kind, [registryMissing(targetKind)].filter((text) => text !== undefined));

  real(
    "signatures of cosign 2 and 3 in each of their forms, after 101 other referrers",
    async (at) => {
      const { reeve, oras, host, cwd, file } = at;
      writeKeys(at);
      const reference = `${host}/tests/signed:v1`;
      const image = await pushed(at, "policy.wasm", reference);
      const unsigned = await reeve("verify", "-k", "key0.pub", reference);
      assert.is(unsigned.exit, 1);
      assert.match(unsigned.stderr, `no signatures found for image: ${reference} `);
      await attachOthers(host, "tests/signed", image);
      file("sbom.json", "{}");
      await oras(
        "attach",
        "--plain-http",
        "--artifact-type",
        "application/spdx+json",
        reference,
        "sbom.json",
      );
      // What was attested was not signed, though the formats are the same.
      file("predicate.json", "{}");
      await cosignOf(
        ...[3, cwd, "attest", "--key", "key0.key", "--predicate", "predicate.json"] as const,
        ...["--tlog-upload=false", "--use-signing-config=false", "--allow-http-registry", image],
      );
      const attested = await reeve("verify", "-k", "key0.pub", reference);
      assert.is(attested.exit, 1);
      assert.match(attested.stderr, "No Signature Layer passed verification");
      await signInAllForms(at, image);
      await requireAllForms(at, reference);
      assert.is(await signaturesSeen(at, reference), Object.keys(SIGNERS).length);

      const ran = await reeve("pull", "-k", "key3.pub", reference, "-o", "verified.wasm");
      assert.is(ran.exit, 0, ran.stderr);
      assert.equal(readFileSync(join(cwd, "verified.wasm")), policy);

      // The tag moves to something that nobody signed.
      await pushed(at, "other.wasm", reference);
      const moved = await reeve("verify", "-k", "key3.pub", reference);
      assert.is(moved.exit, 1);
      assert.match(moved.stderr, "no signatures found for image");
    },
  );

  real(
    "a signature that was hung on another image, or changed, is refused",
    async (at) => {
      const { reeve, oras, host, cwd } = at;
      writeKeys(at);
      const image = await pushed(at, "policy.wasm", `${host}/tests/moved:v1`);
      const other = await pushed(at, "other.wasm", `${host}/tests/moved:v2`);
      await sign(at, image, "key0", SIGNERS["cosign 2, the .sig tag"]!);
      await sign(at, image, "key1", SIGNERS["cosign 3, a bundle"]!);
      const tag = (reference: string) => reference.split("@")[1]!.replace(":", "-");
      await oras("tag", "--plain-http", `${host}/tests/moved:${tag(image)}.sig`, `${tag(other)}.sig`);
      const bundle = await bundleOf(oras, image);
      const type = "application/vnd.dev.sigstore.bundle.v0.3+json";
      const attach = (content: string) => {
        writeFileSync(join(cwd, "bundle.json"), content);
        return oras("attach", "--plain-http", "--artifact-type", type, other, `bundle.json:${type}`);
      };
      await attach(bundle);
      // The statement names the other image, and the signature is the one of before.
      const { dsseEnvelope, ...rest } = JSON.parse(bundle) as { dsseEnvelope: { payload: string } };
      const payload = Buffer.from(dsseEnvelope.payload, "base64").toString()
        .replace(image.split(":").at(-1)!, other.split(":").at(-1)!);
      assert.match(payload, other.split(":").at(-1)!);
      const changed = { ...dsseEnvelope, payload: Buffer.from(payload).toString("base64") };
      await attach(JSON.stringify({ ...rest, dsseEnvelope: changed }));

      assert.is(await signaturesSeen(at, `${host}/tests/moved:v2`), 3, "they are there");
      for (const key of ["key0", "key1"]) {
        assert.is((await reeve("verify", "-k", `${key}.pub`, `${host}/tests/moved:v1`)).exit, 0);
        const { exit, stderr } = await reeve("verify", "-k", `${key}.pub`, `${host}/tests/moved:v2`);
        assert.is(exit, 1, key);
        assert.match(stderr, /missing signatures|No Signature Layer passed verification/);
      }
    },
  );

  real("an index that was signed is verified, and its one module pulled", async (at) => {
    const { reeve, oras, host, cwd } = at;
    writeKeys(at);
    for (const [index, [form, how]] of Object.entries(SIGNERS).entries()) {
      const repository = `${host}/tests/index${index}`;
      await pushed(at, "policy.wasm", `${repository}:one`);
      await oras("manifest", "index", "create", "--plain-http", `${repository}:v1`, "one");
      const digest = (await oras("resolve", "--plain-http", `${repository}:v1`)).trim();
      await sign(at, `${repository}@${digest}`, `key${index}`, how);
      const { exit, stderr } = await reeve(
        "pull",
        "-k",
        `key${index}.pub`,
        `${repository}:v1`,
        "-o",
        `${index}.wasm`,
      );
      assert.is(exit, 0, `${form}: ${stderr}`);
      assert.equal(readFileSync(join(cwd, `${index}.wasm`)), policy, form);
      // The module's own manifest was not signed.
      assert.is((await reeve("verify", "-k", `key${index}.pub`, `${repository}:one`)).exit, 1, form);
    }
  });

  real("a copy, by oras and by the library, is verified by reeve and by cosign 2 and 3", async (at) => {
    writeKeys(at);
    const { host, oras, cwd, file, reeve } = at;
    // Without one, cosign asks for Sigstore's own.
    file("root.json", JSON.stringify((await createSigstore()).trustedRoot()));
    const target = await startRegistry({ kind: targetKind });
    try {
      trust(at, host, target.host);
      const { options } = listening({ sources: insecure(host, target.host) });
      for (const [index, [form, how]] of Object.entries(SIGNERS).entries()) {
        const origin = `${host}/tests/origin${index}:v1`;
        await sign(at, await pushed(at, "policy.wasm", origin), `key${index}`, how);
        const copy = `${target.host}/copies/policy${index}:v1`;
        await copyArtifact(origin, copy, options);
        const verified = await reeve("verify", "-k", `key${index}.pub`, copy);
        assert.is(verified.exit, 0, `${form}: ${verified.stderr}`);
        assert.is(await signaturesSeen(at, copy), 1, form);
        const [version, ...flags] = READERS[form]!;
        await cosignOf(
          ...[version, cwd, "verify", "--key", `key${index}.pub`, "--insecure-ignore-tlog=true"] as const,
          ...["--allow-http-registry", "--trusted-root", "root.json", ...annotationOf(form), ...flags, copy],
        ).catch((error) => {
          throw new Error(`${form}, copied: ${error.message}`);
        });

        const byOras = `${target.host}/copies/by-oras${index}:v1`;
        await oras("cp", "-r", "--from-plain-http", "--to-plain-http", origin, byOras);
        // oras copies what refers to an image, and knows nothing of tags that end in `.sig`.
        const { exit, stderr } = await reeve("verify", "-k", `key${index}.pub`, byOras);
        assert.is(exit, form.endsWith(".sig tag") ? 1 : 0, `${form}, by oras: ${stderr}`);
      }
    } finally {
      await target.stop();
    }
  });
}

/** Hangs 101 manifests on an image that say nothing of what they are, and lists them where the registry does not. */
async function attachOthers(host: string, repository: string, image: string): Promise<void> {
  const base = `http://${host}`;
  const digest = image.split("@")[1]!;
  const head = await fetch(`${base}/v2/${repository}/manifests/${digest}`, {
    headers: { accept: OCI_MANIFEST },
  });
  const subject = { mediaType: OCI_MANIFEST, digest, size: (await head.arrayBuffer()).byteLength };
  const config = { mediaType: EMPTY, bytes: new TextEncoder().encode("{}") };
  await putBlob(base, repository, config.bytes);
  const entries: Record<string, unknown>[] = [];
  for (let n = 0; n < 101; n++) {
    const manifest = {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: descriptor(config),
      layers: [descriptor(config)],
      subject,
      annotations: { n: String(n) },
    };
    const bytes = JSON.stringify(manifest);
    const pushed = await putManifest(base, repository, digestOf(bytes), manifest);
    entries.push({ mediaType: OCI_MANIFEST, digest: pushed, size: bytes.length, artifactType: EMPTY });
  }
  const listed = await fetch(`${base}/v2/${repository}/referrers/${digest}`);
  if (listed.status === 200) return void await listed.body?.cancel();
  await listed.body?.cancel();
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries };
  await putManifest(base, repository, digest.replace(":", "-"), index, OCI_INDEX);
}

/** The bundle that refers to an image. */
async function bundleOf(oras: Setting["oras"], image: string): Promise<string> {
  type Described = { readonly digest: string };
  const found = JSON.parse(await oras("discover", "--plain-http", "--format", "json", image)) as {
    readonly referrers?: readonly Described[];
    readonly manifests?: readonly Described[];
  };
  const [referrer] = found.referrers ?? found.manifests ?? [];
  const repository = image.split("@")[0];
  const manifest = await oras("manifest", "fetch", "--plain-http", `${repository}@${referrer?.digest}`);
  const [layer] = (JSON.parse(manifest) as { readonly layers: readonly Described[] }).layers;
  return await oras("blob", "fetch", "--plain-http", "--output", "-", `${repository}@${layer?.digest}`);
}

test.run();
