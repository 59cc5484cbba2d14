/** Public keys and what verifies with them (`spec/fetch-verify.md §9.4` rule 7). */
import { createPublicKey, type KeyObject, verify } from "node:crypto";

export type VerificationKey = {
  readonly key: KeyObject;
  /** `undefined`: the algorithm has its own (Ed25519). */
  readonly hash: "sha256" | "sha384" | undefined;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
};

const CURVES: ReadonlyMap<string, "sha256" | "sha384"> = new Map([
  ["prime256v1", "sha256"],
  ["P-256", "sha256"],
  ["secp384r1", "sha384"],
  ["P-384", "sha384"],
]);

const unsupportedCurve = (name: string) => `unsupported curve ${name}: P-256 and P-384 are supported`;
const unsupportedType = (name: string) =>
  `unsupported key type ${name}: ECDSA, Ed25519 and RSA are supported`;

function supported(key: KeyObject): VerificationKey {
  const spki = () => key.export({ type: "spki", format: "der" });
  switch (key.asymmetricKeyType) {
    case "ed25519":
      return { key, hash: undefined, spki: spki() };
    case "rsa":
      return { key, hash: "sha256", spki: spki() };
    case "ec": {
      const curve = key.asymmetricKeyDetails?.namedCurve ?? "";
      const hash = CURVES.get(curve);
      if (hash === undefined) throw new Error(unsupportedCurve(curve));
      // A compressed point stays compressed on Node: logs have the other form of the same key.
      const point = createPublicKey({ key: key.export({ format: "jwk" }), format: "jwk" });
      return { key, hash, spki: point.export({ type: "spki", format: "der" }) };
    }
    default:
      throw new Error(unsupportedType(String(key.asymmetricKeyType)));
  }
}

const EC_PUBLIC_KEY = "2a8648ce3d0201";

/** Object identifiers of what is not supported, which one runtime's library reads and the other's does not (RFC 5280, 5480, 8410). */
const UNSUPPORTED: ReadonlyMap<string, string> = new Map([
  ["2a864886f70d01010a", unsupportedType("rsa-pss")],
  ["2a8648ce380401", unsupportedType("dsa")],
  ["2a864886f70d010301", unsupportedType("dh")],
  ["2b656e", unsupportedType("x25519")],
  ["2b656f", unsupportedType("x448")],
  ["2b6571", unsupportedType("ed448")],
]);
const UNSUPPORTED_CURVES: ReadonlyMap<string, string> = new Map([
  ["2b8104000a", "secp256k1"],
  ["2b81040021", "secp224r1"],
  ["2b81040023", "secp521r1"],
  ["2b2403030208010107", "brainpoolP256r1"],
  ["2b240303020801010b", "brainpoolP384r1"],
  ["2b240303020801010d", "brainpoolP512r1"],
]);

/** The value of DER at an offset, if its tag is `tag`: where its content begins and ends. */
function valueAt(der: Uint8Array, at: number, tag: number) {
  if (der[at] !== tag) return undefined;
  const length = der[at + 1] ?? 0;
  const count = length & 0x80 ? length & 0x7f : 0;
  const start = at + 2 + count;
  const size = count === 0 ? length : der.subarray(at + 2, start).reduce((sum, byte) => sum * 256 + byte, 0);
  return { start, end: start + size };
}

const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;

/** Whether a sequence ends where its bytes do: sigstore refuses what has more behind it, the runtimes' libraries don't. */
const endsWhole = (der: Uint8Array): boolean => valueAt(der, 0, SEQUENCE)?.end === der.length;

/** What keeps a SubjectPublicKeyInfo from being supported, as far as its algorithm says; the same on every runtime. */
function algorithmFault(der: Uint8Array): string | undefined {
  const identifier = (at: number) => {
    const value = valueAt(der, at, OBJECT_IDENTIFIER);
    return value &&
      { hex: Buffer.from(der.subarray(value.start, value.end)).toString("hex"), end: value.end };
  };
  const algorithm = valueAt(der, valueAt(der, 0, SEQUENCE)?.start ?? der.length, SEQUENCE);
  const type = algorithm && identifier(algorithm.start);
  if (type === undefined) return undefined;
  if (type.hex !== EC_PUBLIC_KEY) return UNSUPPORTED.get(type.hex);
  const curve = identifier(type.end);
  // RFC 5480 §2.1.1: only named curves; OpenSSL alone reads others.
  if (curve === undefined) {
    return "its curve has parameters in the place of a name: P-256 and P-384 are supported";
  }
  const name = UNSUPPORTED_CURVES.get(curve.hex);
  return name === undefined ? undefined : unsupportedCurve(name);
}

/** What to do about what was given in a public key's place, by the label of its PEM block. */
const INSTEAD: ReadonlyMap<string, string> = new Map([
  ["CERTIFICATE", "it is a certificate: give its key, as `openssl x509 -pubkey -noout -in FILE` prints it"],
  [
    "ENCRYPTED SIGSTORE PRIVATE KEY",
    "it is a private key: give the public one, as `cosign public-key --key FILE` prints it",
  ],
  ["PRIVATE KEY", "it is a private key: give the public one, as `openssl pkey -pubout -in FILE` prints it"],
  ["SSH2 PUBLIC KEY", "it is a key of SSH: give it as `ssh-keygen -e -m PKCS8 -f FILE` prints it"],
  ["PGP PUBLIC KEY BLOCK", "it is a key of PGP, which signs no images"],
]);

