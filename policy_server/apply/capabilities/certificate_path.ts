/**
 * Whether a certificate leads to an anchor: the rules of RFC 5280 as the original's library applies them for any usage and no
 * host name (`spec/evaluator.md §5.7`).
 */
import type { KeyObject } from "node:crypto";
import { type Certificate, CertificateError, type GeneralName, NAME_KIND } from "./certificate.ts";

/** Why no path was found. */
export type PathError =
  | "expired"
  | "not yet valid"
  | "unknown issuer"
  /** Any other reason, by the name that the original shows. */
  | { readonly other: string };

/** The anchors whose subject is a certificate's issuer. */
export type FindAnchors = (issuer: string) => readonly Certificate[];

/** What is worked through at most, so that nobody can build chains that take for ever. */
const MAX_SIGNATURES = 100;
const MAX_STEPS = 1_000;
const MAX_AUTHORITIES = 6;
/** Names held against constraints, as many as the original's library compares. */
const MAX_COMPARISONS = 250_000;
/**
 * What all signatures of one question may cost, in some 50 µs: the thread that serves verifies them. By counts and not by the clock,
 * so that a busy machine distrusts nobody. A hundred signatures of the usual keys are well within it.
 */
const MAX_COST = 1_000;
/** What the curves that are not the usual one cost. */
const CURVE_COSTS: ReadonlyMap<string | undefined, number> = new Map([["secp384r1", 16], ["secp521r1", 32]]);
const USUAL_COST = 4;
const RSA_BITS = { min: 2048, max: 8192 };
/** All that is used is 65537 or less; the work grows with its length. */
const MAX_RSA_EXPONENT = 2n ** 33n;
/** ECDSA, RSA and RSA-PSS with SHA-2, Ed25519. */
const SIGNATURE_ALGORITHMS = new Set([
  "1.2.840.10045.4.3.2",
  "1.2.840.10045.4.3.3",
  "1.2.840.10045.4.3.4",
  "1.2.840.113549.1.1.11",
  "1.2.840.113549.1.1.12",
  "1.2.840.113549.1.1.13",
  "1.2.840.113549.1.1.10",
  "1.3.101.112",
]);

interface Search {
  readonly intermediates: readonly Certificate[];
  readonly findAnchors: FindAnchors;
  /** Milliseconds since 1970. */
  readonly at: number;
  signatures: number;
  steps: number;
  comparisons: number;
  /** Of signatures, in the unit of {@link MAX_COST}. */
  cost: number;
}

class Exhausted extends Error {
  readonly reason: PathError;

  constructor(other: string) {
    super(other);
    this.reason = { other };
  }
}

/** What is wrong with a certificate in itself. */
function ownFault(certificate: Certificate, below: number | undefined, at: number): PathError | undefined {
  const { notBefore, notAfter, isAuthority, pathLength } = certificate;
  if (notBefore > notAfter) return { other: "InvalidCertValidity" };
  // Certificates know seconds only.
  const second = Math.floor(at / 1000) * 1000;
  if (second < notBefore) return "not yet valid";
  if (second > notAfter) return "expired";
  if (below === undefined) return isAuthority ? { other: "CaUsedAsEndEntity" } : undefined;
  if (!isAuthority) return { other: "EndEntityUsedAsCa" };
  return pathLength !== undefined && below > pathLength ? { other: "PathLenConstraintViolated" } : undefined;
}

const lowerText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1").toLowerCase();

function dnsMatches(text: string, suffix: string): boolean {
  if (suffix === "") return true;
  if (suffix.startsWith(".")) return text.endsWith(suffix) && text.length > suffix.length;
  return text === suffix || text.endsWith(`.${suffix}`);
}

function ipMatches(name: Uint8Array, base: Uint8Array): boolean {
  if (base.length !== 2 * name.length) return false;
  return name.every((byte, at) => (byte & base[name.length + at]!) === (base[at]! & base[name.length + at]!));
}

/** Whether names obey the constraints of an authority above them. Kinds that can't be compared are refused. */
function obeys(search: Search, names: readonly GeneralName[], { constraints }: Certificate): boolean {
  if (!constraints) return true;
  const permitted = Map.groupBy(constraints.permitted, ({ kind }) => kind);
  const excluded = Map.groupBy(constraints.excluded, ({ kind }) => kind);
  const texts = new Map<GeneralName, string>();
  for (const base of [...permitted.get(NAME_KIND.dns) ?? [], ...excluded.get(NAME_KIND.dns) ?? []]) {
    texts.set(base, lowerText(base.value));
  }
  return names.every(({ kind, value }) => {
    const inside = permitted.get(kind) ?? [];
    const outside = excluded.get(kind) ?? [];
    if (inside.length + outside.length === 0) return true;
    if (kind !== NAME_KIND.dns && kind !== NAME_KIND.ip) return false;
    search.comparisons += inside.length + outside.length;
    if (search.comparisons > MAX_COMPARISONS) throw new Exhausted("MaximumNameConstraintComparisonsExceeded");
    const text = lowerText(value);
    const matches = (base: GeneralName) =>
      kind === NAME_KIND.dns ? dnsMatches(text, texts.get(base)!) : ipMatches(value, base.value);
    if (outside.some(matches)) return false;
    return inside.length === 0 || inside.some(matches);
  });
}

