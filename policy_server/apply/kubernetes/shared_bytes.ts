/** Bytes that go to the evaluating threads again and again: shared, so that none of them gets a copy. */
import { Buffer } from "node:buffer";

/** The UTF-8 of a text in memory that messages between threads pass on by reference. */
export function sharedBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(new SharedArrayBuffer(Buffer.byteLength(text)));
  // Right to where it is to be: a list may have many megabytes.
  Buffer.from(bytes.buffer).write(text);
  return bytes;
}
