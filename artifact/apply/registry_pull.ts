/** What is read from a registry: manifests, digests, blobs, tags, referrers (`spec/fetch-verify.md §6`). */
import {
  type Descriptor,
  type Manifest,
  MANIFEST_TYPES,
  parseManifest,
  type Platform,
} from "../types/manifest.ts";
import { namedAddress } from "../types/address.ts";
import { ArtifactError, codeOf, messageOf } from "../types/error.ts";
import { parseJson } from "../types/json_text.ts";
import { quoted, quotedUri } from "../types/quoted.ts";
import { isDigest, isTag } from "../types/reference.ts";
import { requireDigest, sha256Hex, startHash } from "./digest.ts";
import { type HttpResponse, readBytes } from "./http.ts";
import type { HttpMethod } from "./http_transport.ts";
import type { Registry } from "./registry.ts";

export type FetchedManifest = {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  /** What the registry calls it, checked against the bytes; `sha256:` of them if it does not say. */
  readonly digest: string;
  readonly manifest: Manifest;
};

const ACCEPT = MANIFEST_TYPES.join(", ");
const MAX_TAG_PAGES = 100;
const MAX_TAGS = 100_000;

function contentDigest(response: HttpResponse): string | undefined {
  const digest = response.header("docker-content-digest");
  if (digest === undefined || digest === "") return undefined;
  if (!isDigest(digest)) {
    throw new ArtifactError(
      "protocol",
      `Invalid digest: ${digest}: Docker-Content-Digest of ${response.url}`,
    );
  }
  return digest;
}

function askForManifest(registry: Registry, method: HttpMethod, repository: string, name: string) {
  const url = `${registry.base}/v2/${repository}/manifests/${name}`;
  return registry.send(repository, { method, url, headers: { accept: ACCEPT } });
}

async function requireOk(registry: Registry, response: HttpResponse): Promise<HttpResponse> {
  if (response.status !== 200) throw await registry.refusal(response);
  return response;
}

/** Fetches a manifest or index by tag or digest; the bytes are checked against every digest that is known. */
export async function getManifest(
  registry: Registry,
  repository: string,
  name: string,
): Promise<FetchedManifest> {
  return await registry.retry(async () => {
    const response = await requireOk(registry, await askForManifest(registry, "GET", repository, name));
    const bytes = await readBytes(
      response,
      registry.limits.manifestBytes,
      `the manifest of ${repository}:${name}`,
    );
    const announced = contentDigest(response);
    for (const digest of [announced, isDigest(name) ? name : undefined]) {
      if (digest !== undefined) requireDigest(digest, startHash(digest).update(bytes), response.url);
    }
    const manifest = parseManifest(new TextDecoder().decode(bytes));
    const mediaType = manifest.document["mediaType"] ??
      response.header("content-type")?.split(";")[0]?.trim();
    return {
      bytes,
      mediaType: String(mediaType ?? ""),
      digest: announced ?? `sha256:${sha256Hex(bytes)}`,
      manifest,
    };
  });
}

/** The digest that a tag or digest stands for; the manifest is only read when the registry does not tell. */
export async function getDigest(registry: Registry, repository: string, name: string): Promise<string> {
  const announced = await registry.retry(async () => {
    const response = await askForManifest(registry, "HEAD", repository, name);
    response.discard();
    return response.status === 200 ? contentDigest(response) : undefined;
  });
  if (announced === undefined) return (await getManifest(registry, repository, name)).digest;
  if (!isDigest(name) || name === announced) return announced;
  const [algorithm] = announced.split(":");
  if (name.split(":")[0] === algorithm) {
    throw new ArtifactError("digest", `Digest error: Invalid digest. Expected ${name}, got ${announced}`);
  }
  // Only the bytes tell whether digests of two algorithms stand for the same manifest.
  return (await getManifest(registry, repository, name)).digest;
}

