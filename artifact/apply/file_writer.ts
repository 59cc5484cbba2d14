/**
 * Writes a stream of pieces to a file while the next ones are still on their way: pieces are gathered into large writes, and
 * what is written is pushed to the disk early, so that little is left to sync at the end.
 */
import type { FileHandle } from "node:fs/promises";

/** Bytes gathered into one write. */
const BATCH_BYTES = 1024 * 1024;
/** Writes under way at once; with the batch being gathered, this bounds the memory. */
const MAX_UNDER_WAY = 4;
/** Bytes between two calls that push written bytes to the disk. */
const SYNC_BYTES = 16 * 1024 * 1024;

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
  }
}

/**
 * Gives a copied piece's memory back now. Node collects what sockets read only once some 64 MB of it lie about, which is all
 * the memory that a pull takes. A piece that is only a part of its buffer is left alone: the rest may be somebody's.
 */
function release(piece: Uint8Array): void {
  const { buffer } = piece;
  if ("Bun" in globalThis || !(buffer instanceof ArrayBuffer)) return;
  if (piece.byteOffset === 0 && piece.byteLength === buffer.byteLength && !buffer.detached) {
    buffer.transfer(0);
  }
}

/** Writes one file. What fails is thrown by the call that follows. */
export class FileWriter {
  readonly #file: FileHandle;
  readonly #underWay = new Set<Promise<void>>();
  readonly #spare: Uint8Array[] = [];
  #batch: Uint8Array | undefined;
  #batched = 0;
  #position = 0;
  #unsynced = 0;
  #syncing = false;
  #failed: { readonly error: unknown } | undefined;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Takes a piece, which is the writer's from now on: it may be empty afterwards. Waits while too much is under way. */
  async write(piece: Uint8Array): Promise<void> {
    this.#throwFailure();
    for (let from = 0; from < piece.length;) {
      const batch = this.#batch ??= this.#spare.pop() ?? new Uint8Array(BATCH_BYTES);
      const part = piece.subarray(from, from + batch.length - this.#batched);
      batch.set(part, this.#batched);
      this.#batched += part.length;
      from += part.length;
      if (this.#batched < batch.length) break;
      this.#send();
      while (this.#underWay.size > MAX_UNDER_WAY) await Promise.race(this.#underWay);
    }
    release(piece);
  }

  /** Waits until everything is in the file. Every failure since the last call is thrown here or by `write`. */
  async settle(): Promise<void> {
    this.#send();
    await Promise.all(this.#underWay);
    this.#throwFailure();
  }

  /** Begins anew with an empty file. */
  async restart(): Promise<void> {
    this.#batched = 0;
    await this.settle();
    this.#position = 0;
    this.#unsynced = 0;
    await this.#file.truncate(0);
  }

  /** Begins to write the batch, and to push to the disk what was written before. */
  #send(): void {
    const batch = this.#batch;
    if (batch === undefined || this.#batched === 0) return;
    const bytes = batch.subarray(0, this.#batched);
    this.#track(writeAll(this.#file, bytes, this.#position).finally(() => this.#spare.push(batch)));
    this.#position += bytes.length;
    this.#unsynced += bytes.length;
    this.#batch = undefined;
    this.#batched = 0;
    if (this.#unsynced >= SYNC_BYTES && !this.#syncing) {
      this.#unsynced = 0;
      this.#syncing = true;
      this.#track(this.#file.datasync().finally(() => this.#syncing = false));
    }
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work.catch((error) => {
      this.#failed ??= { error };
    }).finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
  }

  #throwFailure(): void {
    if (this.#failed !== undefined) throw this.#failed.error;
  }
}
