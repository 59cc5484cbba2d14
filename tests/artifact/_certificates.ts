/** Certificates for the tests' servers, from an authority of their own. */
import { x509 } from "./_packages.ts";
import { webcrypto } from "node:crypto";

x509.cryptoProvider.set(webcrypto as unknown as Crypto);

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY = 86_400_000;

export type ServerCertificate = { readonly cert: string; readonly key: string };

export type TestAuthority = {
  /** PEM of the authority. */
  readonly ca: string;
  readonly der: Uint8Array;
  readonly issue: (options?: {
    readonly names?: readonly string[];
    readonly notBefore?: Date;
    readonly notAfter?: Date;
    readonly client?: boolean;
  }) => Promise<ServerCertificate>;
};

async function keyPem(key: CryptoKey): Promise<string> {
  const bytes = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key as webcrypto.CryptoKey));
  return `-----BEGIN PRIVATE KEY-----\n${bytes.toString("base64")}\n-----END PRIVATE KEY-----\n`;
}

let serial = 1;

export async function createAuthority(): Promise<TestAuthority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: "CN=Portreeve test authority",
    notBefore: new Date(Date.now() - DAY),
    notAfter: new Date(Date.now() + DAY),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    ca: `${ca.toString("pem")}\n`,
    der: new Uint8Array(ca.rawData),
    issue: async ({ names = ["localhost"], notBefore, notAfter, client = false } = {}) => {
      const own = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
      serial += 1;
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serial.toString(16).padStart(4, "0"),
        subject: `CN=${names[0]}`,
        issuer: ca.subject,
        notBefore: notBefore ?? new Date(Date.now() - DAY),
        notAfter: notAfter ?? new Date(Date.now() + DAY),
        signingAlgorithm: ALGORITHM,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.ExtendedKeyUsageExtension([
            client ? x509.ExtendedKeyUsage.clientAuth : x509.ExtendedKeyUsage.serverAuth,
          ]),
          new x509.SubjectAlternativeNameExtension(
            names.map((value) => ({ type: /^[\d.]+$/.test(value) ? "ip" as const : "dns" as const, value })),
          ),
          await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
        ],
      });
      return { cert: `${certificate.toString("pem")}\n`, key: await keyPem(own.privateKey) };
    },
  };
}
