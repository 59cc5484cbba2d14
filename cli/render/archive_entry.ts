/** What a name in an archive of policies may be: that of a policy in a store, or of a manifest that the store keeps. */
import { isDigest, MANIFEST_FOLDER, parsePolicyUrl, STORE_SCHEMES, storedUri } from "../../artifact/mod.ts";
import { isUnsafe } from "../../program/render/terminal_text.ts";

/** Where an entry goes, as components below the root of the store. */
export interface ArchivePlace {
  readonly components: readonly string[];
  /** What the content must hash to: of manifests, which are named after it. */
  readonly digest?: { readonly algorithm: string; readonly hex: string };
}

/** What file systems take. */
const MAX_COMPONENT_BYTES = 255;
const MAX_COMPONENTS = 32;
/** What a listing takes for a file that is still being written. */
const UNFINISHED = /^\.portreeve-/;

/** Whether the URI that the store would list it under leads to this very place, and not by `%2e%2e` to another one. */
function namesItself(components: readonly string[]): boolean {
  try {
    const url = parsePolicyUrl(storedUri(components));
    if (url.scheme === "registry") return true;
    if (url.scheme === "file" || url.hostAndPort !== components[1]) return false;
    const [typed, read] = [components.slice(2).join("/"), url.segments.join("/")];
    return typed === read || typed === decodeURIComponent(read);
  } catch {
    return false;
  }
}

/** The place of an entry, or why it has none. */
export function placeOf(name: string): ArchivePlace | string {
  if (isUnsafe(name) || name.includes("\ufffd")) return "has control or invisible characters in its name";
  if (name.startsWith("/") || name.includes("\\")) return "leads out of the store";
  const components = name.replace(/^\.\//, "").split("/").filter((part) => part !== "");
  if (components.some((part) => part === ".." || part === ".")) return "leads out of the store";
  if (components.length > MAX_COMPONENTS) return `lies deeper than ${MAX_COMPONENTS} folders`;
  if (components.some((part) => new TextEncoder().encode(part).length > MAX_COMPONENT_BYTES)) {
    return "has a name that is too long";
  }
  const [scheme = "", second = "", third = ""] = components;
  if (scheme === MANIFEST_FOLDER) {
    const known = components.length === 3 && isDigest(`${second}:${third}`);
    return known ? { components, digest: { algorithm: second, hex: third } } : "is no manifest's name";
  }
  if (!(STORE_SCHEMES as readonly string[]).includes(scheme)) {
    return `leads out of the store: it lies in none of the folders ${STORE_SCHEMES.join(", ")}`;
  }
  if (components.length < 3) return "names no policy: a scheme, a host and a name are wanted";
  if (components.some((part) => UNFINISHED.test(part))) return "has the name of an unfinished file";
  if (!namesItself(components)) return "has a name that is no URI of a policy";
  return { components };
}
