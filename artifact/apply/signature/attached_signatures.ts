/**
 * Where the signatures of an image are: its `.sig` image, and what refers to it by the referrers API or the fallback tag
 * (`spec/fetch-verify.md §9.4`, `§13`; OCI distribution specification, "Listing Referrers").
 */
import { own } from "../../../program/types/own.ts";
import { codeOf, messageOf } from "../../types/error.ts";
import { type Descriptor, isBundleType, type Manifest, MEDIA_TYPE } from "../../types/manifest.ts";
import type { Registry } from "../registry.ts";
import { getManifest, getReferrers } from "../registry_pull.ts";
import { SIGNATURE_PREDICATE } from "./bundle.ts";

/** A layer that holds a signature, in one of the two formats of the field. */
export type SignatureLayer = {
  readonly descriptor: Descriptor;
  readonly format: "simple signing" | "bundle";
};

/** An image that holds signatures of another one. */
export type SignatureImage = {
  readonly digest: string;
  readonly manifest: Manifest & { readonly kind: "image" };
  /** Those that no image before it holds too. */
  readonly layers: readonly SignatureLayer[];
  /** Its annotations, which nobody signed, say that it states something else than a signature. */
  readonly attestation: boolean;
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
/** The same of what the bundle states: a signature, or an attestation of any kind. */
const PREDICATE_ANNOTATION = "dev.sigstore.bundle.predicateType";

/** Whether the annotations, which nobody signed, call a bundle something else than a signature: it is then looked at last. */
function isAttestation(annotations: unknown): boolean {
  if (typeof annotations !== "object" || annotations === null) return false;
  const predicate = own(annotations as Readonly<Record<string, unknown>>, PREDICATE_ANNOTATION);
  return typeof predicate === "string" && predicate !== SIGNATURE_PREDICATE;
}

/** How likely a referrer is to be a signature, the likeliest being 0; undefined: it has the type of something else. */
function rankOf({ artifactType = "", annotations }: Descriptor): number | undefined {
  const isSignature = isBundleType(artifactType) || artifactType === MEDIA_TYPE.cosignSignature ||
    artifactType === MEDIA_TYPE.simpleSigning;
  if (!isSignature && !UNTYPED.includes(artifactType)) return undefined;
  if (isAttestation(annotations)) return 3;
  // Registries copy the annotations of a manifest into their lists.
  return isSignature ? 0 : own(annotations, BUNDLE_ANNOTATION) !== undefined ? 1 : 2;
}

/** Only manifests whose type is a signature's, or says nothing, are fetched: the likeliest first. */
function inOrderOfPromise(referrers: readonly Descriptor[]): readonly Descriptor[] {
  return [0, 1, 2, 3].flatMap((rank) => referrers.filter((referrer) => rankOf(referrer) === rank));
}

/** Says whether the time is over. */
export function timeLimit(ms: number): () => boolean {
  const latest = performance.now() + ms;
  return () => performance.now() > latest;
}

/** One look for the signatures of an image. What cannot be read takes nothing else with it. */
class SignatureSearch {
  readonly #registry: Registry;
  readonly #imageDigest: string;
  readonly #tooLate: () => boolean;
  readonly #images = new Map<string, SignatureImage>();
  readonly #attestations = new Map<string, SignatureImage>();
  readonly #known = new Set<string>();
  readonly #failures: string[] = [];
  #layersFound = 0;
  #fetched = 0;

  constructor(registry: Registry, imageDigest: string, tooLate: () => boolean) {
    this.#registry = registry;
    this.#imageDigest = imageDigest;
    this.#tooLate = tooLate;
  }

  get found(): AttachedSignatures {
    return { images: [...this.#images.values(), ...this.#attestations.values()], failures: this.#failures };
  }

  async readSignatureTag(): Promise<void> {
    try {
      const tag = `${this.#imageDigest.replace(":", "-")}.sig`;
      const { digest, manifest } = await getManifest(this.#registry, tag, "readable");
      if (manifest.kind === "image") this.#keep(digest, manifest);
      else await this.#readAll(manifest.manifests, "the entries of the signature index");
    } catch (error) {
      if (codeOf(error) !== "not_found") this.#failed(error);
    }
  }

  async readReferrers(): Promise<void> {
    try {
      const { referrers, failure } = await getReferrers(this.#registry, this.#imageDigest);
      if (failure !== undefined) this.#failed(failure);
      await this.#readAll(inOrderOfPromise(referrers), "the referrers");
    } catch (error) {
      this.#failed(error);
    }
  }

  async #readAll(candidates: readonly Descriptor[], what: string): Promise<void> {
    for (const { digest } of candidates) {
      if (this.#images.has(digest) || this.#attestations.has(digest)) continue;
      const reason = this.#exhausted();
      if (reason !== undefined) {
        this.#failures.push(`${what} of ${this.#imageDigest} ${reason}, the rest is ignored`);
        return;
      }
      this.#fetched++;
      try {
        const { manifest } = await getManifest(this.#registry, digest, "readable");
        if (manifest.kind === "image") this.#keep(digest, manifest);
      } catch (error) {
        this.#failed(error);
      }
    }
  }

  /** Which limit is reached. What turns out to be no signature takes no signature's place: the two are bounded separately. */
  #exhausted(): string | undefined {
    const { signatures, signatureManifests } = this.#registry.limits;
    if (this.#tooLate()) return "took too long";
    if (this.#layersFound >= signatures) return `hold more than ${signatures} signatures`;
    return this.#fetched >= signatureManifests ? `are more than ${signatureManifests}` : undefined;
  }

  #keep(digest: string, manifest: Manifest & { readonly kind: "image" }): void {
    const layers = signatureLayers(manifest);
    if (layers.length === 0) return;
    if (isAttestation(manifest.document["annotations"])) {
      this.#attestations.set(digest, { digest, manifest, layers, attestation: true });
      return;
    }
    // A referrer of cosign 2 holds all that the `.sig` image held by then: the same signature counts once.
    const fresh = layers.filter(({ descriptor }) => {
      const signature = JSON.stringify(descriptor);
      return !this.#known.has(signature) && this.#known.add(signature);
    });
    this.#layersFound += fresh.length;
    this.#images.set(digest, { digest, manifest, layers: fresh, attestation: false });
  }

  #failed(error: unknown): void {
    if (codeOf(error) === "aborted") throw error;
    this.#failures.push(messageOf(error));
  }
}

/**
 * Finds the images that hold signatures of an image.
 *
 * @param imageDigest `sha256:…`
 * @param tooLate says when the time for it is over; default: `signaturesMs` from now
 */
export async function attachedSignatures(
  registry: Registry,
  imageDigest: string,
  tooLate: () => boolean = timeLimit(registry.limits.signaturesMs),
): Promise<AttachedSignatures> {
  const search = new SignatureSearch(registry, imageDigest, tooLate);
  await search.readSignatureTag();
  await search.readReferrers();
  return search.found;
}
