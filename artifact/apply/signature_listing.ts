/** What signatures hang on an image, unverified (`spec/cli.md`, `inspect --show-signatures`). */
import { typedDocument } from "../render/manifest_document.ts";
import { manifestName } from "../render/reference.ts";
import type { ArtifactOptions } from "../types/options.ts";
import { askRegistry } from "./registry.ts";
import { getDigest } from "./registry_pull.ts";
import { attachedSignatures } from "./signature/attached_signatures.ts";
import type { OciDocument } from "./oci_manifest.ts";

export type SignatureListing = {
  /** The manifests of the images that hold signatures: cosign's `.sig` image first, then those that refer to the image. */
  readonly manifests: readonly OciDocument[];
  /** What could not be read: with any of these, an empty list proves nothing. */
  readonly failures: readonly string[];
};

/**
 * Lists the signatures of an image; none of them is verified.
 *
 * @throws {ArtifactError} the image itself cannot be found
 */
export function listSignatures(image: string, options: ArtifactOptions = {}): Promise<SignatureListing> {
  return askRegistry(image, options, async (registry, reference) => {
    const digest = await getDigest(registry, manifestName(reference));
    const { images, failures } = await attachedSignatures(registry, digest);
    const signatures = images.filter(({ attestation, layers }) => !attestation && layers.length > 0);
    return { manifests: signatures.map(({ manifest }) => typedDocument(manifest)), failures };
  });
}
