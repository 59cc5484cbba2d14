/**
 * The store: modules as files below a root, named after their URIs (`spec/fetch-verify.md §3`). There is no index; the
 * files are the truth, and a file is there whole or not at all: it is written beside its place, synced, and renamed.
 */
import { createReadStream } from "node:fs";
import { createHash, randomBytes } from "node:crypto";
import { type FileHandle, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import process from "node:process";
import { type NameCoding, STORE_SCHEMES, storeComponents, storedUri } from "../render/store_path.ts";
import { makeFolder } from "../../program/apply/make_folder.ts";
import { osErrorText, writeErrorText } from "../../program/render/os_error.ts";
import { ArtifactError } from "../types/error.ts";
import type { Environment } from "../types/options.ts";
import { parsePolicyUrl, type PolicyUrl } from "../types/reference.ts";
import { unwritable } from "../render/unwritable.ts";
import { cacheFolder } from "./cache_folder.ts";

const CODING: NameCoding = process.platform === "win32" ? "base64" : "literal";
const UNFINISHED = /^\.portreeve-[0-9a-f]+\.part$/;
/** An unfinished file that nobody wrote to for this long belongs to a process that died. */
const ABANDONED_MS = 60 * 60_000;
/** Longer than any layout of a store; bounds the walk. */
const MAX_DEPTH = 64;

/** A file of a store and the URI that it stands for. */
export type StoredPolicy = {
  readonly uri: string;
  readonly path: string;
};

/** The store that the command line uses when none is named. */
export function defaultStoreRoot(env: Environment = process.env): string {
  return join(cacheFolder(env), "store");
}

/** Where a policy lies, or would lie, in a store. */
export function storePath(root: string, url: PolicyUrl): string {
  return join(root, ...storeComponents(url, CODING));
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** Whether something readable as a module is at a path. */
export { isFile as moduleExists };

async function removeAbandoned(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!UNFINISHED.test(name)) continue;
    const path = join(directory, name);
    const age = await stat(path).then((entry) => Date.now() - entry.mtimeMs, () => 0);
    if (age > ABANDONED_MS) await rm(path, { force: true });
  }
}

async function syncDirectory(directory: string): Promise<void> {
  // Windows has no such thing as a synced directory.
  if (process.platform === "win32") return;
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The failure of a module that could not be written. */
export function notSaved(path: string, cause: unknown): ArtifactError {
  return new ArtifactError(
    "store",
    `wasm module cannot be save to "${path}": ${writeErrorText(cause)}`,
    cause,
  );
}

/**
 * Writes a file so that `path` holds either what it held before or all of the new content, whenever the process ends.
 * If `write` throws, nothing has happened and its error is passed on.
 *
 * @throws {ArtifactError} `store`, `wasm module cannot be save to "…": …`
 */
export async function writeAtomically<T>(path: string, write: (file: FileHandle) => Promise<T>): Promise<T> {
  const directory = dirname(path);
  const unfinished = join(directory, `.portreeve-${randomBytes(8).toString("hex")}.part`);
  let file: FileHandle;
  try {
    await removeAbandoned(directory);
    file = await open(unfinished, "wx", 0o644);
  } catch (cause) {
    throw notSaved(path, cause);
  }
  try {
    let result: T;
    try {
      result = await write(file);
    } catch (error) {
      await file.close();
      throw error;
    }
    try {
      await file.sync();
      await file.close();
      await rename(unfinished, path);
      await syncDirectory(directory);
    } catch (cause) {
      throw notSaved(path, cause);
    }
    return result;
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

/** Creates the directory that a policy will lie in. */
export async function makeParent(path: string): Promise<void> {
  try {
    await makeFolder(dirname(path));
  } catch (cause) {
    const message = unwritable(
      dirname(path),
      cause,
      "the variable XDG_CACHE_HOME (reeve), --policies-download-dir (policy server) or the destination (library)",
    );
    throw new ArtifactError("store", message, cause);
  }
}

/** SHA-256 of a file, lower-case hex: a policy's digest always means this. */
export async function moduleSha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    hash.update(piece as Uint8Array);
  }
  return hash.digest("hex");
}

/**
 * Reads a module once and hands out only what has the wanted digest: what was verified is what runs, even if somebody else can
 * write to the store.
 *
 * @param sha256 lower-case hex
 * @throws {ArtifactError} `digest`, or `store` when it cannot be read
 */
export async function readModule(path: string, sha256: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new ArtifactError("store", `cannot read ${path}: ${osErrorText(cause)}`, cause);
  }
  const actual = createHash("sha256").update(bytes).digest("hex");
  if (actual !== sha256) {
    throw new ArtifactError(
      "digest",
      `${path} has changed since it was checked: sha256 ${actual} instead of ${sha256}`,
    );
  }
  return bytes;
}

async function walk(directory: string, depth: number, found: string[]): Promise<void> {
  if (depth > MAX_DEPTH) return;
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await walk(path, depth + 1, found);
    else if (!UNFINISHED.test(entry.name) && await isFile(path)) found.push(path);
  }
}

/** Every policy of a store, in directory order; a missing root is an empty store. */
export async function listStore(root: string): Promise<readonly StoredPolicy[]> {
  const found: string[] = [];
  for (const scheme of STORE_SCHEMES) {
    try {
      await walk(join(root, scheme), 0, found);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "ENOENT") {
        throw new ArtifactError("store", `cannot list the store ${root}: ${osErrorText(cause)}`, cause);
      }
    }
  }
  return found.map((path) => ({ uri: storedUri(relative(root, path).split(sep), CODING), path }));
}

/**
 * The stored policy of a URI; the untagged and the short spelling find what was stored under the full one.
 *
 * @throws {ArtifactError} `reference`, `unknown scheme: …`, `file` included
 */
export async function findInStore(root: string, uri: string): Promise<StoredPolicy | undefined> {
  const url = parsePolicyUrl(uri);
  const path = storePath(root, url);
  if (await isFile(path)) return { uri, path };
  if (url.scheme !== "registry" || CODING !== "literal") return undefined;
  // A store written by the original keeps short names as they were typed.
  const typed = join(root, "registry", uri.replace(/^registry:\/\//, ""));
  return !typed.split(sep).includes("..") && await isFile(typed) ? { uri, path: typed } : undefined;
}

/**
 * The stored policy whose SHA-256 begins with `prefix`.
 *
 * @throws {ArtifactError} `store`, when several do
 */
export async function findBySha256(root: string, prefix: string): Promise<StoredPolicy | undefined> {
  const matches: StoredPolicy[] = [];
  for (const policy of await listStore(root)) {
    if ((await moduleSha256(policy.path)).startsWith(prefix)) matches.push(policy);
  }
  if (matches.length > 1) {
    throw new ArtifactError("store", `multiple policies found with the same prefix: ${prefix}`);
  }
  return matches[0];
}
