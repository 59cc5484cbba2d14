/** Gets the trust root: from a file, or from a TUF repository and its cache (`spec/fetch-verify.md §10`). */
import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import {
  loadSigstoreProtobuf,
  loadSigstoreSeeds,
  loadTuf,
  loadTufErrors,
  type TrustedRoot,
  type TufUpdater,
} from "../../deps.ts";
import { makeFolder } from "../../program/apply/make_folder.ts";
import { environmentProxies } from "../render/proxy.ts";
import { unwritable } from "../render/unwritable.ts";
import { ArtifactError, codeOf, messageOf } from "../types/error.ts";
import { parseJson } from "../types/json_text.ts";
import type { ArtifactOptions } from "../types/options.ts";
import { parseTrustConfig, type TrustRoot } from "../types/trust_root.ts";
import { readBounded, readBoundedText } from "../../program/apply/bounded_file.ts";
import { checkArtifactOptions, checkTrustRootSource } from "./check_options.ts";
import { log } from "./event.ts";
import { createHttpClient, readBytes } from "./http.ts";
import { PassingError, retrying } from "./retry.ts";
import { environmentOf, limitsOf } from "./settings.ts";
import { materialOf } from "./signature/trust_material.ts";
import { loadX509 } from "./signature/x509.ts";
import { trustedRoots } from "./trusted_roots.ts";

/** The public Sigstore instance's TUF repository. */
export const PUBLIC_MIRROR = "https://tuf-repo-cdn.sigstore.dev";
const TARGET = "trusted_root.json";
/** `spec/fetch-verify.md §10.1` rule 4. */
const TUF_LIMITS = { connectMs: 10_000, responseMs: 30_000, retries: 3, retryMs: 100, retryMaxMs: 1000 };
/** With a good cache at hand, a network that is not there must not hold up the start. */
const REFRESH_LIMITS = { connectMs: 3000, responseMs: 5000, retries: 0 };
const TUF_SIZES = { maxRootRotations: 1024, rootMaxLength: 1024 * 1024, targetsMaxLength: 10 * 1024 * 1024 };

/** Where to get a trust root. */
export type TrustRootSource =
  /** A `ClientTrustConfig` file. */
  | { readonly kind: "file"; readonly path: string }
  | {
    readonly kind: "tuf";
    /** Metadata and target are kept here, a folder for each mirror. */
    readonly cacheDir: string;
    /** Default: the public instance. A mirror of another instance needs `rootPath`. */
    readonly mirror?: string;
    /** The `root.json` to start from; default: the public instance's, embedded. */
    readonly rootPath?: string;
    /** Use the cache alone; it must not have expired. */
    readonly offline?: boolean;
  };

async function usable(source: string, root: TrustedRoot): Promise<TrustRoot> {
  await loadX509();
  const trustRoot = { source, root };
  const { anchors } = materialOf(trustRoot);
  if (anchors.length === 0) {
    throw new ArtifactError("trust_root", `Fulcio certificates not found (${source})`);
  }
  return trustRoot;
}

/** @throws {ArtifactError} `trust_root`, with the texts of `spec/fetch-verify.md §10.3` */
async function fromFile(path: string): Promise<TrustRoot> {
  let text: string;
  try {
    text = await readBoundedText(path);
  } catch (cause) {
    const message = `could not read Sigstore trust config file ${path}: ${messageOf(cause)}`;
    throw new ArtifactError("trust_root", message, cause);
  }
  const document = parseTrustConfig(text, path);
  try {
    const protobuf = await loadSigstoreProtobuf();
    return await usable(path, protobuf.TrustedRoot.fromJSON(document));
  } catch (cause) {
    if (codeOf(cause) === "trust_root") throw cause;
    const message = `could not parse Sigstore trust config file ${path}: ${messageOf(cause)}`;
    throw new ArtifactError("trust_root", message, cause);
  }
}

/** From the cache alone, a quick look whether there is something newer, or as long as it takes. */
type Way = "offline" | "refresh" | "download";

/** A TUF client whose requests are ours: proxies of the environment, no private authorities, our time limits. */
async function createFetcher(mirror: URL, options: ArtifactOptions, way: Way) {
  const { BaseFetcher } = await loadTuf();
  const { DownloadHTTPError } = await loadTufErrors();
  const quick = way === "refresh" ? REFRESH_LIMITS : {};
  const limits = { ...limitsOf(options), ...TUF_LIMITS, ...quick, ...options.limits };
  const env = environmentOf(options);
  const roots = trustedRoots(env);
  const http = createHttpClient({
    tlsFor: () => ({ ca: roots, verify: true }),
    // A mirror on this very network may be plain HTTP, as what it serves is signed; where it redirects to is not its choice.
    plainAllowed: (host) => mirror.protocol === "http:" && host === mirror.host,
    proxies: environmentProxies(env),
    limits,
    signal: options.signal,
  });
  const settings = { limits, signal: options.signal, onEvent: options.onEvent, retryConnect: true };
  const ask = (url: string) =>
    retrying(settings, async () => {
      const response = await http.send({ method: "GET", url, headers: {} });
      if (response.status === 200) return await readBytes(response, TUF_SIZES.targetsMaxLength, url);
      response.discard();
      const message = `${url} answered with status ${response.status}`;
      if (response.status === 429 || response.status >= 500) throw new PassingError("server", message, 0);
      throw new DownloadHTTPError(message, response.status);
    });
  class Fetcher extends BaseFetcher {
    override async fetch(url: string): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
      if (way === "offline") throw new Error(`offline: ${url} is not asked for`);
      const bytes = new Uint8Array(await ask(url));
      return new Blob([bytes]).stream() as ReadableStream<Uint8Array<ArrayBuffer>>;
    }
  }
  return { fetcher: new Fetcher(), close: http.close };
}

