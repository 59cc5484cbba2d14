/**
 * A Sigstore of the tests' own: authority, certificate log and transparency log from `@sigstore/mock`, and a signer that can
 * also sign wrongly in every way that a rule forbids.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign, webcrypto } from "node:crypto";
import type { X509 } from "../../deps.ts";
import { initializeCA, initializeCTLog, initializeTLog, initializeTSA, x509 } from "./_packages.ts";
import type { Layer } from "./_image.ts";

x509.cryptoProvider.set(webcrypto as unknown as Crypto);

export const SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json";
export const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const HOUR = 3_600_000;
const MINUTE = 60_000;

export type KeyPair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject };

export function keyPair(type: "P-256" | "P-384" | "ed25519" | "rsa" = "P-256"): KeyPair {
  if (type === "ed25519") return generateKeyPairSync("ed25519");
  if (type === "rsa") return generateKeyPairSync("rsa", { modulusLength: 2048 });
  return generateKeyPairSync("ec", { namedCurve: type });
}

export function pem(key: KeyObject): string {
  return key.export({ type: "spki", format: "pem" }) as string;
}

function signature(key: KeyObject, bytes: Uint8Array): Buffer {
  const curve = key.asymmetricKeyDetails?.namedCurve ?? "";
  const hash = key.asymmetricKeyType === "ed25519" ? null : /384/.test(curve) ? "sha384" : "sha256";
  return sign(hash, bytes, key);
}

export type Certificate = { readonly pem: string; readonly der: Uint8Array; readonly keys: KeyPair };

export type CertificateOptions = {
  readonly email?: string;
  readonly uri?: string;
  readonly issuer?: string;
  /** Only the newer, DER-coded issuer extension. */
  readonly issuerV2Only?: boolean;
  readonly repository?: string;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly keyUsage?: number | "absent";
  readonly codeSigning?: boolean;
  readonly noName?: boolean;
  /** An authority that nobody trusts. */
  readonly foreign?: boolean;
  /** The certificate log's promise: genuine, made by another key under the log's id, of a log nobody knows, or none. */
  readonly sct?: "genuine" | "forged" | "unknown log" | "none";
  readonly keys?: KeyPair;
};

export type LogOptions = {
  readonly time?: Date;
  readonly key?: KeyObject;
  readonly logId?: string;
  /** Changes the body before it is logged. */
  // deno-lint-ignore no-explicit-any
  readonly body?: (body: any) => unknown;
};

export type SignOptions = {
  readonly keys?: KeyPair;
  readonly certificate?: Certificate;
  readonly annotations?: Readonly<Record<string, unknown>> | null;
  /** `false`: no log entry. */
  readonly log?: LogOptions | false;
  /** Replaces the signature that is attached (the log keeps the true one unless it is changed as well). */
  readonly signature?: string;
  readonly payload?: string;
};

function cryptoKey(key: KeyObject, usage: "sign" | "verify"): Promise<CryptoKey> {
  const curve = /384/.test(key.asymmetricKeyDetails?.namedCurve ?? "") ? "P-384" : "P-256";
  return webcrypto.subtle.importKey(
    "jwk",
    key.export({ format: "jwk" }) as webcrypto.JsonWebKey,
    {
      name: "ECDSA",
      namedCurve: curve,
    },
    true,
    [usage],
  ) as Promise<CryptoKey>;
}

function utf8String(value: string): Uint8Array {
  const bytes = Buffer.from(value);
  const length = bytes.length < 128 ? [bytes.length] : [0x81, bytes.length];
  return Buffer.concat([Buffer.from([0x0c, ...length]), bytes]);
}

function sctExtension(sct: ArrayBuffer): X509.Extension {
  const list = Buffer.concat([Buffer.from([0, sct.byteLength]), Buffer.from(sct)]);
  const head = list.length < 128 ? [0x04, list.length] : [0x04, 0x81, list.length];
  return new x509.Extension("1.3.6.1.4.1.11129.2.4.2", false, Buffer.concat([Buffer.from(head), list]));
}

const ISSUER = "CN=sigstore,O=sigstore.mock";

