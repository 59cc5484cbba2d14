/** Certificates and certificate requests as the fields of Go's `x509.Certificate` and `x509.CertificateRequest`, which OPA shows. */
import { RegoObject, type RegoValue } from "../types/rego.ts";
import { type DerElement, DerError, elements, latin } from "./der.ts";
import { parseUrl } from "./go_url.ts";
import { addressText } from "./ip_address.ts";
import { number, recordOf } from "./rego_value.ts";

/** Standard base64. */
export const base64 = (bytes: Uint8Array): string => btoa(latin(bytes));

type Fields = Record<string, RegoValue>;
const oidText = (element: DerElement) => element.oid().join(".");
const oidValue = (element: DerElement): RegoValue => element.oid().map((part) => number(part));
const orNull = (list: readonly RegoValue[]): RegoValue => list.length > 0 ? list : null;

const SIGNATURES: Readonly<Record<string, number>> = {
  "1.2.840.113549.1.1.2": 1,
  "1.2.840.113549.1.1.4": 2,
  "1.2.840.113549.1.1.5": 3,
  "1.3.14.3.2.29": 3,
  "1.2.840.113549.1.1.11": 4,
  "1.2.840.113549.1.1.12": 5,
  "1.2.840.113549.1.1.13": 6,
  "1.2.840.10040.4.3": 7,
  "2.16.840.1.101.3.4.3.2": 8,
  "1.2.840.10045.4.1": 9,
  "1.2.840.10045.4.3.2": 10,
  "1.2.840.10045.4.3.3": 11,
  "1.2.840.10045.4.3.4": 12,
  "1.3.101.112": 16,
};
/** RSA-PSS by its hash. */
const PSS: Readonly<Record<string, number>> = {
  "2.16.840.1.101.3.4.2.1": 13,
  "2.16.840.1.101.3.4.2.2": 14,
  "2.16.840.1.101.3.4.2.3": 15,
};
const CURVES: Readonly<Record<string, number>> = {
  "1.3.132.0.33": 28,
  "1.2.840.10045.3.1.7": 32,
  "1.3.132.0.34": 48,
  "1.3.132.0.35": 66,
};
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
const NAME_LISTS: Readonly<Record<string, string>> = {
  "2.5.4.6": "Country",
  "2.5.4.7": "Locality",
  "2.5.4.8": "Province",
  "2.5.4.9": "StreetAddress",
  "2.5.4.10": "Organization",
  "2.5.4.11": "OrganizationalUnit",
  "2.5.4.17": "PostalCode",
};

function at(list: readonly DerElement[], index: number): DerElement {
  return list[index] ?? missing();
}

function missing(): never {
  throw new DerError("an element is missing");
}

/** A distinguished name. */
function nameOf(name: DerElement): RegoValue {
  const lists = new Map<string, RegoValue[]>(Object.values(NAME_LISTS).map((list) => [list, []]));
  const names: RegoValue[] = [];
  let [commonName, serialNumber] = ["", ""];
  for (const set of name.list()) {
    for (const attribute of set.list(0x31)) {
      const [type, value] = attribute.list();
      const text = (value ?? missing()).text();
      const id = oidText(type!);
      names.push(recordOf({ Type: oidValue(type!), Value: text }));
      if (id === "2.5.4.3") commonName = text;
      else if (id === "2.5.4.5") serialNumber = text;
      else if (Object.hasOwn(NAME_LISTS, id)) lists.get(NAME_LISTS[id]!)!.push(text);
    }
  }
  return recordOf({
    ...Object.fromEntries([...lists].map(([list, values]) => [list, orNull(values)])),
    CommonName: commonName,
    SerialNumber: serialNumber,
    Names: orNull(names),
    ExtraNames: null,
  });
}

function signatureAlgorithm(algorithm: DerElement): RegoValue {
  const [type, parameters] = algorithm.list();
  const id = oidText(type ?? missing());
  if (id !== "1.2.840.113549.1.1.10") return number(SIGNATURES[id] ?? 0);
  const hash = parameters?.children().find(({ tag }) => tag === 0xa0)?.children()[0]?.children()[0];
  return number(hash ? PSS[oidText(hash)] ?? 0 : 0);
}

function publicKey(info: DerElement): Fields {
  const [algorithm, key] = info.list();
  const [type, parameters] = (algorithm ?? missing()).list();
  const { bytes } = (key ?? missing()).bits();
  switch (oidText(type ?? missing())) {
    case "1.2.840.113549.1.1.1": {
      const [n, e] = at(elements(bytes), 0).list();
      const fields = { N: number((n ?? missing()).integer()), E: number((e ?? missing()).integer()) };
      return { PublicKeyAlgorithm: number(1), PublicKey: recordOf(fields) };
    }
    case "1.2.840.10045.2.1": {
      const size = CURVES[oidText(parameters ?? missing())];
      if (size === undefined || bytes[0] !== 4 || bytes.length !== 1 + 2 * size) {
        throw new DerError("an unknown curve");
      }
      const coordinate = (from: number) =>
        number(bytes.subarray(from, from + size).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n));
      const fields = { Curve: new RegoObject([]), X: coordinate(1), Y: coordinate(1 + size) };
      return { PublicKeyAlgorithm: number(3), PublicKey: recordOf(fields) };
    }
    case "1.3.101.112":
      return { PublicKeyAlgorithm: number(4), PublicKey: base64(bytes) };
  }
  return { PublicKeyAlgorithm: number(0), PublicKey: null };
}

