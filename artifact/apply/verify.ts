/** Whether an image is signed as required, and whether a file is what was signed (`spec/fetch-verify.md §9`). */
import { annotationsMatch, requireSignatures, type SignedBy } from "../render/constraint.ts";
import { formatReference, immutableReference, manifestName } from "../render/reference.ts";
import { ArtifactError, codeOf, messageOf, prefixed } from "../types/error.ts";
import { MEDIA_TYPE } from "../types/manifest.ts";
import type { ArtifactOptions } from "../types/options.ts";
import { parseImage, parsePolicyUrl, type Reference } from "../types/reference.ts";
import type { SignedLayer } from "../types/signed_layer.ts";
import type { TrustRoot } from "../types/trust_root.ts";
import type { VerificationConfig } from "../types/verification_config.ts";
import { downloadLayer } from "./download.ts";
import { log } from "./event.ts";
import { checkDestination } from "./check_options.ts";
import { type Destination, destinationPath, type FetchedPolicy, keepImage, onceAtATime } from "./fetch.ts";
import { policyManifestEntry } from "./platform.ts";
import { type Registry, registryFailure, withRegistry } from "./registry.ts";
import { getDigest, getImage } from "./registry_pull.ts";
import { findSignatures, type FoundSignatures } from "./signature/find_signatures.ts";
import { fromBase64, keyFromPem, verifies } from "./signature/public_key.ts";
import { materialOf } from "./signature/trust_material.ts";
import { loadX509 } from "./signature/x509.ts";
import { moduleExists, moduleSha256 } from "./store.ts";

/** What whoever goes on without a trust root says once, at WARN (`spec/fetch-verify.md §10.4`). */
export const NO_TRUST_ROOT_WARNINGS: readonly string[] = [
  "Sigstore Verifier created without Fulcio data: keyless signatures are going to be discarded because they cannot be verified",
  "Sigstore Verifier created without Rekor data: transparency log data won't be used",
  "Sigstore capabilities are going to be limited",
];

/** What was verified. */
export type VerifiedImage = {
  /** Digest of what the reference points to; of a multi-platform image, that of its index. */
  readonly digest: string;
};

/** What signs an image, with the image's digest. */
export type ImageSignatures = VerifiedImage & {
  readonly layers: readonly SignedLayer[];
  readonly reasons: readonly string[];
};

async function lookForSignatures(
  reference: Reference,
  trustRoot: TrustRoot | undefined,
  options: ArtifactOptions,
): Promise<{ readonly digest: string; readonly found: FoundSignatures }> {
  const name = formatReference(reference);
  try {
    await loadX509();
    const trust = materialOf(trustRoot);
    return await withRegistry(reference, "pull", options, async (registry: Registry) => {
      let digest: string;
      try {
        digest = await getDigest(registry, manifestName(reference));
      } catch (error) {
        throw prefixed(`Cannot fetch manifest of ${name}: `, error, "signature");
      }
      if (!digest.startsWith("sha256:")) {
        throw new ArtifactError(
          "signature",
          `${name} has the digest ${digest}: signatures are looked up by sha256 only`,
        );
      }
      return { digest, found: await findSignatures(registry, digest, trust, options) };
    });
  } catch (error) {
    if (codeOf(error) === "aborted") throw error;
    throw prefixed("failed to get image trusted layers: ", error, "signature");
  }
}

/**
 * The signatures of an image that can be used.
 *
 * @throws {ArtifactError} there are none, with the texts of `spec/fetch-verify.md §9.1`
 */
export async function imageSignatures(
  image: string,
  trustRoot: TrustRoot | undefined,
  options: ArtifactOptions,
): Promise<ImageSignatures> {
  const reference = parseImage(image);
  const { digest, found } = await lookForSignatures(reference, trustRoot, options);
  if (found.seen === 0) {
    const why = found.failures.length === 0 ? "" : `(${found.failures.join("; ")})`;
    throw new ArtifactError(
      "signature",
      `no signatures found for image: ${formatReference(reference)} ${why}`,
    );
  }
  if (found.layers.length === 0) {
    const text = "failed to get image trusted layers: No Signature Layer passed verification";
    throw new ArtifactError("signature", text, new Error(found.reasons.join("\n")));
  }
  return { digest, layers: found.layers, reasons: found.reasons };
}

/** Answers whether a layer verifies with a PEM key; a key that cannot be read meets nothing. */
export function keyCheck(options: ArtifactOptions): SignedBy {
  return (layer, pem) => {
    try {
      const key = keyFromPem(pem);
      const signature = fromBase64(layer.signature);
      if (signature === undefined || !verifies(key, layer.signedBytes, signature)) return false;
      if (layer.loggedKey === undefined || Buffer.from(layer.loggedKey).equals(key.spki)) return true;
      log(options, "info", "signature not used", {
        layer: layer.source,
        reason: "the log names another key",
      });
      return false;
    } catch (error) {
      log(options, "info", "Cannot use public key", { reason: messageOf(error) });
      return false;
    }
  };
}

/**
 * Checks a configuration against an image's signatures.
 *
 * @throws {ArtifactError} `signature`; what was wrong with single signatures is its `cause`
 */
export function requireConfig(
  config: VerificationConfig,
  found: ImageSignatures,
  options: ArtifactOptions,
): void {
  try {
    requireSignatures(config, found.layers, keyCheck(options));
  } catch (error) {
    for (const { annotations } of [...(config.allOf ?? []), ...(config.anyOf?.signatures ?? [])]) {
      if (found.layers.some((layer) => annotationsMatch(annotations, layer.annotations))) continue;
      // The original's signature library says so, and tools look for it.
      log(options, "info", "Annotation not satisfied", {
        expected: [...(annotations ?? [])].map(([name, value]) => `${name}=${value}`).join(" "),
      });
    }
    if (!(error instanceof ArtifactError) || found.reasons.length === 0) throw error;
    throw new ArtifactError(error.code, error.message, new Error(found.reasons.join("\n")));
  }
}

