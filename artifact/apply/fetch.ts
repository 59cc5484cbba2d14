/** Gets a policy from wherever its URI says (`spec/fetch-verify.md §2`). */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { own } from "../../program/types/own.ts";
import { formatReference, manifestName } from "../render/reference.ts";
import { reusable } from "../render/store_path.ts";
import { ArtifactError, codeOf } from "../types/error.ts";
import { type Descriptor, type Manifest, MEDIA_TYPE, type Platform } from "../types/manifest.ts";
import type { ArtifactOptions } from "../types/options.ts";
import { parsePolicyUrl, type PolicyUrl, type Reference } from "../types/reference.ts";
import { downloadFile, downloadLayer } from "./download.ts";
import { registryFailure, withRegistry } from "./registry.ts";
import { getImage } from "./registry_pull.ts";
import { makeParent, moduleExists, moduleSha256, storePath } from "./store.ts";

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

/** The running process's platform in Go's names, which images use. */
export function hostPlatform(): Platform {
  const os = process.platform === "win32" ? "windows" : process.platform;
  const architecture = own({ x64: "amd64", ia32: "386" }, process.arch as string) ?? process.arch;
  return { os, architecture };
}

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

async function pull(reference: Reference, path: string, options: ArtifactOptions): Promise<string> {
  const name = formatReference(reference);
  try {
    return await withRegistry(reference, "pull", options, async (registry) => {
      const { repository } = reference;
      const image = await getImage(registry, repository, manifestName(reference), hostPlatform());
      return await downloadLayer(registry, repository, moduleLayer(image.manifest), path, name, options);
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
    throw new ArtifactError("reference", `cannot retrieve path from uri: ${uri}`, cause);
  }
}

function fileName(url: PolicyUrl & { scheme: "http" | "https" | "registry" }): string {
  const segments = url.scheme === "registry" ? url.uri.split("/") : url.segments;
  const last = segments.at(-1) ?? "";
  if (last === "" || last === "." || last === "..") {
    throw new ArtifactError("reference", `invalid URL: ${url.uri} (it names no file)`);
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
const underWay = new Map<string, Promise<string>>();

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
export async function onceAtATime(key: string, options: ArtifactOptions, download: () => Promise<string>) {
  for (;;) {
    const other = underWay.get(key);
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
 * Fetches a policy. What is in the store already is used without network access, unless its tag is `latest`.
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
  const url = parsePolicyUrl(uri);
  if (url.scheme === "file") return { uri, path: filePath(url.uri), sha256: undefined, downloaded: false };
  const path = await destinationPath(url, destination);
  if (destination.kind === "store" && reusable(url) && await moduleExists(path)) {
    return { uri, path, sha256: await moduleSha256(path), downloaded: false };
  }
  const sha256 = await onceAtATime(
    path,
    options,
    () => url.scheme === "registry" ? pull(url.reference, path, options) : downloadFile(url, path, options),
  );
  return { uri, path, sha256, downloaded: true };
}
