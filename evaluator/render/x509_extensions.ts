/**
 * Extensions of certificates, and what each sets of the fields of Go's `x509.Certificate`. What Go refuses is refused:
 * repeated extensions, names that no constraint can be held against.
 */
import type { RegoValue } from "../types/rego.ts";
import { type DerElement, DerError, latin } from "./der.ts";
import { parseAddress } from "./ip_address.ts";
import { number, recordOf } from "./rego_value.ts";
import { work } from "./work.ts";
import { at, base64, type Fields, missing, oidText, oidValue, orNull } from "./x509_elements.ts";
import { constraintAddress, isDomain, mailboxOf } from "./x509_names.ts";

const USAGES = [
  ...["2.5.29.37.0", "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.3", "1.3.6.1.5.5.7.3.4"],
  ...[
    "1.3.6.1.5.5.7.3.5",
    "1.3.6.1.5.5.7.3.6",
    "1.3.6.1.5.5.7.3.7",
    "1.3.6.1.5.5.7.3.8",
    "1.3.6.1.5.5.7.3.9",
  ],
  ...["1.3.6.1.4.1.311.10.3.3", "2.16.840.1.113730.4.1", "1.3.6.1.4.1.311.2.1.22", "1.3.6.1.4.1.311.61.1.1"],
];

