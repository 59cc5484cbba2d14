/** Certificates of authorities in PEM, as people keep them. */
import { X509Certificate } from "node:crypto";

/** What a file of authorities holds. */
export interface Certificates {
  /** Each in PEM of the usual form, without a line's end behind it. */
  readonly certificates: readonly string[];
  /** How many blocks say that they are certificates, and are none that can be read. */
  readonly skipped: number;
}

/** A certificate as PEM of the usual form; undefined where a block is none. */
function certificateOf(block: string): string | undefined {
  // Go passes over blocks with headers.
  const [, base64] =
    /^-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----$/.exec(block) ??
      [];
  if (base64 === undefined) return undefined;
  try {
    return new X509Certificate(Buffer.from(base64, "base64")).toString().trimEnd();
  } catch {
    // What is said of it may quote it.
    return undefined;
  }
}

/**
 * The certificates of a text, whatever stands around them. A block that is none spoils only itself (Go,
 * `x509.CertPool.AppendCertsFromPEM`): of the runtimes one passes over all blocks behind it, and the other refuses every connection.
 */
export function certificatesIn(pem: string): Certificates {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----(?:[^-]|-(?!----))*(?:-----END CERTIFICATE-----)?/g) ??
    [];
  const certificates = blocks.flatMap((block) => certificateOf(block) ?? []);
  return { certificates, skipped: blocks.length - certificates.length };
}
