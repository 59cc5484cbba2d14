/** OCI manifests and indexes, Docker's included, read from bytes that a registry sent (`spec/fetch-verify.md §6.2`). */
import { isObject, type JsonObject } from "../../program/types/json_object.ts";
import { ArtifactError } from "./error.ts";
import { parseJson } from "./json_text.ts";
import { isDigest } from "./reference.ts";

export const MEDIA_TYPE = {
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
  wasmLayer: "application/vnd.wasm.content.layer.v1+wasm",
  /** The newer convention for Wasm artifacts; accepted besides the one above. */
  wasm: "application/wasm",
  wasmConfig: "application/vnd.wasm.config.v1+json",
  simpleSigning: "application/vnd.dev.cosign.simplesigning.v1+json",
  bundle: "application/vnd.dev.sigstore.bundle.v0.3+json",
  /** What cosign calls a manifest that holds simple signing layers and refers to its image (`--registry-referrers-mode oci-1-1`). */
  cosignSignature: "application/vnd.dev.cosign.artifact.sig.v1+json",
  /** The configuration of an artifact that has none; some registries list it as the artifact's type. */
  empty: "application/vnd.oci.empty.v1+json",
} as const;

/** Bundles of every version: `…bundle.v0.3+json`, and `…bundle+json;version=0.3` as older clients write it. */
export function isBundleType(mediaType: string): boolean {
  return /^application\/vnd\.dev\.sigstore\.bundle(?:\.v[\d.]+)?\+json(?:\s*;|$)/.test(mediaType);
}

/** In the order in which they are offered to the registry. */
export const MANIFEST_TYPES: readonly string[] = [
  MEDIA_TYPE.dockerManifest,
  MEDIA_TYPE.dockerList,
  MEDIA_TYPE.ociManifest,
  MEDIA_TYPE.ociIndex,
];

export type Platform = {
  readonly os: string;
  readonly architecture: string;
};

export type Descriptor = {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly urls: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly artifactType: string | undefined;
  /** Only in an index. */
  readonly platform: Platform | undefined;
};

export type Manifest =
  | {
    readonly kind: "image";
    /** Absent where the manifest has none, or says null: nothing that is pulled depends on it. */
    readonly config: Descriptor | undefined;
    readonly layers: readonly Descriptor[];
    /** The document as it was sent. */
    readonly document: Readonly<Record<string, unknown>>;
  }
  | {
    readonly kind: "index";
    readonly manifests: readonly Descriptor[];
    readonly document: Readonly<Record<string, unknown>>;
  };

/** More entries than this are no image: the work on hostile manifests stays bounded. */
const MAX_DESCRIPTORS = 4096;

/** What a media type may hold, parameters included; everything else must not reach messages. */
const MEDIA_TYPE_TEXT = /^[\x20-\x7e]{1,255}$/;

function refuse(reason: string): never {
  throw new ArtifactError("protocol", `Failed to parse the manifest: ${reason}`);
}

