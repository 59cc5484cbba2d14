/** Puts policies into registries: from a file, or from another registry (`spec/fetch-verify.md §7`). */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { EMPTY_CONFIG, manifestAnnotations, policyManifest } from "../render/manifest_document.ts";
import { formatReference, immutableReference, manifestName } from "../render/reference.ts";
import { ArtifactError, codeOf, messageOf, prefixed } from "../types/error.ts";
import { type Descriptor, type Manifest, MEDIA_TYPE } from "../types/manifest.ts";
import type { ArtifactOptions } from "../types/options.ts";
import { parseImage, parseReference, type Reference } from "../types/reference.ts";
import { requireDigest, startHash } from "./digest.ts";
import { log } from "./event.ts";
import { type Registry, registryFailure, withRegistry } from "./registry.ts";
import { type FetchedManifest, getManifest, getTags } from "./registry_pull.ts";
import { hasBlob, putBlob, putManifest } from "./registry_push.ts";
import { moduleSha256 } from "./store.ts";

/** What was pushed, named so that it cannot change. */
export type PushedPolicy = {
  /** `<registry>/<repository>@<digest>`. */
  readonly immutableReference: string;
  /** Digest of the manifest. */
  readonly digest: string;
};

function destinationOf(uri: string): Reference {
  if (!uri.startsWith("registry://")) throw new ArtifactError("reference", "Invalid destination format");
  return parseReference(uri.slice("registry://".length));
}

/**
 * Pushes a module. What it holds is not looked at: that it is a policy is the caller's business.
 *
 * @param annotations the module's metadata annotations
 * @throws {ArtifactError}
 */
export async function pushPolicy(
  path: string,
  destination: string,
  annotations: Readonly<Record<string, string>>,
  options: ArtifactOptions = {},
): Promise<PushedPolicy> {
  const reference = destinationOf(destination);
  const size = await stat(path).then((entry) => entry.size, (cause) => {
    throw new ArtifactError("store", `cannot read ${path}: ${messageOf(cause)}`, cause);
  });
  const layer = { digest: `sha256:${await moduleSha256(path)}`, size };
  const { kept, dropped } = manifestAnnotations(annotations);
  for (const annotation of dropped) {
    log(options, "warn", "annotation is a multi-line string, it will be removed from the OCI manifest", {
      annotation,
    });
  }
  const manifest = new TextEncoder().encode(policyManifest(layer, kept));
  const { repository } = reference;
  try {
    const digest = await withRegistry(reference, "push", options, async (registry) => {
      const open = () => createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Uint8Array>;
      await putBlob(registry, repository, layer.digest, open);
      const config = [new TextEncoder().encode(EMPTY_CONFIG.content)];
      await putBlob(registry, repository, EMPTY_CONFIG.digest, () => config);
      return await putManifest(
        registry,
        repository,
        manifestName(reference),
        MEDIA_TYPE.ociManifest,
        manifest,
      );
    });
    return { digest, immutableReference: immutableReference(reference, digest) };
  } catch (error) {
    throw registryFailure(reference, error);
  }
}

/** Streams one blob from registry to registry; nothing is kept on disk, and the digest is checked before it counts. */
async function copyBlob(
  from: Registry,
  fromRepository: string,
  to: Registry,
  toRepository: string,
  blob: Descriptor,
): Promise<void> {
  if (await hasBlob(to, toRepository, blob.digest)) return;
  async function* checked() {
    const response = await from.send(fromRepository, {
      method: "GET",
      url: `${from.base}/v2/${fromRepository}/blobs/${blob.digest}`,
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
  await putBlob(to, toRepository, blob.digest, checked);
}

type Route = {
  readonly from: Registry;
  readonly fromRepository: string;
  readonly to: Registry;
  readonly toRepository: string;
};

async function copyManifest(route: Route, source: FetchedManifest, name: string, depth = 0): Promise<string> {
  const { from, fromRepository, to, toRepository } = route;
  const manifest: Manifest = source.manifest;
  if (manifest.kind === "index") {
    if (depth > 0) {
      throw new ArtifactError("protocol", `${fromRepository}@${source.digest} is an index inside an index`);
    }
    for (const entry of manifest.manifests) {
      await copyManifest(
        route,
        await getManifest(from, fromRepository, entry.digest),
        entry.digest,
        depth + 1,
      );
    }
  } else {
    for (const blob of [...manifest.layers, manifest.config]) {
      await copyBlob(from, fromRepository, to, toRepository, blob);
    }
  }
  return await putManifest(to, toRepository, name, source.mediaType || MEDIA_TYPE.ociManifest, source.bytes);
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
      (fromRegistry) =>
        withRegistry(target, "push", options, async (toRegistry) => {
          const route = {
            from: fromRegistry,
            fromRepository: source.repository,
            to: toRegistry,
            toRepository: target.repository,
          };
          const manifest = await getManifest(fromRegistry, source.repository, manifestName(source));
          const pushed = await copyManifest(route, manifest, manifestName(target));
          const base = manifest.digest.replace(":", "-");
          for (const tag of [`${base}.sig`, base]) {
            try {
              await copyManifest(route, await getManifest(fromRegistry, source.repository, tag), tag);
            } catch (error) {
              if (codeOf(error) !== "not_found") throw error;
            }
          }
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

/**
 * The tags of a repository.
 *
 * @throws {ArtifactError}
 */
export async function listTags(image: string, options: ArtifactOptions = {}): Promise<readonly string[]> {
  const reference = parseImage(image);
  try {
    return await withRegistry(
      reference,
      "pull",
      options,
      (registry) => getTags(registry, reference.repository),
    );
  } catch (error) {
    throw registryFailure(reference, error);
  }
}
