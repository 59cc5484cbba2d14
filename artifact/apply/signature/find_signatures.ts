/** Every signature that hangs on an image: its `.sig` image and the bundles that refer to it (`§9.4`, `§13`). */
import { type Descriptor, MEDIA_TYPE } from "../../types/manifest.ts";
import { codeOf, messageOf } from "../../types/error.ts";
import type { ArtifactOptions } from "../../types/options.ts";
import type { SignedLayer } from "../../types/signed_layer.ts";
import { log } from "../event.ts";
import type { Registry } from "../registry.ts";
import { getBlob, getManifest, getReferrers } from "../registry_pull.ts";
import { readBundle } from "./bundle.ts";
import { readSimpleSigning } from "./simple_signing.ts";
import type { TrustMaterial } from "./trust_material.ts";

export type FoundSignatures = {
  readonly layers: readonly SignedLayer[];
  /** Signatures seen, usable or not. */
  readonly seen: number;
  /** Why a place could not be looked at; a place that is merely empty is no failure. */
  readonly failures: readonly string[];
  /** Why signatures were not used, or gave no identity. */
  readonly reasons: readonly string[];
};

type Candidate = {
  readonly descriptor: Descriptor;
  readonly format: "simple signing" | "bundle";
};

async function simpleSigningLayers(registry: Registry, repository: string, digest: string) {
  const { manifest } = await getManifest(registry, repository, `${digest.replace(":", "-")}.sig`);
  if (manifest.kind === "index") throw new Error("the signature image is an index");
  return manifest.layers
    .filter((layer) => layer.mediaType === MEDIA_TYPE.simpleSigning)
    .map((descriptor): Candidate => ({ descriptor, format: "simple signing" }));
}

async function bundleLayers(
  registry: Registry,
  repository: string,
  digest: string,
  limit: number,
  tooLate: () => boolean,
) {
  const referrers = await getReferrers(registry, repository, digest);
  const foundLayers: Candidate[] = [];
  for (const referrer of referrers.slice(0, limit)) {
    if (tooLate()) break;
    if (referrer.artifactType !== undefined && referrer.artifactType !== MEDIA_TYPE.bundle) continue;
    const { manifest } = await getManifest(registry, repository, referrer.digest);
    if (manifest.kind === "index") continue;
    for (const descriptor of manifest.layers) {
      if (descriptor.mediaType === MEDIA_TYPE.bundle) foundLayers.push({ descriptor, format: "bundle" });
    }
  }
  return foundLayers;
}

/**
 * Finds and checks the signatures of an image. Each stands for itself: one that is wrong takes no other with it.
 *
 * @param imageDigest `sha256:…`
 */
export async function findSignatures(
  registry: Registry,
  repository: string,
  imageDigest: string,
  trust: TrustMaterial,
  options: ArtifactOptions,
): Promise<FoundSignatures> {
  const failures: string[] = [];
  const reasons: string[] = [];
  const place = async (what: string, look: () => Promise<readonly Candidate[]>) => {
    try {
      return await look();
    } catch (error) {
      if (codeOf(error) === "aborted") throw error;
      if (codeOf(error) !== "not_found") {
        failures.push(messageOf(error));
        log(options, "warn", `cannot look for signatures: ${what}`, {
          error: messageOf(error),
          digest: imageDigest,
        });
      }
      return [];
    }
  };
  const { signatures: limit, signaturesMs } = registry.limits;
  const latest = performance.now() + signaturesMs;
  const tooLate = () => performance.now() > latest;
  const candidates = [
    ...await place("simple signing", () => simpleSigningLayers(registry, repository, imageDigest)),
    ...await place("bundles", () => bundleLayers(registry, repository, imageDigest, limit, tooLate)),
  ];
  if (candidates.length > limit) {
    log(options, "warn", "too many signatures, the rest is ignored", { digest: imageDigest, limit });
  }
  const layers: SignedLayer[] = [];
  for (const { descriptor, format } of candidates.slice(0, limit)) {
    if (tooLate()) {
      const reason =
        `the registry needed more than ${signaturesMs} ms to send the signatures, the rest is ignored`;
      reasons.push(reason);
      log(options, "warn", reason, { digest: imageDigest });
      break;
    }
    const note = (message: string, reason: string) => {
      reasons.push(`${descriptor.digest}: ${reason}`);
      log(options, "info", message, { layer: descriptor.digest, format, reason });
    };
    const anonymous = (reason: string) => note("signature without trusted identity", reason);
    try {
      const bytes = await getBlob(registry, repository, descriptor);
      layers.push(
        format === "bundle"
          ? await readBundle(descriptor.digest, bytes, imageDigest, trust, anonymous)
          : readSimpleSigning(descriptor, bytes, imageDigest, trust, anonymous),
      );
    } catch (error) {
      if (codeOf(error) === "aborted") throw error;
      note("signature not used", messageOf(error));
    }
  }
  return { layers, seen: candidates.length, failures, reasons };
}
