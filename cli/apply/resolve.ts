/** From what a user calls a policy to its URI and its file (`spec/cli.md §2.1`). */
import { realpath } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import {
  ArtifactError,
  checkStored,
  findBySha256,
  findInStore,
  formatReference,
  keptDigests,
  manifestComponents,
  parsePolicyUrl,
  parseReference,
  quotedUri,
} from "../../artifact/mod.ts";
import { oneLine } from "../../program/render/terminal_text.ts";
import { windowsPathHint } from "../../program/render/windows_path.ts";
import { CliError, type Context } from "../types/command.ts";
import { buildFirst } from "./build_first.ts";
import { pathsOf } from "./paths.ts";

/** A policy's URI in messages: in one line, bounded, without the password that it may hold. */
export const shownUri = (uri: string): string => oneLine(quotedUri(uri));

/** `remedy` stands behind the name. */
export function notFound(name: string, remedy = ""): CliError {
  const hint = windowsPathHint(name, process.platform);
  return new CliError(
    `Cannot find policy with uri: ${shownUri(name)}${remedy}${hint === undefined ? "" : `; ${hint}`}`,
  );
}

/** A registry URI with everything that was left out; other URIs, and references that are none, as they are. */
export function normalised(uri: string): string {
  const text = uri.trim();
  if (!text.startsWith("registry://")) return text;
  try {
    const reference = parseReference(text.slice("registry://".length));
    return reference.tag === undefined ? text : `registry://${formatReference(reference)}`;
  } catch {
    return text;
  }
}

async function existingPath(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch {
    return undefined;
  }
}

/** The URI of a local or stored policy: a URI, a path, or the beginning of a SHA-256. Throws {@link CliError}. */
export async function strictUri({ cwd, env }: Context, name: string): Promise<string> {
  if (/^\s*\w+:\/\//.test(name)) return normalised(name);
  const path = await existingPath(resolve(cwd, name));
  if (path !== undefined) return pathToFileURL(path).href;
  if (/^[0-9a-f]+$/.test(name)) {
    const stored = await findBySha256(pathsOf(env).store, name).catch((error) => {
      throw new CliError((error as Error).message);
    });
    if (stored) return stored.uri;
  }
  throw notFound(name, await buildFirst(resolve(cwd, name)));
}

/** As {@link strictUri}; what is none of those is taken for an image's name. */
export async function lenientUri(context: Context, name: string): Promise<string> {
  try {
    return await strictUri(context, name);
  } catch (error) {
    // An ambiguous prefix is no image (spec/cli.md, sharp edge 23).
    if ((error as Error).message.startsWith("multiple policies")) throw error;
    if (await buildFirst(resolve(context.cwd, name)) !== "") throw error;
    try {
      return `registry://${formatReference(parseReference(name.trim()))}`;
    } catch {
      throw error;
    }
  }
}

/** The URI of something to fetch: without a scheme it is in a registry. Throws {@link CliError}. */
export function fetchUri(name: string): string {
  try {
    const url = parsePolicyUrl(name);
    if (url.scheme !== "registry") return url.uri;
    return normalised(url.uri.includes("://") ? url.uri : `registry://${url.uri}`);
  } catch (error) {
    throw new CliError((error as Error).message);
  }
}

/** The file of a policy that is here already. Throws {@link CliError}. */
export async function localPath({ env }: Context, uri: string): Promise<string> {
  const scheme = /^(\w+):\/\//.exec(uri)?.[1];
  if (scheme === "file") {
    const path = filePathOf(uri);
    if (await existingPath(path) === undefined) {
      const { message } = notFound(uri);
      throw new CliError(
        isAbsolute(path)
          ? message
          : `${message}: a whole path follows file://, as in file:///policies/x.wasm`,
      );
    }
    return path;
  }
  if (scheme !== "http" && scheme !== "https" && scheme !== "registry") {
    throw new CliError(`Unknown scheme: ${scheme}`);
  }
  try {
    const stored = await findInStore(pathsOf(env).store, uri);
    if (stored) return stored.path;
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error;
  }
  throw notFound(uri);
}

/**
 * As {@link localPath}; a module whose URI names a digest must be what the digest stands for. Where the store does not know
 * (1.36 put the module there), that is said. Throws {@link CliError}.
 */
export async function checkedPath(context: Context, uri: string): Promise<string> {
  const path = await localPath(context, uri);
  if (uri.startsWith("file://")) return path;
  const check = await checkStored(pathsOf(context.env).store, parsePolicyUrl(uri), path);
  if (check.kind === "changed") {
    throw new CliError(
      `${
        shownUri(uri)
      }: the stored module is not what its digest names (${path} has sha256 ${check.sha256}, ` +
        `${check.expected} is wanted): pull it again`,
    );
  }
  if (check.kind === "unknown") {
    context.log("WARN", "the store does not know what the digest stands for, the module was not checked", {
      uri: JSON.stringify(shownUri(uri)),
    });
  }
  return path;
}

/** Where the store keeps what the digest in a URI stands for, as components below its root; none for URIs without one. */
export async function keptManifests(store: string, uri: string): Promise<readonly (readonly string[])[]> {
  if (!uri.startsWith("registry://")) return [];
  const { digest } = parseReference(uri.slice("registry://".length));
  if (digest === undefined) return [];
  return (await keptDigests(store, digest)).map(manifestComponents);
}

/** The path of a `file:` URI, which need not be encoded as URLs want it. */
export function filePathOf(uri: string): string {
  try {
    return fileURLToPath(uri);
  } catch {
    return uri.slice("file://".length);
  }
}
