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
  /** Takes a piece; waits only while too much is under way. */
  readonly write: (piece: Uint8Array) => Promise<void>;
  /** Waits until everything is in the file. Every failure since the last call is thrown here or by `write`. */
  readonly settle: () => Promise<void>;
  /** Begins anew with an empty file. */
  readonly restart: () => Promise<void>;
};

async function writeAll(file: FileHandle, pieces: readonly Uint8Array[], position: number): Promise<void> {
  const { bytesWritten } = await file.writev(pieces as Uint8Array[], position);
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (bytesWritten === length) return;
  // A disk that is nearly full writes less: the rest piece by piece, until it says why.
  const whole = Buffer.concat(pieces);
  for (let at = bytesWritten; at < length;) {
    at += (await file.write(whole, at, length - at, position + at)).bytesWritten;
  }
}

export function createFileWriter(file: FileHandle): FileWriter {
  let batch: Uint8Array[] = [];
  let batched = 0;
  let position = 0;
  let unsynced = 0;
  let syncing: Promise<void> | undefined;
  const underWay = new Set<Promise<void>>();
  let failed: { readonly error: unknown } | undefined;

  const track = (work: Promise<void>): Promise<void> => {
    const tracked = work.catch((error) => {
      failed ??= { error };
    }).finally(() => underWay.delete(tracked));
    underWay.add(tracked);
    return tracked;
  };
  const send = () => {
    const pieces = batch;
    track(writeAll(file, pieces, position));
    position += batched;
    unsynced += batched;
    batch = [];
    batched = 0;
    if (unsynced >= SYNC_BYTES && syncing === undefined) {
      unsynced = 0;
      syncing = track(file.datasync()).then(() => {
        syncing = undefined;
      });
    }
  };
  const throwFailure = () => {
    if (failed !== undefined) throw failed.error;
  };
  const settle = async () => {
    if (batched > 0) send();
    await Promise.all(underWay);
    throwFailure();
  };
  return {
    write: async (piece) => {
      throwFailure();
      batch.push(piece);
      batched += piece.length;
      if (batched < BATCH_BYTES) return;
      send();
      while (underWay.size > MAX_UNDER_WAY) await Promise.race(underWay);
    },
    settle,
    restart: async () => {
      batch = [];
      batched = 0;
      await settle();
      position = 0;
      unsynced = 0;
      await file.truncate(0);
    },
  };
}
