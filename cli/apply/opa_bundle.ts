/** OPA bundles, as `opa build -t wasm` writes them: gzip, tar, and in it `/policy.wasm`. */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { loadTar } from "../../deps.ts";
import { oneLine } from "../../program/render/terminal_text.ts";
import { CliError } from "../types/command.ts";

/** What a bundle may make of a memory: the module, and everything that is read on the way to it. */
const MAX_MODULE_BYTES = 128 * 1024 * 1024;
const MAX_BUNDLE_BYTES = 256 * 1024 * 1024;

/** Whether a file begins as modules do. */
export const isWasm = (file: Uint8Array): boolean =>
  Buffer.from(file.subarray(0, 4)).equals(Buffer.from("\0asm"));

export const isGzip = ([first, second]: Uint8Array): boolean => first === 0x1f && second === 0x8b;

/**
 * The module in a bundle. Data and signatures of the bundle are not looked at: a policy's data are its settings.
 *
 * @param name names the file in errors
 * @throws {CliError}
 */
export async function moduleInBundle(bytes: Uint8Array, name: string): Promise<Uint8Array> {
  const { extract: openExtract } = await loadTar();
  const extract = openExtract();
  const modules: Uint8Array[] = [];
  /** Where modules are in it that are not taken. */
  const elsewhere: string[] = [];
  let [read, isModule] = [0, false];
  const refuse = (reason: string): never => {
    throw new CliError(`${name}: ${reason}`);
  };
  const unpacked = pipeline(
    Readable.from([bytes]),
    createGunzip(),
    async function* (source: AsyncIterable<Uint8Array>) {
      for await (const piece of source) {
        if (read === 0) isModule = isWasm(piece);
        read += piece.length;
        if (read > MAX_BUNDLE_BYTES) refuse(`the bundle unpacks to more than ${MAX_BUNDLE_BYTES} bytes`);
        yield piece;
      }
    },
    extract,
  );
  unpacked.catch(() => {});
  try {
    for await (const entry of extract) {
      const { name: path, size = 0, type } = entry.header;
      if (type !== "file" || path.replace(/^\.?\//, "") !== "policy.wasm") {
        if (path.endsWith(".wasm") && elsewhere.length < 3) elsewhere.push(path);
        entry.resume();
        continue;
      }
      if (size > MAX_MODULE_BYTES) refuse(`policy.wasm in it is larger than ${MAX_MODULE_BYTES} bytes`);
      const pieces: Uint8Array[] = [];
      for await (const piece of entry) pieces.push(piece as Uint8Array);
      modules.push(Buffer.concat(pieces));
    }
    await unpacked;
  } catch (error) {
    if (error instanceof CliError) throw error;
    refuse(
      isModule
        ? "it is a compressed module: unpack it with `gunzip`"
        : `it is no OPA bundle: ${(error as Error).message}`,
    );
  }
  const [module, ...more] = modules;
  if (module === undefined) {
    const found = elsewhere.length === 0
      ? ""
      : ` (in it is ${
        oneLine(elsewhere.join(", ").slice(0, 300))
      }; unpack it, and give that file, if it is no bundle)`;
    return refuse(
      `there is no policy.wasm in the bundle: build it with \`opa build -t wasm -e PACKAGE/RULE\`${found}`,
    );
  }
  if (more.length > 0) refuse("there is more than one policy.wasm in the bundle");
  return module;
}
