/** What a policy may ask about the signatures of an image (`spec/fetch-verify.md §12`, `spec/evaluator.md §5.4`). */
import { own } from "../../program/types/own.ts";
import {
  DocumentError,
  invalidType,
  type Mapping,
  missingField,
  readList,
  readMapping,
  readOptionalString,
  readString,
  readStringMap,
  unknownVariant,
} from "./strict_document.ts";
import { type Annotations, type Signature, urlPrefix } from "./verification_config.ts";

/** What every request holds. */
export type SigstoreSubject = {
  readonly image: string;
  readonly annotations: Annotations | undefined;
};

/** A policy's question about the signatures of an image. */
export type SigstoreRequest =
  & SigstoreSubject
  & (
    /** Every entry must have signed, each with all annotations. */
    | { readonly kind: "signatures"; readonly signatures: readonly Signature[] }
    | {
      readonly kind: "certificate";
      /** PEM. */
      readonly certificate: string;
      /** PEM, each a trust anchor; absent: the certificate is trusted as it is. */
      readonly chain: readonly string[] | undefined;
      readonly requireRekorBundle: boolean;
    }
  );

const V2_TYPES = [
  "SigstorePubKeyVerify",
  "SigstoreKeylessVerify",
  "SigstoreKeylessPrefixVerify",
  "SigstoreGithubActionsVerify",
  "SigstoreCertificateVerify",
];

function required(mapping: Mapping, name: string): unknown {
  const value = own(mapping, name);
  if (value === undefined) missingField(name);
  return value;
}

function readStrings(mapping: Mapping, name: string): readonly string[] {
  return readList(required(mapping, name), "").map((item) =>
    typeof item === "string" ? item : invalidType(item, "a string", "")
  );
}

/** A byte array as policies send it: a list of integers, here of a text. */
function readText(value: unknown): string {
  const bytes = readList(value, "");
  for (const byte of bytes) {
    if (typeof byte !== "number" || !Number.isInteger(byte) || byte < 0 || byte > 255) {
      invalidType(byte, "u8", "");
    }
  }
  return new TextDecoder().decode(Uint8Array.from(bytes as readonly number[]));
}

function keyless(
  mapping: Mapping,
  field: string,
  annotations: Annotations | undefined,
  subjectOf: (entry: Mapping) => (Signature & { kind: "genericIssuer" })["subject"],
): readonly Signature[] {
  const signatures = readList(required(mapping, field), "").map((item): Signature => {
    const entry = readMapping(item, "a map", "");
    return {
      kind: "genericIssuer",
      issuer: readString(entry, "issuer", ""),
      subject: subjectOf(entry),
      annotations,
    };
  });
  if (signatures.length === 0) throw new DocumentError("Must provide keyless info");
  return signatures;
}

function readKind(type: string, mapping: Mapping): SigstoreRequest {
  const image = readString(mapping, "image", "");
  const annotations = readStringMap(mapping, "annotations", "");
  const signed = (signatures: readonly Signature[]): SigstoreRequest => ({
    kind: "signatures",
    image,
    annotations,
    signatures,
  });
  switch (type) {
    case "SigstorePubKeyVerify": {
      const keys = readStrings(mapping, "pub_keys");
      if (keys.length === 0) throw new DocumentError("Must provide at least one pub key");
      return signed(keys.map((key) => ({ kind: "pubKey", owner: undefined, key, annotations })));
    }
    case "SigstoreKeylessVerify":
      return signed(
        keyless(mapping, "keyless", annotations, (entry) => ({
          kind: "equal",
          value: readString(entry, "subject", ""),
        })),
      );
    case "SigstoreKeylessPrefixVerify":
      return signed(
        keyless(
          mapping,
          "keyless_prefix",
          annotations,
          (entry) => urlPrefix(readString(entry, "url_prefix", "")),
        ),
      );
    case "SigstoreGithubActionsVerify": {
      const owner = readString(mapping, "owner", "");
      if (owner === "") throw new DocumentError("Must provide owner info");
      return signed([{
        kind: "githubAction",
        owner,
        repo: readOptionalString(mapping, "repo", ""),
        annotations,
      }]);
    }
    default: {
      const rekor = required(mapping, "require_rekor_bundle");
      if (typeof rekor !== "boolean") invalidType(rekor, "a boolean", "");
      const chain = mapping["certificate_chain"] ?? null;
      return {
        kind: "certificate",
        image,
        annotations,
        certificate: readText(required(mapping, "certificate")),
        chain: chain === null ? undefined : readList(chain, "").map(readText),
        requireRekorBundle: rekor,
      };
    }
  }
}

/**
 * Reads the payload of `oci/v1/verify` (externally tagged) or `oci/v2/verify` (tagged by `type`).
 *
 * @throws {DocumentError} what is missing or wrong; the message is what the policy is told
 */
export function readSigstoreRequest(version: "v1" | "v2", payload: unknown): SigstoreRequest {
  const mapping = readMapping(payload, "a map", "");
  if (version === "v2") {
    const type = readString(mapping, "type", "");
    if (!V2_TYPES.includes(type)) unknownVariant(type, V2_TYPES, "");
    return readKind(type, mapping);
  }
  const [type, ...more] = Object.keys(mapping);
  const known = V2_TYPES.slice(0, 2);
  if (type === undefined || more.length > 0) throw new DocumentError("expected a map with a single key");
  if (!known.includes(type)) unknownVariant(type, known, "");
  return readKind(type, readMapping(own(mapping, type), "a map", ""));
}
