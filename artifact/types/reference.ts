/**
 * Image references and policy URIs (`spec/fetch-verify.md §1`).
 *
 * `parseReference("busybox")` is `docker.io/library/busybox:latest`; `parsePolicyUrl("ghcr.io/a/b:v1")` is a `registry`
 * URI, as is `localhost:5000/a/b`, which the URL grammar alone would read as the scheme `localhost`.
 */
import { ArtifactError } from "./error.ts";
import { quoted, quotedUri } from "./quoted.ts";

/** A normalised image reference. The digest decides when both tag and digest are there. */
export type Reference = {
  /** `host[:port]`, `docker.io` for Docker Hub. */
  readonly registry: string;
  readonly repository: string;
  readonly tag: string | undefined;
  /** `sha256:…`, `sha384:…` or `sha512:…`. */
  readonly digest: string | undefined;
};

/** Where a policy is, by the scheme of its URI. */
export type PolicyUrl =
  | { readonly scheme: "file"; readonly uri: string }
  | {
    readonly scheme: "http" | "https";
    readonly uri: string;
    /** `host`, or `host:port` where the port is not the scheme's own. */
    readonly hostAndPort: string;
    /** Path segments as they appear in the URL. */
    readonly segments: readonly string[];
  }
  | {
    readonly scheme: "registry";
    readonly uri: string;
    readonly hostAndPort: string;
    readonly reference: Reference;
  };

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const DOMAIN = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const HEX_LENGTH: ReadonlyMap<string, number> = new Map([["sha256", 64], ["sha384", 96], ["sha512", 128]]);
/** Longer than any registry accepts; bounds the work on hostile input. */
const MAX_LENGTH = 1024;

function refuse(reason: string): never {
  throw new ArtifactError("reference", `Invalid OCI image reference: ${reason}`);
}

/** Checks `algorithm:hex`; the texts are those of `spec/fetch-verify.md §1.2`. */
export function parseDigest(digest: string): { readonly algorithm: string; readonly hex: string } {
  const colon = digest.indexOf(":");
  if (colon < 0) refuse(digest.includes("/") ? "invalid reference format" : "invalid checksum digest format");
  const algorithm = digest.slice(0, colon);
  const hex = digest.slice(colon + 1);
  const length = HEX_LENGTH.get(algorithm);
  if (
    !/^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*$/.test(algorithm) ||
    !/^[0-9a-fA-F]{32,}$/.test(hex)
  ) {
    refuse("invalid reference format");
  }
  if (length === undefined) refuse("unsupported digest algorithm");
  if (hex.length !== length) refuse("invalid checksum digest length");
  return { algorithm, hex };
}

/** Whether `text` is a digest this room can check. */
export function isDigest(text: string): boolean {
  const [algorithm, hex, rest] = text.split(":");
  return rest === undefined && hex !== undefined && /^[0-9a-f]+$/.test(hex) &&
    HEX_LENGTH.get(algorithm ?? "") === hex.length;
}

/** Whether something that a registry calls a tag is one. */
export function isTag(value: unknown): value is string {
  return typeof value === "string" && TAG.test(value);
}

/**
 * Reads an image reference without scheme and normalises it.
 *
 * @throws {ArtifactError} `reference`, `Invalid OCI image reference: …`
 */
export function parseReference(text: string): Reference {
  if (text === "") refuse("repository name must have at least one component");
  if (text.length > MAX_LENGTH) refuse("repository name must not be more than 255 characters");
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(":");
  const tagged = colon > named.lastIndexOf("/");
  const tag = tagged ? named.slice(colon + 1) : undefined;
  const name = tagged ? named.slice(0, colon) : named;

  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const hasDomain = first.includes(".") || first.includes(":") || first === "localhost";
  const domain = hasDomain ? first : "docker.io";
  const registry = domain === "index.docker.io" ? "docker.io" : domain;
  const path = hasDomain ? name.slice(slash + 1) : name;

  if (hasDomain && !DOMAIN.test(first)) refuse("invalid reference format");
  if (tag !== undefined && !TAG.test(tag)) refuse("invalid reference format");
  if (!path.split("/").every((component) => COMPONENT.test(component))) refuse("invalid reference format");
  const repository = registry === "docker.io" && !path.includes("/") ? `library/${path}` : path;
  if (repository.length > 255) refuse("repository name must not be more than 255 characters");
  if (digest !== undefined) parseDigest(digest);
  return {
    registry,
    repository,
    tag: tag ?? (digest === undefined ? "latest" : undefined),
    digest: digest?.toLowerCase(),
  };
}

