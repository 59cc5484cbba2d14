/** Copies an image, with its signatures, from one registry to another (`spec/fetch-verify.md §7`). */
import { formatReference, immutableReference, manifestName } from "../render/reference.ts";
import { ArtifactError, codeOf, messageOf, prefixed } from "../types/error.ts";
import { type Descriptor, type Manifest, MEDIA_TYPE } from "../types/manifest.ts";
import type { ArtifactOptions } from "../types/options.ts";
import { parseImage } from "../types/reference.ts";
import { requireDigest, startHash } from "./digest.ts";
import { log } from "./event.ts";
import type { PushedPolicy } from "./push.ts";
import { type Registry, withRegistry } from "./registry.ts";
import { type FetchedManifest, getManifest, getReferrers } from "./registry_pull.ts";
import { hasBlob, putBlob, putManifest } from "./registry_push.ts";
import { attachedSignatures } from "./signature/attached_signatures.ts";

type Route = { readonly from: Registry; readonly to: Registry };

/** Streams one blob from registry to registry; nothing is kept on disk, and the digest is checked before it counts. */
async function copyBlob({ from, to }: Route, blob: Descriptor): Promise<void> {
  if (await hasBlob(to, blob.digest)) return;
  async function* checked() {
    const response = await from.send({
      method: "GET",
      url: from.url(`blobs/${blob.digest}`),
      headers: {},
      large: true,
    });
    if (response.status !== 200) throw await from.refusal(response);
    const hash = startHash(blob.digest);
    let size = 0;
    for await (const piece of response.body) {
      size += piece.length;
      if (size > blob.size) throw new ArtifactError("digest", `Digest error: Invalid size of ${blob.digest}`);
      hash.update(piece);
      yield piece;
    }
    requireDigest(blob.digest, hash, response.url);
  }
  await putBlob(to, blob.digest, checked);
}

async function copyManifest(route: Route, source: FetchedManifest, name: string, depth = 0): Promise<string> {
  const { from, to } = route;
  const manifest: Manifest = source.manifest;
  if (manifest.kind === "index") {
    if (depth > 0) {
      throw new ArtifactError("protocol", `${from.repository}@${source.digest} is an index inside an index`);
    }
    const listed = manifest.document["manifests"];
    if (Array.isArray(listed) && listed.length !== manifest.manifests.length) {
      throw new ArtifactError(
        "protocol",
        `${from.repository}@${source.digest} has entries that are no descriptors`,
      );
    }
    for (const entry of manifest.manifests) {
      await copyManifest(
        route,
        await getManifest(from, entry.digest),
        entry.digest,
        depth + 1,
      );
    }
  } else {
    for (const blob of [...manifest.layers, ...(manifest.config === undefined ? [] : [manifest.config])]) {
      await copyBlob(route, blob);
    }
  }
  return await putManifest(to, name, source.mediaType || MEDIA_TYPE.ociManifest, source.bytes);
}

/**
 * Copies the signatures that refer to an image, and lists them under the fallback tag where the target has no referrers API, as the
 * OCI distribution specification asks of whoever pushes such a manifest.
 */
async function copyReferrers(route: Route, digest: string, options: ArtifactOptions): Promise<void> {
  const { from, to } = route;
  const { images, failures } = await attachedSignatures(from, digest);
  for (const error of failures) {
    log(options, "warn", "cannot look for signatures everywhere", { error, digest });
  }
  const referring = images.filter(({ manifest }) => (manifest.document["subject"] ?? null) !== null);
  const entries: Record<string, unknown>[] = [];
  for (const image of referring) {
    const source = await getManifest(from, image.digest);
    await copyManifest(route, source, image.digest);
    entries.push({
      mediaType: source.mediaType || MEDIA_TYPE.ociManifest,
      digest: image.digest,
      size: source.bytes.length,
      artifactType: image.manifest.document["artifactType"] || image.manifest.config?.mediaType,
      annotations: image.manifest.document["annotations"] ?? undefined,
    });
  }
  if (entries.length === 0) return;
  const { referrers } = await getReferrers(to, digest);
  const missing = entries.filter((entry) => !referrers.some((known) => known.digest === entry["digest"]));
  if (missing.length === 0) return;
  const known = await getManifest(to, digest.replace(":", "-")).then(
    ({ manifest }) => manifest.kind === "index" ? manifest.document["manifests"] : [],
    (error) => {
      if (codeOf(error) === "not_found") return [];
      throw error;
    },
  );
  const index = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociIndex,
    manifests: [...(Array.isArray(known) ? known : []), ...missing],
  };
  const bytes = new TextEncoder().encode(JSON.stringify(index));
  await putManifest(to, digest.replace(":", "-"), MEDIA_TYPE.ociIndex, bytes);
}

/**
 * Copies an image or index, byte for byte, and the signatures that hang on it by tag, so that it verifies there as it did
 * here.
 *
 * @returns the digest, which is the same on both sides
 * @throws {ArtifactError}
 */
export async function copyArtifact(
  from: string,
  to: string,
  options: ArtifactOptions = {},
): Promise<PushedPolicy> {
  const source = parseImage(from);
  const target = parseImage(to);
  try {
    const digest = await withRegistry(
      source,
      "pull",
      options,
      (from) =>
        withRegistry(target, "push", options, async (to) => {
          const route = { from, to };
          const manifest = await getManifest(from, manifestName(source));
          const pushed = await copyManifest(route, manifest, manifestName(target));
          const base = manifest.digest.replace(":", "-");
          for (const tag of [`${base}.sig`, base]) {
            try {
              await copyManifest(route, await getManifest(from, tag), tag);
            } catch (error) {
              if (codeOf(error) === "not_found") continue;
              // Artifactory forbids what is not there.
              if (codeOf(error) !== "forbidden") throw error;
              log(options, "warn", "cannot look for signatures everywhere", {
                error: messageOf(error),
                digest: manifest.digest,
              });
            }
          }
          await copyReferrers(route, manifest.digest, options);
          return pushed;
        }),
    );
    return { digest, immutableReference: immutableReference(target, digest) };
  } catch (error) {
    throw prefixed(
      `cannot copy ${formatReference(source)} to ${formatReference(target)}: `,
      error,
      "protocol",
    );
  }
}
