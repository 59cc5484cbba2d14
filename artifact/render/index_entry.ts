/** Which entry of an image index is meant (`spec/fetch-verify.md §6.2` rule 4). */
import { type Descriptor, MEDIA_TYPE, type Platform } from "../types/manifest.ts";

/** The entry for a platform, as container runtimes choose it. */
export function platformEntry(
  manifests: readonly Descriptor[],
  wanted: Platform,
): Descriptor | undefined {
  return manifests.find(({ platform }) =>
    platform?.os === wanted.os && platform.architecture === wanted.architecture
  );
}

const WASM_SYSTEMS: readonly string[] = ["wasip1", "wasip2", "wasi"];
const WASM_ARCHITECTURES: readonly string[] = ["wasm", "wasm32"];

function isWasm({ platform }: Descriptor): boolean {
  return platform !== undefined &&
    (WASM_SYSTEMS.includes(platform.os) || WASM_ARCHITECTURES.includes(platform.architecture));
}

/** An entry that names no platform may also be an attestation or a list of materials; those name their type. */
function mayBePolicy({ platform, artifactType }: Descriptor): boolean {
  return platform === undefined && (artifactType === undefined || artifactType === MEDIA_TYPE.wasmConfig);
}

/**
 * The entry that is a policy. A module runs on every platform, so that besides the entry for this one, which 1.36 takes, the first
 * for WebAssembly counts, or the only one that names no platform.
 */
export function policyEntry(manifests: readonly Descriptor[], host: Platform): Descriptor | undefined {
  const unnamed = manifests.filter(mayBePolicy);
  return platformEntry(manifests, host) ?? manifests.find(isWasm) ??
    (unnamed.length === 1 ? unnamed[0] : undefined);
}

/** The platforms that an index offers, for messages. */
export function offeredPlatforms(manifests: readonly Descriptor[]): string {
  return manifests.slice(0, 20).map(({ platform }) =>
    platform === undefined ? "unknown" : `${platform.os}/${platform.architecture}`
  ).join(", ");
}
