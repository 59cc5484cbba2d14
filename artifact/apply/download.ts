/** A module's way from a server to its place on disk: checked while it streams, never held in memory. */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { osErrorText } from "../../program/render/os_error.ts";
import { ArtifactError } from "../types/error.ts";
import { quotedUri } from "../types/quoted.ts";
import type { Descriptor } from "../types/manifest.ts";
import type { ArtifactOptions } from "../types/options.ts";
import { createFileWriter } from "./file_writer.ts";
import { type HttpResponse } from "./http.ts";
import { clientFor, fileServerAttempts, refusalOf, type Registry, withProtocols } from "./registry.ts";
import { type Sink, streamBlob } from "./registry_pull.ts";
import { retrying } from "./retry.ts";
import { limitsOf } from "./settings.ts";
import { writeAtomically } from "./store.ts";

const WASM_MAGIC = [0x00, 0x61, 0x73, 0x6d];
const PROGRESS_MS = 250;

/**
 * Writes pieces to a file, refuses what is no Wasm, and tells how far it is. `sha256` is given where somebody else checks it
 * already: hashing is what a fast download waits for.
 */
function moduleSink(
  file: FileHandle,
  path: string,
  reference: string,
  options: ArtifactOptions,
  sha256?: string,
) {
  let head: number[] = [];
  let received = 0;
  let total: number | undefined;
  let told = 0;
  let hash = createHash("sha256");
  const writer = createFileWriter(file);
  const saved = async (work: Promise<void>) => {
    try {
      await work;
    } catch (cause) {
      throw new ArtifactError(
        "store",
        `wasm module cannot be save to "${path}": ${osErrorText(cause)}`,
        cause,
      );
    }
  };
  const requireWasm = () => {
    if (!WASM_MAGIC.every((byte, index) => head[index] === byte)) {
      throw new ArtifactError("not_wasm", "invalid wasm file");
    }
  };
  const progress = (done: boolean) =>
    options.onEvent?.({ kind: "progress", reference, receivedBytes: received, totalBytes: total, done });
  const sink: Sink = {
    large: true,
    start: async () => {
      head = [];
      received = 0;
      hash = createHash("sha256");
      await saved(writer.restart());
    },
    write: async (piece) => {
      if (head.length < WASM_MAGIC.length) {
        head.push(...piece.subarray(0, WASM_MAGIC.length - head.length));
        if (head.length === WASM_MAGIC.length) requireWasm();
      }
      if (sha256 === undefined) hash.update(piece);
      received += piece.length;
      await saved(writer.write(piece));
      const now = performance.now();
      if (options.onEvent !== undefined && now - told >= PROGRESS_MS) {
        told = now;
        progress(false);
      }
    },
  };
  return {
    sink,
    expect: (bytes: number | undefined) => {
      total = bytes;
    },
    /** Waits until all is written; the SHA-256 of it. */
    finish: async () => {
      requireWasm();
      await saved(writer.settle());
      progress(true);
      return sha256 ?? hash.digest("hex");
    },
  };
}

function tooLarge(what: string, maxBytes: number): ArtifactError {
  return new ArtifactError("limit", `${what} is larger than ${maxBytes} bytes`);
}

/**
 * Downloads one layer to `path`.
 *
 * @returns its SHA-256, lower-case hex
 */
export async function downloadLayer(
  registry: Registry,
  repository: string,
  layer: Descriptor,
  path: string,
  reference: string,
  options: ArtifactOptions,
): Promise<string> {
  const { moduleBytes } = limitsOf(options);
  if (layer.size > moduleBytes) throw tooLarge(`the module of ${reference}`, moduleBytes);
  return await writeAtomically(path, async (file) => {
    const [algorithm, hex] = layer.digest.split(":");
    const known = algorithm === "sha256" ? hex : undefined;
    const { sink, expect, finish } = moduleSink(file, path, reference, options, known);
    expect(layer.size);
    await streamBlob(registry, repository, layer, sink);
    return await finish();
  });
}

async function receive(
  response: HttpResponse,
  module: ReturnType<typeof moduleSink>,
  uri: string,
  maxBytes: number,
): Promise<void> {
  const declared = response.header("content-length");
  const size = declared === undefined ? undefined : Number(declared);
  if (size !== undefined && size > maxBytes) {
    response.discard();
    throw tooLarge(quotedUri(uri), maxBytes);
  }
  module.expect(size);
  await module.sink.start();
  let received = 0;
  for await (const piece of response.body) {
    received += piece.length;
    if (received > maxBytes) throw tooLarge(quotedUri(uri), maxBytes);
    await module.sink.write(piece);
  }
  if (size !== undefined && received !== size) {
    throw new ArtifactError("connect", `${quotedUri(uri)} ended after ${received} of ${size} bytes`);
  }
}

/**
 * Downloads a module from a file server to `path` (`spec/fetch-verify.md §2.3`).
 *
 * @returns its SHA-256, lower-case hex
 */
export async function downloadFile(
  url: { readonly scheme: "http" | "https"; readonly uri: string; readonly hostAndPort: string },
  path: string,
  options: ArtifactOptions,
): Promise<string> {
  const limits = limitsOf(options);
  const attempts = fileServerAttempts(url.scheme, url.hostAndPort, options);
  return await writeAtomically(
    path,
    (file) =>
      withProtocols(attempts, url.hostAndPort, options, async (attempt, last) => {
        const http = clientFor(options, attempt);
        const settings = { limits, signal: options.signal, onEvent: options.onEvent, retryConnect: last };
        try {
          return await retrying(settings, async () => {
            const module = moduleSink(file, path, url.uri, options);
            const response = await http.send({ method: "GET", url: url.uri, headers: {}, large: true });
            if (response.status !== 200) throw await refusalOf(response, "file servers get no credentials");
            await receive(response, module, url.uri, limits.moduleBytes);
            return await module.finish();
          });
        } finally {
          await http.close();
        }
      }),
  );
}
