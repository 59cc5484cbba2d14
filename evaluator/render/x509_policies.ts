/**
 * Whether a chain's certificate policies are valid where any policy will do (RFC 5280 §6.1 with the graph of RFC 9618). Of the
 * graph only the last level is kept: where any policy will do, all that matters is whether it has a node.
 */

const ANY = "2.5.29.32.0";

import { work } from "./work.ts";

/** What a certificate says about policies. Skips and inhibitions are undefined where it says nothing. */
export interface CertificatePolicies {
  readonly policies: readonly string[];
  readonly mappings: readonly (readonly [issuer: string, subject: string])[];
  readonly requireExplicit: number | undefined;
  readonly inhibitMapping: number | undefined;
  readonly inhibitAny: number | undefined;
  readonly selfIssued: boolean;
}

/** Policies that are valid, each with those that the next certificate may name instead. */
type Level = Map<string, readonly string[]>;

function nextLevel(before: Level, policies: readonly string[], anyAllowed: boolean): Level {
  const level: Level = new Map();
  work(1 + policies.length + before.size);
  const expected = new Set([...before.values()].flat());
  work(expected.size);
  for (const policy of policies) {
    if (policy !== ANY && (expected.has(policy) || before.has(ANY))) level.set(policy, [policy]);
  }
  if (policies.includes(ANY) && anyAllowed) {
    for (const policy of expected) if (!level.has(policy)) level.set(policy, [policy]);
  }
  return level;
}

/** Applies the mappings of an authority. False for one that no authority may make. */
function map(level: Level, mappings: CertificatePolicies["mappings"], allowed: boolean): boolean {
  work(4 * mappings.length);
  if (!allowed) {
    for (const [issuer] of mappings) level.delete(issuer);
    return true;
  }
  if (mappings.some((pair) => pair.includes(ANY))) return false;
  const subjects = Map.groupBy(mappings, ([issuer]) => issuer);
  for (const [issuer, pairs] of subjects) {
    if (level.has(issuer) || level.has(ANY)) level.set(issuer, pairs.map(([, subject]) => subject));
  }
  return true;
}

/** Judges a chain from the leaf to the anchor, which says nothing itself. */
export function policiesValid(chain: readonly CertificatePolicies[]): boolean {
  if (chain.length === 1) return true;
  const count = chain.length - 1;
  let [explicit, mapping, any] = [count + 1, count + 1, count + 1];
  let level: Level | undefined = new Map([[ANY, [ANY]]]);
  for (let at = count - 1; at >= 0; at--) {
    const certificate = chain[at]!;
    if (certificate.policies.length === 0) level = undefined;
    if (explicit === 0 && level === undefined) return false;
    if (level) {
      level = nextLevel(level, certificate.policies, any > 0 || at > 0 && certificate.selfIssued);
      if (at > 0 && !map(level, certificate.mappings, mapping > 0)) return false;
    }
    if (at === 0) break;
    if (!certificate.selfIssued) {
      [explicit, mapping, any] = [explicit, mapping, any].map((skip) => Math.max(0, skip - 1)) as [
        number,
        number,
        number,
      ];
    }
    explicit = Math.min(explicit, certificate.requireExplicit ?? explicit);
    mapping = Math.min(mapping, certificate.inhibitMapping ?? mapping);
    any = Math.min(any, certificate.inhibitAny ?? any);
  }
  const required = explicit <= 1 || chain[0]!.requireExplicit === 0;
  return !required || (level?.size ?? 0) > 0;
}
