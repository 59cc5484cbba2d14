/** Digests of bytes, and the error for bytes that are not what their digest says. */
import { createHash, type Hash } from "node:crypto";
import { ArtifactError } from "../types/error.ts";

export function sha256Hex(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function startHash(digest: string): Hash {
  return createHash(digest.slice(0, digest.indexOf(":")));
}

/**
 * @throws {ArtifactError} `digest`, when the finished hash is another one than the digest names
 */
export function requireDigest(expected: string, hash: Hash, what: string): void {
  const actual = `${expected.slice(0, expected.indexOf(":"))}:${hash.digest("hex")}`;
  if (actual !== expected) {
    throw new ArtifactError(
      "digest",
      `Digest error: Invalid digest. Expected ${expected}, got ${actual} (${what})`,
    );
  }
}
