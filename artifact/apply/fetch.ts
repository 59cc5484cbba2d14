/** Gets a policy from wherever its URI says (`spec/fetch-verify.md §2`). */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatReference, manifestName } from "../render/reference.ts";
import { reusable } from "../render/store_path.ts";
import { ArtifactError, codeOf, messageOf, prefixed } from "../types/error.ts";
import { type Descriptor, type Manifest, MEDIA_TYPE } from "../types/manifest.ts";
import type { ArtifactOptions } from "../types/options.ts";
import { quotedUri } from "../types/quoted.ts";
import { parsePolicyUrl, type PolicyUrl, type Reference } from "../types/reference.ts";
import { checkArtifactOptions, checkDestination } from "./check_options.ts";
import { downloadFile, downloadLayer } from "./download.ts";
import { log } from "./event.ts";
import { policyManifestEntry } from "./platform.ts";
import { registryFailure, withRegistry } from "./registry.ts";
import { type FetchedImage, getImage } from "./registry_pull.ts";
import { makeParent, moduleExists, moduleSha256, storePath } from "./store.ts";
import { checkFile, keepManifest, keptLayer } from "./stored_manifest.ts";

/** Where a fetched module goes. */
export type Destination =
  | { readonly kind: "store"; readonly root: string }
  /** An existing directory takes the file under its own name; anything else is the file itself. Always downloaded. */
  | { readonly kind: "file"; readonly path: string };

/** A policy that is on this disk. */
export type FetchedPolicy = {
  /** As it was given. */
  readonly uri: string;
  readonly path: string;
  /** SHA-256 of the module, lower-case hex; absent for `file` URIs, which are not looked at. */
  readonly sha256: string | undefined;
  /** Whether it came over the network now. */
  readonly downloaded: boolean;
};

/**
 * The layer that is the module: the first; every layer must be Wasm.
 *
 * @throws {ArtifactError} `media_type`
 */
function moduleLayer(manifest: Manifest & { kind: "image" }): Descriptor {
  for (const { mediaType } of manifest.layers) {
    if (mediaType !== MEDIA_TYPE.wasmLayer && mediaType !== MEDIA_TYPE.wasm) {
      throw new ArtifactError("media_type", `Incompatible layer media type: ${mediaType}`);
    }
  }
  const layer = manifest.layers[0];
  if (layer === undefined) throw new ArtifactError("media_type", "No layers to pull");
  return layer;
}

/**
 * Keeps what a digest names beside the modules of a store, so that the module can be checked next time without the network.
 * A store that takes no more files is no reason to fail: the next start asks the registry again.
 */
export async function keepImage(
  root: string,
  reference: Reference,
  image: FetchedImage,
  options: ArtifactOptions,
): Promise<void> {
  if (reference.digest === undefined) return;
  try {
    await keepManifest(root, reference.digest, (image.index ?? image).bytes);
    if (image.index !== undefined) await keepManifest(root, image.digest, image.bytes);
  } catch (error) {
    log(options, "debug", "the manifest cannot be kept", { root, error: messageOf(error) });
  }
}

/** What is known of a stored module whose URI names a digest. */
export type StoredCheck =
  /** Its URI names no digest: there is nothing to check it by. */
  | { readonly kind: "unnamed" }
  /** It is what its digest names. */
  | { readonly kind: "same"; readonly sha256: string }
  /** It is not: somebody changed it, or it was damaged. */
  | { readonly kind: "changed"; readonly sha256: string; readonly expected: string }
  /** The store does not hold the manifest that tells. */
  | { readonly kind: "unknown" };

/** Checks a stored module against the digest in its URI, without the network. */
export async function checkStored(root: string, url: PolicyUrl, path: string): Promise<StoredCheck> {
  if (url.scheme !== "registry" || url.reference.digest === undefined) return { kind: "unnamed" };
  const layer = await keptLayer(root, url.reference.digest, moduleLayer);
  if (layer === undefined) return { kind: "unknown" };
  const { same, sha256 } = await checkFile(path, layer);
  return same ? { kind: "same", sha256 } : { kind: "changed", sha256, expected: layer.digest };
}

type Pulled = { readonly sha256: string; readonly downloaded: boolean };

/** @param root the store that `path` lies in; what a digest names there already is not downloaded again */
async function pull(
  reference: Reference,
  path: string,
  root: string | undefined,
  options: ArtifactOptions,
): Promise<Pulled> {
  const name = formatReference(reference);
  try {
    return await withRegistry(reference, "pull", options, async (registry) => {
      const image = await getImage(registry, manifestName(reference), policyManifestEntry());
      const layer = moduleLayer(image.manifest);
      if (root !== undefined && reference.digest !== undefined) {
        await keepImage(root, reference, image, options);
        if (await moduleExists(path)) {
          const { same, sha256 } = await checkFile(path, layer);
          if (same) return { sha256, downloaded: false };
        }
      }
      return {
        sha256: await downloadLayer(registry, layer, path, name, options),
        downloaded: true,
      };
    });
  } catch (error) {
    const code = codeOf(error);
    if (code === "not_wasm" || code === "store" || code === "aborted") throw error;
    throw registryFailure(reference, error);
  }
}