function readStrings(value: unknown): Readonly<Record<string, string>> {
  if (!isObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

function readDescriptor(value: unknown, where: string): Descriptor {
  if (!isObject(value)) refuse(`${where} is no descriptor`);
  const { mediaType, digest, size, urls, annotations, artifactType, platform } = value;
  if (typeof mediaType !== "string") refuse(`${where} has no mediaType`);
  if (!MEDIA_TYPE_TEXT.test(mediaType)) refuse(`${where} has no valid mediaType`);
  if (typeof digest !== "string" || !isDigest(digest)) {
    refuse(`the digest of ${where} is not valid: ${JSON.stringify(digest)?.slice(0, 300)}`);
  }
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    refuse(`${where} has no valid size`);
  }
  return {
    mediaType,
    digest,
    size,
    urls: Array.isArray(urls) ? urls.filter((url): url is string => typeof url === "string").slice(0, 8) : [],
    annotations: readStrings(annotations),
    artifactType: typeof artifactType === "string" ? artifactType : undefined,
    // Go's programs write a platform that is not there as one of empty names.
    platform: isObject(platform) && typeof platform["os"] === "string" &&
        typeof platform["architecture"] === "string" && platform["os"] + platform["architecture"] !== ""
      ? { os: platform["os"], architecture: platform["architecture"] }
      : undefined,
  };
}

function listOf(value: unknown, where: string): readonly unknown[] {
  // Go writes an empty list as null.
  if (absent(value)) return [];
  if (!Array.isArray(value)) refuse(`${where} is no list`);
  if (value.length > MAX_DESCRIPTORS) refuse(`${where} has more than ${MAX_DESCRIPTORS} entries`);
  return value;
}

function readDescriptors(value: unknown, where: string): readonly Descriptor[] {
  return listOf(value, where).map((item, index) => readDescriptor(item, `${where}[${index}]`));
}

/** The items of a list that are descriptors: one that is none takes no other with it. */
function readEntries(value: unknown, where: string): readonly Descriptor[] {
  return readable(value, where).map(({ descriptor }) => descriptor);
}

function readable(value: unknown, where: string) {
  return listOf(value, where).flatMap((item, index) => {
    try {
      return [{ item, descriptor: readDescriptor(item, `${where}[${index}]`) }];
    } catch (error) {
      if (error instanceof ArtifactError) return [];
      throw error;
    }
  });
}

/** Whether a member says nothing: it is not there, or null. */
function absent(value: unknown): boolean {
  return value === undefined || value === null;
}

/** The same of a text, which Go's programs write as an empty one. */
const unsaid = (value: unknown): boolean => absent(value) || value === "";

/** Go's programs write a descriptor that is not there as one without a type, a digest and a size. */
function isNoDescriptor(value: unknown): boolean {
  return absent(value) ||
    isObject(value) && unsaid(value["mediaType"]) && unsaid(value["digest"]) && (value["size"] ?? 0) === 0;
}

function isIndex(document: JsonObject): boolean {
  const { mediaType, config, layers, manifests } = document;
  if (mediaType === MEDIA_TYPE.ociIndex || mediaType === MEDIA_TYPE.dockerList) return true;
  return isNoDescriptor(config) && absent(layers) && manifests !== undefined;
}

/**
 * Reads a manifest or index. A member that is null counts as absent, as it does for Go's programs, which write it.
 *
 * @param accept whether an image must be whole, as what is pulled or copied; or whatever can be read of it is wanted, as of an image
 * that holds signatures, where a layer that is none spoils no other, and nobody looks at the configuration; or a list that a registry
 * makes, of which some say no version
 * @throws {ArtifactError} `media_type` for versions and types that are not known, `protocol` for what is no manifest
 */
export function parseManifest(text: string, accept: "whole" | "readable" | "list" = "whole"): Manifest {
  const document = parseJson(text, "Failed to parse the manifest: it");
  if (!isObject(document)) refuse("it is no JSON object");
  const { schemaVersion, mediaType, config, layers } = document;
  if (schemaVersion !== 2 && !(accept === "list" && absent(schemaVersion))) {
    throw new ArtifactError(
      "media_type",
      `Unsupported schema version: ${JSON.stringify(schemaVersion)?.slice(0, 300)}`,
    );
  }
  if (!unsaid(mediaType) && !MANIFEST_TYPES.includes(mediaType as string)) {
    const shown = typeof mediaType === "string" && MEDIA_TYPE_TEXT.test(mediaType) ? mediaType : "none";
    throw new ArtifactError("media_type", `Unsupported media type: ${shown}`);
  }
  if (isIndex(document)) {
    return { kind: "index", manifests: readEntries(document["manifests"], "manifests"), document };
  }
  if (isNoDescriptor(config) && absent(layers)) refuse("it has neither layers nor manifests");
  if (accept !== "whole") {
    const read = readable(layers, "layers");
    return {
      kind: "image",
      config: undefined,
      layers: read.map(({ descriptor }) => descriptor),
      document: { ...document, layers: read.map(({ item }) => item) },
    };
  }
  return {
    kind: "image",
    config: isNoDescriptor(config) ? undefined : readDescriptor(config, "config"),
    layers: readDescriptors(layers, "layers"),
    document,
  };
}
