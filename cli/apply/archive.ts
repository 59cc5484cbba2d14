/** Archives of policies: gzip, tar, an entry a policy, named by its place in the store (`spec/cli.md §12`). */
import { randomBytes } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { loadTar } from "../../deps.ts";
import { osErrorText } from "../../policy_server/apply/os_error.ts";
import { CliError } from "../types/command.ts";

/** A file to pack under a name. */
export interface Packed {
  readonly name: string;
  readonly path: string;
}

/** Writes an archive. Throws {@link CliError}. */
export async function pack(files: readonly Packed[], output: Writable, signal: AbortSignal): Promise<void> {
  const { pack: openPack } = await loadTar();
  const tar = openPack();
  const written = pipeline(tar, createGzip(), output, { signal });
  // What goes wrong is told below, after the entries' own faults.
  written.catch(() => {});
  for (const { name, path } of files) {
    let size: number;
    try {
      ({ size } = await stat(path));
    } catch (error) {
      tar.destroy();
      throw new CliError(`cannot open policy file ${path}: ${osErrorText(error)}`);
    }
    const entry = tar.entry({ name, size, mode: 0o644, mtime: new Date(0) });
    try {
      await pipeline(createReadStream(path), entry, { signal });
    } catch (error) {
      tar.destroy();
      throw new CliError(`cannot append policy ${name} to tar file: ${osErrorText(error)}`);
    }
  }
  tar.finalize();
  await written;
}

/** Where an entry goes, if its name is one of a store's and leads nowhere else. */
function target(root: string, name: string): string {
  const parts = name.replace(/^\.\//, "").split("/").filter((part) => part !== "");
  const good = parts.length > 1 &&
    parts.every((part) => part !== ".." && part !== "." && !part.includes("\0")) &&
    !name.startsWith("/") && !parts.some((part) => sep === "\\" && part.includes("\\"));
  if (!good) throw new CliError(`cannot unpack file: the entry "${name}" leads out of the store`);
  return join(root, ...parts);
}

/** A module may have as many bytes; an archive that claims more is no archive of policies. */
const MAX_ENTRY_BYTES = 512 * 1024 * 1024;

/** An archive to unpack. */
export interface Archive {
  /** As the user called it. */
  readonly name: string;
  readonly content: Readable;
  /** What it begins with, two bytes at least if it has as many: it may be compressed or not. */
  readonly head: Uint8Array;
}

const isGzip = ([first, second]: Uint8Array) => first === 0x1f && second === 0x8b;

/** Unpacks an archive into a store. What is there under the same name is replaced. Throws {@link CliError}. */
export async function unpack(archive: Archive, root: string, signal: AbortSignal): Promise<void> {
  const { extract: openExtract } = await loadTar();
  const extract = openExtract();
  const { content } = archive;
  const read = isGzip(archive.head)
    ? pipeline(content, createGunzip(), extract, { signal })
    : pipeline(content, extract, { signal });
  read.catch(() => {});
  let unfinished: string | undefined;
  try {
    for await (const entry of extract) {
      const { name, type, size = 0 } = entry.header;
      if (type === "directory") {
        entry.resume();
        continue;
      }
      if (type !== "file") {
        throw new CliError(`cannot unpack file: the entry "${name}" is a ${type}, not a file`);
      }
      if (size > MAX_ENTRY_BYTES) {
        throw new CliError(
          `cannot unpack file: the entry "${name}" has ${size} bytes, more than a policy may`,
        );
      }
      const path = target(root, name);
      await mkdir(dirname(path), { recursive: true });
      // The name by which the store knows what is unfinished: should this process die, it is no policy of a listing.
      unfinished = join(dirname(path), `.portreeve-${randomBytes(8).toString("hex")}.part`);
      await pipeline(entry as unknown as Readable, createWriteStream(unfinished), { signal });
      await rename(unfinished, path);
      unfinished = undefined;
    }
    await read;
  } catch (error) {
    if (unfinished !== undefined) await rm(unfinished, { force: true });
    if (error instanceof CliError || signal.aborted) throw error;
    throw new CliError(`cannot unpack file ${archive.name}: ${osErrorText(error)}`);
  }
}