function filePath(uri: string): string {
  try {
    return fileURLToPath(uri);
  } catch (cause) {
    throw new ArtifactError(
      "reference",
      `cannot retrieve path from uri: ${
        quotedUri(uri)
      }: a whole path follows file://, as in file:///policies/x.wasm`,
      cause,
    );
  }
}

function fileName(url: PolicyUrl & { scheme: "http" | "https" | "registry" }): string {
  const segments = url.scheme === "registry" ? url.uri.split("/") : url.segments;
  const last = segments.at(-1) ?? "";
  if (last === "" || last === "." || last === "..") {
    throw new ArtifactError("reference", `invalid URL: ${quotedUri(url.uri)} (it names no file)`);
  }
  return last;
}

/** The path that a fetched policy will have; the directories of a store are made. */
export async function destinationPath(
  url: PolicyUrl & { scheme: "http" | "https" | "registry" },
  destination: Destination,
): Promise<string> {
  if (destination.kind === "store") {
    const path = storePath(destination.root, url);
    await makeParent(path);
    return path;
  }
  const directory = await stat(destination.path).then((entry) => entry.isDirectory(), () => false);
  return directory ? join(destination.path, fileName(url)) : destination.path;
}

/** Downloads under way in this process. */
const underWay = new Map<string, Promise<unknown>>();

/** Somebody else's promise, for as long as the own caller wants to wait for it. */
function orStopped<T>(other: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return other;
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(new ArtifactError("aborted", "stopped by the caller"));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    other.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** One download per key at a time; who comes later gets its result, or downloads if the first was stopped by its caller. */
export async function onceAtATime<T>(
  key: string,
  options: ArtifactOptions,
  download: () => Promise<T>,
): Promise<T> {
  for (;;) {
    const other = underWay.get(key) as Promise<T> | undefined;
    if (other === undefined) break;
    try {
      return await orStopped(other, options.signal);
    } catch (error) {
      if (codeOf(error) !== "aborted" || options.signal?.aborted) throw error;
    }
  }
  const own = download();
  underWay.set(key, own);
  try {
    return await own;
  } finally {
    underWay.delete(key);
  }
}

/**
 * Fetches a policy. What is in the store already is used without network access, unless its tag is `latest`. What a digest
 * names is checked against it, also in the store; where the store does not say what the digest stands for (1.36 wrote it),
 * the registry is asked.
 *
 * @example
 *   const policy = await fetchPolicy("ghcr.io/kubewarden/policies/pod-privileged:v0.2.2", { kind: "store", root }, {});
 *   policy.path; // <root>/registry/ghcr.io/kubewarden/policies/pod-privileged:v0.2.2
 *
 * @throws {ArtifactError} with the texts of `spec/fetch-verify.md §1-§6`
 */
export async function fetchPolicy(
  uri: string,
  destination: Destination,
  options: ArtifactOptions = {},
): Promise<FetchedPolicy> {
  checkArtifactOptions(options);
  checkDestination(destination);
  const url = parsePolicyUrl(uri);
  if (url.scheme === "file") return { uri, path: filePath(url.uri), sha256: undefined, downloaded: false };
  const path = await destinationPath(url, destination);
  const root = destination.kind === "store" ? destination.root : undefined;
  let unknown = false;
  if (root !== undefined && reusable(url) && await moduleExists(path)) {
    const check = await checkStored(root, url, path);
    if (check.kind === "unnamed") {
      return { uri, path, sha256: await moduleSha256(path), downloaded: false };
    }
    if (check.kind === "same") return { uri, path, sha256: check.sha256, downloaded: false };
    unknown = check.kind === "unknown";
    if (check.kind === "changed") {
      log(options, "warn", "the stored module is not what its digest names: fetching it again", {
        path,
        actual: check.sha256,
        expected: check.expected,
      });
    }
  }
  try {
    const pulled = await onceAtATime(path, options, async (): Promise<Pulled> => {
      if (url.scheme === "registry") return await pull(url.reference, path, root, options);
      return { sha256: await downloadFile(url, path, options), downloaded: true };
    });
    return { uri, path, ...pulled };
  } catch (error) {
    if (!unknown || codeOf(error) === "aborted") throw error;
    const why = `${path} is stored, but not what its digest stands for, so that it cannot be checked: `;
    throw prefixed(why, error, "store");
  }
}
