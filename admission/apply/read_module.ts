/** Gets the bytes of a module from a path or a URL. */
import { PolicyError } from "../types/policy_error.ts";

/** No policy comes near; a module is held in memory twice while it is prepared. */
const MAX_MODULE_BYTES = 256 * 1024 * 1024;
const DOWNLOAD_MS = 60_000;

/** The bytes of a module; of a `file:`, `http:` or `https:` URL or a path, what is there. Throws {@link PolicyError}. */
export async function readModule(source: Uint8Array | string | URL): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  try {
    const url = source instanceof URL
      ? source
      : /^(file|https?):\/\//.test(source)
      ? new URL(source)
      : undefined;
    if (url === undefined || url.protocol === "file:") return await readFromFile(url ?? source as string);
    return await download(url);
  } catch (error) {
    if (error instanceof PolicyError) throw error;
    throw unreadable(source, (error as Error).message, error);
  }
}

const unreadable = (source: string | URL, reason: string, cause?: unknown) =>
  new PolicyError(
    "unreadable_policy",
    `cannot load the policy ${source}: ${reason}`,
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
  const response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_MS) });
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
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
