/** Short-lived certificates for the tests' own servers and clients. */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { loadX509 } from "../../deps.ts";

export type KeyPair = { readonly cert: string; readonly key: string };
export type Authority = KeyPair & {
  /** Issues a certificate that serves and authenticates, for the given names. */
  issue(
    subject: {
      readonly commonName: string;
      readonly organization?: string;
      readonly dns?: readonly string[];
    },
  ): Promise<KeyPair>;
};

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 86_400_000;

async function generate(): Promise<{ readonly keys: CryptoKeyPair; readonly pem: string }> {
  const { PemConverter } = await loadX509();
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
  const pem = PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { keys, pem };
}

/** The keys of an authority that there is. */
async function read(pem: string): ReturnType<typeof generate> {
  const key = createPrivateKey(pem);
  const usable = async (part: KeyObject, type: "pkcs8" | "spki", use: KeyUsage) =>
    await crypto.subtle.importKey(type, part.export({ type, format: "der" }), ALGORITHM, true, [use]);
  const keys = {
    privateKey: await usable(key, "pkcs8", "sign"),
    publicKey: await usable(createPublicKey(key), "spki", "verify"),
  };
  return { keys, pem };
}

/** A certificate authority of 30 days, with a new key, or with that of another one, PEM: what that one has signed it has then too. */
export async function createAuthority(commonName: string, key?: string): Promise<Authority> {
  const x509 = await loadX509();
  x509.cryptoProvider.set(crypto);
  const { keys, pem } = key === undefined ? await generate() : await read(key);
  const notBefore = new Date(Date.now() - DAY_MS);
  const notAfter = new Date(Date.now() + 30 * DAY_MS);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${commonName}`,
    keys,
    notBefore,
    notAfter,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature, true),
    ],
  });
  return {
    cert: root.toString("pem"),
    key: pem,
    async issue({ commonName, organization, dns = [] }) {
      const leaf = await generate();
      const names = dns.map((value) => ({
        type: /^[\d.]+$/.test(value) ? "ip" as const : "dns" as const,
        value,
      }));
      const certificate = await x509.X509CertificateGenerator.create({
        subject: `CN=${commonName}${organization === undefined ? "" : `, O=${organization}`}`,
        issuer: root.subject,
        publicKey: leaf.keys.publicKey,
        signingKey: keys.privateKey,
        notBefore,
        notAfter,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new x509.ExtendedKeyUsageExtension([
            x509.ExtendedKeyUsage.clientAuth,
            x509.ExtendedKeyUsage.serverAuth,
          ]),
          ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
        ],
      });
      return { cert: certificate.toString("pem"), key: leaf.pem };
    },
  };
}
