/** What a policy may ask about an image without its content (`spec/fetch-verify.md §12.1`). */
import { typedDocument } from "../render/manifest_document.ts";
import { manifestName } from "../render/reference.ts";
import { ArtifactError } from "../types/error.ts";
import { parseJson } from "../types/json_text.ts";
import type { ArtifactOptions } from "../types/options.ts";
import { imageEntry } from "./platform.ts";
import { askRegistry } from "./registry.ts";
import { getBlob, getDigest, getImage, getManifest } from "./registry_pull.ts";

/** A manifest, index or configuration as JSON. */
export type OciDocument = Readonly<Record<string, unknown>>;

/**
 * The digest that an image reference stands for; of a multi-platform image, the digest of its index.
 *
 * @throws {ArtifactError}
 */
export function manifestDigest(image: string, options: ArtifactOptions = {}): Promise<string> {
  return askRegistry(image, options, (registry, reference) => getDigest(registry, manifestName(reference)));
}

/**
 * The manifest or index itself, with the fields that the specification knows.
 *
 * @throws {ArtifactError}
 */
export function ociManifest(image: string, options: ArtifactOptions = {}): Promise<OciDocument> {
  return askRegistry(
    image,
    options,
    async (registry, reference) =>
      typedDocument((await getManifest(registry, manifestName(reference))).manifest),
  );
}

/**
 * The image manifest for this process's platform, its digest, and its configuration blob.
 *
 * @throws {ArtifactError}
 */
export function ociManifestAndConfig(
  image: string,
  options: ArtifactOptions = {},
): Promise<{ readonly manifest: OciDocument; readonly digest: string; readonly config: unknown }> {
  return askRegistry(image, options, async (registry, reference) => {
    const found = await getImage(registry, manifestName(reference), imageEntry());
    const described = found.manifest.config;
    if (described === undefined) {
      throw new ArtifactError("protocol", `the manifest of ${image} names no configuration`);
    }
    const blob = await getBlob(registry, described);
    const config = parseJson(new TextDecoder().decode(blob), `the configuration of ${image}`);
    return { manifest: typedDocument(found.manifest), digest: found.digest, config };
  });
}
