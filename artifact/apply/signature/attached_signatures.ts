/**
 * Where the signatures of an image are: its `.sig` image, and what refers to it by the referrers API or the fallback tag
 * (`spec/fetch-verify.md §9.4`, `§13`; OCI distribution specification, "Listing Referrers").
 */
import { own } from "../../../program/types/own.ts";
import { codeOf, messageOf } from "../../types/error.ts";
import { type Descriptor, isBundleType, type Manifest, MEDIA_TYPE } from "../../types/manifest.ts";
import type { Registry } from "../registry.ts";
import { getManifest, getReferrers } from "../registry_pull.ts";

/** A layer that holds a signature, in one of the two formats of the field. */
export type SignatureLayer = {
  readonly descriptor: Descriptor;
  readonly format: "simple signing" | "bundle";
};

/** An image that holds signatures of another one. */
export type SignatureImage = {
  readonly digest: string;
  readonly manifest: Manifest & { readonly kind: "image" };
  readonly layers: readonly SignatureLayer[];
};

export type AttachedSignatures = {
  readonly images: readonly SignatureImage[];
  /** What could not be read, and why: with any of these, to have found nothing proves nothing. */
  readonly failures: readonly string[];
};

function signatureLayers(manifest: Manifest & { readonly kind: "image" }): readonly SignatureLayer[] {
  return manifest.layers.flatMap((descriptor): readonly SignatureLayer[] => {
    if (descriptor.mediaType === MEDIA_TYPE.simpleSigning) return [{ descriptor, format: "simple signing" }];
    return isBundleType(descriptor.mediaType) ? [{ descriptor, format: "bundle" }] : [];
  });
}

/** Types that say nothing of the content: an image's configuration, or that there is none. */
const UNTYPED: readonly string[] = [
  "",
  MEDIA_TYPE.empty,
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.docker.container.image.v1+json",
];

/** What cosign writes beside a bundle ("Sigstore Bundle" in its specification of signatures in registries). */
const BUNDLE_ANNOTATION = "dev.sigstore.bundle.content";

/**
 * Only manifests whose type is a signature's, or says nothing, are fetched. First those that are sure to be signatures, by their type or
 * by the annotations of a bundle's manifest, which registries copy into their lists.
 */
function inOrderOfPromise(referrers: readonly Descriptor[]): readonly Descriptor[] {
  const isSignature = ({ artifactType = "" }: Descriptor) =>
    isBundleType(artifactType) || artifactType === MEDIA_TYPE.cosignSignature ||
    artifactType === MEDIA_TYPE.simpleSigning;
  const isUntyped = ({ artifactType = "" }: Descriptor) => UNTYPED.includes(artifactType);
  const isAnnotated = ({ annotations }: Descriptor) => own(annotations, BUNDLE_ANNOTATION) !== undefined;
  const untyped = referrers.filter(isUntyped);
  return [
    ...referrers.filter(isSignature),
    ...untyped.filter(isAnnotated),
    ...untyped.filter((referrer) => !isAnnotated(referrer)),
  ];
}

function timeLimit(ms: number): () => boolean {
  const latest = performance.now() + ms;
  return () => performance.now() > latest;
}

/**
 * Finds the images that hold signatures of an image. What cannot be read takes nothing else with it.
 *
 * @param imageDigest `sha256:…`
 * @param tooLate says when the time for it is over; default: `signaturesMs` from now
 */
export async function attachedSignatures(
  registry: Registry,
  repository: string,
  imageDigest: string,
  tooLate: () => boolean = timeLimit(registry.limits.signaturesMs),
): Promise<AttachedSignatures> {
  const images = new Map<string, SignatureImage>();
  const failures: string[] = [];
  const { signatures: maxLayers, signatureManifests: maxManifests } = registry.limits;
  let [layersFound, fetched] = [0, 0];
  const failed = (error: unknown) => {
    if (codeOf(error) === "aborted") throw error;
    failures.push(messageOf(error));
  };

  const readAll = async (candidates: readonly Descriptor[], what: string) => {
    for (const { digest } of candidates) {
      if (images.has(digest)) continue;
      // What turns out to be no signature takes no signature's place: the two are bounded separately.
      const reason = tooLate()
        ? "took too long"
        : layersFound >= maxLayers
        ? `hold more than ${maxLayers} signatures`
        : fetched >= maxManifests
        ? `are more than ${maxManifests}`
        : undefined;
      if (reason !== undefined) {
        failures.push(`${what} of ${imageDigest} ${reason}, the rest is ignored`);
        return;
      }
      fetched++;
      try {
        const { manifest } = await getManifest(registry, repository, digest);
        if (manifest.kind === "image") keep(digest, manifest);
      } catch (error) {
        failed(error);
      }
    }
  };
  const keep = (digest: string, manifest: Manifest & { readonly kind: "image" }) => {
    const layers = signatureLayers(manifest);
    if (layers.length === 0) return;
    layersFound += layers.length;
    images.set(digest, { digest, manifest, layers });
  };

  try {
    const tag = `${imageDigest.replace(":", "-")}.sig`;
    const { digest, manifest } = await getManifest(registry, repository, tag);
    if (manifest.kind === "image") keep(digest, manifest);
    else await readAll(manifest.manifests, "the entries of the signature index");
  } catch (error) {
    if (codeOf(error) !== "not_found") failed(error);
  }
  try {
    const { referrers, failure } = await getReferrers(registry, repository, imageDigest);
    if (failure !== undefined) failed(failure);
    await readAll(inOrderOfPromise(referrers), "the referrers");
  } catch (error) {
    failed(error);
  }
  return { images: [...images.values()], failures };
}
