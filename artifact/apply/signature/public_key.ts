/** Public keys and what verifies with them (`spec/fetch-verify.md §9.4` rule 7). */
import { own } from "../../../program/types/own.ts";
import { createPublicKey, type KeyObject, verify } from "node:crypto";

export type VerificationKey = {
  readonly key: KeyObject;
  /** `undefined`: the algorithm has its own (Ed25519). */
  readonly hash: "sha256" | "sha384" | undefined;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
};

const CURVES: Readonly<Record<string, "sha256" | "sha384">> = {
  prime256v1: "sha256",
  "P-256": "sha256",
  secp384r1: "sha384",
  "P-384": "sha384",
};

function supported(key: KeyObject): VerificationKey {
  const spki = key.export({ type: "spki", format: "der" });
  switch (key.asymmetricKeyType) {
    case "ed25519":
      return { key, hash: undefined, spki };
    case "rsa":
      return { key, hash: "sha256", spki };
    case "ec": {
      const curve = key.asymmetricKeyDetails?.namedCurve ?? "";
      const hash = own(CURVES, curve);
      if (hash === undefined) throw new Error(`unsupported curve ${curve}: P-256 and P-384 are supported`);
      return { key, hash, spki };
    }
    default:
      throw new Error(`unsupported key type ${key.asymmetricKeyType}: ECDSA, Ed25519 and RSA are supported`);
  }
}

/**
 * A key as PEM `PUBLIC KEY`.
 *
 * @throws {Error} no such thing, or an algorithm that is not supported
 */
export function keyFromPem(pem: string): VerificationKey {
  if (!/^\s*-----BEGIN PUBLIC KEY-----/.test(pem)) {
    throw new Error("not a PEM public key (-----BEGIN PUBLIC KEY-----)");
  }
  return supported(createPublicKey({ key: pem, format: "pem", type: "spki" }));
}

/** A key as DER: SubjectPublicKeyInfo, or RSA's own form, which old logs use. */
export function keyFromDer(der: Uint8Array): VerificationKey {
  const key = Buffer.from(der);
  try {
    return supported(createPublicKey({ key, format: "der", type: "spki" }));
  } catch (error) {
    try {
      return supported(createPublicKey({ key, format: "der", type: "pkcs1" }));
    } catch {
      throw error;
    }
  }
}

/** Bytes of strict base64, `undefined` for anything else. */
export function fromBase64(text: string): Uint8Array | undefined {
  const compact = text.trim();
  if (compact.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(compact)) return undefined;
  return Buffer.from(compact, "base64");
}

/** Whether a signature over `bytes` is this key's. */
export function verifies(key: VerificationKey, bytes: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(key.hash, bytes, key.key, signature);
  } catch {
    // Some runtimes throw for a signature that has not even the right form.
    return false;
  }
}
