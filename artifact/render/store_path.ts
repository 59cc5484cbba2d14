/**
 * Where a policy lies below the root of a store, and which URI a file of the store stands for
 * (`spec/fetch-verify.md §3`). The layout is the original's: a store can be shared with it.
 */
import { ArtifactError } from "../types/error.ts";
import { quoted, quotedUri } from "../types/quoted.ts";
import { isDigest, type PolicyUrl } from "../types/reference.ts";
import { isLatest } from "./reference.ts";

export const STORE_SCHEMES = ["http", "https", "registry"] as const;
export type StoreScheme = typeof STORE_SCHEMES[number];

/** How file names are spelt: literally, or (Windows) as URL-safe base64, every component but the scheme. */
export type NameCoding = "literal" | "base64";

function encode(component: string): string {
  let binary = "";
  // Byte by byte: arguments of a call lie on the stack, which a long name would overflow.
  for (const byte of new TextEncoder().encode(component)) binary += String.fromCharCode(byte);
  return btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function decode(component: string): string {
  const binary = atob(component.replace(/-/g, "+").replace(/_/g, "/"));
  return new TextDecoder().decode(Uint8Array.from(binary, (character) => character.charCodeAt(0)));
}

function unsafe(component: string): boolean {
  return component === "" || component === "." || component === ".." || /[/\\\0]/.test(component);
}

/**
 * The components of a policy's path below the root; the last one keeps `:tag` or `@digest`. Query and fragment are no part
 * of it.
 *
 * @throws {ArtifactError} `reference`: a `file` URI is never stored; a URL without a file name cannot be
 */
export function storeComponents(url: PolicyUrl, coding: NameCoding = "literal"): readonly string[] {
  if (url.scheme === "file") throw new ArtifactError("reference", "unknown scheme: file");
  const path = url.scheme === "registry" ? registryComponents(url) : url.segments;
  const named = [url.hostAndPort, ...path];
  if (path.length === 0 || named.some(unsafe)) {
    throw new ArtifactError("reference", `invalid URL: ${quotedUri(url.uri)} (it names no file)`);
  }
  return [url.scheme, ...(coding === "literal" ? named : named.map(encode))];
}

function registryComponents(url: PolicyUrl & { scheme: "registry" }): readonly string[] {
  const { repository, tag, digest } = url.reference;
  const path = repository.split("/");
  const last = path.pop() ?? "";
  const suffix = (tag === undefined ? "" : `:${tag}`) + (digest === undefined ? "" : `@${digest}`);
  return [...path, last + suffix];
}

/** The URI of a file of the store, given the components of its path below the root. */
export function storedUri(components: readonly string[], coding: NameCoding = "literal"): string {
  const [scheme = "", ...rest] = components;
  return `${scheme}://${(coding === "literal" ? rest : rest.map(decode)).join("/")}`;
}

/**
 * The folder of a store that keeps manifests (`apply/stored_manifest.ts`). No listing of policies visits it, the original's
 * neither; archives of policies may hold files of it.
 */
export const MANIFEST_FOLDER = ".manifests";

/** Where the manifest with a digest is kept, as components below the root: `.manifests/sha256/<hex>`. */
export function manifestComponents(digest: string): readonly string[] {
  if (!isDigest(digest)) throw new ArtifactError("reference", `Invalid digest: ${quoted(digest)}`);
  return [MANIFEST_FOLDER, ...digest.split(":")];
}

/** Whether a copy in the store is as good as a new download (`spec/fetch-verify.md §2.2`). */
export function reusable(url: PolicyUrl): boolean {
  return url.scheme !== "registry" || !isLatest(url.reference);
}
