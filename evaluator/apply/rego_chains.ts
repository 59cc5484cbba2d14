/**
 * Builtins that verify chains of certificates: `crypto.x509.parse_and_verify_certificates` and `…_with_options`, by the rules of
 * Go's `crypto/x509`. What is verified is what is shown: every rule looks at the fields of `render/x509_fields.ts`.
 */
import { constants, createPublicKey, type KeyObject, verify as verifySignature } from "node:crypto";
import { fail, objectAt, stringAt } from "../render/rego_operands.ts";
import { isList, member } from "../render/rego_value.ts";
import { certificateFields } from "../render/x509_fields.ts";
import { isForHost, type NameTrees, obeysConstraints } from "../render/x509_names.ts";
import { policiesValid } from "../render/x509_policies.ts";
import { certificatesOf, reading } from "../render/x509_text.ts";
import { digitsValue } from "../render/rego_number.ts";
import { pause, work, workOn } from "../render/work.ts";
import {
  BuiltinError,
  BuiltinHalt,
  type RegoBuiltins,
  RegoNumber,
  RegoObject,
  RegoSet,
  type RegoValue,
} from "../types/rego.ts";

import { checkEncodedKey, verifying } from "./key_limits.ts";

/** Signatures that are checked at most; Go gives up there, too. */
const MAX_SIGNATURES = 100;
const INVALID: RegoValue = [false, []];
const ANY_USAGE = 0;
const SERVER_AUTHENTICATION = 1;
const CERTIFICATE_SIGNING = 1 << 5;
const ALTERNATIVE_NAMES = "2.5.29.17";

/** Key usages by the names that policies give them, in the order of Go's numbers. */
const USAGES = [
  ...["KeyUsageAny", "KeyUsageServerAuth", "KeyUsageClientAuth", "KeyUsageCodeSigning"],
  ...["KeyUsageEmailProtection", "KeyUsageIPSECEndSystem", "KeyUsageIPSECTunnel", "KeyUsageIPSECUser"],
  ...["KeyUsageTimeStamping", "KeyUsageOCSPSigning", "KeyUsageMicrosoftServerGatedCrypto"],
  ...["KeyUsageNetscapeServerGatedCrypto", "KeyUsageMicrosoftCommercialCodeSigning"],
  "KeyUsageMicrosoftKernelCodeSigning",
];

/** How signatures are checked, by Go's number of the algorithm. MD5, SHA-1 and DSA vouch for nothing. */
const SIGNATURES: Readonly<Record<number, { readonly key: string; readonly hash: string | null }>> = {
  4: { key: "rsa", hash: "sha256" },
  5: { key: "rsa", hash: "sha384" },
  6: { key: "rsa", hash: "sha512" },
  10: { key: "ec", hash: "sha256" },
  11: { key: "ec", hash: "sha384" },
  12: { key: "ec", hash: "sha512" },
  13: { key: "rsa", hash: "sha256" },
  14: { key: "rsa", hash: "sha384" },
  15: { key: "rsa", hash: "sha512" },
  16: { key: "ed25519", hash: null },
};
const FIRST_PSS = 13;
const MIN_RSA_BITS = 1024;

/** A certificate's fields as they are shown, with the types that they have. */
class ShownCertificate {
  readonly fields: RegoObject;
  #key: KeyObject | undefined;

  constructor(fields: RegoObject) {
    this.fields = fields;
  }