function ipText(bytes: Uint8Array): string {
  if (bytes.length !== 4 && bytes.length !== 16) throw new DerError("an address of a strange length");
  const bits = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return addressText({ version: bytes.length === 4 ? 4 : 6, bits });
}

function uriOf(text: string): RegoValue {
  const { scheme, host, path, rawPath, rawQuery, fragment } = parseUrl(text);
  const opaque = host === "" && path === "" ? text.slice(scheme.length + 1).replace(/[?#].*$/s, "") : "";
  return recordOf({
    Scheme: scheme,
    Opaque: opaque,
    User: /^[^/?#]*\/\/[^/?#]*@/.test(text) ? new RegoObject([]) : null,
    Host: host,
    Path: path,
    RawPath: rawPath,
    ForceQuery: /\?(#|$)/.test(text),
    RawQuery: rawQuery,
    Fragment: fragment,
    RawFragment: "",
    OmitHost: false,
  });
}

interface AlternativeNames {
  readonly dns: RegoValue[];
  readonly emails: RegoValue[];
  readonly addresses: RegoValue[];
  readonly uris: string[];
}

function alternativeNames(value: DerElement): AlternativeNames {
  const names: AlternativeNames = { dns: [], emails: [], addresses: [], uris: [] };
  for (const { tag, content } of value.list()) {
    if (tag === 0x81) names.emails.push(latin(content));
    else if (tag === 0x82) names.dns.push(latin(content));
    else if (tag === 0x86) names.uris.push(latin(content));
    else if (tag === 0x87) names.addresses.push(ipText(content));
  }
  return names;
}

function namesFields({ dns, emails, addresses, uris }: AlternativeNames): Fields {
  return {
    DNSNames: orNull(dns),
    EmailAddresses: orNull(emails),
    IPAddresses: orNull(addresses),
    URIs: orNull(uris.map(uriOf)),
  };
}

const NO_NAMES: AlternativeNames = { dns: [], emails: [], addresses: [], uris: [] };

interface Extension {
  readonly id: string;
  readonly oid: RegoValue;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

function extensionsOf(list: DerElement): readonly Extension[] {
  return list.list().map((extension) => {
    const parts = extension.list();
    const type = at(parts, 0);
    const critical = parts.length === 3 && at(parts, 1).boolean();
    const value = at(parts, parts.length - 1).expect(0x04).content;
    return { id: oidText(type), oid: oidValue(type), critical, value };
  });
}

const extensionValue = ({ oid, critical, value }: Extension) =>
  recordOf({ Id: oid, Critical: critical, Value: base64(value) });

/** What an extension that stands alone sets; undefined for one that Go does not know. */
function knownExtension(id: string, value: DerElement): Fields | undefined {
  switch (id) {
    case "2.5.29.15": {
      const { has } = value.bits();
      return {
        KeyUsage: number(
          Array.from({ length: 9 }, (_, bit) => has(bit) ? 1 << bit : 0).reduce((a, b) => a | b),
        ),
      };
    }
    case "2.5.29.19": {
      const parts = value.list();
      const isCa = parts[0]?.tag === 0x01 && parts[0].boolean();
      const limit = parts.find(({ tag }) => tag === 0x02)?.integer();
      return {
        BasicConstraintsValid: true,
        IsCA: isCa,
        MaxPathLen: number(limit ?? -1),
        MaxPathLenZero: limit === 0n,
      };
    }
    case "2.5.29.31": {
      const names = value.list().flatMap((point) => point.children().filter(({ tag }) => tag === 0xa0))
        .flatMap((name) => name.children().filter(({ tag }) => tag === 0xa0)).flatMap((full) =>
          full.children()
        );
      return {
        CRLDistributionPoints: orNull(
          names.filter(({ tag }) => tag === 0x86).map(({ content }) => latin(content)),
        ),
      };
    }
    case "2.5.29.35": {
      const key = value.list().find(({ tag }) => tag === 0x80);
      return { AuthorityKeyId: key ? base64(key.content) : null };
    }
    case "2.5.29.14":
      return { SubjectKeyId: base64(value.expect(0x04).content) };
    case "2.5.29.37": {
      const known: RegoValue[] = [];
      const unknown: RegoValue[] = [];
      for (const usage of value.list()) {
        const index = USAGES.indexOf(oidText(usage));
        if (index >= 0) known.push(number(index));
        else unknown.push(oidValue(usage));
      }
      return { ExtKeyUsage: orNull(known), UnknownExtKeyUsage: orNull(unknown) };
    }
    case "2.5.29.32": {
      const policies = value.list().map((policy) => at(policy.list(), 0));
      return { Policies: orNull(policies.map(oidText)), PolicyIdentifiers: orNull(policies.map(oidValue)) };
    }
    case "1.3.6.1.5.5.7.1.1": {
      const urls = (method: string) =>
        value.list().map((access) => access.list())
          .filter(([type, place]) => oidText(type ?? missing()) === method && place?.tag === 0x86)
          .map(([, place]) => latin(place!.content));
      return {
        OCSPServer: orNull(urls("1.3.6.1.5.5.7.48.1")),
        IssuingCertificateURL: orNull(urls("1.3.6.1.5.5.7.48.2")),
      };
    }
  }
  return undefined;
}

/** Extensions whose fields are not shown here: what would be missing must not look as if it were not there. */
const REFUSED = ["2.5.29.30", "2.5.29.33", "2.5.29.36", "2.5.29.54"];

const NO_EXTENSIONS: Fields = {
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

/** A certificate's fields. Throws {@link DerError}, or UrlError for a URI that is none. */
export function certificateFields(certificate: DerElement): RegoValue {
  const [toBeSigned, , signature] = certificate.list();
  const parts = [...(toBeSigned ?? missing()).list()];
  const version = parts[0]?.tag === 0xa0 ? Number(at(parts.shift()!.children(), 0).integer()) + 1 : 1;
  const [serial, algorithm, issuer, validity, subject, keyInfo] = parts;
  const [from, to] = (validity ?? missing()).list();
  const list = parts.find(({ tag }) => tag === 0xa3)?.children()[0];
  const extensions = list ? extensionsOf(list) : [];
  let names = NO_NAMES;
  const fields: Fields = {};
  const unhandled: RegoValue[] = [];
  for (const { id, oid, critical, value } of extensions) {
    if (REFUSED.includes(id)) throw new DerError(`the extension ${id} can't be shown`);
    const element = elements(value)[0];
    if (id === "2.5.29.17") names = alternativeNames(element ?? missing());
    else {
      const known = element && knownExtension(id, element);
      if (known) Object.assign(fields, known);
      else if (critical) unhandled.push(oid);
    }
  }
  return recordOf({
    ...NO_EXTENSIONS,
    Raw: base64(certificate.bytes),
    RawTBSCertificate: base64(toBeSigned!.bytes),
    RawSubjectPublicKeyInfo: base64((keyInfo ?? missing()).bytes),
    RawSubject: base64(subject!.bytes),
    RawIssuer: base64(issuer!.bytes),
    Signature: base64((signature ?? missing()).bits().bytes),
    SignatureAlgorithm: signatureAlgorithm(algorithm!),
    ...publicKey(keyInfo!),
    Version: number(version),
    SerialNumber: number(serial!.integer()),
    Issuer: nameOf(issuer!),
    Subject: nameOf(subject!),
    NotBefore: (from ?? missing()).time(),
    NotAfter: (to ?? missing()).time(),
    Extensions: orNull(extensions.map(extensionValue)),
    ...fields,
    ...namesFields(names),
    URIStrings: orNull(names.uris),
    UnhandledCriticalExtensions: orNull(unhandled),
  });
}

const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";

/** Attributes that Go can hold: of each pair in them the type, and what comes second. */
function attributesOf(list: readonly DerElement[]): RegoValue {
  return orNull(list.flatMap((attribute) => {
    const [type, values] = attribute.list();
    if (oidText(type ?? missing()) !== EXTENSION_REQUEST) return [];
    const sets = (values ?? missing()).list(0x31).map((set) =>
      set.list().map((pair) => {
        const [id, value] = pair.list();
        const shown = (value ?? missing()).tag === 0x01
          ? value!.boolean()
          : base64(value!.expect(0x04).content);
        return recordOf({ Type: oidValue(id!), Value: shown });
      })
    );
    return [recordOf({ Type: oidValue(type!), Value: sets })];
  }));
}

/** A certificate request's fields. Throws {@link DerError}, or UrlError for a URI that is none. */
export function requestFields(request: DerElement): RegoValue {
  const [toBeSigned, algorithm, signature] = request.list();
  const [version, subject, keyInfo, attributes] = (toBeSigned ?? missing()).list();
  const list = attributes?.children() ?? [];
  const wanted = list.find((attribute) => oidText(at(attribute.list(), 0)) === EXTENSION_REQUEST);
  const extensions = wanted ? extensionsOf(at(at(wanted.list(), 1).list(0x31), 0)) : [];
  const names = extensions.find(({ id }) => id === "2.5.29.17");
  return recordOf({
    Raw: base64(request.bytes),
    RawTBSCertificateRequest: base64(toBeSigned!.bytes),
    RawSubjectPublicKeyInfo: base64((keyInfo ?? missing()).bytes),
    RawSubject: base64(subject!.bytes),
    Version: number(version!.integer()),
    Signature: base64((signature ?? missing()).bits().bytes),
    SignatureAlgorithm: signatureAlgorithm(algorithm ?? missing()),
    ...publicKey(keyInfo!),
    Subject: nameOf(subject!),
    Attributes: attributesOf(list),
    Extensions: orNull(extensions.map(extensionValue)),
    ExtraExtensions: null,
    ...namesFields(names ? alternativeNames(at(elements(names.value), 0)) : NO_NAMES),
  });
}
