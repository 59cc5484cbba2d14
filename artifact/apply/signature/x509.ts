/**
 * The library that reads certificates, loaded when the first signature is to be checked: processes that verify nothing never
 * pay for it. Whoever enters this folder from outside awaits `loadX509` first.
 */
import { requireCheapDer } from "../../types/der.ts";
import { ArtifactError } from "../../types/error.ts";
import { loadSigstoreCore, type SigstoreCore, type X509Certificate } from "../../../deps.ts";

/** Loaded once, and late: who verifies nothing need not load it. */
let core: SigstoreCore | undefined;

export async function loadX509(): Promise<void> {
  core ??= await loadSigstoreCore();
}

/** The library. */
export function x509(): SigstoreCore {
  if (core === undefined) throw new Error("X.509 is not loaded: await loadX509() first");
  return core;
}

/**
 * The certificate in DER. The package reads a certificate's parts when they are asked for, and takes for granted that they are there: so
 * each that we ask for is read here.
 *
 * @throws {ArtifactError} `signature`: not a certificate
 */
export function certificateFromDer(der: Uint8Array): X509Certificate {
  const { X509Certificate } = x509();
  requireCheapDer(der, "the certificate");
  let certificate: X509Certificate;
  let complete: boolean;
  try {
    certificate = X509Certificate.parse(Buffer.from(der));
    complete = PARTS.every((part) => part(certificate) !== undefined);
  } catch {
    complete = false;
  }
  // What the package says of it is about its own variables.
  if (!complete) {
    throw new ArtifactError("signature", "the certificate can't be read: it is not X.509 in DER");
  }
  return certificate!;
}

const PARTS: readonly ((certificate: X509Certificate) => unknown)[] = [
  ({ tbsCertificate }) => tbsCertificate,
  ({ notBefore }) => notBefore.toISOString(),
  ({ notAfter }) => notAfter.toISOString(),
  ({ issuer }) => issuer,
  ({ subject }) => subject,
  ({ publicKey }) => publicKey,
  ({ signatureValue }) => signatureValue,
  ({ signatureAlgorithm }) => signatureAlgorithm ?? null,
  ({ extensions }) =>
    extensions.map((extension) => [extension.subs[0]!.toOID(), extension.subs.at(-1)!.value]),
  ({ extKeyUsage }) => extKeyUsage?.digitalSignature ?? null,
  ({ isCA }) => isCA,
  ({ extSCT }) => extSCT?.signedCertificateTimestamps ?? null,
];