  #field(name: string): RegoValue {
    return member(this.fields, name) ?? null;
  }

  text(name: string): string {
    const value = this.#field(name);
    return typeof value === "string" ? value : "";
  }

  flag(name: string): boolean {
    return this.#field(name) === true;
  }

  count(name: string): number {
    const value = this.#field(name);
    return value instanceof RegoNumber ? Number(value.text) : 0;
  }

  list(name: string): readonly RegoValue[] {
    const value = this.#field(name);
    return isList(value) ? value : [];
  }

  texts(name: string): readonly string[] {
    return this.list(name).filter((value) => typeof value === "string");
  }

  members(name: string, key: string): readonly string[] {
    return this.list(name).map((value) => {
      const found = value instanceof RegoObject ? member(value, key) : undefined;
      return typeof found === "string" ? found : "";
    });
  }

  /** A number of policies; undefined where the certificate has none. */
  skip(name: string): number | undefined {
    const count = this.count(name);
    return count > 0 || this.flag(`${name}Zero`) ? count : undefined;
  }

  bytes(name: string): Uint8Array {
    return Buffer.from(this.text(name), "base64");
  }

  extension(id: readonly number[]): string | undefined {
    const wanted = id.join(".");
    const found = this.list("Extensions").find((value) => {
      work(4);
      const parts = value instanceof RegoObject ? member(value, "Id") : undefined;
      return parts !== undefined && isList(parts) &&
        parts.map((part) => (part as RegoNumber).text).join(".") === wanted;
    });
    return found instanceof RegoObject ? String(member(found, "Value")) : undefined;
  }

  /** The public key. Throws for one that this runtime doesn't know. */
  key(): KeyObject {
    if (this.#key) return this.#key;
    const encoded = Buffer.from(this.bytes("RawSubjectPublicKeyInfo"));
    checkEncodedKey(encoded);
    return this.#key = verifying(createPublicKey({ key: encoded, format: "der", type: "spki" }));
  }

  trees(kind: "Permitted" | "Excluded"): NameTrees {
    const masks = this.members(`${kind}IPRanges`, "Mask");
    return {
      dns: this.texts(`${kind}DNSDomains`),
      emails: this.texts(`${kind}EmailAddresses`),
      uris: this.texts(`${kind}URIDomains`),
      ips: this.members(`${kind}IPRanges`, "IP").map((ip, at) => ({
        ip,
        mask: Buffer.from(masks[at]!, "base64"),
      })),
    };
  }
}

interface Options {
  /** Nanoseconds since 1970. */
  readonly at: bigint;
  readonly host: string;
  readonly usages: readonly number[];
}

interface Search extends Options {
  readonly root: ShownCertificate;
  readonly intermediates: readonly ShownCertificate[];
  signatures: number;
}

type Chain = readonly ShownCertificate[];

function isValid(certificate: ShownCertificate, below: Chain, authority: boolean, at: bigint): boolean {
  if (certificate.list("UnhandledCriticalExtensions").length > 0) return false;
  const child = below.at(-1);
  if (child && child.text("RawIssuer") !== certificate.text("RawSubject")) return false;
  const [from, to] = ["NotBefore", "NotAfter"].map((name) => Date.parse(certificate.text(name)));
  if (!Number.isFinite(from) || !Number.isFinite(to)) return false;
  if (at < BigInt(from!) * 1_000_000n || at > BigInt(to!) * 1_000_000n) return false;
  const hasBasics = certificate.flag("BasicConstraintsValid");
  if (authority && !(hasBasics && certificate.flag("IsCA"))) return false;
  const longest = certificate.count("MaxPathLen");
  return !hasBasics || longest < 0 || below.length - 1 <= longest;
}

