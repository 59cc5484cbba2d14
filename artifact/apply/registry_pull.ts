/** What is read from a registry: manifests, digests, blobs, tags, referrers (`spec/fetch-verify.md §6`). */
import { type Descriptor, type Manifest, MANIFEST_TYPES, parseManifest } from "../types/manifest.ts";
import { offeredPlatforms } from "../render/index_entry.ts";
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
const MAX_PAGES = 100;
const MAX_TAGS = 100_000;
const MAX_REFERRERS = 10_000;

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

function askForManifest(registry: Registry, method: HttpMethod, name: string) {
  const url = registry.url(`manifests/${name}`);
  return registry.send({ method, url, headers: { accept: ACCEPT } });
}

async function requireOk(registry: Registry, response: HttpResponse): Promise<HttpResponse> {
  if (response.status !== 200) throw await registry.refusal(response);
  return response;
}

/** Fetches a manifest or index by tag or digest; the bytes are checked against every digest that is known. */
export async function getManifest(
  registry: Registry,
  name: string,
  accept: Parameters<typeof parseManifest>[1] = "whole",
): Promise<FetchedManifest> {
  return await registry.retry(async () => {
    const response = await requireOk(registry, await askForManifest(registry, "GET", name));
    const bytes = await readBytes(
      response,
      registry.limits.manifestBytes,
      `the manifest of ${registry.repository}:${name}`,
    );
    const announced = contentDigest(response);
    for (const digest of [announced, isDigest(name) ? name : undefined]) {
      if (digest !== undefined) requireDigest(digest, startHash(digest).update(bytes), response.url);
    }
    const manifest = parseManifest(new TextDecoder().decode(bytes), accept);
    const mediaType = manifest.document["mediaType"] ||
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
export async function getDigest(registry: Registry, name: string): Promise<string> {
  const announced = await registry.retry(async () => {
    const response = await askForManifest(registry, "HEAD", name);
    response.discard();
    return response.status === 200 ? contentDigest(response) : undefined;
  });
  if (announced === undefined) return (await getManifest(registry, name)).digest;
  if (!isDigest(name) || name === announced) return announced;
  const [algorithm] = announced.split(":");
  if (name.split(":")[0] === algorithm) {
    throw new ArtifactError("digest", `Digest error: Invalid digest. Expected ${name}, got ${announced}`);
  }
  // Only the bytes tell whether digests of two algorithms stand for the same manifest.
  return (await getManifest(registry, name)).digest;
}

/** An image's manifest, and the index that led to it, if there was one. */
export type FetchedImage = FetchedManifest & {
  readonly manifest: { readonly kind: "image" };
  readonly index: FetchedManifest | undefined;
};

/** The entry of an index that is wanted, and what to call it in an error. */
export type ChooseEntry = {
  readonly choose: (manifests: readonly Descriptor[]) => Descriptor | undefined;
  /** For messages: "linux/amd64". */
  readonly wanted: string;
};

/** The image that an index holds; an image stands for itself. */
export async function getImage(
  registry: Registry,
  name: string,
  { choose, wanted }: ChooseEntry,
): Promise<FetchedImage> {
  const fetched = await getManifest(registry, name);
  if (fetched.manifest.kind === "image") return { ...fetched, manifest: fetched.manifest, index: undefined };
  const { manifests } = fetched.manifest;
  const entry = choose(manifests);
  if (entry === undefined) {
    throw new ArtifactError(
      "media_type",
      "Image manifest not found: no entry found in image index manifest matching client's default platform " +
        `(${wanted}; ${registry.repository}:${name} has ${offeredPlatforms(manifests)})`,
    );
  }
  const image = await getManifest(registry, entry.digest);
  if (image.manifest.kind === "image") return { ...image, manifest: image.manifest, index: fetched };
  throw new ArtifactError("protocol", `${registry.repository}@${entry.digest} is an index inside an index`);
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
  descriptor: Descriptor,
  sink: Sink,
): Promise<void> {
  const url = registry.url(`blobs/${descriptor.digest}`);
  const headers = { accept: ACCEPT };
  const large = sink.large ?? false;
  try {
    await registry.retry(async () => {
      const response = await registry.send({ method: "GET", url, headers, large });
      await transfer(await requireOk(registry, response), descriptor, sink);
    });
  } catch (error) {
    // What another address can't mend.
    if (["aborted", "store", "not_wasm"].includes(codeOf(error) ?? "")) throw error;
    const refused: string[] = [];
    for (const address of descriptor.urls) {
      try {
        const { href } = namedAddress(address, undefined, `the manifest of ${registry.repository} offers`);
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
  descriptor: Descriptor,
): Promise<Uint8Array> {
  const { blobBytes } = registry.limits;
  if (descriptor.size > blobBytes) {
    throw new ArtifactError(
      "limit",
      `blob ${descriptor.digest} of ${registry.repository} is larger than ${blobBytes} bytes`,
    );
  }
  let pieces: Uint8Array[] = [];
  await streamBlob(registry, descriptor, {
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

/** The target of a `Link` header's link to the next page (RFC 8288 §3: several links, quoted parameters, several relations). */
function nextLink(header: string): string | undefined {
  for (const [, target, parameters] of header.matchAll(/<([^>]*)>((?:\s*;[^;,"]*(?:"[^"]*")?)*)/g)) {
    const [, quoted, plain] = /;\s*rel\s*=\s*(?:"([^"]*)"|'?([^\s;,']*))/i.exec(parameters ?? "") ?? [];
    if ((quoted ?? plain ?? "").toLowerCase().split(/\s+/).includes("next")) return target;
  }
  return undefined;
}

/** The page after this one; "elsewhere": it is on another host, which is not asked. */
function nextPage(response: HttpResponse): { readonly href: string } | "elsewhere" | undefined {
  const target = nextLink(response.header("link") ?? "");
  if (target === undefined) return undefined;
  const here = new URL(response.url);
  const next = namedAddress(target, response.url, `${response.url} names as its next page`);
  // A registry behind a proxy that ends TLS may not know that it is spoken to with it.
  if (here.protocol === "https:" && next.protocol === "http:" && next.host === here.host) {
    next.protocol = "https:";
  }
  return next.origin === here.origin ? { href: next.href } : "elsewhere";
}

/**
 * Reads a list that a registry gives in pages. It ends where the registry names no further page, names one again, or `take` says that
 * it has enough.
 *
 * @param take gets each page's body
 * @returns whether the list was read to its end
 */
async function readPages(
  registry: Registry,
  first: string,
  what: string,
  headers: Readonly<Record<string, string>>,
  take: (body: Uint8Array) => "more" | "enough",
  requireAnswer: typeof requireOk = requireOk,
): Promise<boolean> {
  const visited = new Set<string>();
  let at = first;
  for (let page = 0; page < MAX_PAGES; page++) {
    visited.add(at);
    const { body, next } = await registry.retry(async () => {
      const request = { method: "GET", url: at, headers } as const;
      const response = await requireAnswer(registry, await registry.send(request));
      return {
        next: nextPage(response),
        body: await readBytes(response, registry.limits.manifestBytes, what),
      };
    });
    const wanted = take(body) === "more";
    if (next === undefined || next === "elsewhere" || visited.has(next.href)) return next !== "elsewhere";
    if (!wanted) return false;
    at = next.href;
  }
  return false;
}

/** All tags of a repository, page after page. */
export async function getTags(registry: Registry): Promise<readonly string[]> {
  const tags: string[] = [];
  const what = `the list of tags of ${registry.repository}`;
  const url = registry.url("tags/list");
  await readPages(registry, url, what, {}, (body) => {
    const list = parseJson(Buffer.from(body).toString("utf8"), what);
    const names = (list as { readonly tags?: unknown } | null)?.tags;
    // One by one: a list of a million is too long for a call's arguments.
    if (Array.isArray(names)) {
      for (const name of names) if (isTag(name) && tags.length < MAX_TAGS) tags.push(name);
    }
    return tags.length < MAX_TAGS ? "more" : "enough";
  });
  return tags;
}

/** What refers to a manifest, as far as it could be found out. */
export type Referrers = {
  readonly referrers: readonly Descriptor[];
  /** Why one of the two places could not be read to its end: the list is then no proof that there is nothing more. */
  readonly failure: unknown;
};

/** Statuses by which registries say that they have no referrers API: 404 as the specification asks, and what others answer instead. */
const NO_REFERRERS_API: readonly number[] = [400, 404, 405, 406, 501];

async function requireReferrers(registry: Registry, response: HttpResponse): Promise<HttpResponse> {
  // GHCR sends whoever asks to a page of its web site, which answers 404, 429 or anything else.
  const elsewhere = new URL(response.url).origin !== new URL(registry.base).origin;
  if (response.status === 200 || !(elsewhere || NO_REFERRERS_API.includes(response.status))) {
    return await requireOk(registry, response);
  }
  response.discard();
  throw new ArtifactError("not_found", `${quotedUri(response.url)}: the registry has no referrers API`);
}

/** The registry's own list; empty, and no failure, where the registry has none. */
async function listedReferrers(
  registry: Registry,
  digest: string,
): Promise<Referrers> {
  const what = `the referrers of ${registry.repository}@${digest}`;
  const referrers: Descriptor[] = [];
  try {
    const url = registry.url(`referrers/${digest}`);
    const whole = await readPages(registry, url, what, { accept: ACCEPT }, (body) => {
      const page = parseManifest(new TextDecoder().decode(body), "list");
      if (page.kind === "index") { for (const entry of page.manifests) referrers.push(entry); }
      return referrers.length < MAX_REFERRERS ? "more" : "enough";
    }, requireReferrers);
    const incomplete = () => new ArtifactError("limit", `${what} are more than could be read`);
    return { referrers, failure: whole ? undefined : incomplete() };
  } catch (error) {
    if (codeOf(error) === "aborted") throw error;
    return { referrers, failure: codeOf(error) === "not_found" ? undefined : error };
  }
}

/** What stands under the fallback tag `sha256-<hex>`; empty, and no failure, where there is none. */
async function taggedReferrers(registry: Registry, digest: string): Promise<Referrers> {
  try {
    const { manifest } = await getManifest(registry, digest.replace(":", "-"));
    return { referrers: manifest.kind === "index" ? manifest.manifests : [], failure: undefined };
  } catch (error) {
    if (codeOf(error) === "aborted") throw error;
    return { referrers: [], failure: codeOf(error) === "not_found" ? undefined : error };
  }
}

/**
 * What refers to a manifest: by the referrers API and by the fallback tag, together (OCI distribution specification, "Listing
 * Referrers" and "Unavailable Referrers API"). A registry, or a proxy before it, that answers the API with any other status, or with a
 * page of HTML, may still hold the tag; and one that got the API later may list only what was pushed since.
 */
export async function getReferrers(
  registry: Registry,
  digest: string,
): Promise<Referrers> {
  const listed = await listedReferrers(registry, digest);
  const tagged = await taggedReferrers(registry, digest);
  const known = new Set(listed.referrers.map((referrer) => referrer.digest));
  return {
    referrers: [...listed.referrers, ...tagged.referrers.filter((referrer) => !known.has(referrer.digest))],
    failure: listed.failure ?? tagged.failure,
  };
}