/** An image's manifest, and the index that led to it, if there was one. */
export type FetchedImage = FetchedManifest & {
  readonly manifest: { readonly kind: "image" };
  readonly index: FetchedManifest | undefined;
};

/** The image that an index holds for a platform; an image stands for itself. */
export async function getImage(
  registry: Registry,
  repository: string,
  name: string,
  platform: Platform,
): Promise<FetchedImage> {
  const fetched = await getManifest(registry, repository, name);
  if (fetched.manifest.kind === "image") return { ...fetched, manifest: fetched.manifest, index: undefined };
  const entry = fetched.manifest.manifests.find((candidate) =>
    candidate.platform?.os === platform.os && candidate.platform.architecture === platform.architecture
  );
  if (entry === undefined) {
    const offered = fetched.manifest.manifests.map((candidate) =>
      candidate.platform === undefined
        ? "unknown"
        : `${candidate.platform.os}/${candidate.platform.architecture}`
    );
    throw new ArtifactError(
      "media_type",
      "Image manifest not found: no entry found in image index manifest matching client's default platform " +
        `(${platform.os}/${platform.architecture}; ${repository}:${name} has ${
          offered.slice(0, 20).join(", ")
        })`,
    );
  }
  const image = await getManifest(registry, repository, entry.digest);
  if (image.manifest.kind === "image") return { ...image, manifest: image.manifest, index: fetched };
  throw new ArtifactError("protocol", `${repository}@${entry.digest} is an index inside an index`);
}

/** Takes a blob's bytes as they come. */
export type Sink = {
  /** It takes a module, which may take `limits.transferMs`; anything else has `limits.documentMs`. */
  readonly large?: boolean;
  /** Called before the first byte of each try. */
  readonly start: () => Promise<void>;
  /** The piece is the sink's from now on. */
  readonly write: (piece: Uint8Array) => Promise<void>;
};

async function transfer(response: HttpResponse, descriptor: Descriptor, sink: Sink): Promise<void> {
  const { digest, size } = descriptor;
  const announced = contentDigest(response);
  if (announced !== undefined && announced !== digest && announced.split(":")[0] === digest.split(":")[0]) {
    response.discard();
    throw new ArtifactError(
      "digest",
      `Digest error: Invalid digest. Expected ${digest}, got ${quoted(announced)} (${
        quotedUri(response.url)
      })`,
    );
  }
  const wrongSize = (got: string) =>
    new ArtifactError(
      "digest",
      `Digest error: Invalid size. Expected ${size} bytes, got ${got} (${quotedUri(response.url)})`,
    );
  const hash = startHash(digest);
  let received = 0;
  await sink.start();
  for await (const piece of response.body) {
    received += piece.length;
    if (received > size) throw wrongSize("more");
    hash.update(piece);
    await sink.write(piece);
  }
  if (received !== size) throw wrongSize(String(received));
  requireDigest(digest, hash, response.url);
}

/**
 * Streams a blob into `sink`. What reaches the sink is only good once this returns: the digest is known at the end. If the
 * registry fails, the descriptor's own addresses are tried, without credentials, and without TLS only where the host is listed in
 * `insecure_sources`.
 */
export async function streamBlob(
  registry: Registry,
  repository: string,
  descriptor: Descriptor,
  sink: Sink,
): Promise<void> {
  const url = `${registry.base}/v2/${repository}/blobs/${descriptor.digest}`;
  const headers = { accept: ACCEPT };
  const large = sink.large ?? false;
  try {
    await registry.retry(async () => {
      const response = await registry.send(repository, { method: "GET", url, headers, large });
      await transfer(await requireOk(registry, response), descriptor, sink);
    });
  } catch (error) {
    // What another address can't mend.
    if (["aborted", "store", "not_wasm"].includes(codeOf(error) ?? "")) throw error;
    const refused: string[] = [];
    for (const address of descriptor.urls) {
      try {
        const { href } = namedAddress(address, undefined, `the manifest of ${repository} offers`);
        const response = await registry.sendAnonymously({ method: "GET", url: href, headers: {}, large });
        return await transfer(await requireOk(registry, response), descriptor, sink);
      } catch (second) {
        if (codeOf(second) === "aborted") throw second;
        refused.push(messageOf(second));
      }
    }
    if (refused.length === 0) throw error;
    throw new ArtifactError(
      codeOf(error) ?? "protocol",
      `${messageOf(error)}; the layer's own addresses: ${refused.join("; ")}`,
      error,
    );
  }
}