function signed(certificate: ShownCertificate, issuer: ShownCertificate): boolean {
  const hasBasics = issuer.flag("BasicConstraintsValid");
  if (hasBasics ? !issuer.flag("IsCA") : issuer.count("Version") === 3) return false;
  const usage = issuer.count("KeyUsage");
  if (usage !== 0 && (usage & CERTIFICATE_SIGNING) === 0) return false;
  const algorithm = certificate.count("SignatureAlgorithm");
  const how = SIGNATURES[algorithm];
  if (!how) return false;
  try {
    const key = issuer.key();
    if (key.asymmetricKeyType !== how.key) return false;
    if (how.key === "rsa" && (key.asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA_BITS) return false;
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
    pause();
    return verifySignature(
      how.hash,
      certificate.bytes("RawTBSCertificate"),
      algorithm >= FIRST_PSS && how.key === "rsa" ? { key, ...pss } : key,
      certificate.bytes("Signature"),
    );
  } catch (error) {
    if (error instanceof BuiltinHalt) throw error;
    // A key that the runtime can't use vouches for nothing.
    return false;
  }
}

const SAN = ALTERNATIVE_NAMES.split(".").map(Number);
const same = (a: ShownCertificate, b: ShownCertificate): boolean =>
  a.text("RawSubject") === b.text("RawSubject") &&
  a.text("RawSubjectPublicKeyInfo") === b.text("RawSubjectPublicKeyInfo") &&
  a.extension(SAN) === b.extension(SAN);

/** Authorities whose key identifier is the one that a certificate names come first. */
function likelihood(certificate: ShownCertificate, issuer: ShownCertificate): number {
  const [named, own] = [certificate.text("AuthorityKeyId"), issuer.text("SubjectKeyId")];
  if (named === own) return 0;
  return named === "" || own === "" ? 1 : 2;
}

/** All ways from the last certificate of a chain to the root. */
function* chains(search: Search, below: Chain): Generator<Chain> {
  const last = below.at(-1)!;
  const issuers = (list: Chain) =>
    list.filter((issuer) => issuer.text("RawSubject") === last.text("RawIssuer"))
      .sort((a, b) => likelihood(last, a) - likelihood(last, b));
  for (const [authority, list] of [[false, [search.root]], [true, search.intermediates]] as const) {
    for (const issuer of issuers(list)) {
      pause();
      if (++search.signatures > MAX_SIGNATURES) return;
      if (below.some((certificate) => same(issuer, certificate)) || !signed(last, issuer)) continue;
      if (!isValid(issuer, below, authority, search.at)) continue;
      if (authority) yield* chains(search, [...below, issuer]);
      else yield [...below, issuer];
    }
  }
}

/** Whether all certificates that restrict their usages leave one of those that are wanted. */
function usagesFit(chain: Chain, wanted: readonly number[]): boolean {
  if (wanted.includes(ANY_USAGE)) return true;
  let left = wanted.length > 0 ? wanted : [SERVER_AUTHENTICATION];
  for (const certificate of chain.toReversed()) {
    const usages = certificate.list("ExtKeyUsage").map((usage) => Number((usage as RegoNumber).text));
    const restricts = usages.length + certificate.list("UnknownExtKeyUsage").length > 0;
    if (restricts && !usages.includes(ANY_USAGE)) left = left.filter((usage) => usages.includes(usage));
  }
  return left.length > 0;
}

const CONSTRAINTS = [2, 5, 29, 30];

function namesFit(chain: Chain): boolean {
  return chain.every((certificate, at) => {
    if (certificate.extension(SAN) === undefined) return true;
    const names = {
      dns: certificate.texts("DNSNames"),
      emails: certificate.texts("EmailAddresses"),
      uriHosts: certificate.members("URIs", "Host"),
      ips: certificate.texts("IPAddresses"),
    };
    return chain.slice(at + 1).filter((authority) => authority.extension(CONSTRAINTS) !== undefined)
      .every((authority) =>
        obeysConstraints(names, authority.trees("Permitted"), authority.trees("Excluded"))
      );
  });
}

function policiesFit(chain: Chain): boolean {
  return policiesValid(chain.map((certificate) => {
    const subjects = certificate.members("PolicyMappings", "SubjectDomainPolicy");
    return {
      policies: certificate.texts("Policies"),
      mappings: certificate.members("PolicyMappings", "IssuerDomainPolicy").map((issuer, at) =>
        [issuer, subjects[at]!] as const
      ),
      requireExplicit: certificate.skip("RequireExplicitPolicy"),
      inhibitMapping: certificate.skip("InhibitPolicyMapping"),
      inhibitAny: certificate.skip("InhibitAnyPolicy"),
      selfIssued: certificate.text("RawIssuer") === certificate.text("RawSubject"),
    };
  }));
}

/** The chain from the last certificate to the first, which is trusted; undefined where there is none. */
function verifiedChain(
  certificates: Chain,
  options: Options,
): Chain | undefined {
  const [root, ...others] = certificates;
  const leaf = others.pop();
  if (!root || !leaf || !isValid(leaf, [], false, options.at)) return undefined;
  if (options.host !== "") {
    const names = { dns: leaf.texts("DNSNames"), ips: leaf.texts("IPAddresses") };
    if (!isForHost(names, options.host)) return undefined;
  }
  const search: Search = { ...options, root, intermediates: distinct(others), signatures: 0 };
  const found = root.text("Raw") === leaf.text("Raw") ? [[leaf]] : chains(search, [leaf]);
  for (const chain of found) {
    if (policiesFit(chain) && usagesFit(chain, options.usages) && namesFit(chain)) return chain;
  }
  return undefined;
}

function distinct(certificates: Chain): Chain {
  const seen = new Map<string, ShownCertificate>();
  for (const certificate of certificates) {
    if (!seen.has(certificate.text("Raw"))) seen.set(certificate.text("Raw"), certificate);
  }
  return [...seen.values()];
}

function shown(text: string, uriStrings: boolean): Chain | undefined {
  try {
    return reading(() =>
      certificatesOf(text).map((certificate) =>
        new ShownCertificate(certificateFields(certificate, uriStrings))
      )
    );
  } catch (error) {
    if (error instanceof BuiltinError) return undefined;
    throw error;
  }
}

const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

function integer(name: string, value: RegoValue): bigint {
  if (!(value instanceof RegoNumber)) return fail(`'${name}' should be a number`);
  const whole = /^-?\d+$/.test(value.text) ? digitsValue(value.text) : undefined;
  if (whole === undefined || whole < INT64.min || whole > INT64.max) {
    return fail(`'${name}' should be a valid int64 number`);
  }
  return whole;
}

function unquoted(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && text[start] === '"') start++;
  while (end > start && text[end - 1] === '"') end--;
  workOn(16 * (text.length - (end - start)));
  return text.slice(start, end);
}

