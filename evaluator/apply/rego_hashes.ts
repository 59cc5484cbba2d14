/** Builtins on hashes: `crypto.md5`, `crypto.sha1`, `crypto.sha256`, `crypto.hmac.*`. */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { stringAt } from "../render/rego_operands.ts";
import type { RegoBuiltin, RegoBuiltins } from "../types/rego.ts";

const hash = (algorithm: string): RegoBuiltin => (operands) =>
  createHash(algorithm).update(stringAt(operands, 0)).digest("hex");

const hmac = (algorithm: string): RegoBuiltin => (operands) =>
  createHmac(algorithm, stringAt(operands, 1)).update(stringAt(operands, 0)).digest("hex");

/** Whether two texts are equal, in a time that doesn't tell where they differ. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

export const HASH_BUILTINS: RegoBuiltins = {
  "crypto.md5": hash("md5"),
  "crypto.sha1": hash("sha1"),
  "crypto.sha256": hash("sha256"),
  "crypto.hmac.md5": hmac("md5"),
  "crypto.hmac.sha1": hmac("sha1"),
  "crypto.hmac.sha256": hmac("sha256"),
  "crypto.hmac.sha512": hmac("sha512"),
  "crypto.hmac.equal": (operands) =>
    equalBytes(Buffer.from(stringAt(operands, 0)), Buffer.from(stringAt(operands, 1))),
};
