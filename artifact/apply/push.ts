/** Puts policies into registries: from a file, or from another registry (`spec/fetch-verify.md §7`). */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { EMPTY_CONFIG, manifestAnnotations, policyManifest } from "../render/manifest_document.ts";
import { immutableReference, manifestName } from "../render/reference.ts";
import { ArtifactError, messageOf } from "../types/error.ts";
import { quotedUri } from "../types/quoted.ts";
import { MEDIA_TYPE } from "../types/manifest.ts";
import type { ArtifactOptions } from "../types/options.ts";
import { parseReference, type Reference } from "../types/reference.ts";
import { log } from "./event.ts";
import { askRegistry, registryFailure, withRegistry } from "./registry.ts";
import { getTags } from "./registry_pull.ts";
import { putBlob, putManifest } from "./registry_push.ts";
import { moduleSha256 } from "./store.ts";

/** What was pushed, named so that it cannot change. */
export type PushedPolicy = {
  /** `<registry>/<repository>@<digest>`. */
  readonly immutableReference: string;
  /** Digest of the manifest. */
  readonly digest: string;
};

function destinationOf(uri: string): Reference {
  if (!uri.startsWith("registry://")) {
    throw new ArtifactError(
      "reference",
      `Invalid destination format: ${quotedUri(uri)} (write registry://HOST/PATH:TAG)`,
    );
  }
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
  try {
    const digest = await withRegistry(reference, "push", options, async (registry) => {
      const open = () => createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Uint8Array>;
      await putBlob(registry, layer.digest, open);
      const config = [new TextEncoder().encode(EMPTY_CONFIG.content)];
      await putBlob(registry, EMPTY_CONFIG.digest, () => config);
      return await putManifest(registry, manifestName(reference), MEDIA_TYPE.ociManifest, manifest);
    });
    return { digest, immutableReference: immutableReference(reference, digest) };
  } catch (error) {
    throw registryFailure(reference, error);
  }
}

/**
 * The tags of a repository.
 *
 * @throws {ArtifactError}
 */
export function listTags(image: string, options: ArtifactOptions = {}): Promise<readonly string[]> {
  return askRegistry(image, options, getTags);
}
