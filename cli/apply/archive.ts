/** Archives of policies: gzip, tar, an entry a policy, named by its place in the store (`spec/cli.md §12`). */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable, Transform, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { loadTar } from "../../deps.ts";
import { makeFolder } from "../../program/apply/make_folder.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { oneLine } from "../../program/render/terminal_text.ts";
import { type ArchivePlace, placeOf } from "../render/archive_entry.ts";
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

/** What an archive may make of a disk, a memory and the time of whoever loads it. */
export interface ArchiveLimits {
  /** Bytes of one policy: a module may have as many. */
  readonly entryBytes: number;
  /** Bytes of all of them. */
  readonly totalBytes: number;
  readonly entries: number;
  /** Bytes that are no content: headers, long names, what follows the last entry. A gigabyte of them packs into a megabyte. */
  readonly overheadBytes: number;
  /** Bytes of a manifest that belongs to a policy named by its digest. */
  readonly manifestBytes: number;
}

const LIMITS: ArchiveLimits = {
  entryBytes: 512 * 1024 * 1024,
  totalBytes: 8 * 1024 * 1024 * 1024,
  entries: 10_000,
  overheadBytes: 64 * 1024 * 1024,
  manifestBytes: 4 * 1024 * 1024,
};

/** An archive to unpack. */
export interface Archive {
  /** As the user called it. */
  readonly name: string;
  readonly content: Readable;
  /** What it begins with, two bytes at least if it has as many: it may be compressed or not. */
  readonly head: Uint8Array;
}

const isGzip = ([first, second]: Uint8Array) => first === 0x1f && second === 0x8b;

type Header = {
  readonly name: string;
  readonly type?: string | null | undefined;
  readonly size?: number | undefined;
  readonly pax?: Readonly<Record<string, string>> | null | undefined;
};

/** Counts what has been let in, and takes each entry against the limits. */
function gatekeeper(limits: ArchiveLimits) {
  const names = new Set<string>();
  let total = 0;
  let read = 0;
  const refuse = (reason: string): never => {
    throw new CliError(`cannot unpack file: ${reason}`);
  };
  return {
    /** Passes bytes of the archive on, unless too many of them are no content. */
    overhead: () =>
      new Transform({
        transform(piece: Uint8Array, _encoding, done) {
          read += piece.length;
          if (read - total <= limits.overheadBytes) return done(null, piece);
          done(
            new CliError(
              `cannot unpack file: the archive has more than ${limits.overheadBytes} bytes beside its entries`,
            ),
          );
        },
      }),
    /** Where an entry goes; `undefined` for a folder. */
    admit({ name, type, size = 0, pax }: Header): ArchivePlace | undefined {
      const shown = `the entry "${oneLine(name.slice(0, 300))}"`;
      if (names.size >= limits.entries) refuse(`the archive has more than ${limits.entries} entries`);
      if (type === "directory") {
        // A folder is named as often as one likes; it counts nevertheless.
        names.add(`${names.size}/`);
        return undefined;
      }
      if (type !== "file") refuse(`${shown} is a ${type ?? "thing of an unknown type"}, not a file`);
      if (Object.keys(pax ?? {}).some((key) => key.startsWith("GNU.sparse"))) {
        refuse(`${shown} is a sparse file`);
      }
      const place = placeOf(name);
      if (typeof place === "string") return refuse(`${shown} ${place}`);
      const key = place.components.join("/");
      if (names.has(key)) refuse(`${shown} is there twice`);
      names.add(key);
      const most = place.digest === undefined ? limits.entryBytes : limits.manifestBytes;
      if (size > most) refuse(`${shown} has ${size} bytes, more than the ${most} that it may have`);
      total += size;
      if (total > limits.totalBytes) {
        refuse(`the archive holds more than ${limits.totalBytes} bytes: load it in parts`);
      }
      return place;
    },
  };
}

/**
 * Unpacks an archive into a store. What is there under the same name is replaced; entries before one that is refused stay.
 * Throws {@link CliError}.
 */
export async function unpack(
  archive: Archive,
  root: string,
  signal: AbortSignal,
  limits: ArchiveLimits = LIMITS,
): Promise<void> {
  const { extract: openExtract } = await loadTar();
  const extract = openExtract();
  const { content } = archive;
  const { admit, overhead } = gatekeeper(limits);
  const read = isGzip(archive.head)
    ? pipeline(content, createGunzip(), overhead(), extract, { signal })
    : pipeline(content, overhead(), extract, { signal });
  // An archive that ends in the middle of an entry leaves that entry waiting for ever.
  const broken = new AbortController();
  read.catch((error) => broken.abort(error));
  const entrySignal = AbortSignal.any([signal, broken.signal]);
  let unfinished: string | undefined;
  try {
    for await (const entry of extract) {
      const place = admit(entry.header as Header);
      if (place === undefined) {
        entry.resume();
        continue;
      }
      const path = join(root, ...place.components);
      await makeFolder(dirname(path));
      // The name by which the store knows what is unfinished: should this process die, it is no policy of a listing.
      unfinished = join(dirname(path), `.portreeve-${randomBytes(8).toString("hex")}.part`);
      const hash = place.digest === undefined ? undefined : createHash(place.digest.algorithm);
      const hashed = new Transform({
        transform(piece: Uint8Array, _encoding, done) {
          hash?.update(piece);
          done(null, piece);
        },
      });
      await pipeline(
        entry as unknown as Readable,
        hashed,
        createWriteStream(unfinished, { flags: "wx" }),
        { signal: entrySignal },
      );
      if (hash !== undefined && hash.digest("hex") !== place.digest?.hex) {
        throw new CliError(`cannot unpack file: the entry "${entry.header.name}" is not what its name says`);
      }
      await rename(unfinished, path);
      unfinished = undefined;
    }
    await read;
  } catch (caught) {
    if (unfinished !== undefined) await rm(unfinished, { force: true });
    // What was refused says why itself; that the rest was not read then is no news.
    const error = broken.signal.aborted && !(caught instanceof CliError) ? broken.signal.reason : caught;
    if (error instanceof CliError || signal.aborted) throw error;
    throw new CliError(`cannot unpack file ${archive.name}: ${osErrorText(error)}`);
  }
}
