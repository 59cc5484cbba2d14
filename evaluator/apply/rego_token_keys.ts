/** The keys that tokens are verified with: JSON Web Keys and sets of them (RFC 7517), PEM. */
import {
  createPublicKey,
  createSecretKey,
  type KeyObject,
  type webcrypto,
  X509Certificate,
} from "node:crypto";
import { jsonExcess } from "../render/json_size.ts";
import { fail } from "../render/rego_operands.ts";
import { halt, pause, work, workOn } from "../render/work.ts";
import { BuiltinHalt } from "../types/rego.ts";
import { checkJwk, verifying } from "./key_limits.ts";

/** The algorithms of signatures (RFC 7518, RFC 8037). */
export const ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"],
  ...["HS256", "HS384", "HS512", "EdDSA"],
];

export type JsonWebKey = webcrypto.JsonWebKey;

/** Algorithms that a key may be meant for but that sign nothing: such keys are passed over. */
const OTHER_ALGORITHMS =
  /^(RSA1_5|RSA-OAEP(-(256|384|512))?|A(128|192|256)(GCM)?KW|dir|ECDH-ES(\+A(128|192|256)KW)?|PBES2-HS(256\+A128|384\+A192|512\+A256)KW|ES256K|none)$/;

/** A key, and what it is meant for; empty where it does not say. */
export interface VerificationKey {
  readonly alg: string;
  readonly kid: string;
  readonly key: KeyObject;
}

function fromJwk(jwk: unknown): VerificationKey | undefined {
  if (typeof jwk !== "object" || jwk === null) return fail("failed to parse a JWK key (set)");
  const { alg = "", kid = "", kty } = jwk as Record<string, string>;
  if (alg !== "" && !ALGORITHMS.includes(alg)) {
    return OTHER_ALGORITHMS.test(alg) ? undefined : fail(`unknown algorithm of a JWK: ${alg}`);
  }
  checkJwk(jwk as JsonWebKey, false);
  try {
    if (kty === "oct") {
      const { k } = jwk as JsonWebKey;
      return { alg, kid, key: createSecretKey(Buffer.from(k!, "base64url")) };
    }
    return { alg, kid, key: verifying(createPublicKey({ key: jwk as JsonWebKey, format: "jwk" })) };
  } catch (error) {
    if (error instanceof BuiltinHalt) throw error;
    return fail("failed to parse a JWK key (set)");
  }
}

/** A certificate of the usual names and extensions has 2,000 characters. */
const MAX_PEM = 64 * 1024;
const PEM_BEGIN = /^-----BEGIN ([A-Z0-9 ]+)-----/gm;

/** The first block of a PEM text that has an end. */
function pemBlock(
  text: string,
): { readonly type: string; readonly text: string; readonly end: number } | undefined {
  // An end that is not found behind one beginning is not found behind a later one either.
  const missing = new Set<string>();
  workOn(text.length);
  for (const begin of text.matchAll(PEM_BEGIN)) {
    work(4);
    const type = begin[1]!;
    if (missing.has(type)) continue;
    const close = `-----END ${type}-----`;
    const at = text.indexOf(close, begin.index + begin[0].length);
    workOn((at < 0 ? text.length : at) - begin.index);
    if (at < 0) {
      missing.add(type);
      continue;
    }
    let end = at + close.length;
    while (text[end] === " " || text[end] === "\t") end++;
    if (text[end] === "\r") end++;
    if (text[end] === "\n") end++;
    return { type, text: text.slice(begin.index, end), end };
  }
  return undefined;
}

/** JSON as plain objects. Throws SyntaxError, and BuiltinHalt for what is too large or nested too deeply to be parsed in one go. */
export function parsed(text: string): unknown {
  const excess = jsonExcess(Buffer.from(text));
  if (excess !== undefined) halt(`JSON with ${excess}`);
  pause();
  return JSON.parse(text);
}

/** The public and symmetric keys of a text. Throws BuiltinError, and BuiltinHalt for keys that are too large. */
export function publicKeys(text: string): readonly VerificationKey[] {
  const pem = pemBlock(text);
  if (pem) {
    if (pem.end < text.length) fail("extra data after a PEM certificate block");
    if (pem.text.length > MAX_PEM) halt(`a key or certificate of ${pem.text.length} characters`);
    pause();
    const found = (key: KeyObject) => [{ alg: "", kid: "", key: verifying(key) }];
    try {
      if (pem.type === "CERTIFICATE") return found(new X509Certificate(pem.text).publicKey);
      if (pem.type === "PUBLIC KEY") return found(createPublicKey(pem.text));
    } catch (error) {
      if (error instanceof BuiltinHalt) throw error;
      return fail("failed to parse a PEM certificate or public key");
    }
    return fail("failed to extract a Key from the PEM certificate");
  }
  let jwks: unknown;
  try {
    jwks = parsed(text);
  } catch (error) {
    if (error instanceof BuiltinHalt) throw error;
    return fail("failed to parse a JWK key (set)");
  }
  const list = (jwks as { keys?: unknown } | null)?.keys;
  return (Array.isArray(list) ? list : [jwks]).map(fromJwk).filter((key) => key !== undefined);
}