async function writeWhole(path: string, content: Uint8Array): Promise<void> {
  const unfinished = `${path}.${process.pid}.part`;
  const file = await open(unfinished, "w");
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(unfinished, path);
}

/** The `root.json` that a cache starts from. */
async function firstRoot(mirror: string, rootPath: string | undefined): Promise<Uint8Array> {
  if (rootPath !== undefined) return await readBounded(rootPath);
  const { default: seeds } = await loadSigstoreSeeds();
  const known = seeds as Readonly<Record<string, { readonly "root.json": string }>>;
  const seed = Object.hasOwn(known, mirror) ? known[mirror] : undefined;
  if (seed === undefined) {
    throw new ArtifactError(
      "trust_root",
      `no TUF root is known for ${mirror}: say which root.json to start from`,
    );
  }
  return Buffer.from(seed["root.json"], "base64");
}

/** A TUF repository, with its folder in the cache. */
type TufRepository = {
  readonly mirror: string;
  readonly rootPath: string | undefined;
  readonly metadataDir: string;
  readonly targetDir: string;
};

async function openRepository(source: TrustRootSource & { kind: "tuf" }): Promise<TufRepository> {
  const mirror = (source.mirror ?? PUBLIC_MIRROR).replace(/\/+$/, "");
  const url = new URL(mirror);
  const metadataDir = join(source.cacheDir, encodeURIComponent(url.host + url.pathname.replace(/\/$/, "")));
  const targetDir = join(metadataDir, "targets");
  await makeFolder(targetDir).catch((cause) => {
    const instead =
      "the variable XDG_CACHE_HOME (reeve), --sigstore-cache-dir (policy server) or cacheDir (library)";
    throw new ArtifactError("trust_root", unwritable(targetDir, cause, instead), cause);
  });
  return { mirror, rootPath: source.rootPath, metadataDir, targetDir };
}

async function createUpdater(
  { mirror, rootPath, metadataDir, targetDir }: TufRepository,
  fetcher: Awaited<ReturnType<typeof createFetcher>>["fetcher"],
  way: Way,
): Promise<TufUpdater> {
  const { Updater } = await loadTuf();
  const create = () =>
    new Updater({
      metadataBaseUrl: mirror,
      targetBaseUrl: `${mirror}/targets`,
      metadataDir,
      targetDir,
      fetcher,
      forceCache: way === "offline",
      config: TUF_SIZES,
    });
  try {
    return create();
  } catch {
    // No root yet, or one that a killed process left half written.
    await writeWhole(join(metadataDir, "root.json"), await firstRoot(mirror, rootPath));
    return create();
  }
}

async function readRoot(repository: TufRepository, way: Way, options: ArtifactOptions): Promise<TrustedRoot> {
  const { mirror } = repository;
  const { fetcher, close } = await createFetcher(new URL(mirror), options, way);
  try {
    const updater = await createUpdater(repository, fetcher, way);
    const target = await updater.getTargetInfo(TARGET);
    if (target === undefined) throw new Error(`${mirror} has no target ${TARGET}`);
    const path = await updater.findCachedTarget(target) ?? await updater.downloadTarget(target);
    const protobuf = await loadSigstoreProtobuf();
    return protobuf.TrustedRoot.fromJSON(parseJson(await readFile(path, "utf8"), TARGET, "trust_root"));
  } finally {
    await close();
  }
}

async function fromTuf(
  source: TrustRootSource & { kind: "tuf" },
  options: ArtifactOptions,
): Promise<TrustRoot> {
  const repository = await openRepository(source);
  const { mirror, metadataDir } = repository;
  const read = async (way: Way, called: string) =>
    await usable(called, await readRoot(repository, way, options));
  if (source.offline) return await read("offline", `${metadataDir} (offline)`);
  const cached = await read("offline", `${metadataDir} (cached)`).catch(() => undefined);
  try {
    return await read(cached === undefined ? "download" : "refresh", mirror);
  } catch (error) {
    if (cached === undefined || options.signal?.aborted) throw error;
    log(options, "warn", "Cannot refresh the Sigstore trust root, using the cached one", {
      mirror,
      error: messageOf(error),
    });
    return cached;
  }
}

/**
 * Gets the trust root. A failure is an error, never an empty root: without one, callers pass `undefined` to `verifyPolicy`,
 * which then meets no keyless entry.
 *
 * @throws {ArtifactError} `trust_root`
 */
export async function loadTrustRoot(
  source: TrustRootSource,
  options: ArtifactOptions = {},
): Promise<TrustRoot> {
  checkTrustRootSource(source);
  checkArtifactOptions(options);
  if (source.kind === "file") return await fromFile(source.path);
  try {
    return await fromTuf(source, options);
  } catch (cause) {
    if (cause instanceof ArtifactError && cause.code === "aborted") throw cause;
    const where = source.mirror ?? PUBLIC_MIRROR;
    const message = `Cannot create Sigstore trust root from ${where} (cache ${source.cacheDir}): ${
      messageOf(cause)
    }`;
    throw new ArtifactError("trust_root", message, cause);
  }
}
