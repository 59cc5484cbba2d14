/** Reads configuration files, which are small: a name that leads to something endless is an error, not a full memory. */
import { open } from "node:fs/promises";
import { decodedText } from "../types/decoded_text.ts";

/** Bytes of a configuration file; certificates of a whole company fit. */
export const MAX_FILE_BYTES = 4 * 1024 * 1024;

/**
 * The bytes of a file, devices and pipes included.
 *
 * @throws {Error} of the file system, or when there are more than `maxBytes`
 */
export async function readBounded(path: string, maxBytes = MAX_FILE_BYTES): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const pieces: Buffer[] = [];
    let length = 0;
    for (;;) {
      const piece = Buffer.alloc(64 * 1024);
      const { bytesRead } = await file.read(piece, 0, piece.length, null);
      if (bytesRead === 0) return Buffer.concat(pieces);
      length += bytesRead;
      if (length > maxBytes) throw new Error(`${path} is larger than ${maxBytes} bytes`);
      pieces.push(piece.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

/** As {@link readBounded}, as text. */
export async function readBoundedText(path: string): Promise<string> {
  return decodedText(await readBounded(path));
}
