/** `save`: packs local policies into an archive; `-` writes it to standard output. */
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import process from "node:process";
import { PassThrough } from "node:stream";
import { writeErrorText } from "../../program/render/os_error.ts";
import { pack, type Packed } from "../apply/archive.ts";
import { pathsOf } from "../apply/paths.ts";
import { checkedPath, keptManifests, shownUri, strictUri } from "../apply/resolve.ts";
import { CliError, type Context, type Run } from "../types/command.ts";

async function packed(context: Context, name: string): Promise<readonly Packed[]> {
  let path: string;
  let uri: string;
  try {
    uri = await strictUri(context, name);
    path = await checkedPath(context, uri);
  } catch (error) {
    throw new CliError(`cannot find policy ${shownUri(name)}: ${(error as Error).message}`);
  }
  const { store } = pathsOf(context.env);
  const place = relative(store, path).split(sep);
  if (place[0] !== "..") {
    // What its digest stands for goes with it, so that it can be checked where it is unpacked.
    const manifests = (await keptManifests(store, uri)).map((manifest) => ({
      path: join(store, ...manifest),
      name: manifest.join("/"),
    }));
    return [{ path, name: place.join("/") }, ...manifests];
  }
  // A file outside of the store would be unpacked where no listing looks (spec/cli.md, sharp edge 26); its whole path keeps two files of
  // one name apart.
  return [{ path, name: ["https", "localhost", ...path.split(sep).filter((part) => part !== "")].join("/") }];
}

export const run: Run = async (context, args) => {
  const output = args.value("output")!;
  // Two names for one policy, and two policies with one index, are packed once.
  const packing = new Map<string, Packed>();
  for (const name of args.words("policies")) {
    for (const file of await packed(context, name)) packing.set(file.name, file);
  }
  const files = [...packing.values()];
  if (output === "-") {
    // An archive holds what policies hold, escape sequences included.
    if (context.terminal.out) {
      throw new CliError("an archive is not written to a terminal: name a file, or redirect the output");
    }
    const stream = new PassThrough();
    stream.on("data", (piece: Uint8Array) => context.out(piece));
    await pack(files, stream, context.signal);
    return;
  }
  const path = resolve(context.cwd, output);
  // Only a whole archive takes the name (spec/cli.md, sharp edge 26). A device can't be renamed to.
  const unfinished = path.startsWith("/dev/")
    ? path
    : join(dirname(path), `.${basename(path)}-${process.pid}.part`);
  let file: FileHandle;
  try {
    file = await open(unfinished, "w");
  } catch (error) {
    throw new CliError(`cannot create file ${output}: ${writeErrorText(error)}`);
  }
  try {
    await pack(files, file.createWriteStream(), context.signal);
    if (unfinished !== path) await rename(unfinished, path);
  } catch (error) {
    if (unfinished !== path) await rm(unfinished, { force: true });
    if (error instanceof CliError || context.signal.aborted) throw error;
    throw new CliError(`cannot write file ${output}: ${writeErrorText(error)}`);
  }
};