/** Reads a small blob into memory. */
export async function getBlob(
  registry: Registry,
  repository: string,
  descriptor: Descriptor,
): Promise<Uint8Array> {
  const { blobBytes } = registry.limits;
  if (descriptor.size > blobBytes) {
    throw new ArtifactError(
      "limit",
      `blob ${descriptor.digest} of ${repository} is larger than ${blobBytes} bytes`,
    );
  }
  let pieces: Uint8Array[] = [];
  await streamBlob(registry, repository, descriptor, {
    start: () => {
      pieces = [];
      return Promise.resolve();
    },
    write: (piece) => {
      pieces.push(piece);
      return Promise.resolve();
    },
  });
  return Buffer.concat(pieces);
}

function nextPage(response: HttpResponse): string | undefined {
  const target = /<([^>]*)>\s*;[^,]*rel="?next"?/i.exec(response.header("link") ?? "")?.[1];
  if (target === undefined) return undefined;
  const next = namedAddress(target, response.url, `${response.url} names as its next page`);
  return next.origin === new URL(response.url).origin ? next.href : undefined;
}

/** All tags of a repository, page after page. */
export async function getTags(registry: Registry, repository: string): Promise<readonly string[]> {
  const tags: string[] = [];
  const visited = new Set<string>();
  let url: string | undefined = `${registry.base}/v2/${repository}/tags/list`;
  for (let page = 0; url !== undefined && page < MAX_TAG_PAGES && tags.length < MAX_TAGS; page++) {
    const at: string = url;
    const response = await registry.retry(async () =>
      await requireOk(registry, await registry.send(repository, { method: "GET", url: at, headers: {} }))
    );
    const body = await readBytes(
      response,
      registry.limits.manifestBytes,
      `the list of tags of ${repository}`,
    );
    const list = parseJson(Buffer.from(body).toString("utf8"), `the list of tags of ${repository}`);
    const names = (list as { readonly tags?: unknown } | null)?.tags;
    if (Array.isArray(names)) {
      // One by one: a list of a million is too long for a call's arguments.
      for (const name of names) if (isTag(name) && tags.length < MAX_TAGS) tags.push(name);
    }
    const next = nextPage(response);
    url = next !== undefined && visited.has(next) ? undefined : next;
    if (next !== undefined) visited.add(next);
  }
  return tags;
}

/** What refers to a manifest: the referrers API, else the fallback tag `sha256-<hex>` (`§13` rule 1). */
export async function getReferrers(
  registry: Registry,
  repository: string,
  digest: string,
): Promise<readonly Descriptor[]> {
  const url = `${registry.base}/v2/${repository}/referrers/${digest}`;
  const listed = await registry.retry(async () => {
    const response = await registry.send(repository, { method: "GET", url, headers: { accept: ACCEPT } });
    if (response.status === 404) {
      response.discard();
      return undefined;
    }
    await requireOk(registry, response);
    const bytes = await readBytes(
      response,
      registry.limits.manifestBytes,
      `the referrers of ${repository}@${digest}`,
    );
    return parseManifest(new TextDecoder().decode(bytes));
  });
  const index = listed ?? await getManifest(registry, repository, digest.replace(":", "-")).then(
    (fetched) => fetched.manifest,
    (error) => {
      if (codeOf(error) === "not_found") return undefined;
      throw error;
    },
  );
  return index?.kind === "index" ? index.manifests : [];
}
