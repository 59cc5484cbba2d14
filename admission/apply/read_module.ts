/** Gets the bytes of a module from a path or a URL. */
import process from "node:process";
import { transportError } from "../../artifact/apply/transport_error.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { windowsPathHint } from "../../program/render/windows_path.ts";
import { boundedText } from "../../program/types/bounded_text.ts";
import { joined } from "../../program/types/bytes.ts";
import { givenName, viewedBytes } from "../render/given_json.ts";
import { PolicyError } from "../types/policy_error.ts";

/** No policy comes near; a module is held in memory twice while it is prepared. */
const MAX_MODULE_BYTES = 256 * 1024 * 1024;
const DOWNLOAD_MS = 60_000;

const REFERENCE = /^(registry|oci|docker):\/\/|^[\w-]+(\.[\w-]+)+(:\d+)?\/[^\\]+[:@][^/\\]+$/;

/** The bytes of a module; of a `file:`, `http:` or `https:` URL or a path, what is there. Throws {@link PolicyError}. */
export async function readModule(source: Uint8Array | string | URL): Promise<Uint8Array> {
  const bytes = viewedBytes(source);
  if (bytes !== undefined) return bytes;
  if (typeof source !== "string" && !(source instanceof URL)) {
    throw new PolicyError(
      "invalid_options",
      `a policy is loaded from bytes (a Uint8Array), a path or a URL; found ${givenName(source)}`,
    );
  }
  const scheme = source instanceof URL
    ? source.protocol.slice(0, -1)
    : /^([a-z][a-z0-9+.-]+):\/\//i.exec(source)?.[1]?.toLowerCase();
  if (REFERENCE.test(String(source)) && scheme !== "http" && scheme !== "https") {
    throw unreadable(
      source,
      "that is a reference to a registry: fetch it with fetchPolicy, and load the path that it gives",
    );
  }
  if (scheme !== undefined && !SCHEMES.has(scheme)) {
    throw unreadable(source, `${scheme}: is none of file:, http: and https:`);
  }
  try {
    if (scheme === undefined) return await readFromFile(source);
    const url = new URL(source);
    return await (scheme === "file" ? readFromFile(url) : download(url));
  } catch (error) {
    if (error instanceof PolicyError) throw error;
    throw unreadable(source, reasonOf(source, error), error);
  }
}

const SCHEMES: ReadonlySet<string> = new Set(["file", "http", "https", "data", "blob"]);

/** Why a file can't be read, and what to do, where that is known. */
function reasonOf(source: string | URL, error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  if (/^ERR_INVALID_FILE_URL_/.test(String(code))) {
    return "a whole path follows file://, as in file:///policies/x.wasm";
  }
  if (code === "EISDIR") return "that is a folder: name the module in it";
  if (code !== "ENOENT") return osErrorText(error);
  const relative = typeof source === "string" && !/^([/\\]|\w+:)/.test(source);
  return windowsPathHint(String(source), process.platform) ??
    (relative ? `there is no such file in ${process.cwd()}` : "there is no such file");
}

const unreadable = (source: string | URL, reason: string, cause?: unknown) =>
  new PolicyError(
    "unreadable_policy",
    `cannot load the policy ${boundedText(String(source), 500)}: ${reason}`,
    cause === undefined ? undefined : { cause },
  );

async function readFromFile(path: string | URL): Promise<Uint8Array> {
  // Loaded here, because not every place that evaluates has files.
  const { open } = await import("node:fs/promises");
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size > MAX_MODULE_BYTES) throw unreadable(path, `it has over ${MAX_MODULE_BYTES} bytes`);
    return new Uint8Array(await file.readFile());
  } finally {
    await file.close();
  }
}

async function download(url: URL): Promise<Uint8Array> {
  const response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_MS) }).catch((error) => {
    throw unreadable(url, transportError(url, error, undefined).message, error);
  });
  if (!response.ok || !response.body) throw unreadable(url, `HTTP status ${response.status}`);
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = response.body.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    length += read.value.length;
    if (length > MAX_MODULE_BYTES) {
      await reader.cancel();
      throw unreadable(url, `it has over ${MAX_MODULE_BYTES} bytes`);
    }
    chunks.push(read.value);
  }
  return joined(chunks, length);
}
