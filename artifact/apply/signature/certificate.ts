/**
 * What makes the name in a signing certificate trustworthy (`spec/fetch-verify.md §9.4` rule 5, `§9.6` rules 4 and 5). Each
 * function throws an `Error` whose message names the rule that is not met.
 */
import type { X509Certificate } from "../../../deps.ts";
import type { Identity } from "../../types/signed_layer.ts";
import { createHash } from "node:crypto";
import { certificateFromDer, x509 } from "./x509.ts";
import { keyFromDer, type VerificationKey, verifies } from "./public_key.ts";
import { type Anchor, holds, type LogKey } from "./trust_material.ts";

const OID = {
  extendedKeyUsage: "2.5.29.37",
  subjectAltName: "2.5.29.17",
  codeSigning: "1.3.6.1.5.5.7.3.3",
  fulcioIssuer: "1.3.6.1.4.1.57264.1.1",
  fulcioIssuerV2: "1.3.6.1.4.1.57264.1.8",
  githubRepository: "1.3.6.1.4.1.57264.1.5",
  sct: "1.3.6.1.4.1.11129.2.4.2",
};
/** Context-specific tags of a subject alternative name. */
const [RFC822_NAME, URI_NAME] = [1, 6];

/** The first certificate of a PEM text. */
export function certificateFromPem(pem: string): X509Certificate {
  const block = /-----BEGIN CERTIFICATE-----([\s\S]+?)-----END CERTIFICATE-----/.exec(pem)?.[1];
  if (block === undefined) throw new Error("not a PEM certificate");
  return certificateFromDer(Buffer.from(block.replace(/\s/g, ""), "base64"));
}

export function derOf(certificate: X509Certificate): Uint8Array {
  return certificate.root.toDER();
}

export function keyOf(certificate: X509Certificate): VerificationKey {
  return keyFromDer(certificate.publicKey);
}

type Subject = Identity["subject"];

function subjectOf(certificate: X509Certificate): Subject | undefined {
  for (const name of certificate.extension(OID.subjectAltName)?.valueObj.subs[0]?.subs ?? []) {
    if (name.tag.isContextSpecific(RFC822_NAME)) return { kind: "email", value: name.value.toString("utf8") };
    if (name.tag.isContextSpecific(URI_NAME)) return { kind: "uri", value: name.value.toString("utf8") };
  }
  return undefined;
}

/** The certificate must be made for signing code: usage bits and a name. */
export function requireCodeSigning(certificate: X509Certificate): Subject {
  if (certificate.extKeyUsage === undefined) {
    throw new Error("the certificate has no KeyUsage extension");
  }
  if (!certificate.extKeyUsage.digitalSignature) {
    throw new Error("the certificate's KeyUsage does not hold digitalSignature");
  }
  const purposes = certificate.extension(OID.extendedKeyUsage)?.valueObj.subs[0]?.subs ?? [];
  const usages = purposes.map((purpose) => purpose.toOID());
  if (!usages.includes(OID.codeSigning)) {
    throw new Error("the certificate's ExtendedKeyUsage does not hold codeSigning");
  }
  const subject = subjectOf(certificate);
  if (subject === undefined) {
    throw new Error("the certificate names no e-mail address and no URI");
  }
  return subject;
}

/** The anchor that issued a certificate, itself valid at that moment, as the certificate must be. */
export function requireIssuer(
  certificate: X509Certificate,
  anchors: readonly Anchor[],
  moment: Date,
): X509Certificate {
  if (!certificate.validForDate(moment)) {
    throw new Error(
      `the certificate is valid from ${certificate.notBefore.toISOString()} to ` +
        `${certificate.notAfter.toISOString()}, not at ${moment.toISOString()}`,
    );
  }
  const issuers = anchors.filter(({ certificate: anchor }) =>
    anchor.isCA && anchor.subject.equals(certificate.issuer) && certificate.verify(anchor)
  );
  if (issuers.length === 0) throw new Error("the certificate comes from no trusted authority");
  const valid = issuers.find((anchor) =>
    holds(anchor.validFor, moment) && anchor.certificate.validForDate(moment)
  );
  if (valid === undefined) {
    throw new Error(`the authority of the certificate is not valid at ${moment.toISOString()}`);
  }
  return valid.certificate;
}

/** What a certificate log signed: the certificate without its timestamps, and its issuer (RFC 6962 §3.2). */
function precertificate(certificate: X509Certificate, issuer: X509Certificate): Buffer {
  const copy = certificate.clone();
  const at = copy.extensions.findIndex((extension) => extension.subs[0]?.toOID() === OID.sct);
  copy.extensions.splice(at, 1);
  const tbs = copy.tbsCertificate.toDER();
  const stream = new (x509().ByteStream)();
  stream.appendView(createHash("sha256").update(issuer.publicKey).digest());
  stream.appendUint24(tbs.length);
  stream.appendView(tbs);
  return stream.buffer;
}

/** Embedded timestamps by a known certificate log must be genuine; none, or only unknown logs', are accepted. */
export function requireGenuineTimestamps(
  certificate: X509Certificate,
  issuer: X509Certificate,
  ctlogs: readonly LogKey[],
): void {
  const timestamps = certificate.extSCT?.signedCertificateTimestamps ?? [];
  for (const timestamp of timestamps) {
    const keys = ctlogs.filter((log) => log.id === timestamp.logID.toString("hex"));
    if (keys.length === 0) continue;
    const signed = precertificate(certificate, issuer);
    const genuine = keys.some((log) =>
      holds(log.validFor, timestamp.datetime) && timestamp.verify(signed, log.key.key)
    );
    if (!genuine) throw new Error("the certificate's signed timestamp (SCT) is not its log's");
  }
}

function derText(value: Buffer): string | undefined {
  // A UTF8String: tag 12, short or long length, text.
  if (value[0] !== 0x0c) return undefined;
  const first = value[1] ?? 0;
  const start = first < 0x80 ? 2 : 2 + (first & 0x7f);
  return value.subarray(start).toString("utf8");
}

/** Who the certificate was issued to, as its extensions say. */
export function identityOf(certificate: X509Certificate, subject: Subject): Identity {
  const issuer = certificate.extension(OID.fulcioIssuer)?.value.toString("utf8") ??
    derText(certificate.extension(OID.fulcioIssuerV2)?.value ?? Buffer.alloc(0));
  if (issuer === undefined) {
    throw new Error("the certificate does not say which OIDC issuer vouched for its subject");
  }
  return {
    issuer,
    subject,
    githubRepository: certificate.extension(OID.githubRepository)?.value.toString("utf8"),
  };
}

/**
 * Everything about the certificate itself, at the moment at which a log proves that it was used.
 *
 * @throws {Error} the rule that is not met
 */
export function requireIdentity(
  certificate: X509Certificate,
  anchors: readonly Anchor[],
  ctlogs: readonly LogKey[],
  moment: Date,
): Identity {
  const subject = requireCodeSigning(certificate);
  const issuer = requireIssuer(certificate, anchors, moment);
  requireGenuineTimestamps(certificate, issuer, ctlogs);
  return identityOf(certificate, subject);
}

/** Whether a key signed, given the certificate's text: `undefined` key algorithms do not verify. */
export function signedByCertificate(
  certificate: X509Certificate,
  bytes: Uint8Array,
  signature: Uint8Array,
): boolean {
  return verifies(keyOf(certificate), bytes, signature);
}
