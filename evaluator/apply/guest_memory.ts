/**
 * The door to a guest's memory: no other file makes a view of it (`tests/evaluator/guest_memory_test.ts` sees to that).
 *
 * Whatever a guest gives as a pointer and a length is compared with the guest's own page count, which is not the size that the
 * memory has: an instance that is kept may have more (`snapshot.ts`), and no answer of the host may depend on how much. What is
 * read is bounded by a limit for its purpose (`types/guest_limits.ts`).
 */
import { GUARD } from "../render/instrument.ts";
import type { GuestLimit } from "../types/guest_limits.ts";

const PAGE = 65536;
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Raised for what does not lie within the guest's memory, or is larger than its purpose allows. */
export class GuestMemoryError extends RangeError {
  override readonly name = "GuestMemoryError";
}

/** Bytes that were cut at a limit. */
export interface CutBytes {
  readonly bytes: Uint8Array;
  /** How many bytes were left out. */
  readonly dropped: number;
}

/** All of a memory, with what lies beyond the guest's own page count: for taking and putting back snapshots only. */
export function wholeMemory(memory: WebAssembly.Memory): Uint8Array {
  return new Uint8Array(memory.buffer);
}

/** The memory of one instance. Numbers are as guests give them: 32 bits, of which signed readings are taken for unsigned ones. */
export class GuestMemory {
  readonly #memory: WebAssembly.Memory;
  readonly #pages: WebAssembly.Global;
  /** Records that the host writes; undefined where all of the memory is put back (`../render/written_map.ts`). */
  readonly #record: ((at: number, length: number) => void) | undefined;
  /** Bytes that the guest has in any case: its page count never falls below what it was at first. Saves asking for it. */
  readonly #least: number;
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);

  /** `memory` is the instance's own, or the one that it was given. */
  constructor(memory: WebAssembly.Memory, instance: WebAssembly.Instance) {
    this.#memory = memory;
    this.#pages = instance.exports[GUARD.pages] as WebAssembly.Global;
    this.#record = instance.exports[GUARD.write] as ((at: number, length: number) => void) | undefined;
    this.#least = this.#size();
  }

  #size(): number {
    return Number(this.#pages.value) * PAGE;
  }

  /** The memory that an instance exports under the name that all modes ask for; undefined if it exports none. */
  static exported(instance: WebAssembly.Instance): GuestMemory | undefined {
    const { memory } = instance.exports;
    return memory instanceof WebAssembly.Memory ? new GuestMemory(memory, instance) : undefined;
  }

  /** Where the range begins. Throws {@link GuestMemoryError}. */
  #place(at: number, length: number, { what, max }: GuestLimit): number {
    // A module may export its functions with other types than the ABI's: what they return need not be whole numbers.
    if (!Number.isInteger(at) || !Number.isInteger(length)) {
      throw new GuestMemoryError(`out of bounds memory access: an address that is no whole number (${what})`);
    }
    // Behind an array's end there may be an address beyond 32 bits.
    const start = at < 0 ? at >>> 0 : at;
    const size = length >>> 0;
    if (size > max) throw new GuestMemoryError(`the ${what} has ${size} bytes, the limit is ${max}`);
    if (start + size > this.#least && start + size > this.#size()) {
      throw new GuestMemoryError(`out of bounds memory access: ${size} bytes at ${start} (${what})`);
    }
    // Growth detaches the buffer, and what is detached is empty.
    if (this.#bytes.length === 0) {
      const { buffer } = this.#memory;
      this.#bytes = new Uint8Array(buffer);
      this.#view = new DataView(buffer);
    }
    return start;
  }

  /** Where a range begins that is going to be written to. Throws {@link GuestMemoryError}. */
  #target(at: number, length: number, limit: GuestLimit): number {
    const start = this.#place(at, length, limit);
    this.#record?.(start, length);
    return start;
  }

  /** A copy of a range. */
  copy(at: number, length: number, limit: GuestLimit): Uint8Array {
    const start = this.#place(at, length, limit);
    return this.#bytes.slice(start, start + (length >>> 0));
  }

  /** A copy of as much of a range as the limit allows. */
  cut(at: number, length: number, limit: GuestLimit): CutBytes {
    const kept = Math.min(length >>> 0, limit.max);
    const bytes = this.copy(at, kept, limit);
    // All of it must be the guest's, also what is left out.
    this.#place(at, length, { ...limit, max: Infinity });
    return { bytes, dropped: (length >>> 0) - kept };
  }

  /** A range as text. Throws TypeError for what is not UTF-8. */
  text(at: number, length: number, limit: GuestLimit): string {
    const start = this.#place(at, length, limit);
    return strict.decode(this.#bytes.subarray(start, start + (length >>> 0)));
  }

  /** A copy of the bytes before the next zero. */
  terminated(at: number, limit: GuestLimit): Uint8Array {
    const start = this.#place(at, 1, limit);
    const size = this.#size();
    const end = Math.min(size, start + limit.max + 1);
    const length = this.#bytes.subarray(start, end).indexOf(0);
    if (length >= 0) return this.#bytes.slice(start, start + length);
    throw new GuestMemoryError(
      end < size
        ? `the ${limit.what} has over ${limit.max} bytes, which is the limit`
        : `out of bounds memory access: a text at ${start} that does not end (${limit.what})`,
    );
  }

  /** Lends a range for the length of a call, to read or to write: the view must not be kept. */
  lend<T>(at: number, length: number, limit: GuestLimit, use: (bytes: Uint8Array) => T): T {
    const start = this.#target(at, length, limit);
    return use(this.#bytes.subarray(start, start + (length >>> 0)));
  }

  /** Writes the parts one behind the other. */
  write(at: number, parts: readonly Uint8Array[], limit: GuestLimit): void {
    let length = 0;
    for (const part of parts) length += part.length;
    let start = this.#target(at, length, limit);
    for (const part of parts) {
      this.#bytes.set(part, start);
      start += part.length;
    }
  }

  /** Sets a range to zero. */
  clear(at: number, length: number, limit: GuestLimit): void {
    const start = this.#target(at, length, limit);
    this.#bytes.fill(0, start, start + (length >>> 0));
  }

  /** The unsigned number at `at`, of 8, 16 or 32 bits. */
  uint(at: number, bits: 8 | 16 | 32, limit: GuestLimit): number {
    const start = this.#place(at, bits / 8, limit);
    if (bits === 8) return this.#view.getUint8(start);
    return bits === 16 ? this.#view.getUint16(start, true) : this.#view.getUint32(start, true);
  }

  /** The unsigned number of 64 bits at `at`. */
  uint64(at: number, limit: GuestLimit): bigint {
    const start = this.#place(at, 8, limit);
    return this.#view.getBigUint64(start, true);
  }

  setUint32(at: number, value: number, limit: GuestLimit): void {
    const start = this.#target(at, 4, limit);
    this.#view.setUint32(start, value, true);
  }

  setUint64(at: number, value: bigint, limit: GuestLimit): void {
    const start = this.#target(at, 8, limit);
    this.#view.setBigUint64(start, value, true);
  }
}
