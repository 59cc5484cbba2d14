/** Builtins on JSON Web Tokens: `io.jwt.*` (RFC 7515, 7517, 7518, 7519). */
import {
  constants,
  createHash,
  createHmac,
  createPrivateKey,
  type KeyObject,
  sign,
  type SignKeyObjectInput,
  verify,
} from "node:crypto";
import { own } from "../../program/types/own.ts";
import {
  BuiltinError,
  BuiltinHalt,
  type RegoBuiltin,
  type RegoBuiltins,
  type RegoContext,
  RegoNumber,
  RegoObject,
  type RegoValue,
} from "../types/rego.ts";
import { fail, objectAt, stringAt } from "../render/rego_operands.ts";
import { hex } from "../render/rego_builtins/encoding.ts";
import { jsonText, jsonTree, parseJson, RegoTextError } from "../render/rego_text.ts";
import { isList, member, typeName } from "../render/rego_value.ts";
import { compareNumbers } from "../render/rego_number.ts";
import { pause, workOn } from "../render/work.ts";
import { checkJwk } from "./key_limits.ts";
import { equalBytes } from "./rego_hashes.ts";
import { ALGORITHMS, type JsonWebKey, parsed, publicKeys, type VerificationKey } from "./rego_token_keys.ts";

const NO_OBJECT = new RegoObject([]);
const UNVERIFIED: RegoValue = [false, NO_OBJECT, NO_OBJECT];
/** A token within a token within a token … is refused beyond this. */
const MAX_NESTING = 10;
const decoder = new TextDecoder();

interface Token {
  readonly header: string;
  readonly payload: string;
  readonly signature: string;
}

function splitToken(text: RegoValue | undefined): Token {
  const [header, payload, signature, ...more] = typeof text === "string" ? text.split(".", 4) : [];
  if (header === undefined || payload === undefined || signature === undefined || more.length > 0) {
    return fail("encoded JWT must have 3 sections");
  }
  return { header, payload, signature };
}

function base64Bytes(text: string): Buffer {
  workOn(8 * text.length);
  // Line ends are passed over; padding may be left out, but must be right where it is.
  const plain = text.replace(/[\r\n]/g, "");
  const valid = text.endsWith("=")
    ? plain.length % 4 === 0 && /^[A-Za-z0-9_-]*={1,2}$/.test(plain)
    : text.length % 4 !== 1 && /^[A-Za-z0-9_-]*$/.test(plain);
  return valid ? Buffer.from(plain, "base64url") : fail("illegal base64url string");
}

function jsonObject(text: string, what: string): RegoObject {
  try {
    const value = parseJson(text);
    if (value instanceof RegoObject) return value;
  } catch (error) {
    if (!(error instanceof RegoTextError)) throw error;
  }
  return fail(`${what} is no JSON object`);
}

function headerOf(token: Token): RegoObject {
  const header = jsonObject(decoder.decode(base64Bytes(token.header)), "JWT header");
  return member(header, "enc") === undefined ? header : fail("JWT is a JWE object, which is not supported");
}

function unquoted(text: string): string {
  const isQuote = (unit: string | undefined) => unit === '"' || unit === "'";
  let [start, end] = [0, text.length];
  while (start < end && isQuote(text[start])) start++;
  while (end > start && isQuote(text[end - 1])) end--;
  workOn(16 * (text.length - (end - start)));
  return text.slice(start, end);
}

function decode(text: RegoValue, nesting = 0): RegoValue {
  if (nesting > MAX_NESTING) fail("tokens are nested too deeply");
  const token = splitToken(text);
  const header = headerOf(token);
  const payload = decoder.decode(base64Bytes(token.payload));
  if (member(header, "cty") === "JWT") return decode(unquoted(payload), nesting + 1);
  return [header, jsonObject(payload, "JWT payload"), hex(base64Bytes(token.signature))];
}

const hashOf = (alg: string) => `sha${alg.slice(2)}`;

/** Whether the signature of a given algorithm is right; false too when the key is of another kind. */
function signed(alg: string, key: KeyObject, text: Uint8Array, signature: Buffer): boolean {
  pause();
  workOn(4 * text.length);
  try {
    switch (alg.slice(0, 2)) {
      case "HS":
        // Only a symmetric key: a public key's bytes are no secret.
        return key.type === "secret" && equalBytes(signature, hmacOf(alg, key.export(), text));
      case "RS":
        return key.asymmetricKeyType === "rsa" && verify(hashOf(alg), text, key, signature);
      case "PS": {
        const options = {
          key,
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: constants.RSA_PSS_SALTLEN_AUTO,
        };
        return key.asymmetricKeyType === "rsa" && verify(hashOf(alg), text, options, signature);
      }
      case "ES":
        return key.asymmetricKeyType === "ec" &&
          verify(hashOf(alg), text, { key, dsaEncoding: "ieee-p1363" }, signature);
      default:
        return key.asymmetricKeyType === "ed25519" && verify(null, text, key, signature);
    }
  } catch {
    return false;
  }
}

