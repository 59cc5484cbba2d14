/**
 * How large keys may be: what the runtime does with one can't be interrupted, and takes cubic time. A larger one ends the
 * evaluation, because neither "valid" nor "invalid" would be true.
 */
import type { KeyObject, webcrypto } from "node:crypto";
import { halt, pause } from "../render/work.ts";

/** Signatures are made with both the modulus and a private exponent of this length: some 20 ms without its primes. */
const MAX_SIGNING_BITS = 4096;
/** Signatures are verified with a short exponent, which both runtimes insist on for large keys: 2 ms. */
const MAX_VERIFYING_BITS = 16_384;
/** Bytes of an encoded key: a private one of the largest size has 9.3 KiB, explicit parameters of curves are short. */
const MAX_ENCODED = 16 * 1024;

/** Refuses an encoded key (DER) that is too large to be read. Throws BuiltinHalt. */
export function checkEncodedKey(der: Uint8Array): void {
  pause();
  if (der.length > MAX_ENCODED) halt(`a key of ${der.length} bytes: the limit is ${MAX_ENCODED}`);
}

/** Refuses a JWK with a member that is too large; `signs` for private keys. Throws BuiltinHalt. */
export function checkJwk(jwk: webcrypto.JsonWebKey, signs: boolean): void {
  pause();
  if (jwk.kty === "oct") return;
  const bits = signs ? MAX_SIGNING_BITS : MAX_VERIFYING_BITS;
  for (const [name, value] of Object.entries(jwk)) {
    if (
      /^(n|e|d|p|q|dp|dq|qi|x|y)$/.test(name) && typeof value === "string" && value.length * 6 > bits + 24
    ) {
      halt(`a key of more than ${bits} bits`);
    }
  }
}

/** A public key that is small enough to verify signatures. Throws BuiltinHalt for another one. */
export function verifying(key: KeyObject): KeyObject {
  pause();
  const bits = key.asymmetricKeyDetails?.modulusLength;
  return bits !== undefined && bits > MAX_VERIFYING_BITS ? halt(`a key of ${bits} bits`) : key;
}
