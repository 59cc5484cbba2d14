/** X.509 certificates as the path builder needs them (`certificate_path.ts`): names, validity, constraints, signature. */
import { X509Certificate as NodeCertificate } from "node:crypto";
import type { SigstoreCore } from "../../../deps.ts";

type ASN1Obj = InstanceType<SigstoreCore["ASN1Obj"]>;

/** A name or a subtree of names: the kind of GeneralName (RFC 5280 §4.2.1.6) and its bytes. */
export interface GeneralName {
  readonly kind: number;
  readonly value: Uint8Array;
}

/** What a certificate says about the names in certificates below it. */
export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
}

/** A certificate. */
export interface Certificate {
  /** Compares subjects and issuers: equal bytes, equal names. */
  readonly subject: string;
  readonly issuer: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly isAuthority: boolean;
  /** How many authorities may stand between this one and the leaf. */
  readonly pathLength: number | undefined;
  /** Alternative names, and the subject as a directory name. */
  readonly names: readonly GeneralName[];
  readonly constraints: NameConstraints | undefined;
  readonly signatureAlgorithm: string;
  readonly node: NodeCertificate;
}

/** Why a certificate can't be used, by the names that the original shows. */
export class CertificateError extends Error {
  override readonly name = "CertificateError";
}

/** Kinds of GeneralName. */
export const NAME_KIND = { dns: 2, directory: 4, ip: 7 } as const;

const OID = {
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  crlDistributionPoints: "2.5.29.31",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
} as const;
/** Critical extensions beyond these make a certificate unusable. */
const UNDERSTOOD: readonly string[] = Object.values(OID);

/** Bytes of one certificate. Those of public sites have 2 KiB, and none that is used has 16 KiB. */
const MAX_CERTIFICATE = 64 * 1024;

/** A small number. Of one with very many digits the reader makes an integer in quadratic time. */
function smallNumber(element: ASN1Obj): number {
  if (element.value.length > 8) throw new CertificateError("BadDer");
  return Number(element.toInteger());
}

const bytesText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

function generalNames(sequence: ASN1Obj): readonly GeneralName[] {
  return sequence.subs.map(({ tag, value }) => ({ kind: tag.number, value }));
}

function subtrees(constraints: ASN1Obj, part: number): readonly GeneralName[] {
  const list = constraints.subs.find(({ tag }) => tag.isContextSpecific(part));
  return (list?.subs ?? []).map((subtree) => {
    const base = subtree.subs[0];
    if (!base) throw new CertificateError("BadDer");
    return { kind: base.tag.number, value: base.value };
  });
}

/** Extensions by their identifier. Throws {@link CertificateError} for a critical one that is not understood. */
function extensionsOf({ ASN1Obj }: SigstoreCore, tbs: ASN1Obj): ReadonlyMap<string, ASN1Obj> {
  const found = new Map<string, ASN1Obj>();
  const list = tbs.subs.find(({ tag }) => tag.isContextSpecific(3))?.subs[0];
  for (const { subs } of list?.subs ?? []) {
    const oid = subs[0]!.toOID();
    const critical = subs.length > 2 && subs[1]!.toBoolean();
    if (!UNDERSTOOD.includes(oid)) {
      if (critical) throw new CertificateError("UnsupportedCriticalExtension");
      continue;
    }
    if (found.has(oid)) throw new CertificateError("ExtensionValueInvalid");
    found.set(oid, ASN1Obj.parseBuffer(Buffer.from(subs.at(-1)!.value)));
  }
  return found;
}

/** Reads a certificate; an anchor may be of any version. `core` reads ASN.1. Throws {@link CertificateError}. */
export function readCertificate(core: SigstoreCore, der: Uint8Array, anchor = false): Certificate {
  if (der.length > MAX_CERTIFICATE) throw new CertificateError("BadDer");
  try {
    const root = core.ASN1Obj.parseBuffer(Buffer.from(der));
    const tbs = root.subs[0]!;
    const version = tbs.subs[0]!.tag.isContextSpecific(0) ? smallNumber(tbs.subs[0]!.subs[0]!) : 0;
    if (version !== 2 && !anchor) throw new CertificateError("UnsupportedCertVersion");
    const first = tbs.subs[0]!.tag.isContextSpecific(0) ? 1 : 0;
    const [issuer, validity, subject] = tbs.subs.slice(first + 2) as [ASN1Obj, ASN1Obj, ASN1Obj];
    const extensions = extensionsOf(core, tbs);
    const basic = extensions.get(OID.basicConstraints)?.subs ?? [];
    const isAuthority = basic[0]?.tag.isBoolean() === true && basic[0].toBoolean();
    const length = basic.find(({ tag }) => tag.isInteger());
    const constraints = extensions.get(OID.nameConstraints);
    const alternatives = extensions.get(OID.subjectAltName);
    return {
      subject: bytesText(subject.value),
      issuer: bytesText(issuer.value),
      notBefore: validity.subs[0]!.toDate().getTime(),
      notAfter: validity.subs[1]!.toDate().getTime(),
      isAuthority,
      pathLength: length && smallNumber(length),
      names: [
        ...(alternatives ? generalNames(alternatives) : []),
        { kind: NAME_KIND.directory, value: subject.value },
      ],
      constraints: constraints &&
        { permitted: subtrees(constraints, 0), excluded: subtrees(constraints, 1) },
      signatureAlgorithm: root.subs[1]!.subs[0]!.toOID(),
      node: new NodeCertificate(der),
    };
  } catch (cause) {
    if (cause instanceof CertificateError) throw cause;
    throw new CertificateError("BadDer", { cause });
  }
}

/** What stands between the lines of the first block that has both; undefined for none. */
function firstBlock(text: string): string | undefined {
  const BEGIN = "-----BEGIN ", DASHES = "-----";
  // An end that is missing behind one block is missing behind all later ones.
  const missing = new Set<string>();
  for (let at = text.indexOf(BEGIN); at >= 0; at = text.indexOf(BEGIN, at + BEGIN.length)) {
    const labelEnd = text.indexOf(DASHES, at + BEGIN.length);
    if (labelEnd < 0) return undefined;
    const label = text.slice(at + BEGIN.length, labelEnd);
    if (label === "" || /[\r\n]/.test(label) || missing.has(label)) continue;
    const end = text.indexOf(`-----END ${label}-----`, labelEnd);
    if (end >= 0) return text.slice(labelEnd + DASHES.length, end);
    missing.add(label);
  }
  return undefined;
}

/**
 * The bytes of the first block of a PEM text. Throws Error with the reason. No regular expression finds the block: one for a text
 * of unknown form takes cubic time for 60 KiB of spaces.
 */
export function pemToDer(pem: Uint8Array): Uint8Array {
  const text = new TextDecoder("utf-8", { fatal: true }).decode(pem);
  if (!text.includes("-----BEGIN ")) throw new Error("malformed framing: it has no line `-----BEGIN …-----`");
  const body = firstBlock(text);
  if (body === undefined || !/^[A-Za-z0-9+/=\s]*$/.test(body)) {
    throw new Error("malformed framing: the block has no end, or holds no base64");
  }
  const base64 = body.replace(/\s/g, "");
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) {
    throw new Error("invalid data: not base64");
  }
  return Buffer.from(base64, "base64");
}