function textOf(header: RegoObject, name: string): string {
  const value = member(header, name) ?? "";
  return typeof value === "string" ? value : fail(`${name}: must be a string`);
}

function checkCritical(header: RegoObject): readonly string[] {
  const critical = member(header, "crit");
  if (critical === undefined) return [];
  if (!isList(critical)) return fail("crit: must be a list");
  const names = critical.filter((name) => typeof name === "string");
  return names.length > 0 ? names : fail("crit: must be a nonempty list");
}

function parsedHeader(
  token: Token,
): { readonly header: RegoObject; readonly alg: string; readonly kid: string; readonly cty: string } {
  const header = headerOf(token);
  textOf(header, "typ");
  checkCritical(header);
  return { header, alg: textOf(header, "alg"), kid: textOf(header, "kid"), cty: textOf(header, "cty") };
}

function verifiedByAny(
  keys: readonly VerificationKey[],
  header: { readonly alg: string; readonly kid: string },
  check: (key: KeyObject) => boolean,
): boolean {
  const named = header.kid === "" ? undefined : keys.find(({ kid }) => kid === header.kid);
  if (named) return check(named.key);
  return keys.some(({ alg, key }) => (alg === "" || alg === header.alg) && check(key));
}

const signedText = ({ header, payload }: Token) => Buffer.from(`${header}.${payload}`);

const verifyPublic = (alg: string): RegoBuiltin => (operands) => {
  const token = splitToken(operands[0]);
  const keys = publicKeys(stringAt(operands, 1));
  const signature = base64Bytes(token.signature);
  const header = parsedHeader(token);
  return verifiedByAny(keys, header, (key) => signed(alg, key, signedText(token), signature));
};

function hmacOf(alg: string, secret: string | Uint8Array, text: Uint8Array): Buffer {
  return createHmac(hashOf(alg), secret).update(text).digest();
}

const verifySecret = (alg: string): RegoBuiltin => (operands) => {
  const token = splitToken(stringAt(operands, 0));
  const expected = hmacOf(alg, stringAt(operands, 1), signedText(token));
  return equalBytes(base64Bytes(token.signature), expected);
};

interface Constraints {
  keys: readonly VerificationKey[] | undefined;
  secret: string;
  alg: string;
  iss: string;
  aud: string;
  /** Nanoseconds. */
  time: number;
}

function constraintsOf(object: RegoObject, context: RegoContext): Constraints {
  const found: Constraints = {
    keys: undefined,
    secret: "",
    alg: "",
    iss: "",
    aud: "",
    time: Number(context.now()),
  };
  for (const [name, value] of object.entries) {
    const text = () =>
      typeof value === "string" ? value : fail(`${String(name)} constraint: must be a string`);
    if (name === "cert") found.keys = publicKeys(text());
    else if (name === "secret" || name === "alg" || name === "iss" || name === "aud") found[name] = text();
    else if (name === "time") {
      const time = value instanceof RegoNumber
        ? Number(value.text)
        : fail("token time constraint: must be a number");
      found.time = Number.isFinite(time) && time >= 0
        ? time
        : fail("token time constraint: must not be negative");
    } else fail(`unknown token validation constraint: ${String(name)}`);
  }
  if (found.keys !== undefined && found.secret !== "") fail("duplicate key constraints");
  if (found.keys === undefined && found.secret === "") fail("no key constraint");
  return found;
}

function verifiedWith(
  constraints: Constraints,
  token: Token,
  header: { readonly alg: string; readonly kid: string },
): boolean {
  const signature = base64Bytes(token.signature);
  const { alg } = header;
  if (!ALGORITHMS.includes(alg)) return false;
  if (constraints.keys) {
    return verifiedByAny(constraints.keys, header, (key) => signed(alg, key, signedText(token), signature));
  }
  return alg.startsWith("HS") && equalBytes(signature, hmacOf(alg, constraints.secret, signedText(token)));
}

/** Whether issuer, audience and times are as they must be. */
function claimsHold(payload: RegoObject, constraints: Constraints): boolean {
  const issuer = member(payload, "iss");
  if (constraints.iss !== "" && issuer !== constraints.iss) return false;
  const audience = member(payload, "aud");
  if (audience === undefined) {
    if (constraints.aud !== "") return false;
  } else if (audience !== constraints.aud && !(isList(audience) && audience.includes(constraints.aud))) {
    return false;
  }
  const seconds = String(constraints.time / 1e9);
  const at = (name: string): string | undefined => {
    const value = member(payload, name);
    if (value === undefined) return undefined;
    return value instanceof RegoNumber
      ? value.text
      : fail(`${name} value must be a number but got ${typeName(value)}`);
  };
  const expires = at("exp");
  if (expires !== undefined && compareNumbers(seconds, expires) >= 0) return false;
  const begins = at("nbf");
  return begins === undefined || compareNumbers(seconds, begins) >= 0;
}