function usagesOf(value: RegoValue): readonly number[] {
  const list = value instanceof RegoSet ? value.members : isList(value) ? value : undefined;
  if (!list) return fail("'KeyUsages' should be an Array or Set");
  return list.filter((usage) => typeof usage === "string").map((usage) => {
    const index = USAGES.indexOf(unquoted(usage));
    return index >= 0 ? index : fail(`invalid entries for 'KeyUsages' found: [${usage}]`);
  });
}

function optionsOf(given: RegoObject, now: bigint): Options {
  let options: Options = { at: now, host: "", usages: [] };
  for (const [key, value] of given.entries) {
    switch (key) {
      case "DNSName":
        if (typeof value !== "string") return fail("'DNSName' should be a string");
        options = { ...options, host: unquoted(value) };
        break;
      case "CurrentTime":
        options = { ...options, at: integer(key, value) };
        break;
      case "MaxConstraintComparisons":
        // Go no longer compares so much that there is anything to limit.
        integer(key, value);
        break;
      case "KeyUsages":
        options = { ...options, usages: usagesOf(value) };
        break;
      default:
        if (typeof key === "string") return fail("invalid key option");
    }
  }
  return options;
}

const answer = (chain: Chain | undefined): RegoValue =>
  chain ? [true, chain.map(({ fields }) => fields)] : INVALID;

/** The builtins. */
export const CHAIN_BUILTINS: RegoBuiltins = {
  "crypto.x509.parse_and_verify_certificates": (operands, context) => {
    const certificates = shown(stringAt(operands, 0), true);
    const options = { at: context.now(), host: "", usages: [] };
    return answer(certificates && verifiedChain(certificates, options));
  },
  "crypto.x509.parse_and_verify_certificates_with_options": (operands, context) => {
    const text = stringAt(operands, 0);
    const given = objectAt(operands, 1);
    // OPA shows no `URIStrings` here.
    const certificates = shown(text, false);
    if (!certificates) return INVALID;
    return answer(verifiedChain(certificates, optionsOf(given, context.now())));
  },
};
