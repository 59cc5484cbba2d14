/** Bytes that go to the evaluating threads again and again: shared, so that none of them gets a copy. */

const encoder = new TextEncoder();

/** The UTF-8 of a text in memory that messages between threads pass on by reference. */
export function sharedBytes(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  return shared;
}