/** RSA's work grows with the square of the key's length. */
function costOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): number {
  if (asymmetricKeyType === "rsa") return ((asymmetricKeyDetails?.modulusLength ?? RSA_BITS.max) / 1024) ** 2;
  return CURVE_COSTS.get(asymmetricKeyDetails?.namedCurve) ?? USUAL_COST;
}

function signedBy(search: Search, certificate: Certificate, issuer: Certificate): PathError | undefined {
  if (++search.signatures > MAX_SIGNATURES) throw new Exhausted("MaximumSignatureChecksExceeded");
  if (!SIGNATURE_ALGORITHMS.has(certificate.signatureAlgorithm)) {
    return { other: "UnsupportedSignatureAlgorithm" };
  }
  try {
    const key = issuer.node.publicKey;
    const bits = key.asymmetricKeyType === "rsa" ? key.asymmetricKeyDetails?.modulusLength : RSA_BITS.min;
    if (bits === undefined || bits < RSA_BITS.min || bits > RSA_BITS.max) return "unknown issuer";
    if ((key.asymmetricKeyDetails?.publicExponent ?? 0n) > MAX_RSA_EXPONENT) return "unknown issuer";
    search.cost += costOf(key);
    if (search.cost > MAX_COST) throw new Exhausted("MaximumSignatureChecksExceeded");
    return certificate.node.verify(key) ? undefined : "unknown issuer";
  } catch (error) {
    if (error instanceof Exhausted) throw error;
    // A key that the runtime can't use, or that is none.
    return "unknown issuer";
  }
}

/** Checks a whole path, from the anchor down to the leaf, which is its first certificate. */
function pathFault(search: Search, path: readonly Certificate[], anchor: Certificate): PathError | undefined {
  let issuer = anchor;
  for (const certificate of [...path].reverse()) {
    const fault = signedBy(search, certificate, issuer);
    if (fault) return fault;
    issuer = certificate;
  }
  const authorities = [...path.slice(1), anchor];
  const violated = authorities.some((authority, level) =>
    path.slice(0, level + 1).some(({ names }) => !obeys(search, names, authority))
  );
  return violated ? { other: "NameConstraintViolation" } : undefined;
}

const rank = (error: PathError): number => error === "unknown issuer" ? 0 : typeof error === "string" ? 2 : 1;
const moreSpecific = (a: PathError, b: PathError): PathError => rank(b) > rank(a) ? b : a;

/** Goes on from the last certificate of a path. Undefined: an anchor was reached. */
function extend(search: Search, path: readonly Certificate[]): PathError | undefined {
  if (++search.steps > MAX_STEPS) throw new Exhausted("MaximumPathBuildCallsExceeded");
  const last = path.at(-1)!;
  const below = path.length - 2;
  const own = ownFault(last, below < 0 ? undefined : below, search.at);
  if (own) return own;
  let fault: PathError = "unknown issuer";
  for (const anchor of search.findAnchors(last.issuer)) {
    const found = pathFault(search, path, anchor);
    if (!found) return undefined;
    fault = moreSpecific(fault, found);
  }
  if (path.length > MAX_AUTHORITIES) return moreSpecific(fault, { other: "MaximumPathDepthExceeded" });
  for (const next of search.intermediates) {
    if (next.subject !== last.issuer || path.includes(next)) continue;
    const found = extend(search, [...path, next]);
    if (!found) return undefined;
    fault = moreSpecific(fault, found);
  }
  return fault;
}

/** What keeps `leaf` from being trusted at the instant `at` (milliseconds since 1970); undefined: nothing. */
export function pathError(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  findAnchors: FindAnchors,
  at: number,
): PathError | undefined {
  try {
    return extend(
      { intermediates, findAnchors, at, signatures: 0, steps: 0, comparisons: 0, cost: 0 },
      [leaf],
    );
  } catch (error) {
    if (error instanceof Exhausted) return error.reason;
    if (error instanceof CertificateError) return { other: error.message };
    throw error;
  }
}
