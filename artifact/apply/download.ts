/** A module's way from a server to its place on disk: checked while it streams, never held in memory. */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { ArtifactError } from "../types/error.ts";
import type { OnEvent } from "../types/event.ts";
import { quotedUri } from "../types/quoted.ts";
import type { Descriptor } from "../types/manifest.ts";
import type { ArtifactOptions } from "../types/options.ts";
import { fileServerAttempts, withProtocols } from "./connection.ts";
import { FileWriter } from "./file_writer.ts";
import { type HttpResponse } from "./http.ts";
import { refusalOf, type Registry } from "./registry.ts";
import { type Sink, streamBlob } from "./registry_pull.ts";
import { limitsOf } from "./settings.ts";
import { notSaved, writeAtomically } from "./store.ts";

const WASM_MAGIC = [0x00, 0x61, 0x73, 0x6d];
const PROGRESS_MS = 250;

/** Takes the bytes of a module into a file, refuses what is no Wasm, and reports the progress. */
class ModuleSink implements Sink {
  readonly large = true;
  readonly #writer: FileWriter;
  readonly #path: string;
  readonly #reference: string;
  readonly #onEvent: OnEvent | undefined;
  readonly #sha256: string | undefined;
  #head: number[] = [];
  #hash = createHash("sha256");
  #received = 0;
  #total: number | undefined;
  #reportedMs = 0;

  /** `sha256` is given where somebody else checks it already: hashing is what a fast download waits for. */
  constructor(
    file: FileHandle,
    path: string,
    reference: string,
    onEvent: OnEvent | undefined,
    sha256?: string,
  ) {
    this.#writer = new FileWriter(file);
    this.#path = path;
    this.#reference = reference;
    this.#onEvent = onEvent;
    this.#sha256 = sha256;
  }

  /** Says how many bytes will come, for the progress. */
  expect(bytes: number | undefined): void {
    this.#total = bytes;
  }

  async start(): Promise<void> {
    this.#head = [];
    this.#received = 0;
    this.#hash = createHash("sha256");
    await this.#saved(this.#writer.restart());
  }

  async write(piece: Uint8Array): Promise<void> {
    if (this.#head.length < WASM_MAGIC.length) {
      this.#head.push(...piece.subarray(0, WASM_MAGIC.length - this.#head.length));
      if (this.#head.length === WASM_MAGIC.length) this.#requireWasm();
    }
    if (this.#sha256 === undefined) this.#hash.update(piece);
    this.#received += piece.length;
    await this.#saved(this.#writer.write(piece));
    const now = performance.now();
    if (this.#onEvent !== undefined && now - this.#reportedMs >= PROGRESS_MS) {
      this.#reportedMs = now;
      this.#report(false);
    }
  }

  /** Waits until all is written; the SHA-256 of it. */
  async finish(): Promise<string> {
    this.#requireWasm();
    await this.#saved(this.#writer.settle());
    this.#report(true);
    return this.#sha256 ?? this.#hash.digest("hex");
  }

  async #saved(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (cause) {
      throw notSaved(this.#path, cause);
    }
  }

  #requireWasm(): void {
    if (!WASM_MAGIC.every((byte, index) => this.#head[index] === byte)) {
      throw new ArtifactError("not_wasm", "invalid wasm file");
    }
  }

  #report(done: boolean): void {
    this.#onEvent?.({
      kind: "progress",
      reference: this.#reference,
      receivedBytes: this.#received,
      totalBytes: this.#total,
      done,
    });
  }
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
    const module = new ModuleSink(file, path, reference, options.onEvent, known);
    module.expect(layer.size);
    await streamBlob(registry, layer, module);
    return await module.finish();
  });
}

async function receive(
  response: HttpResponse,
  module: ModuleSink,
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
  await module.start();
  let received = 0;
  for await (const piece of response.body) {
    received += piece.length;
    if (received > maxBytes) throw tooLarge(quotedUri(uri), maxBytes);
    await module.write(piece);
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
  const { moduleBytes } = limitsOf(options);
  const attempts = fileServerAttempts(url.scheme, url.hostAndPort, options);
  return await writeAtomically(
    path,
    (file) =>
      withProtocols(attempts, url.hostAndPort, options, ({ http, retry }) =>
        retry(async () => {
          const module = new ModuleSink(file, path, url.uri, options.onEvent);
          const response = await http.send({ method: "GET", url: url.uri, headers: {}, large: true });
          if (response.status !== 200) throw await refusalOf(response, "file servers get no credentials");
          await receive(response, module, url.uri, moduleBytes);
          return await module.finish();
        })),
  );
}