/** As `parseReference`, also with a leading `registry://` (`spec/fetch-verify.md §9.1`, `§12` rule 6). */
export function parseImage(text: string): Reference {
  const trimmed = text.trim();
  return parseReference(trimmed.startsWith("registry://") ? trimmed.slice("registry://".length) : trimmed);
}

function toUrl(text: string): URL {
  try {
    return new URL(text);
  } catch (cause) {
    throw new ArtifactError("reference", `invalid URL: ${quotedUri(text)}`, cause);
  }
}

/** A path in the place of a URL, as a Unix shell or Windows has it, would be taken for the name of an image. */
function refusePath(text: string): void {
  if (!/^(\/|\.{1,2}\/|~|[A-Za-z]:[\\/])|^[^:]*\\/.test(text)) return;
  const slashed = text.replaceAll("\\", "/");
  const [, drive, whole] = /^([A-Za-z]:)?(\/.*)$/.exec(slashed) ?? [];
  const url = whole === undefined || /^\/{2}/.test(whole)
    ? undefined
    : `file://${drive ? `/${drive}` : ""}${whole}`;
  throw new ArtifactError(
    "reference",
    `invalid URL: ${quotedUri(text)} is a path; the URL of a file is ${
      url === undefined ? "file:// and its whole path" : quotedUri(url)
    }`,
  );
}

/** Schemes by which other tools name images. */
const IMAGE_SCHEMES: readonly string[] = ["oci", "docker", "docker-image", "container", "ghcr", "oci-image"];

/** Host, tag and digest of a reference, which may have capital letters. */
const NOT_OF_REPOSITORY = /^(?:[^/]*[.:][^/]*|localhost)\/|[:@][^/]*$/g;

/** The reference of an image that people typed: errors quote it, and say what is most often wrong with it. */
function typedReference(text: string): Reference {
  try {
    return parseReference(text);
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error;
    const hint = /[A-Z]/.test(text.replace(NOT_OF_REPOSITORY, ""))
      ? ": the name of a repository has no capital letters"
      : "";
    throw new ArtifactError(
      "reference",
      `${error.message}${hint} (${quotedUri(`registry://${text}`)})`,
      error,
    );
  }
}

/**
 * Reads the `module:` value of a policy, or what a user typed on the command line (`spec/fetch-verify.md §1.1`).
 *
 * Short Docker Hub names are normalised before anything else, so that they have a host and a path
 * (`spec/fetch-verify.md`, sharp edges 8 and 33): `registry://busybox` is on `docker.io`.
 *
 * @throws {ArtifactError} `reference`: `unknown scheme: …`, `invalid URL: …`, `Invalid OCI image reference: …`
 */
export function parsePolicyUrl(text: string): PolicyUrl {
  const uri = text.trim();
  const known = /^(file|https?|registry):/i.test(uri);
  refusePath(uri);
  const relative = !/^[A-Za-z][A-Za-z0-9+.-]*:/.test(uri) || (!known && !uri.includes("://"));
  const url = toUrl(relative ? `registry://${uri}` : uri);
  const scheme = url.protocol.slice(0, -1);
  switch (scheme) {
    case "file":
      return { scheme, uri };
    case "http":
    case "https":
      return { scheme, uri, hostAndPort: url.host, segments: url.pathname.split("/").slice(1) };
    case "registry": {
      if (url.host === "") {
        throw new ArtifactError(
          "reference",
          `invalid URL: ${quotedUri(url.href)}: an image is named by registry://HOST/REPOSITORY:TAG`,
        );
      }
      const reference = typedReference(relative ? uri : uri.slice(uri.indexOf("://") + 3));
      return { scheme, uri, hostAndPort: reference.registry, reference };
    }
    default:
      throw new ArtifactError(
        "reference",
        `unknown scheme: ${quoted(scheme)}${
          IMAGE_SCHEMES.includes(scheme) ? ": an image is named with registry://, or without a scheme" : ""
        }`,
      );
  }
}
