/**
 * The shape of a Sigstore bundle in JSON. The package that reads bundles (`@sigstore/bundle`) takes any value for a text and reads on
 * in what is null: so everything that it looks at is compared with this first. As everywhere in Protobuf's JSON, a member that is null
 * is one that is not there; an item of a list may not be null. Members that are not listed are left to the package, which ignores them.
 */
import { isObject } from "../../program/types/json_object.ts";
import { own } from "../../program/types/own.ts";
import { ArtifactError } from "./error.ts";

type Shape =
  | "text"
  /** An integer as a number or, as Protobuf writes 64 bits, as a text. */
  | "integer"
  /** A value of an enumeration: its name or its number. */
  | "name"
  | { readonly items: Shape }
  | { readonly members: Readonly<Record<string, Shape>> };

const members = (of: Readonly<Record<string, Shape>>): Shape => ({ members: of });
const items = (of: Shape): Shape => ({ items: of });

const CERTIFICATE = members({ rawBytes: "text" });

const LOG_ENTRY = members({
  logIndex: "integer",
  logId: members({ keyId: "text" }),
  kindVersion: members({ kind: "text", version: "text" }),
  integratedTime: "integer",
  inclusionPromise: members({ signedEntryTimestamp: "text" }),
  inclusionProof: members({
    logIndex: "integer",
    rootHash: "text",
    treeSize: "integer",
    hashes: items("text"),
    checkpoint: members({ envelope: "text" }),
  }),
  canonicalizedBody: "text",
});

const BUNDLE = members({
  mediaType: "text",
  verificationMaterial: members({
    publicKey: members({ hint: "text" }),
    x509CertificateChain: members({ certificates: items(CERTIFICATE) }),
    certificate: CERTIFICATE,
    tlogEntries: items(LOG_ENTRY),
    timestampVerificationData: members({ rfc3161Timestamps: items(members({ signedTimestamp: "text" })) }),
  }),
  messageSignature: members({
    messageDigest: members({ algorithm: "name", digest: "text" }),
    signature: "text",
  }),
  dsseEnvelope: members({
    payload: "text",
    payloadType: "text",
    signatures: items(members({ sig: "text", keyid: "text" })),
  }),
});

const INTEGER = /^-?\d{1,19}$/;

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function check(value: unknown, shape: Shape, place: string): void {
  const refuse = (expected: string): never => {
    throw new ArtifactError(
      "signature",
      `invalid bundle: ${place} must be ${expected}, it is ${kindOf(value)}`,
    );
  };
  if (shape === "text") {
    if (typeof value !== "string") refuse("a string");
  } else if (shape === "integer") {
    const integer = typeof value === "number" ? Number.isSafeInteger(value) : INTEGER.test(asText(value));
    if (!integer) refuse("an integer");
  } else if (shape === "name") {
    if (typeof value !== "string" && !Number.isSafeInteger(value)) refuse("a name or its number");
  } else if ("items" in shape) {
    if (!Array.isArray(value)) return refuse("a list");
    value.forEach((item, index) => check(item, shape.items, `${place}[${index}]`));
  } else {
    if (!isObject(value)) return refuse("an object");
    for (const [name, of] of Object.entries(shape.members)) {
      const member = own(value, name) ?? null;
      if (member !== null) check(member, of, place === "it" ? name : `${place}.${name}`);
    }
  }
}

const asText = (value: unknown): string => typeof value === "string" ? value : "";

/**
 * Checks that parsed JSON has the shape of a bundle; what must be there, and what it must say, is not looked at.
 *
 * @throws {ArtifactError} `signature`, with the place: `invalid bundle: dsseEnvelope.signatures[0] must be an object, it is null`
 */
export function requireBundleShape(value: unknown): void {
  check(value, BUNDLE, "it");
}