/** The same of what has no PEM block, by how it begins. */
const WITHOUT_BLOCK: readonly (readonly [RegExp, string])[] = [
  [/^\s*(?:ssh-|ecdsa-sha2-|---- BEGIN SSH2)/, INSTEAD.get("SSH2 PUBLIC KEY")!],
  [
    /^\s*(?:awskms|gcpkms|azurekms|hashivault|k8s|pkcs11|gitlab|github|openbao):/,
    "it is the name of a key that is kept elsewhere: give the public key itself, as `cosign public-key --key NAME` prints it",
  ],
  [/^\s*https?:\/\//, "it is an address: give the key itself, as `curl` prints it"],
  [/^\s*LS0tLS1CRUdJTi/, "it is base64 of a PEM block: give the block itself, as `base64 -d` prints it"],
  [/^\s*\{\s*"/, "it is JSON, as a JWK: give the key in PEM"],
  [
    /^\s*(?:\.{0,2}[/\\]|~|[A-Za-z]:\\)?[\w./\\-]+\.(?:pub|pem|key|crt|cer)\s*$/,
    "it is a path: give what is in the file",
  ],
  [
    /-BEGIN/,
    "its lines of BEGIN and END are not whole: each begins and ends with five hyphens, and both say the same",
  ],
  // The beginning of SubjectPublicKeyInfo in DER, read as text.
  [
    /^0.{0,3}0/s,
    "it is no PEM, perhaps DER: give it as `openssl pkey -pubin -inform DER -in FILE` prints it",
  ],
];

type PemBlock = { readonly label: string; readonly der: Uint8Array | undefined };

/** Whatever stands around the blocks, and how their lines are indented or ended, is not looked at, as sigstore reads PEM. */
function pemBlocks(text: string): readonly PemBlock[] {
  return [...text.matchAll(/-----BEGIN ([A-Z0-9 ]{1,60})-----((?:[^-]|-(?!----))*)-----END \1-----/g)].map((
    [, label = "", body = ""],
  ) => ({
    label,
    der: fromBase64(withoutHeaders(body).replace(/\s+/g, "")),
  }));
}

/** A block without its headers (RFC 1421 §4.4, `Comment: …`), which end with an empty line. */
function withoutHeaders(body: string): string {
  const [, rest] = /^\s*(?:[A-Za-z][A-Za-z0-9-]*:[^\n]*\n)+[ \t\r]*\n([^]*)$/.exec(body) ?? [];
  return rest ?? body;
}

function unreadable(reason: string): never {
  throw new Error(`unreadable key: ${reason}`);
}

function whyNone(blocks: readonly PemBlock[], text: string): string {
  const label = blocks[0]?.label;
  if (label === undefined) {
    const [, what] = WITHOUT_BLOCK.find(([pattern]) => pattern.test(text)) ?? [];
    return what ?? "it has no PEM block (-----BEGIN PUBLIC KEY----- … -----END PUBLIC KEY-----)";
  }
  return INSTEAD.get(label) ?? INSTEAD.get(label.replace(/^(?:.* )?(?=PRIVATE KEY$)/, "")) ??
    `it is a PEM block of ${label}, PUBLIC KEY is wanted`;
}

/** A private key's first line, of whatever kind, whether or not its block ends. */
const PRIVATE_KEY = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----/;

/**
 * What a text of PEM with a public key holds besides, which is accepted as sigstore does, but hardly meant.
 *
 * @param remedy what to do with several keys
 */
export function publicKeyWarnings(text: string, remedy: string): readonly string[] {
  const count = pemBlocks(text).filter(({ label }) => isPublicKey(label)).length;
  return [
    ...(count > 1 ? [`holds ${count} keys, only the first is used: ${remedy}`] : []),
    ...(PRIVATE_KEY.test(text)
      ? ["holds a private key behind the public one: remove it, whoever reads it there can sign"]
      : []),
  ];
}

const isPublicKey = (label: string): boolean => label === "PUBLIC KEY" || label === "RSA PUBLIC KEY";

/**
 * The first public key of a PEM text: SubjectPublicKeyInfo, or RSA's own form (PKCS#1).
 *
 * @throws {Error} `unreadable key: …`, with what was found and what to do; the text is not quoted, for it may be a private key
 */
export function keyFromPem(pem: string): VerificationKey {
  const blocks = pemBlocks(pem);
  const block = blocks.find(({ label }) => isPublicKey(label));
  if (block === undefined) unreadable(whyNone(blocks, pem));
  // sigstore reads the first block, and refuses it.
  if (PRIVATE_KEY.test(pem.slice(0, pem.indexOf(`-----BEGIN ${block.label}-----`)))) {
    unreadable("a private key stands before the public one: remove it, whoever reads it there can sign");
  }
  if (block.der === undefined) unreadable(`what stands between BEGIN and END ${block.label} is not base64`);
  const fault = algorithmFault(block.der);
  if (fault !== undefined) unreadable(fault);
  if (!endsWhole(block.der)) unreadable(`the block ${block.label} holds no public key, or more than one`);
  let key: VerificationKey;
  try {
    const type = block.label === "RSA PUBLIC KEY" ? "pkcs1" : "spki";
    key = supported(createPublicKey({ key: Buffer.from(block.der), format: "der", type }));
  } catch (error) {
    const reason = (error as Error).message;
    return unreadable(
      reason.startsWith("unsupported") ? reason : `the block ${block.label} holds no public key`,
    );
  }
  return key;
}

/** A key as DER: SubjectPublicKeyInfo, or RSA's own form, which old logs use. */
export function keyFromDer(der: Uint8Array): VerificationKey {
  const key = Buffer.from(der);
  const fault = algorithmFault(der);
  if (fault !== undefined) throw new Error(fault);
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

/** Why a PEM text cannot be used as a public key, `undefined` if it can. */
export function publicKeyFault(pem: string): string | undefined {
  try {
    keyFromPem(pem);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
