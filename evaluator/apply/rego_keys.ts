/**
 * Builtins that show private keys: `crypto.parse_private_keys`, `crypto.x509.parse_rsa_private_key` (which takes keys of all
 * kinds), `crypto.x509.parse_keypair`.
 */
import { createPrivateKey, createPublicKey, type KeyObject, type webcrypto } from "node:crypto";
import { DerError, elements, unsigned } from "../render/der.ts";
import { fail, stringAt } from "../render/rego_operands.ts";
import { number, recordOf } from "../render/rego_value.ts";
import { base64 } from "../render/x509_elements.ts";
import { certificateFields } from "../render/x509_fields.ts";
import { allPemBlocks, decoded, isPem, type PemBlock, reading } from "../render/x509_text.ts";
import { BuiltinError, BuiltinHalt, type RegoBuiltins, RegoObject, type RegoValue } from "../types/rego.ts";

import { checkEncodedKey } from "./key_limits.ts";

type JsonWebKey = webcrypto.JsonWebKey;

const KINDS: Readonly<Record<string, "pkcs1" | "pkcs8" | "sec1">> = {
  "RSA PRIVATE KEY": "pkcs1",
  "PRIVATE KEY": "pkcs8",
  "EC PRIVATE KEY": "sec1",
};
/** Members of a JWK that OPA shows; runtimes add some. */
const SHOWN = ["crv", "d", "dp", "dq", "e", "kty", "n", "p", "q", "qi", "x", "y"] as const;

const bytesOf = (text: string | undefined): Uint8Array => Buffer.from(text ?? "", "base64url");
const integerOf = (text: string | undefined): bigint => unsigned(bytesOf(text));

/** The tag of the second element, which tells the forms apart: some runtimes take one for another. */
const SECOND_TAGS = { pkcs1: 0x02, pkcs8: 0x30, sec1: 0x04 } as const;

function hasForm(der: Uint8Array, type: keyof typeof SECOND_TAGS): boolean {
  try {
    const found = elements(der);
    return found.length === 1 && found[0]!.list()[1]?.tag === SECOND_TAGS[type];
  } catch (error) {
    if (error instanceof DerError) return false;
    throw error;
  }
}

/** A key as a JWK. Throws BuiltinError for what is none, or of a kind that the runtime does not know. */
function jwkOf(der: Uint8Array, type: "pkcs1" | "pkcs8" | "sec1"): JsonWebKey {
  checkEncodedKey(der);
  if (!hasForm(der, type)) return fail(`no private key of the form ${type}`);
  let jwk: JsonWebKey;
  try {
    jwk = createPrivateKey({ key: Buffer.from(der), format: "der", type }).export({ format: "jwk" });
  } catch (error) {
    return fail(`no private key that can be read: ${(error as Error).message}`);
  }
  if (jwk.kty === "RSA") {
    const [n, p, q] = [jwk.n, jwk.p, jwk.q].map(integerOf);
    if (p! * q! !== n) return fail("an RSA key whose primes are not those of its modulus");
  }
  return jwk;
}

/** The fields of Go's key types, as `json.Marshal` writes them. */
function keyFields(jwk: JsonWebKey): RegoValue {
  const whole = (name: "d" | "dp" | "dq" | "e" | "n" | "p" | "q" | "qi" | "x" | "y") =>
    number(integerOf(jwk[name]));
  if (jwk.kty === "RSA") {
    return recordOf({
      N: whole("n"),
      E: whole("e"),
      D: whole("d"),
      Primes: [whole("p"), whole("q")],
      Precomputed: recordOf({ Dp: whole("dp"), Dq: whole("dq"), Qinv: whole("qi"), CRTValues: [] }),
    });
  }
  if (jwk.kty === "EC") {
    return recordOf({ Curve: new RegoObject([]), X: whole("x"), Y: whole("y"), D: whole("d") });
  }
  // The fields of ecdh.PrivateKey are not exported.
  if (jwk.crv !== "Ed25519") return new RegoObject([]);
  return base64(Buffer.concat([bytesOf(jwk.d), bytesOf(jwk.x)]));
}

