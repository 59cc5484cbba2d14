/** What a policy may ask about an image without its content (`spec/fetch-verify.md §12.1`). */
import { typedDocument } from "../render/manifest_document.ts";
import { manifestName } from "../render/reference.ts";
import { ArtifactError } from "../types/error.ts";
import { parseJson } from "../types/json_text.ts";
import type { ArtifactOptions } from "../types/options.ts";
import { parseImage, type Reference } from "../types/reference.ts";
import { imageEntry } from "./platform.ts";
import { type Registry, registryFailure, withRegistry } from "./registry.ts";
import { getBlob, getDigest, getImage, getManifest } from "./registry_pull.ts";

/** A manifest, index or configuration as JSON. */
export type OciDocument = Readonly<Record<string, unknown>>;

async function ask<T>(
  image: string,
  options: ArtifactOptions,
  question: (registry: Registry, reference: Reference) => Promise<T>,
): Promise<T> {
  const reference = parseImage(image);
  try {
    return await withRegistry(reference, "pull", options, (registry) => question(registry, reference));
  } catch (error) {
    throw registryFailure(reference, error);
  }
}

/**
 * The digest that an image reference stands for; of a multi-platform image, the digest of its index.
 *
 * @throws {ArtifactError}
 */
export function manifestDigest(image: string, options: ArtifactOptions = {}): Promise<string> {
  return ask(
    image,
    options,
    (registry, reference) => getDigest(registry, reference.repository, manifestName(reference)),
  );
}

/**
 * The manifest or index itself, with the fields that the specification knows.
 *
 * @throws {ArtifactError}
 */
export function ociManifest(image: string, options: ArtifactOptions = {}): Promise<OciDocument> {
  return ask(
    image,
    options,
    async (registry, reference) =>
      typedDocument((await getManifest(registry, reference.repository, manifestName(reference))).manifest),
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
  return ask(image, options, async (registry, { repository, ...reference }) => {
    const found = await getImage(
      registry,
      repository,
      manifestName({ repository, ...reference }),
      imageEntry(),
    );
    const described = found.manifest.config;
    if (described === undefined) {
      throw new ArtifactError("protocol", `the manifest of ${image} names no configuration`);
    }
    const blob = await getBlob(registry, repository, described);
    const config = parseJson(new TextDecoder().decode(blob), `the configuration of ${image}`);
    return { manifest: typedDocument(found.manifest), digest: found.digest, config };
  });
}