/**
 * Verifies that a policy is signed as a configuration requires.
 *
 * Without a trust root, `pubKey` entries work and every keyless entry is unmet: nothing is skipped.
 *
 * @param uri an image reference, with or without `registry://`
 * @returns the digest that was verified: fetch by it (`fetchVerifiedPolicy`), or check what was fetched (`verifyLocalChecksum`)
 * @throws {ArtifactError} with the texts of `spec/fetch-verify.md §9.1`
 */
export async function verifyPolicy(
  uri: string,
  config: VerificationConfig,
  trustRoot: TrustRoot | undefined,
  options: ArtifactOptions = {},
): Promise<VerifiedImage> {
  const found = await imageSignatures(uri, trustRoot, options);
  requireConfig(config, found, options);
  log(options, "info", "Policy successfully verified", { uri, digest: found.digest });
  return { digest: found.digest };
}

/** The one Wasm layer of a verified manifest; an index is resolved to this platform. */
async function signedLayer(registry: Registry, digest: string) {
  const image = await getImage(registry, digest, policyManifestEntry());
  const { manifest } = image;
  const layers = manifest.layers.filter(({ mediaType }) =>
    mediaType === MEDIA_TYPE.wasmLayer || mediaType === MEDIA_TYPE.wasm
  );
  const layer = layers[0];
  if (layer === undefined || manifest.layers.length !== 1) {
    throw new ArtifactError(
      "signature",
      "Cannot verify local file integrity, the remote manifest doesn't have only one WASM layer",
    );
  }
  if (!layer.digest.startsWith("sha256:")) {
    throw new ArtifactError(
      "signature",
      "The checksum inside of the remote manifest is not using the sha256 hashing algorithm as expected.",
    );
  }
  return { image, layer };
}

function verifiableReference(uri: string): Reference {
  try {
    return parseImage(uri);
  } catch (error) {
    throw prefixed("Verification only works with OCI images: Not a valid oci image: ", error, "reference");
  }
}

/**
 * Checks that a file is the module of the manifest that was verified.
 *
 * @param digest what `verifyPolicy` returned
 * @throws {ArtifactError} with the texts of `spec/fetch-verify.md §9.5`
 */
export async function verifyLocalChecksum(
  uri: string,
  path: string,
  digest: string,
  options: ArtifactOptions = {},
): Promise<void> {
  const reference = verifiableReference(uri);
  if (!await moduleExists(path)) {
    throw new ArtifactError("store", `Policy cannot be verified, local wasm file doesn't exist: ${path}`);
  }
  const { layer } = await withRegistry(
    reference,
    "pull",
    options,
    (registry) => signedLayer(registry, digest),
  );
  const expected = layer.digest.slice("sha256:".length);
  const actual = await moduleSha256(path);
  if (actual !== expected) {
    throw new ArtifactError(
      "signature",
      "The digest of the local file doesn't match with the one reported inside of the signed manifest. " +
        `Got ${actual} instead of ${expected}`,
    );
  }
  log(options, "info", "Local file checksum verification passed", { path, sha256: actual });
}

/**
 * Verifies a policy and fetches exactly what was verified: by digest, never by the tag again. A copy in the store is used if
 * its bytes are those that were signed, and replaced if they are not.
 *
 * @throws {ArtifactError}
 */
export async function fetchVerifiedPolicy(
  uri: string,
  config: VerificationConfig,
  trustRoot: TrustRoot | undefined,
  destination: Destination,
  options: ArtifactOptions = {},
): Promise<FetchedPolicy & { readonly sha256: string; readonly digest: string }> {
  checkDestination(destination);
  const { digest } = await verifyPolicy(uri, config, trustRoot, options);
  const reference = verifiableReference(uri);
  const url = parsePolicyUrl(`registry://${formatReference(reference)}`);
  if (url.scheme !== "registry") throw new ArtifactError("reference", `unknown scheme: ${url.scheme}`);
  const path = await destinationPath(url, destination);
  const name = immutableReference(reference, digest);
  let downloaded = false;
  try {
    // Not shared with a download that nobody verified, nor with one of another digest.
    const sha256 = await onceAtATime(
      `${path} ${digest}`,
      options,
      () =>
        withRegistry(reference, "pull", options, async (registry) => {
          const { image, layer } = await signedLayer(registry, digest);
          // Under the digest of the reference, which a reference with another algorithm than the verified one can't name.
          if (destination.kind === "store" && reference.digest === digest) {
            await keepImage(destination.root, reference, image, options);
          }
          const expected = layer.digest.slice("sha256:".length);
          if (await moduleExists(path)) {
            const actual = await moduleSha256(path);
            if (actual === expected) return actual;
            log(options, "warn", "the stored module is not the signed one: fetching it again", {
              path,
              actual,
              expected,
            });
          }
          downloaded = true;
          return await downloadLayer(registry, layer, path, name, options);
        }),
    );
    log(options, "info", "Local file checksum verification passed", { path, sha256 });
    log(options, "info", "Local checksum successfully verified", { path, sha256 });
    return { uri, path, sha256, downloaded, digest };
  } catch (error) {
    const code = codeOf(error);
    if (code === "not_wasm" || code === "store" || code === "aborted" || code === "signature") throw error;
    throw registryFailure(reference, error);
  }
}