/** The keys of a text, which is PEM or base64 of PEM. Blocks of other types are passed over. */
function keysOf(text: string): readonly JsonWebKey[] {
  let pem = text;
  try {
    pem = new TextDecoder().decode(decoded(text));
  } catch (error) {
    if (!(error instanceof BuiltinError)) throw error;
  }
  return allPemBlocks(pem).flatMap(({ type, bytes }) => {
    const kind = Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
    return kind ? [jwkOf(bytes, kind)] : [];
  });
}

/** Blocks of a text that is PEM, base64 of PEM, or base64 of DER. */
function blocksOf(text: string, type: string): readonly PemBlock[] {
  if (isPem(text)) return allPemBlocks(text);
  const bytes = decoded(text);
  const inner = new TextDecoder().decode(bytes);
  return isPem(inner) ? allPemBlocks(inner) : [{ type, bytes }];
}

/** A key of whatever form: Go tries one after the other, too. */
function anyKey(der: Uint8Array): JsonWebKey {
  for (const kind of ["pkcs1", "pkcs8", "sec1"] as const) {
    try {
      return jwkOf(der, kind);
    } catch (error) {
      if (!(error instanceof BuiltinError)) throw error;
    }
  }
  return fail("tls: failed to parse private key");
}

function publicJwk(key: KeyObject): JsonWebKey {
  return key.export({ format: "jwk" });
}

function keyPair(certificateText: string, keyText: string): RegoValue {
  const certificates = blocksOf(certificateText, "CERTIFICATE").filter(({ type }) => type === "CERTIFICATE");
  if (certificates.length === 0) return fail("tls: failed to find any PEM data in certificate input");
  const key = blocksOf(keyText, "PRIVATE KEY").find(({ type }) =>
    type === "PRIVATE KEY" || type.endsWith(" PRIVATE KEY")
  );
  if (!key) return fail("tls: failed to find PEM block with type ending in PRIVATE KEY in key input");
  const leaves = elements(certificates[0]!.bytes);
  const leaf = leaves.length === 1 ? leaves[0]! : fail("x509: trailing data");
  const fields = certificateFields(leaf, false);
  const jwk = anyKey(key.bytes);
  const of = (name: string) => fields.entries.find(([key]) => key === name)?.[1];
  let own: JsonWebKey;
  try {
    const encoded = Buffer.from(String(of("RawSubjectPublicKeyInfo")), "base64");
    checkEncodedKey(encoded);
    own = publicJwk(createPublicKey({ key: encoded, format: "der", type: "spki" }));
  } catch (error) {
    if (error instanceof BuiltinHalt) throw error;
    return fail("tls: unknown public key algorithm");
  }
  const belongs = own.kty === jwk.kty && own.crv === jwk.crv && own.n === jwk.n && own.e === jwk.e &&
    own.x === jwk.x && own.y === jwk.y;
  if (!belongs) return fail("tls: private key does not match public key");
  return recordOf({
    Certificate: certificates.map(({ bytes }) => base64(bytes)),
    PrivateKey: keyFields(jwk),
    SupportedSignatureAlgorithms: null,
    OCSPStaple: null,
    SignedCertificateTimestamps: null,
    Leaf: fields,
  });
}

/** The builtins. */
export const KEY_BUILTINS: RegoBuiltins = {
  "crypto.parse_private_keys": (operands) => {
    const text = stringAt(operands, 0);
    return text === "" ? null : keysOf(text).map(keyFields);
  },
  "crypto.x509.parse_rsa_private_key": (operands) => {
    const text = stringAt(operands, 0);
    if (text === "") return fail("input PEM data was empty");
    const [jwk] = keysOf(isPem(text) ? text : new TextDecoder().decode(decoded(text)));
    if (!jwk) return null;
    return recordOf(Object.fromEntries(SHOWN.map((name) => [name, jwk[name]])));
  },
  "crypto.x509.parse_keypair": (operands) =>
    reading(() => keyPair(stringAt(operands, 0), stringAt(operands, 1))),
};
