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

export type FileWriter = {
  /** Takes a piece, which is the writer's from now on: it may be empty afterwards. Waits while too much is under way. */
  readonly write: (piece: Uint8Array) => Promise<void>;
  /** Waits until everything is in the file. Every failure since the last call is thrown here or by `write`. */
  readonly settle: () => Promise<void>;
  /** Begins anew with an empty file. */
  readonly restart: () => Promise<void>;
};

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

export function createFileWriter(file: FileHandle): FileWriter {
  const spare: Uint8Array[] = [];
  let batch: Uint8Array | undefined;
  let batched = 0;
  let position = 0;
  let unsynced = 0;
  let syncing = false;
  const underWay = new Set<Promise<void>>();
  let failed: { readonly error: unknown } | undefined;

  const track = (work: Promise<void>): void => {
    const tracked: Promise<void> = work.catch((error) => {
      failed ??= { error };
    }).finally(() => underWay.delete(tracked));
    underWay.add(tracked);
  };
  const send = () => {
    if (batch === undefined || batched === 0) return;
    const full = batch;
    track(writeAll(file, full.subarray(0, batched), position).finally(() => spare.push(full)));
    position += batched;
    unsynced += batched;
    batch = undefined;
    batched = 0;
    if (unsynced >= SYNC_BYTES && !syncing) {
      unsynced = 0;
      syncing = true;
      track(file.datasync().finally(() => syncing = false));
    }
  };
  const throwFailure = () => {
    if (failed !== undefined) throw failed.error;
  };
  const settle = async () => {
    send();
    await Promise.all(underWay);
    throwFailure();
  };
  return {
    write: async (piece) => {
      throwFailure();
      for (let from = 0; from < piece.length;) {
        batch ??= spare.pop() ?? new Uint8Array(BATCH_BYTES);
        const part = piece.subarray(from, from + batch.length - batched);
        batch.set(part, batched);
        batched += part.length;
        from += part.length;
        if (batched < batch.length) break;
        send();
        while (underWay.size > MAX_UNDER_WAY) await Promise.race(underWay);
      }
      release(piece);
    },
    settle,
    restart: async () => {
      batched = 0;
      await settle();
      position = 0;
      unsynced = 0;
      await file.truncate(0);
    },
  };
}
