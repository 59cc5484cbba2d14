/** Certificates and certificate requests as the fields of Go's `x509.Certificate` and `x509.CertificateRequest`, which OPA shows. */
import { own } from "../../program/types/own.ts";
import { RegoObject, type RegoValue } from "../types/rego.ts";
import { type DerElement, DerError, elements, latin, unsigned } from "./der.ts";
import { parseUrl } from "./go_url.ts";
import { addressText } from "./ip_address.ts";
import { number, recordOf } from "./rego_value.ts";
import { work } from "./work.ts";
import { at, base64, type Fields, missing, oidText, oidValue, orNull } from "./x509_elements.ts";
import {
  extensionsOf,
  extensionValue,
  hasUnknownTree,
  knownExtension,
  NO_EXTENSIONS,
} from "./x509_extensions.ts";

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
const NAME_LISTS: Readonly<Record<string, string>> = {
  "2.5.4.6": "Country",
  "2.5.4.7": "Locality",
  "2.5.4.8": "Province",
  "2.5.4.9": "StreetAddress",
  "2.5.4.10": "Organization",
  "2.5.4.11": "OrganizationalUnit",
  "2.5.4.17": "PostalCode",
};

/** A distinguished name. */
function nameOf(name: DerElement): RegoValue {
  work(16);
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
      else if (Object.hasOwn(NAME_LISTS, id)) lists.get(own(NAME_LISTS, id)!)!.push(text);
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
  if (id !== "1.2.840.113549.1.1.10") return number(own(SIGNATURES, id) ?? 0);
  const hash = parameters?.children().find(({ tag }) => tag === 0xa0)?.children()[0]?.children()[0];
  return number(hash ? own(PSS, oidText(hash)) ?? 0 : 0);
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
      const size = own(CURVES, oidText(parameters ?? missing()));
      if (size === undefined || bytes[0] !== 4 || bytes.length !== 1 + 2 * size) {
        throw new DerError("an unknown curve");
      }
      const coordinate = (from: number) => number(unsigned(bytes.subarray(from, from + size)));
      const fields = { Curve: new RegoObject([]), X: coordinate(1), Y: coordinate(1 + size) };
      return { PublicKeyAlgorithm: number(3), PublicKey: recordOf(fields) };
    }
    case "1.2.840.10040.4.1":
      throw new DerError("DSA keys can't be shown");
    case "1.3.101.112":
      return { PublicKeyAlgorithm: number(4), PublicKey: base64(bytes) };
  }
  return { PublicKeyAlgorithm: number(0), PublicKey: null };
}

function ipText(bytes: Uint8Array): string {
  if (bytes.length !== 4 && bytes.length !== 16) throw new DerError("an address of a strange length");
  const bits = unsigned(bytes);
  return addressText({ version: bytes.length === 4 ? 4 : 6, bits });
}

function uriOf(text: string): RegoValue {
  work(64);
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
    work(8);
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

/**
 * A certificate's fields, as Go's JSON has them, or with `URIStrings`, which OPA adds. Throws {@link DerError}, or UrlError for a
 * URI that is none.
 */
export function certificateFields(certificate: DerElement, uriStrings = true): RegoObject {
  const [toBeSigned, outerAlgorithm, signature] = certificate.list();
  const parts = [...(toBeSigned ?? missing()).list()];
  const version = parts[0]?.tag === 0xa0 ? Number(at(parts.shift()!.children(), 0).integer()) + 1 : 1;
  const [serial, algorithm, issuer, validity, subject, keyInfo] = parts;
  const [from, to] = (validity ?? missing()).list();
  if (version > 3) throw new DerError("an unknown version");
  if (serial!.integer() < 0n) throw new DerError("a negative serial number");
  if (base64((algorithm ?? missing()).bytes) !== base64((outerAlgorithm ?? missing()).bytes)) {
    throw new DerError("the signature's algorithm is not the one that was signed");
  }
  const list = parts.find(({ tag }) => tag === 0xa3)?.children()[0];
  const extensions = list ? extensionsOf(list) : [];
  let names = NO_NAMES;
  const fields: Fields = {};
  const unhandled: RegoValue[] = [];
  for (const extension of extensions) {
    const { id, oid, critical, value } = extension;
    const element = elements(value)[0];
    let known: Fields | undefined;
    if (id === "2.5.29.17") {
      names = alternativeNames(element ?? missing());
      // Where Go finds no name that it knows, it does not know the extension.
      known = Object.values(names).some(({ length }) => length > 0) ? {} : undefined;
    } else known = element && knownExtension(extension, element);
    if (known) Object.assign(fields, known);
    const obeyed = known && !(id === "2.5.29.30" && element && hasUnknownTree(element));
    if (critical && !obeyed) unhandled.push(oid);
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
    URIStrings: uriStrings ? orNull(names.uris) : undefined,
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
