/** ASN.1 in its distinguished encoding (X.690), read as far as certificates use it. */

import { halt, work, workOn } from "./work.ts";

/** Raised for bytes that are no such encoding. */
export class DerError extends Error {
  override readonly name = "DerError";
}

const MAX_DEPTH = 30;
/** Bytes of an integer: those of keys of 16,384 bits, with room. Longer ones take quadratic time to show. */
const MAX_INTEGER = 4096;
/** Bytes of an object identifier. */
const MAX_IDENTIFIER = 256;

/** One element: its tag, the bytes of its content, and all its bytes. */
export class DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly bytes: Uint8Array;
  readonly #depth: number;

  constructor(tag: number, content: Uint8Array, bytes: Uint8Array, depth: number) {
    this.tag = tag;
    this.content = content;
    this.bytes = bytes;
    this.#depth = depth;
  }

  /** The elements within this one. */
  children(): readonly DerElement[] {
    return elements(this.content, this.#depth + 1);
  }

  /** The elements of a sequence or set with the given tag. */
  list(tag = 0x30): readonly DerElement[] {
    return this.expect(tag).children();
  }

  /** This element, if it has the tag. */
  expect(tag: number): this {
    if (this.tag !== tag) throw new DerError(`expected tag ${tag}, found ${this.tag}`);
    return this;
  }

  integer(): bigint {
    const { content } = this.expect(0x02);
    if (content.length === 0) throw new DerError("an integer without digits");
    const value = unsigned(content);
    return content[0]! & 0x80 ? value - (1n << BigInt(8 * content.length)) : value;
  }

  boolean(): boolean {
    const { content } = this.expect(0x01);
    if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) {
      throw new DerError("a strange boolean");
    }
    return content[0] === 0xff;
  }

  /** The numbers of an object identifier. */
  oid(): readonly bigint[] {
    const numbers: bigint[] = [];
    let value = 0n;
    const { content } = this.expect(0x06);
    if (content.length > MAX_IDENTIFIER) halt(`an object identifier of ${content.length} bytes`);
    work(content.length);
    for (const byte of content) {
      value = (value << 7n) | BigInt(byte & 0x7f);
      if (byte & 0x80) continue;
      if (numbers.length === 0) {
        const first = value < 80n ? value / 40n : 2n;
        numbers.push(first, value - first * 40n);
      } else numbers.push(value);
      value = 0n;
    }
    if (numbers.length === 0) throw new DerError("an empty object identifier");
    return numbers;
  }

  /** The bytes of a bit string of whole bytes, or its bits from the left. */
  bits(): { readonly bytes: Uint8Array; readonly has: (bit: number) => boolean } {
    const { content } = this.expect(0x03);
    const unused = content[0];
    if (unused === undefined || unused > 7) throw new DerError("a strange bit string");
    const bytes = content.subarray(1);
    return { bytes, has: (bit) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0 };
  }

  /** The text of a string of any kind. */
  text(): string {
    workOn(this.content.length);
    switch (this.tag) {
      case 0x0c:
        return new TextDecoder("utf-8", { fatal: true }).decode(this.content);
      case 0x1e:
        return new TextDecoder("utf-16be").decode(this.content);
      case 0x12:
      case 0x13:
      case 0x14:
      case 0x16:
        return latin(this.content);
    }
    throw new DerError(`tag ${this.tag} is no string`);
  }

  /** A time as RFC 3339 has it. */
  time(): string {
    if (this.content.length > 32) throw new DerError("a strange time");
    const text = latin(this.content);
    const short = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
    const long = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
    const match = this.tag === 0x17 ? short : this.tag === 0x18 ? long : null;
    if (!match) throw new DerError("a strange time");
    const [, year = "", month, day, hour, minute, second] = match;
    const full = year.length === 4 ? year : `${Number(year) >= 50 ? "19" : "20"}${year}`;
    return `${full}-${month}-${day}T${hour}:${minute}:${second}Z`;
  }
}

/** Bytes as characters one to one. */
export function latin(bytes: Uint8Array): string {
  let text = "";
  for (let start = 0; start < bytes.length; start += 4096) {
    text += String.fromCharCode(...bytes.subarray(start, start + 4096));
    work(512);
  }
  return text;
}

/** Bytes as one number without a sign. Throws BuiltinHalt for too many of them. */
export function unsigned(bytes: Uint8Array): bigint {
  if (bytes.length > MAX_INTEGER) halt(`an integer of ${bytes.length} bytes: the limit is ${MAX_INTEGER}`);
  work(1 + (bytes.length >> 2));
  let digits = "";
  for (const byte of bytes) digits += byte.toString(16).padStart(2, "0");
  return BigInt(`0x${digits || "0"}`);
}

/** The elements that bytes hold, one behind the other. Throws {@link DerError}. */
export function elements(bytes: Uint8Array, depth = 0): readonly DerElement[] {
  if (depth > MAX_DEPTH) throw new DerError("nested too deeply");
  const found: DerElement[] = [];
  for (let at = 0; at < bytes.length;) {
    work(2);
    const start = at;
    const tag = bytes[at++]!;
    if ((tag & 0x1f) === 0x1f) throw new DerError("a tag of several bytes");
    let length = bytes[at++] ?? fail();
    if (length >= 0x80) {
      const count = length & 0x7f;
      if (count === 0 || count > 4) throw new DerError("a strange length");
      length = 0;
      for (let digit = 0; digit < count; digit++) length = length * 256 + (bytes[at++] ?? fail());
    }
    if (at + length > bytes.length) fail();
    found.push(
      new DerElement(tag, bytes.subarray(at, at + length), bytes.subarray(start, at + length), depth),
    );
    at += length;
  }
  return found;
}

function fail(): never {
  throw new DerError("an element that does not end");
}
