/**
 * Certificates (spec/controller.md §9.2, §9.3): the authority, the leaves it signs, and whether they are still good. Keys are
 * ECDSA P-256 in SEC1 form (`EC PRIVATE KEY`), as every release so far wrote them.
 */
import { Buffer } from "node:buffer";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { loadX509 } from "../../deps.ts";

/** A certificate and its private key, in PEM. */
export type KeyPair = { readonly cert: string; readonly key: string };

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 86_400_000;
export const CA_DAYS = 3650;
export const LEAF_DAYS = 365;
/** What has less than this left is renewed. */
export const RENEW_BEFORE_MS = 60 * DAY_MS;
const CA_SUBJECT = "CN=kubewarden-controller-ca";
/** Clocks of nodes differ: a certificate is valid a little before it is issued. */
const CLOCK_SKEW_MS = 5 * 60_000;
const SERIAL_BYTES = 16;

function serialNumber(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(SERIAL_BYTES));
  // Positive and without leading zeros, whatever the encoder makes of the first byte.
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function generateKeys(): Promise<{ readonly keys: CryptoKeyPair; readonly pem: string }> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  const key = createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
  return { keys, pem: String(key.export({ format: "pem", type: "sec1" })) };
}

/** The signing key of an authority, from PEM in SEC1 or PKCS#8 form. */
async function importKey(pem: string): Promise<CryptoKey> {
  const der = createPrivateKey(pem).export({ format: "der", type: "pkcs8" });
  return await crypto.subtle.importKey("pkcs8", new Uint8Array(der), ALGORITHM, false, ["sign"]);
}

type X509 = Awaited<ReturnType<typeof loadX509>>;

function usages(x509: X509, authority: boolean) {
  const { digitalSignature, keyEncipherment, keyCertSign } = x509.KeyUsageFlags;
  return [
    new x509.KeyUsagesExtension(digitalSignature | keyEncipherment | (authority ? keyCertSign : 0), true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth, x509.ExtendedKeyUsage.serverAuth]),
  ];
}

/** A new certificate authority, valid for ten years from `now` (milliseconds since the epoch). */
export async function createAuthority(now: number): Promise<KeyPair> {
  const x509 = await loadX509();
  x509.cryptoProvider.set(crypto);
  const { keys, pem } = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: CA_SUBJECT,
    notBefore: new Date(now - CLOCK_SKEW_MS),
    notAfter: new Date(now + CA_DAYS * DAY_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      ...usages(x509, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: `${certificate.toString("pem")}\n`, key: pem };
}

export type LeafNames = {
  readonly commonName: string;
  /** The one DNS name that it serves; a client's certificate has none. */
  readonly host?: string | undefined;
};

/** A certificate for a server or a client, signed by `authority`, valid for a year from `now`. */
export async function issueLeaf(
  authority: KeyPair,
  { commonName, host }: LeafNames,
  now: number,
): Promise<KeyPair> {
  const x509 = await loadX509();
  x509.cryptoProvider.set(crypto);
  const issuer = new x509.X509Certificate(authority.cert);
  const identifier = issuer.getExtension(x509.SubjectKeyIdentifierExtension);
  const { keys, pem } = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    // A common name has at most 64 characters; the DNS name is what clients check.
    subject: `CN=${commonName.slice(0, 64)}`,
    issuer: issuer.subject,
    notBefore: new Date(now - CLOCK_SKEW_MS),
    notAfter: new Date(now + LEAF_DAYS * DAY_MS),
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    signingAlgorithm: ALGORITHM,
    extensions: [
      ...usages(x509, false),
      ...(host === undefined
        ? []
        : [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: host }])]),
      // Two authorities share a subject during a rotation: the identifier tells clients which one signed. It has to be the
      // one that the authority gives itself; where it gives none, there is nothing to name.
      ...(identifier === null ? [] : [new x509.AuthorityKeyIdentifierExtension(identifier.keyId)]),
    ],
  });
  return { cert: `${certificate.toString("pem")}\n`, key: pem };
}

function read(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function validAt(certificate: X509Certificate, time: number): boolean {
  return Date.parse(certificate.validFrom) <= time && time < Date.parse(certificate.validTo);
}

/** Why a private key does not do for a certificate; `undefined` when it does. */
function keyProblem(certificate: X509Certificate, key: string): string | undefined {
  if (!/^-----BEGIN EC PRIVATE KEY-----/m.test(key)) {
    return "private key has invalid PEM header, expected 'EC PRIVATE KEY'";
  }
  try {
    return certificate.checkPrivateKey(createPrivateKey(key))
      ? undefined
      : "private key does not match certificate";
  } catch (error) {
    return `private key cannot be read: ${(error as Error).message}`;
  }
}

/** Why an authority can no longer be used at `time`; `undefined` when it can. Without a key, only the certificate counts. */
export function authorityProblem(cert: string, key: string | undefined, time: number): string | undefined {
  const certificate = read(cert);
  if (certificate === undefined) return "certificate cannot be read";
  if (!certificate.ca) return "certificate is no authority";
  if (!validAt(certificate, time)) return `certificate is not valid at ${new Date(time).toISOString()}`;
  return key === undefined ? undefined : keyProblem(certificate, key);
}

/** Why a leaf can no longer be used at `time` with `authority` as the only one trusted; `undefined` when it can. */
export function leafProblem(
  pair: KeyPair,
  authority: string,
  host: string | undefined,
  time: number,
): string | undefined {
  const certificate = read(pair.cert);
  const issuer = read(authority);
  if (certificate === undefined) return "certificate cannot be read";
  if (issuer === undefined) return "authority cannot be read";
  if (!certificate.verify(issuer.publicKey)) return "certificate is not signed by the current authority";
  if (!validAt(certificate, time)) return `certificate is not valid at ${new Date(time).toISOString()}`;
  if (host !== undefined && certificate.checkHost(host) === undefined) {
    return `certificate is not for ${host}`;
  }
  return keyProblem(certificate, pair.key);
}
