/** The pipes between a WASI program and its host, both bounded (`spec/evaluator.md §6`). */

/** What may wait to be read: the request, and answers of host calls. */
const MAX_UNREAD = 64 * 1024 * 1024;
/** What a pipe takes at first. */
const SMALL = 4096;
const NOTHING = new Uint8Array(0);

/** A pipe that the host writes to and the guest reads from. */
export class Input {
  #chunks: Uint8Array[] = [];
  /** The first chunk that has not been read wholly, and how much of it has been. */
  #next = 0;
  #taken = 0;
  #length = 0;

  /** Forgets what was not read. */
  clear(): void {
    this.#chunks = [];
    this.#next = this.#taken = this.#length = 0;
  }

  append(bytes: Uint8Array): void {
    if (this.#length + bytes.length > MAX_UNREAD) {
      throw new Error(`answers of host calls that were not read take over ${MAX_UNREAD} bytes`);
    }
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#length += bytes.length;
  }

  read(target: Uint8Array): number {
    let read = 0;
    while (read < target.length && this.#next < this.#chunks.length) {
      const chunk = this.#chunks[this.#next]!;
      const part = chunk.subarray(this.#taken, this.#taken + target.length - read);
      target.set(part, read);
      read += part.length;
      this.#taken += part.length;
      if (this.#taken === chunk.length) {
        this.#next++;
        this.#taken = 0;
      }
    }
    this.#length -= read;
    if (this.#length === 0) this.clear();
    return read;
  }
}

/** A pipe that the guest writes to and the host reads when the guest has ended. However small its pieces, they take no more room. */
export class Output {
  readonly #limit: number;
  #bytes = NOTHING;
  #length = 0;
  #dropped = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  clear(): void {
    this.#bytes = NOTHING;
    this.#length = 0;
    this.#dropped = 0;
  }

  /** Takes what fits. */
  write(bytes: Uint8Array): void {
    const taken = bytes.subarray(0, this.#limit - this.#length);
    this.#dropped += bytes.length - taken.length;
    const length = this.#length + taken.length;
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(this.#limit, Math.max(length, 2 * this.#bytes.length, SMALL)));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(taken, this.#length);
    this.#length = length;
  }

  get dropped(): number {
    return this.#dropped;
  }

  /** What was written. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}
