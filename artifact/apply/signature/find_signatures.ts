/** Every signature that hangs on an image: its `.sig` image and the bundles that refer to it (`spec/fetch-verify.md §9.4`, `§13`). */
import { codeOf, messageOf } from "../../types/error.ts";
import type { ArtifactOptions } from "../../types/options.ts";
import type { SignedLayer } from "../../types/signed_layer.ts";
import { log } from "../event.ts";
import type { Registry } from "../registry.ts";
import { getBlob } from "../registry_pull.ts";
import { attachedSignatures, timeLimit } from "./attached_signatures.ts";
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

/**
 * Finds and checks the signatures of an image. Each stands for itself: one that is wrong takes no other with it.
 *
 * @param imageDigest `sha256:…`
 */
export async function findSignatures(
  registry: Registry,
  imageDigest: string,
  trust: TrustMaterial,
  options: ArtifactOptions,
): Promise<FoundSignatures> {
  const reasons: string[] = [];
  const { signatures: limit, signaturesMs } = registry.limits;
  const tooLate = timeLimit(signaturesMs);
  const { images, failures } = await attachedSignatures(registry, imageDigest, tooLate);
  for (const error of failures) {
    log(options, "warn", "cannot look for signatures everywhere", { error, digest: imageDigest });
  }
  const candidates = images.flatMap(({ layers }) => layers);
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
      const bytes = await getBlob(registry, descriptor);
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
