/** The pipes between a WASI program and its host, both bounded (`spec/evaluator.md §6`). */

/** What may wait to be read: the request, and answers of host calls. */
const MAX_UNREAD = 64 * 1024 * 1024;

/** A pipe that the host writes to and the guest reads from. */
export class Input {
  #chunks: Uint8Array[] = [];
  #length = 0;

  /** Forgets what was not read. */
  clear(): void {
    this.#chunks = [];
    this.#length = 0;
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
    while (read < target.length && this.#chunks.length > 0) {
      const chunk = this.#chunks[0]!;
      const taken = chunk.subarray(0, target.length - read);
      target.set(taken, read);
      read += taken.length;
      if (taken.length === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(taken.length);
    }
    this.#length -= read;
    return read;
  }
}

/** A pipe that the guest writes to and the host reads when the guest has ended. */
export class Output {
  readonly #limit: number;
  #chunks: Uint8Array[] = [];
  #length = 0;
  #dropped = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  clear(): void {
    this.#chunks = [];
    this.#length = 0;
    this.#dropped = 0;
  }

  /** Takes what fits. */
  write(bytes: Uint8Array): void {
    const taken = bytes.slice(0, this.#limit - this.#length);
    this.#dropped += bytes.length - taken.length;
    if (taken.length === 0) return;
    this.#chunks.push(taken);
    this.#length += taken.length;
  }

  get dropped(): number {
    return this.#dropped;
  }

  bytes(): Uint8Array {
    if (this.#chunks.length === 1) return this.#chunks[0]!;
    const bytes = new Uint8Array(this.#length);
    let at = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }
}
