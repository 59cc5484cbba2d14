/**
 * Tells whether a part of a guest's memory is still what it was, without a copy of it: by a message authentication code (AES-GCM with all of
 * it as associated data) whose key the guest can't learn, so that it can't write what would not show. It takes 2 ms for 40 MB, as long as
 * to copy or to compare them.
 *
 * A policy's view of the cluster takes 40 MB for 10,000 RoleBindings, in each thread, and evaluations only read it.
 */
import { Buffer } from "node:buffer";
import { createCipheriv, randomBytes } from "node:crypto";

const PAGE = 65536;
const ZERO_PAGE = new Uint8Array(PAGE);

/** A range of bytes in a memory. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The pages from `start` on that a guest has filled, without the last one, which it goes on to fill. What lies below `start` are its own
 * variables and its stack. Undefined where there are none.
 *
 * @param start a multiple of the page's size
 */
export function filledPages(bytes: Uint8Array, start: number): ByteRange | undefined {
  const compared = Buffer.from(bytes.buffer);
  let end = bytes.length - PAGE;
  while (end > start && compared.compare(ZERO_PAGE, 0, PAGE, end, end + PAGE) === 0) end -= PAGE;
  return end > start ? { start, end } : undefined;
}

/** A range of a memory that must not change. */
export class Seal {
  /** The memory as it is now; growth detaches it, and then it is empty. */
  readonly #bytes: Uint8Array;
  readonly #key = randomBytes(16);
  readonly #nonce = randomBytes(12);
  readonly #code: Buffer;

  /** `bytes` is all of a memory. */
  constructor(bytes: Uint8Array, { start, end }: ByteRange) {
    this.#bytes = bytes.subarray(start, end);
    this.#code = this.#authenticate();
  }

  #authenticate(): Buffer {
    // Codes are compared with each other only, and nobody sees one: that the nonce is used again gives nothing away.
    const cipher = createCipheriv("aes-128-gcm", this.#key, this.#nonce);
    cipher.setAAD(this.#bytes);
    cipher.final();
    return cipher.getAuthTag();
  }

  /** Whether the range is what it was when it was sealed. */
  holds(): boolean {
    return this.#bytes.length > 0 && this.#authenticate().equals(this.#code);
  }
}
