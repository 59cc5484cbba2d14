/**
 * What a store keeps to check its modules by. A reference by digest names a manifest, and the store holds modules: the
 * manifests are kept beside them, as files named after their own digests, below a folder that no listing of policies visits.
 * Whoever changes a module or a manifest in the store does not get past it: each is checked against what names it.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { manifestComponents } from "../render/store_path.ts";
import { codeOf } from "../types/error.ts";
import { type Descriptor, type Manifest, parseManifest } from "../types/manifest.ts";
import { DEFAULT_LIMITS } from "../types/options.ts";
import { isDigest } from "../types/reference.ts";
import { policyManifestEntry } from "./platform.ts";
import { makeParent, writeAtomically } from "./store.ts";

/** Where the manifest with a digest is kept. */
export function manifestPath(root: string, digest: string): string {
  return join(root, ...manifestComponents(digest));
}

/** Keeps a manifest, or an index, under its digest. */
export async function keepManifest(root: string, digest: string, bytes: Uint8Array): Promise<void> {
  const path = manifestPath(root, digest);
  await makeParent(path);
  await writeAtomically(path, (file) => file.writeFile(bytes));
}

function digestOf(algorithm: string, bytes: Uint8Array): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}

/** Whether bytes are what a digest names. */
function hasDigest(bytes: Uint8Array, digest: string): boolean {
  return isDigest(digest) && digestOf(digest.slice(0, digest.indexOf(":")), bytes) === digest;
}

/** A kept manifest; `undefined` if there is none, or if what is there is not what its name says. */
async function keptManifest(root: string, digest: string): Promise<Manifest | undefined> {
  const path = manifestPath(root, digest);
  try {
    if ((await stat(path)).size > DEFAULT_LIMITS.manifestBytes) return undefined;
    const bytes = await readFile(path);
    return hasDigest(bytes, digest) ? parseManifest(new TextDecoder().decode(bytes)) : undefined;
  } catch {
    return undefined;
  }
}

/** The layer that a kept manifest calls the module; of an index, this platform's. `undefined`: the store does not know. */
export async function keptLayer(
  root: string,
  digest: string,
  layerOf: (manifest: Manifest & { kind: "image" }) => Descriptor,
): Promise<Descriptor | undefined> {
  let manifest = await keptManifest(root, digest);
  if (manifest?.kind === "index") {
    const entry = policyManifestEntry().choose(manifest.manifests);
    manifest = entry === undefined ? undefined : await keptManifest(root, entry.digest);
  }
  if (manifest?.kind !== "image") return undefined;
  try {
    return layerOf(manifest);
  } catch (error) {
    if (codeOf(error) === "media_type") return undefined;
    throw error;
  }
}

/** The digests of the kept manifests that a digest leads to: itself, and of an index this platform's. */
export async function keptDigests(
  root: string,
  digest: string,
): Promise<readonly string[]> {
  const manifest = await keptManifest(root, digest);
  if (manifest === undefined) return [];
  if (manifest.kind === "image") return [digest];
  const entry = policyManifestEntry().choose(manifest.manifests);
  return entry === undefined || await keptManifest(root, entry.digest) === undefined
    ? [digest]
    : [digest, entry.digest];
}

/** Whether a file is a layer, byte for byte, and its SHA-256. */
export async function checkFile(
  path: string,
  layer: Descriptor,
): Promise<{ readonly same: boolean; readonly sha256: string }> {
  const algorithm = layer.digest.slice(0, layer.digest.indexOf(":"));
  const sha256 = createHash("sha256");
  const other = algorithm === "sha256" ? undefined : createHash(algorithm);
  for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    sha256.update(piece as Uint8Array);
    other?.update(piece as Uint8Array);
  }
  const hex = sha256.digest("hex");
  return { same: `${algorithm}:${other?.digest("hex") ?? hex}` === layer.digest, sha256: hex };
}