/** @param url where the log says it lives; part of its checkpoints */
export async function createSigstore(url = "http://rekor.test") {
  const [caKeys, ctKeys, logKeys, foreignKeys, otherCtKeys, tsaKeys] = Array.from(
    { length: 6 },
    () => keyPair(),
  );
  if (!tsaKeys || !caKeys || !ctKeys || !logKeys || !foreignKeys || !otherCtKeys) {
    throw new Error("unreachable");
  }
  const ctlog = await initializeCTLog(ctKeys as never);
  const otherCtlog = await initializeCTLog(otherCtKeys as never);
  const ca = await initializeCA(caKeys as never, ctlog);
  const tlog = await initializeTLog(url, logKeys as never);
  // Whole seconds: the mock writes fractions of them in a form that not every reader takes.
  const tsa = await initializeTSA(tsaKeys as never, new Date(Math.ceil(Date.now() / 1000) * 1000 + 2000));
  const spki = (keys: KeyPair) => keys.publicKey.export({ type: "spki", format: "der" });
  const logId = createHash("sha256").update(spki(logKeys)).digest("hex");
  let serial = 10;

  // The mock's root begins now; certificates of the past want one that is older.
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: ISSUER,
    notBefore: new Date(Date.now() - 1000 * HOUR),
    notAfter: new Date(Date.now() + 1000 * HOUR),
    signingAlgorithm: { name: "ECDSA", hash: "SHA-384" },
    keys: {
      privateKey: await cryptoKey(caKeys.privateKey, "sign"),
      publicKey: await cryptoKey(caKeys.publicKey, "verify"),
    },
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(await cryptoKey(caKeys.publicKey, "verify")),
    ],
  });

  async function certificate(options: CertificateOptions = {}): Promise<Certificate> {
    const keys = options.keys ?? keyPair();
    const issuerKeys = options.foreign ? foreignKeys as KeyPair : caKeys as KeyPair;
    const issuer = options.issuer ?? "https://accounts.test";
    const names = [
      ...(options.email === undefined ? [] : [{ type: "email" as const, value: options.email }]),
      ...(options.uri === undefined ? [] : [{ type: "url" as const, value: options.uri }]),
    ];
    const usage = options.keyUsage ?? x509.KeyUsageFlags.digitalSignature;
    serial += 1;
    const tbs = {
      serialNumber: serial.toString(16).padStart(4, "0"),
      issuer: ISSUER,
      notBefore: options.notBefore ?? new Date(Date.now() - MINUTE),
      notAfter: options.notAfter ?? new Date(Date.now() + 9 * MINUTE),
      publicKey: await cryptoKey(keys.publicKey, "verify"),
      signingKey: await cryptoKey(issuerKeys.privateKey, "sign"),
      signingAlgorithm: { name: "ECDSA", hash: "SHA-384" },
      extensions: [
        ...(usage === "absent" ? [] : [new x509.KeyUsagesExtension(usage, true)]),
        new x509.ExtendedKeyUsageExtension([
          options.codeSigning === false
            ? x509.ExtendedKeyUsage.serverAuth
            : x509.ExtendedKeyUsage.codeSigning,
        ]),
        ...(options.noName
          ? [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: "nobody.test" }], true)]
          : [
            new x509.SubjectAlternativeNameExtension(
              names.length > 0 ? names : [{ type: "email", value: "user@provider.test" }],
              true,
            ),
          ]),
        ...(options.issuerV2Only
          ? []
          : [new x509.Extension("1.3.6.1.4.1.57264.1.1", false, Buffer.from(issuer))]),
        new x509.Extension("1.3.6.1.4.1.57264.1.8", false, utf8String(issuer) as Uint8Array<ArrayBuffer>),
        ...(options.repository === undefined
          ? []
          : [new x509.Extension("1.3.6.1.4.1.57264.1.5", false, Buffer.from(options.repository))]),
      ] as X509.Extension[],
    };
    const sct = options.sct ?? "genuine";
    if (sct !== "none") {
      const precertificate = await x509.X509CertificateGenerator.create(tbs);
      const issuerId = createHash("sha256").update(spki(caKeys as KeyPair)).digest();
      const log = sct === "genuine" ? ctlog : otherCtlog;
      const promise = Buffer.from(
        await log.log(precertificate.rawData as never, issuerId as never) as ArrayBuffer,
      );
      if (sct === "forged") {
        const id = createHash("sha256").update(spki(ctKeys as KeyPair)).digest();
        const at = promise.indexOf(createHash("sha256").update(spki(otherCtKeys as KeyPair)).digest());
        id.copy(promise, at);
      }
      tbs.extensions.push(
        sctExtension(
          promise.buffer.slice(promise.byteOffset, promise.byteOffset + promise.length) as ArrayBuffer,
        ),
      );
    }
    const made = await x509.X509CertificateGenerator.create(tbs);
    return { pem: `${made.toString("pem")}\n`, der: new Uint8Array(made.rawData), keys };
  }

  /** A layer as cosign writes it. */
  function simpleSigning(imageDigest: string, options: SignOptions = {}): Layer {
    const keys = options.certificate?.keys ?? options.keys ?? keyPair();
    const payload = options.payload ?? JSON.stringify({
      critical: {
        identity: { "docker-reference": "registry.test/policy" },
        image: { "docker-manifest-digest": imageDigest },
        type: "cosign container image signature",
      },
      optional: options.annotations ?? null,
    });
    const bytes = Buffer.from(payload);
    const made = signature(keys.privateKey, bytes).toString("base64");
    const attached = options.signature ?? made;
    const log: LogOptions | false = options.log ?? {};
    const body = {
      apiVersion: "0.0.1",
      kind: "hashedrekord",
      spec: {
        data: { hash: { algorithm: "sha256", value: createHash("sha256").update(bytes).digest("hex") } },
        signature: {
          content: attached,
          publicKey: {
            content: Buffer.from(options.certificate?.pem ?? pem(keys.publicKey)).toString("base64"),
          },
        },
      },
    };
    return {
      mediaType: SIMPLE_SIGNING,
      bytes,
      annotations: {
        "dev.cosignproject.cosign/signature": attached,
        ...(options.certificate === undefined
          ? {}
          : { "dev.sigstore.cosign/certificate": options.certificate.pem }),
        ...(log === false ? {} : { "dev.sigstore.cosign/bundle": rekorBundle(body, log) }),
      },
    };
  }

  function rekorBundle(body: unknown, options: LogOptions): string {
    const payload = {
      body: Buffer.from(JSON.stringify(options.body === undefined ? body : options.body(body))).toString(
        "base64",
      ),
      integratedTime: Math.floor((options.time ?? new Date()).getTime() / 1000),
      logID: options.logId ?? logId,
      logIndex: 7,
    };
    const promise = signature(
      options.key ?? (logKeys as KeyPair).privateKey,
      Buffer.from(JSON.stringify(payload)),
    );
    return JSON.stringify({ SignedEntryTimestamp: promise.toString("base64"), Payload: payload });
  }

  /** A bundle v0.3 as cosign 3 attaches it. */
  async function bundle(imageDigest: string, options: {
    readonly certificate: Certificate;
    readonly annotations?: Readonly<Record<string, unknown>>;
    /** Signs with another key than the certificate's. */
    readonly signWith?: KeyPair;
    // deno-lint-ignore no-explicit-any
    readonly statement?: (statement: any) => unknown;
    // deno-lint-ignore no-explicit-any
    readonly body?: (body: any) => unknown;
    /** As Rekor v2 does it: no promise of the log's, but a timestamp, over the signature or over something else. */
    readonly timestamp?: "genuine" | "another" | "none";
    // deno-lint-ignore no-explicit-any
    readonly change?: (bundle: any) => void;
  }): Promise<Layer> {
    const statement = {
      _type: "https://in-toto.io/Statement/v1",
      subject: [{
        digest: { sha256: imageDigest.slice("sha256:".length) },
        annotations: options.annotations,
      }],
      predicateType: "https://sigstore.dev/cosign/sign/v1",
      predicate: {},
    };
    const payload = Buffer.from(JSON.stringify(options.statement?.(statement) ?? statement));
    const type = "application/vnd.in-toto+json";
    const encoded = Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload]);
    const made = signature((options.signWith ?? options.certificate.keys).privateKey, encoded).toString(
      "base64",
    );
    const envelope = {
      payload: payload.toString("base64"),
      payloadType: type,
      signatures: [{ sig: made, keyid: "" }],
    };
    const hash = (bytes: Uint8Array | string) => ({
      algorithm: "sha256",
      value: createHash("sha256").update(bytes).digest("hex"),
    });
    const second = options.timestamp !== undefined;
    const body = second
      ? {
        apiVersion: "0.0.2",
        kind: "dsse",
        spec: {
          dsseV002: {
            payloadHash: {
              algorithm: "SHA2_256",
              digest: createHash("sha256").update(payload).digest("base64"),
            },
            signatures: [{
              content: made,
              verifier: {
                x509Certificate: { rawBytes: Buffer.from(options.certificate.der).toString("base64") },
                keyDetails: "PKIX_ECDSA_P256_SHA_256",
              },
            }],
          },
        },
      }
      : {
        apiVersion: "0.0.1",
        kind: "dsse",
        spec: {
          envelopeHash: hash(JSON.stringify(envelope)),
          payloadHash: hash(payload),
          signatures: [{
            signature: made,
            verifier: Buffer.from(options.certificate.pem).toString("base64"),
          }],
        },
      };
    const stamped = options.timestamp === "genuine" ? Buffer.from(made, "base64") : Buffer.from("another");
    const timestamp = await tsa.timestamp({
      artifactHash: createHash("sha256").update(stamped).digest(),
      hashAlgorithmOID: "2.16.840.1.101.3.4.2.1",
      policyOID: "1.2.3.4.1",
      nonce: 1,
      certReq: true,
    }) as Uint8Array;
    // deno-lint-ignore no-explicit-any
    const logged = Object.values(await tlog.log((options.body?.(body) ?? body) as never) as any)[0] as any;
    const { inclusionProof } = logged.verification;
    const whole = {
      mediaType: BUNDLE,
      verificationMaterial: {
        certificate: { rawBytes: Buffer.from(options.certificate.der).toString("base64") },
        tlogEntries: [{
          logIndex: String(logged.logIndex),
          logId: { keyId: Buffer.from(logged.logID, "hex").toString("base64") },
          kindVersion: { kind: "dsse", version: second ? "0.0.2" : "0.0.1" },
          integratedTime: String(logged.integratedTime),
          ...(second
            ? {}
            : { inclusionPromise: { signedEntryTimestamp: logged.verification.signedEntryTimestamp } }),
          inclusionProof: {
            logIndex: String(inclusionProof.logIndex),
            rootHash: Buffer.from(inclusionProof.rootHash, "hex").toString("base64"),
            treeSize: String(inclusionProof.treeSize),
            hashes: [],
            checkpoint: { envelope: inclusionProof.checkpoint },
          },
          canonicalizedBody: logged.body,
        }],
        ...(options.timestamp === undefined || options.timestamp === "none" ? {} : {
          timestampVerificationData: {
            rfc3161Timestamps: [{ signedTimestamp: Buffer.from(timestamp).toString("base64") }],
          },
        }),
      },
      dsseEnvelope: envelope,
    };
    options.change?.(whole);
    return { mediaType: BUNDLE, bytes: Buffer.from(JSON.stringify(whole)) };
  }

  const always = { start: new Date(Date.now() - 1000 * HOUR).toISOString() };
  const publicKey = (keys: KeyPair) => ({
    rawBytes: spki(keys).toString("base64"),
    keyDetails: "PKIX_ECDSA_P256_SHA_256",
    validFor: always,
  });
  const logOf = (keys: KeyPair, baseUrl: string) => ({
    baseUrl,
    hashAlgorithm: "SHA2_256",
    publicKey: publicKey(keys),
    logId: { keyId: createHash("sha256").update(spki(keys)).digest("base64") },
  });

  /** A trusted root as Protobuf's JSON; `change` may spoil it. */
  // deno-lint-ignore no-explicit-any
  function trustedRoot(change: (root: any) => void = () => {}) {
    const value = {
      mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
      tlogs: [logOf(logKeys as KeyPair, url)],
      certificateAuthorities: [{
        subject: { organization: "sigstore.mock", commonName: "sigstore" },
        uri: url,
        certChain: { certificates: [{ rawBytes: Buffer.from(root.rawData).toString("base64") }] },
        validFor: always,
      }],
      ctlogs: [logOf(ctKeys as KeyPair, `${url}/ct`)],
      timestampAuthorities: [{
        subject: { organization: "sigstore.mock", commonName: "tsa" },
        uri: url,
        certChain: {
          certificates: [tsa.intCertificate, tsa.rootCertificate].map((each) => ({
            rawBytes: Buffer.from(each as Uint8Array).toString("base64"),
          })),
        },
        validFor: always,
      }],
    };
    change(value);
    return value;
  }

  return { ca, tlog, ctlog, logId, logKeys, certificate, simpleSigning, bundle, rekorBundle, trustedRoot };
}

export type TestSigstore = Awaited<ReturnType<typeof createSigstore>>;
