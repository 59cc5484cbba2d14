/** What is written to a registry: blobs in chunks, manifests (`spec/fetch-verify.md §7`). */
import { namedAddress } from "../types/address.ts";
import { ArtifactError, codeOf } from "../types/error.ts";
import { quoted, quotedUri } from "../types/quoted.ts";
import { isDigest } from "../types/reference.ts";
import { sha256Hex } from "./digest.ts";
import type { HttpResponse } from "./http.ts";
import type { Registry } from "./registry.ts";

const OCTETS = "application/octet-stream";
const CHUNK_BYTES = 4 * 1024 * 1024;

async function locationOf(registry: Registry, response: HttpResponse, wanted: number): Promise<string> {
  const location = response.header("location");
  if (response.status !== wanted) throw await registry.refusal(response);
  response.discard();
  if (location === undefined) {
    throw new ArtifactError(
      "protocol",
      `OCI distribution spec violation: no Location header from ${response.url}`,
    );
  }
  const next = namedAddress(location, response.url, `${registry.base} sends an upload to`);
  // An upload carries the repository's authorization: it stays with the registry, and does not give TLS up.
  if (next.origin !== new URL(registry.base).origin) {
    throw new ArtifactError("protocol", `${registry.base} sends an upload to another host: ${next.origin}`);
  }
  return next.href;
}

/** Cuts a stream into chunks of the size that uploads use. */
async function* chunksOf(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    waiting.push(piece);
    length += piece.length;
    if (length < CHUNK_BYTES) continue;
    const all = Buffer.concat(waiting);
    let from = 0;
    for (; all.length - from >= CHUNK_BYTES; from += CHUNK_BYTES) {
      yield all.subarray(from, from + CHUNK_BYTES);
    }
    waiting = [all.subarray(from)];
    length = all.length - from;
  }
  if (length > 0) yield Buffer.concat(waiting);
}

type Pieces = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

function startUpload(registry: Registry): Promise<HttpResponse> {
  return registry.send({
    method: "POST",
    url: registry.url("blobs/uploads/"),
    headers: { "content-length": "0" },
  });
}

async function endUpload(
  registry: Registry,
  location: string,
  digest: string,
  body: Uint8Array | undefined,
): Promise<void> {
  const target = new URL(location);
  target.searchParams.set("digest", digest);
  const end = await registry.send({
    method: "PUT",
    url: target.href,
    headers: { "content-type": OCTETS, "content-length": String(body?.length ?? 0) },
    ...(body === undefined ? {} : { body }),
  });
  if (end.status !== 201) throw await registry.refusal(end);
  end.discard();
}

async function putInChunks(
  registry: Registry,
  digest: string,
  pieces: Pieces,
): Promise<void> {
  let location = await locationOf(registry, await startUpload(registry), 202);
  let sent = 0;
  for await (const chunk of chunksOf(pieces)) {
    const response = await registry.send({
      method: "PATCH",
      url: location,
      headers: {
        "content-type": OCTETS,
        "content-length": String(chunk.length),
        "content-range": `${sent}-${sent + chunk.length - 1}`,
      },
      body: chunk,
    });
    location = await locationOf(registry, response, 202);
    sent += chunk.length;
  }
  await endUpload(registry, location, digest, undefined);
}

/**
 * Uploads a blob whose digest is known: in chunks, or whole where the registry answers chunks with another success than the
 * specification's.
 *
 * @param open gives the blob's bytes from the start; called once more for the second way
 */
export async function putBlob(
  registry: Registry,
  digest: string,
  open: () => Pieces,
): Promise<void> {
  try {
    return await putInChunks(registry, digest, open());
  } catch (error) {
    if (codeOf(error) !== "protocol") throw error;
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of open()) pieces.push(piece);
  const location = await locationOf(registry, await startUpload(registry), 202);
  await endUpload(registry, location, digest, Buffer.concat(pieces));
}

/** Whether the registry holds a blob already. */
export async function hasBlob(registry: Registry, digest: string): Promise<boolean> {
  const response = await registry.send({
    method: "HEAD",
    url: registry.url(`blobs/${digest}`),
    headers: {},
  });
  response.discard();
  return response.status === 200;
}

/**
 * The digest in a pushed manifest's `Location` (`spec/fetch-verify.md §7` rule 5).
 *
 * @throws {ArtifactError} `protocol`, with the texts of that rule
 */
export function digestOfLocation(location: string): string {
  const refuse = (message: string): never => {
    throw new ArtifactError("protocol", message);
  };
  if (!URL.canParse(location) || !location.includes("/")) {
    refuse(`Cannot extract manifest digest from the OCI registry response: ${quotedUri(location)}`);
  }
  const digest = location.slice(location.lastIndexOf("/") + 1);
  const [algorithm, hex] = digest.split(":");
  if (hex === undefined) refuse(`Invalid digest: ${quoted(digest)}`);
  if (algorithm !== "sha256" && algorithm !== "sha512") {
    refuse(`unknown algorithm '${quoted(algorithm!)}' for manifest ${quoted(digest)}`);
  }
  if (!isDigest(digest)) refuse(`The digest of the returned manifest is not valid: ${quoted(digest)}`);
  return digest;
}

/**
 * Uploads a manifest.
 *
 * @returns its digest: from `Location`, else `Docker-Content-Digest`, else the SHA-256 of the body, as registries may put the
 *   tag into `Location`
 */
export async function putManifest(
  registry: Registry,
  name: string,
  mediaType: string,
  body: Uint8Array,
): Promise<string> {
  const own = `sha256:${sha256Hex(body)}`;
  const response = await registry.send({
    method: "PUT",
    url: registry.url(`manifests/${name}`),
    headers: { "content-type": mediaType, "content-length": String(body.length) },
    body,
  });
  if (response.status !== 201) throw await registry.refusal(response);
  const location = response.header("location");
  const announced = response.header("docker-content-digest");
  response.discard();
  const last = location?.slice(location.lastIndexOf("/") + 1);
  const digest = location !== undefined && last?.includes(":")
    ? digestOfLocation(
      namedAddress(location, response.url, `${registry.base} says that the manifest is at`).href,
    )
    : announced || own;
  if (digest.startsWith("sha256:") && digest !== own) {
    throw new ArtifactError(
      "digest",
      `Digest error: Invalid digest. Expected ${own}, got ${quoted(digest)} (${quotedUri(response.url)})`,
    );
  }
  return digest;
}