/** An extension as it stands in a certificate. */
export interface Extension {
  readonly id: string;
  readonly oid: RegoValue;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** Reads a list of extensions. Throws {@link DerError}, also for one that is there twice. */
export function extensionsOf(list: DerElement): readonly Extension[] {
  const seen = new Set<string>();
  return list.list().map((extension) => {
    const parts = extension.list();
    const type = at(parts, 0);
    const critical = parts.length === 3 && at(parts, 1).boolean();
    const value = at(parts, parts.length - 1).expect(0x04).content;
    const id = oidText(type);
    work(16);
    if (seen.has(id)) throw new DerError(`the extension ${id} is there twice`);
    seen.add(id);
    return { id, oid: oidValue(type), critical, value };
  });
}

/** An extension as Go shows it. */
export const extensionValue = ({ oid, critical, value }: Extension): RegoValue =>
  recordOf({ Id: oid, Critical: critical, Value: base64(value) });

type Constraints = Readonly<Record<"dns" | "ips" | "emails" | "uris", RegoValue[]>>;

/** The trees of names of one list, by kind. */
function subtrees(list: DerElement | undefined): Constraints {
  const found: Constraints = { dns: [], ips: [], emails: [], uris: [] };
  for (const subtree of list?.children() ?? []) {
    work(8);
    const { tag, content } = at(subtree.list(), 0);
    const text = latin(content);
    const refuse = (): never => {
      throw new DerError(`a constraint that is none: ${JSON.stringify(text)}`);
    };
    if ([0x81, 0x82, 0x86].includes(tag) && content.some((byte) => byte > 0x7f)) refuse();
    if (tag === 0x82) found.dns.push(isDomain(text, true) ? text : refuse());
    else if (tag === 0x81) {
      found.emails.push((text.includes("@") ? mailboxOf(text) : isDomain(text, true)) ? text : refuse());
    } else if (tag === 0x86) {
      found.uris.push(!parseAddress(text) && isDomain(text, true) ? text : refuse());
    } else if (tag === 0x87) {
      const { ip, mask } = constraintAddress(content) ?? refuse();
      found.ips.push(recordOf({ IP: ip, Mask: base64(mask) }));
    }
  }
  return found;
}

/** Whether name constraints hold a tree of a kind that Go can't hold names against. */
export function hasUnknownTree(constraints: DerElement): boolean {
  return constraints.list().flatMap((list) => list.children())
    .some((tree) => ![0x81, 0x82, 0x86, 0x87].includes(at(tree.list(), 0).tag));
}

/** A number with a tag of its own, as policy constraints have it. */
function tagged(list: readonly DerElement[], tag: number): number | undefined {
  const element = list.find((candidate) => candidate.tag === tag);
  if (!element) return undefined;
  if (element.content.length === 0 || element.content.length > 4) throw new DerError("a strange number");
  const value = element.content.reduce((sum, byte) => sum * 256 + byte, 0);
  return element.content[0]! & 0x80 ? value - 256 ** element.content.length : value;
}

type ReadFields = (value: DerElement, critical: boolean) => Fields;

/** How the fields are read that an extension sets, by its identifier. */
const EXTENSIONS: ReadonlyMap<string, ReadFields> = new Map<string, ReadFields>([
  ["2.5.29.30", (value, critical) => { // name constraints
    const parts = value.list();
    const permitted = subtrees(parts.find(({ tag }) => tag === 0xa0));
    const excluded = subtrees(parts.find(({ tag }) => tag === 0xa1));
    if (parts.every(({ content }) => content.length === 0)) throw new DerError("empty name constraints");
    return {
      PermittedDNSDomainsCritical: critical,
      PermittedDNSDomains: orNull(permitted.dns),
      ExcludedDNSDomains: orNull(excluded.dns),
      PermittedIPRanges: orNull(permitted.ips),
      ExcludedIPRanges: orNull(excluded.ips),
      PermittedEmailAddresses: orNull(permitted.emails),
      ExcludedEmailAddresses: orNull(excluded.emails),
      PermittedURIDomains: orNull(permitted.uris),
      ExcludedURIDomains: orNull(excluded.uris),
    };
  }],
  ["2.5.29.33", (value) => { // policy mappings
    return {
      PolicyMappings: orNull(
        value.list().map((mapping) => {
          const [issuer, subject] = mapping.list();
          return recordOf({
            IssuerDomainPolicy: oidText(issuer ?? missing()),
            SubjectDomainPolicy: oidText(subject ?? missing()),
          });
        }),
      ),
    };
  }],
  ["2.5.29.36", (value) => { // policy constraints
    const explicit = tagged(value.list(), 0x80);
    const inhibited = tagged(value.list(), 0x81);
    return {
      RequireExplicitPolicy: number(explicit ?? 0),
      RequireExplicitPolicyZero: explicit === 0,
      InhibitPolicyMapping: number(inhibited ?? 0),
      InhibitPolicyMappingZero: inhibited === 0,
    };
  }],
  ["2.5.29.54", (value) => { // inhibit any-policy
    const inhibited = value.integer();
    return { InhibitAnyPolicy: number(inhibited), InhibitAnyPolicyZero: inhibited === 0n };
  }],
  ["2.5.29.15", (value) => { // key usage
    const { has } = value.bits();
    return {
      KeyUsage: number(
        Array.from({ length: 9 }, (_, bit) => has(bit) ? 1 << bit : 0).reduce((a, b) => a | b),
      ),
    };
  }],
  ["2.5.29.19", (value) => { // basic constraints
    const parts = value.list();
    const isCa = parts[0]?.tag === 0x01 && parts[0].boolean();
    const limit = parts.find(({ tag }) => tag === 0x02)?.integer();
    return {
      BasicConstraintsValid: true,
      IsCA: isCa,
      MaxPathLen: number(limit ?? -1),
      MaxPathLenZero: limit === 0n,
    };
  }],
  ["2.5.29.31", (value) => { // CRL distribution points
    const names = value.list().flatMap((point) => point.children().filter(({ tag }) => tag === 0xa0))
      .flatMap((name) => name.children().filter(({ tag }) => tag === 0xa0)).flatMap((full) =>
        full.children()
      );
    return {
      CRLDistributionPoints: orNull(
        names.filter(({ tag }) => tag === 0x86).map(({ content }) => latin(content)),
      ),
    };
  }],
  ["2.5.29.35", (value) => { // authority key identifier
    const key = value.list().find(({ tag }) => tag === 0x80);
    return { AuthorityKeyId: key ? base64(key.content) : null };
  }],
  ["2.5.29.14", (value, critical) => { // subject key identifier
    if (critical) throw new DerError("a critical subject key identifier");
    return { SubjectKeyId: base64(value.expect(0x04).content) };
  }],
  ["2.5.29.37", (value) => { // extended key usage
    const known: RegoValue[] = [];
    const unknown: RegoValue[] = [];
    for (const usage of value.list()) {
      const index = USAGES.indexOf(oidText(usage));
      if (index >= 0) known.push(number(index));
      else unknown.push(oidValue(usage));
    }
    return { ExtKeyUsage: orNull(known), UnknownExtKeyUsage: orNull(unknown) };
  }],
  ["2.5.29.32", (value) => { // certificate policies
    const policies = value.list().map((policy) => at(policy.list(), 0));
    return { Policies: orNull(policies.map(oidText)), PolicyIdentifiers: orNull(policies.map(oidValue)) };
  }],
  ["1.3.6.1.5.5.7.1.1", (value, critical) => { // authority information access
    if (critical) throw new DerError("a critical authority information access");
    const urls = (method: string) =>
      value.list().map((access) => access.list())
        .filter(([type, place]) => oidText(type ?? missing()) === method && place?.tag === 0x86)
        .map(([, place]) => latin(place!.content));
    return {
      OCSPServer: orNull(urls("1.3.6.1.5.5.7.48.1")),
      IssuingCertificateURL: orNull(urls("1.3.6.1.5.5.7.48.2")),
    };
  }],
]);

/** What an extension sets. Undefined for one that Go does not know. */
export function knownExtension({ id, critical }: Extension, value: DerElement): Fields | undefined {
  return EXTENSIONS.get(id)?.(value, critical);
}

/** The fields that no extension has set. */
export const NO_EXTENSIONS: Fields = {
  ...Object.fromEntries(
    [
      ...["AuthorityKeyId", "SubjectKeyId", "CRLDistributionPoints", "ExtKeyUsage", "UnknownExtKeyUsage"],
      ...["OCSPServer", "IssuingCertificateURL", "Policies", "PolicyIdentifiers", "PolicyMappings"],
      ...["PermittedDNSDomains", "ExcludedDNSDomains", "PermittedEmailAddresses", "ExcludedEmailAddresses"],
      ...[
        "PermittedIPRanges",
        "ExcludedIPRanges",
        "PermittedURIDomains",
        "ExcludedURIDomains",
        "ExtraExtensions",
      ],
    ].map((name) => [name, null]),
  ),
  BasicConstraintsValid: false,
  IsCA: false,
  MaxPathLenZero: false,
  PermittedDNSDomainsCritical: false,
  InhibitAnyPolicyZero: false,
  InhibitPolicyMappingZero: false,
  RequireExplicitPolicyZero: false,
  KeyUsage: number(0),
  MaxPathLen: number(0),
  InhibitAnyPolicy: number(0),
  InhibitPolicyMapping: number(0),
  RequireExplicitPolicy: number(0),
};