function decodeVerify(operands: readonly RegoValue[], context: RegoContext): RegoValue {
  const constraints = constraintsOf(objectAt(operands, 1), context);
  let text: RegoValue = operands[0]!;
  for (let nesting = 0; nesting <= MAX_NESTING; nesting++) {
    const token = splitToken(text);
    const parsed = parsedHeader(token);
    const known = ["alg", "kid", "typ", "cty", "crit"];
    const critical = checkCritical(parsed.header);
    const unknown = critical.some((name) =>
      !known.includes(name) && member(parsed.header, name) !== undefined
    );
    if (parsed.alg === "" || unknown) return UNVERIFIED;
    if (constraints.alg !== "" && constraints.alg !== parsed.alg) return UNVERIFIED;
    if (!verifiedWith(constraints, token, parsed)) return UNVERIFIED;
    const payload = decoder.decode(base64Bytes(token.payload));
    if (parsed.cty.toUpperCase() === "JWT") {
      text = payload;
      continue;
    }
    const claims = jsonObject(payload, "JWT payload");
    return claimsHold(claims, constraints) ? [true, parsed.header, claims] : UNVERIFIED;
  }
  return fail("tokens are nested too deeply");
}

function signature(alg: string, jwk: JsonWebKey, text: Uint8Array): Buffer {
  if (alg.startsWith("HS")) {
    if (jwk.kty !== "oct" || typeof jwk.k !== "string") return fail("the key is no symmetric key");
    return hmacOf(alg, Buffer.from(jwk.k, "base64url"), text);
  }
  checkJwk(jwk, true);
  try {
    const key = createPrivateKey({ key: jwk, format: "jwk" });
    const options: SignKeyObjectInput = alg.startsWith("PS")
      ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: createHash(hashOf(alg)).digest().length }
      : alg.startsWith("ES")
      ? { key, dsaEncoding: "ieee-p1363" }
      : { key };
    const kinds: Readonly<Record<string, string>> = { RS: "rsa", PS: "rsa", ES: "ec", Ed: "ed25519" };
    if (key.asymmetricKeyType !== own(kinds, alg.slice(0, 2))) {
      return fail("the key is of another kind than the algorithm");
    }
    return sign(alg === "EdDSA" ? null : hashOf(alg), text, options);
  } catch (error) {
    if (error instanceof BuiltinError) throw error;
    return fail("the key can't sign");
  }
}

function encodeSign(header: string, payload: string, keyText: string): string {
  let jwks: unknown;
  let fields: unknown;
  try {
    jwks = parsed(keyText);
    fields = parsed(header);
  } catch (error) {
    if (error instanceof BuiltinHalt) throw error;
    return fail("headers and key must be JSON");
  }
  if (typeof fields !== "object" || fields === null) return fail("missing or invalid 'alg' header");
  const { alg, typ } = fields as Readonly<Record<string, unknown>>;
  if (typeof alg !== "string") return fail("missing or invalid 'alg' header");
  if (!ALGORITHMS.includes(alg)) return fail(`unknown JWS algorithm: ${alg}`);
  if (typeof typ !== "string" || typ === "JWT") {
    try {
      parsed(payload);
    } catch (error) {
      if (error instanceof BuiltinHalt) throw error;
      return fail("type is JWT but payload is not JSON");
    }
  }
  const list = (jwks as { keys?: unknown } | null)?.keys;
  const jwk: unknown = Array.isArray(list) ? list[0] : jwks;
  if (typeof jwk !== "object" || jwk === null) return fail("no keys found in JWK set");
  const text = `${Buffer.from(header).toString("base64url")}.${Buffer.from(payload).toString("base64url")}`;
  return `${text}.${signature(alg, jwk as JsonWebKey, Buffer.from(text)).toString("base64url")}`;
}

const publicAlgorithms = ALGORITHMS.filter((alg) => !alg.startsWith("HS"));

export const TOKEN_BUILTINS: RegoBuiltins = {
  "io.jwt.decode": ([token = null]) => decode(token),
  "io.jwt.decode_verify": decodeVerify,
  ...Object.fromEntries(
    publicAlgorithms.map((alg) => [`io.jwt.verify_${alg.toLowerCase()}`, verifyPublic(alg)]),
  ),
  ...Object.fromEntries(
    ["HS256", "HS384", "HS512"].map((alg) => [`io.jwt.verify_${alg.toLowerCase()}`, verifySecret(alg)]),
  ),
  "io.jwt.encode_sign": (operands) => {
    const [header = "", payload = "", key = ""] = [0, 1, 2].map((at) =>
      jsonText(jsonTree(objectAt(operands, at)))
    );
    return encodeSign(header, payload, key);
  },
  "io.jwt.encode_sign_raw": (operands) =>
    encodeSign(stringAt(operands, 0), stringAt(operands, 1), stringAt(operands, 2)),
};
