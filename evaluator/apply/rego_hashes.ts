/** Builtins on hashes: `crypto.md5`, `crypto.sha1`, `crypto.sha256`, `crypto.hmac.*`. */
import { Buffer } from "node:buffer";
import { createHash, createHmac, type Hash, type Hmac, timingSafeEqual } from "node:crypto";
import { stringAt } from "../render/rego_operands.ts";
import { chunks, work } from "../render/work.ts";
import type { RegoBuiltin, RegoBuiltins } from "../types/rego.ts";

/** Hands a text to a hash piece by piece, so that the clock is looked at in between. */
function feed<T extends Hash | Hmac>(hash: T, text: string): T {
  for (const piece of chunks(text, 65_536)) {
    work(piece.length >> 3);
    hash.update(piece);
  }
  return hash;
}

const hash = (algorithm: string): RegoBuiltin => (operands) =>
  feed(createHash(algorithm), stringAt(operands, 0)).digest("hex");

/** The key as the algorithm takes it: one that is longer than a block stands for its hash (RFC 2104). */
const hmac = (algorithm: string, block: number): RegoBuiltin => (operands) => {
  const key = stringAt(operands, 1);
  const taken = Buffer.byteLength(key) > block ? feed(createHash(algorithm), key).digest() : key;
  return feed(createHmac(algorithm, taken), stringAt(operands, 0)).digest("hex");
};

/** Whether two texts are equal, in a time that doesn't tell where they differ. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

export const HASH_BUILTINS: RegoBuiltins = {
  "crypto.md5": hash("md5"),
  "crypto.sha1": hash("sha1"),
  "crypto.sha256": hash("sha256"),
  "crypto.hmac.md5": hmac("md5", 64),
  "crypto.hmac.sha1": hmac("sha1", 64),
  "crypto.hmac.sha256": hmac("sha256", 64),
  "crypto.hmac.sha512": hmac("sha512", 128),
  "crypto.hmac.equal": (operands) =>
    equalBytes(Buffer.from(stringAt(operands, 0)), Buffer.from(stringAt(operands, 1))),
};
