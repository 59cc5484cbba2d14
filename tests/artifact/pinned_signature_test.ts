// A reference by digest means that digest, also where signatures are looked up by another algorithm's: a registry that answers with
// another image, signed by the right people (an older release, say), must not pass.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  fetchVerifiedPolicy,
  manifestDigest,
  parseVerificationConfig,
  verifyPolicy,
} from "../../artifact/mod.ts";
import { type Layer, OCI_MANIFEST, sha256, WASM_LAYER, wasmModule } from "./_image.ts";
import { memoryRegistry, startServer } from "./_server.ts";
import { failure, inDirectory, insecure, listening, trustRootOf } from "./_setting.ts";
import { createSigstore, keyPair, pem } from "./_sigstore.ts";

const REPOSITORY = "tests/policy";
const sigstore = await createSigstore();
const trustRoot = await trustRootOf(sigstore.trustedRoot());
const keys = keyPair();
const config = parseVerificationConfig(
  JSON.stringify({ apiVersion: "v1", allOf: [{ kind: "pubKey", key: pem(keys.publicKey) }] }),
);

function shelf() {
  const memory = memoryRegistry();
  const put = (tag: string) => {
    const module = wasmModule(tag, 3000);
    const settings = memory.blob(REPOSITORY, "application/vnd.wasm.config.v1+json", Buffer.from("{}"));
    const image = {
      schemaVersion: 2,
      config: settings,
      layers: [memory.blob(REPOSITORY, WASM_LAYER, module)],
    };
    const { digest } = memory.manifest(REPOSITORY, tag, image, OCI_MANIFEST);
    const layer: Layer = sigstore.simpleSigning(digest, { keys });
    memory.manifest(REPOSITORY, `${digest.replace(":", "-")}.sig`, {
      schemaVersion: 2,
      config: settings,
      layers: [{
        ...memory.blob(REPOSITORY, layer.mediaType, Buffer.from(layer.bytes)),
        annotations: layer.annotations,
      }],
    }, OCI_MANIFEST);
    const found = memory.content.get(`${REPOSITORY}/manifests/${tag}`)!;
    return {
      digest,
      found,
      module,
      long: (name: "sha384" | "sha512") => `${name}:${createHash(name).update(found.bytes).digest("hex")}`,
    };
  };
  return { memory, wanted: put("wanted"), other: put("other") };
}

for (const algorithm of ["sha384", "sha512"] as const) {
  test(`${algorithm}: the image itself is verified and fetched`, async () => {
    const { memory, wanted } = shelf();
    memory.content.set(`${REPOSITORY}/manifests/${wanted.long(algorithm)}`, wanted.found);
    const server = await startServer(memory.answer);
    try {
      await inDirectory(async (root) => {
        const { options } = listening({ sources: insecure(server.host) });
        const uri = `registry://${server.host}/${REPOSITORY}@${wanted.long(algorithm)}`;
        assert.is((await verifyPolicy(uri, config, trustRoot, options)).digest, wanted.digest);
        const fetched = await fetchVerifiedPolicy(uri, config, trustRoot, { kind: "store", root }, options);
        assert.is(fetched.sha256, sha256(wanted.module));
      });
    } finally {
      await server.stop();
    }
  });

  test(`${algorithm}: another image in its place is refused, though it is signed too`, async () => {
    const { memory, wanted, other } = shelf();
    memory.content.set(`${REPOSITORY}/manifests/${wanted.long(algorithm)}`, other.found);
    const server = await startServer(memory.answer);
    try {
      await inDirectory(async (root) => {
        const { options } = listening({ sources: insecure(server.host), limits: { retries: 0 } });
        const uri = `registry://${server.host}/${REPOSITORY}@${wanted.long(algorithm)}`;
        for (
          const tried of [
            () => verifyPolicy(uri, config, trustRoot, options),
            () =>
              fetchVerifiedPolicy(
                uri,
                config,
                trustRoot,
                { kind: "file", path: join(root, "p.wasm") },
                options,
              ),
            () => manifestDigest(uri.replace("registry://", ""), options),
          ]
        ) assert.match((await failure(tried())).message, "Digest error: Invalid digest");
      });
    } finally {
      await server.stop();
    }
  });
}

test.run();
