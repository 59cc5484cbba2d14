/**
 * Reading and writing the WebAssembly binary format: bounds-checked LEB128 numbers, sections, and a growing buffer.
 *
 * Source: WebAssembly Core Specification, "Binary Format".
 */

/** Raised when bytes are not the WebAssembly binary they claim to be; the message says what is wrong and where. */
export class WasmFormatError extends Error {
  override readonly name = "WasmFormatError";
}

/** Ids of the sections of a module, in the order in which they must stand. */
export const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  tag: 13,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  dataCount: 12,
  code: 10,
  data: 11,
} as const;

/** Longer names are refused: they get into messages. The longest known has 27 characters. */
const MAX_NAME_BYTES = 4_096;
/** More sections are refused: one takes two bytes of the module, and much more here. The most known are 15. */
const MAX_SECTIONS = 1_000;

/** A section as it stands in a module: its id and the range of its content. */
export interface Section {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

/** A cursor over a module's bytes. Every read is checked against `end`. */
export class Reader {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  u8(): number {
    if (this.at >= this.end) throw new WasmFormatError(`unexpected end of the module at byte ${this.at}`);
    return this.bytes[this.at++]!;
  }

  /** The next byte, which stays to be read. */
  peek(): number {
    if (this.at >= this.end) throw new WasmFormatError(`unexpected end of the module at byte ${this.at}`);
    return this.bytes[this.at]!;
  }

  /** An unsigned LEB128 number of at most 32 bits. */
  u32(): number {
    let byte = this.u8();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let shift = 7; shift < 35; shift += 7) {
      byte = this.u8();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break;
        return value;
      }
    }
    throw new WasmFormatError(`a number over 32 bits at byte ${this.at}`);
  }

  /** Passes over a LEB128 number of any sign with at most 64 bits. */
  skipLeb(): void {
    for (let length = 0; length < 10; length++) if (this.u8() < 0x80) return;
    throw new WasmFormatError(`a number over 64 bits at byte ${this.at}`);
  }

  skip(length: number): void {
    if (length > this.end - this.at) {
      throw new WasmFormatError(`unexpected end of the module at byte ${this.end}`);
    }
    this.at += length;
  }

  name(): string {
    const length = this.u32();
    const start = this.at;
    if (length > MAX_NAME_BYTES) {
      throw new WasmFormatError(
        `a name of ${length} bytes at byte ${start}, the limit is ${MAX_NAME_BYTES} bytes`,
      );
    }
    this.skip(length);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
        this.bytes.subarray(start, this.at),
      );
    } catch {
      throw new WasmFormatError(`a name that is not UTF-8 at byte ${start}`);
    }
  }
}

/** The sections of a module in the order in which they stand. Throws {@link WasmFormatError} on a malformed module. */
export function sections(module: Uint8Array): readonly Section[] {
  const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  if (module.length < 8 || header.some((byte, index) => index < 4 && module[index] !== byte)) {
    throw new WasmFormatError("not a WebAssembly module: it does not begin with the bytes 00 61 73 6d");
  }
  if (header.some((byte, index) => module[index] !== byte)) {
    throw new WasmFormatError("not a core WebAssembly module of version 1 (a component, or a newer format)");
  }
  const found: Section[] = [];
  const reader = new Reader(module, 8);
  while (reader.at < reader.end) {
    const id = reader.u8();
    const length = reader.u32();
    const start = reader.at;
    reader.skip(length);
    found.push({ id, start, end: reader.at });
    if (found.length > MAX_SECTIONS) {
      throw new WasmFormatError(`the module has more than ${MAX_SECTIONS} sections, the limit`);
    }
  }
  return found;
}

/** A growing buffer to write a module into. */
export class Writer {
  #bytes: Uint8Array;
  length = 0;

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
  }

  #reserve(extra: number): void {
    if (this.length + extra <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + extra));
    grown.set(this.#bytes.subarray(0, this.length));
    this.#bytes = grown;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.length++] = value;
  }

  u32(value: number): void {
    this.#reserve(5);
    while (value >= 0x80) {
      this.#bytes[this.length++] = (value & 0x7f) | 0x80;
      value = Math.floor(value / 128);
    }
    this.#bytes[this.length++] = value;
  }

  /** A signed LEB128 number of 32 bits. */
  s32(value: number): void {
    this.#reserve(5);
    for (;;) {
      const byte = value & 0x7f;
      value >>= 7;
      const done = (value === 0 && (byte & 0x40) === 0) || (value === -1 && (byte & 0x40) !== 0);
      this.#bytes[this.length++] = done ? byte : byte | 0x80;
      if (done) return;
    }
  }

  raw(...values: number[]): void {
    for (const value of values) this.u8(value);
  }

  copy(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (length <= 0) return;
    this.#reserve(length);
    // Short runs between two insertions are the rule in a code section; a loop beats a view and set() there.
    if (length < 48) {
      const target = this.#bytes;
      for (let from = start, to = this.length; from < end; from++, to++) target[to] = source[from]!;
    } else {
      this.#bytes.set(source.subarray(start, end), this.length);
    }
    this.length += length;
  }

  name(text: string): void {
    const encoded = new TextEncoder().encode(text);
    this.u32(encoded.length);
    this.copy(encoded, 0, encoded.length);
  }

  section(id: number, content: Writer): void {
    this.u8(id);
    this.u32(content.length);
    this.append(content);
  }

  append(other: Writer): void {
    this.copy(other.view(), 0, other.length);
  }

  clear(): void {
    this.length = 0;
  }

  /** The bytes written so far, without copying. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}
