/**
 * Sigstore bundles v0.3, which cosign 3 attaches to images (`spec/fetch-verify.md §13`). `@sigstore/verify` checks logs,
 * timestamps and the statement's signature; who signed is judged by the same rules as for simple signing.
 */
import {
  type Bundle,
  loadSigstoreBundle,
  loadSigstoreVerify,
  type SignedEntity,
  type X509Certificate,
} from "../../../deps.ts";
import { requireBundleShape } from "../../types/bundle_document.ts";
import { requireCheapDer } from "../../types/der.ts";
import { messageOf } from "../../types/error.ts";
import { parseJson } from "../../types/json_text.ts";
import { quoted } from "../../types/quoted.ts";
import { trustedRootOf } from "../../types/trust_root.ts";
import type { Identity, SignedLayer } from "../../types/signed_layer.ts";
import { derOf, keyOf, requireIdentity } from "./certificate.ts";
import { keyFromDer, type VerificationKey, verifies } from "./public_key.ts";
import { type RecordedKey, recordedKey } from "./rekor_entry.ts";
import type { JsonObject } from "../../../program/types/json_object.ts";
import { fields, refusal, refuse, text } from "./fields.ts";
import { certificateFromDer } from "./x509.ts";
import type { TrustMaterial } from "./trust_material.ts";

const PAYLOAD_TYPE = "application/vnd.in-toto+json";
const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";
/** What a statement that is a signature of an image says it states. */
export const SIGNATURE_PREDICATE = "https://sigstore.dev/cosign/sign/v1";

/** What the envelope's signature is made over (DSSE v1). */
function preAuthEncoding(type: string, payload: Uint8Array): Uint8Array {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** The statement's annotations, once it is clear that it is a signature of this image. */
function readStatement(payload: Uint8Array, imageDigest: string): JsonObject {
  const json = new TextDecoder("utf-8", { fatal: true }).decode(payload);
  // Numbers stay the texts that they are written as: annotations are compared as text.
  const statement = fields(
    parseJson(json, "the statement", "signature", (source) => source),
    "the statement",
  );
  if (statement["_type"] !== STATEMENT_TYPE) {
    const type = quoted(text(statement["_type"], "the statement's _type"));
    refuse(`the in-toto statement has the type ${type}, expected ${STATEMENT_TYPE}`);
  }
  if (statement["predicateType"] !== SIGNATURE_PREDICATE) {
    const type = quoted(text(statement["predicateType"], "the statement's predicateType"));
    refuse(
      `the in-toto statement is no signature: its predicateType is ${type}, expected ${SIGNATURE_PREDICATE}`,
    );
  }
  const subjects = statement["subject"];
  const subject = fields(Array.isArray(subjects) ? subjects[0] : undefined, "the statement's subject");
  const sha256 = text(fields(subject["digest"], "the subject's digest")["sha256"], "the subject's sha256");
  if (`sha256:${sha256}` !== imageDigest) {
    refuse(
      `the in-toto statement is about another image: subject[0] has the digest sha256:${sha256.slice(0, 64)}`,
    );
  }
  const annotations = subject["annotations"] ?? null;
  return annotations === null ? {} : fields(annotations, "the subject's annotations");
}

function first(value: unknown): JsonObject {
  return fields(Array.isArray(value) ? value[0] : undefined, "the log entry's signature");
}

/** DER of the certificate or key that a log entry recorded, in each form that logs have. */
function recordedVerifier(body: Uint8Array): RecordedKey {
  const entry = fields(
    parseJson(new TextDecoder().decode(body), "the log entry's body", "signature"),
    "the log entry's body",
  );
  const spec = fields(entry["spec"], "the log entry's spec");
  const bytes = (value: unknown) => Buffer.from(text(value, "the log entry's verifier"), "base64");
  const pem = (value: unknown) => recordedKey(bytes(value));
  const structured = (signature: unknown) => {
    const verifier = fields(
      fields(signature, "the log entry's signature")["verifier"],
      "the log entry's verifier",
    );
    const raw = (value: unknown) => bytes(fields(value, "the log entry's verifier")["rawBytes"]);
    if (verifier["x509Certificate"] === undefined) {
      return { spki: keyFromDer(raw(verifier["publicKey"])).spki };
    }
    const certificate = certificateFromDer(raw(verifier["x509Certificate"]));
    return { certificate: derOf(certificate), spki: certificate.publicKey };
  };
  const type = `${text(entry["kind"], "the log entry's kind")} ${
    text(entry["apiVersion"], "the log entry's apiVersion")
  }`;
  switch (type) {
    case "dsse 0.0.1":
      return pem(first(spec["signatures"])["verifier"]);
    case "hashedrekord 0.0.1":
      return pem(fields(fields(spec["signature"], "signature")["publicKey"], "publicKey")["content"]);
    case "dsse 0.0.2":
      return structured(first(fields(spec["dsseV002"], "dsseV002")["signatures"]));
    case "hashedrekord 0.0.2":
      return structured(fields(spec["hashedRekordV002"], "hashedRekordV002")["signature"]);
    default:
      refuse(`unsupported log entry ${quoted(type)}`);
  }
}

type Envelope = {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
};

function envelopeOf(bundle: Bundle): Envelope {
  if (bundle.content.$case !== "dsseEnvelope") {
    refuse("the bundle holds no DSSE envelope");
  }
  const { payloadType, payload, signatures } = bundle.content.dsseEnvelope;
  if (payloadType !== PAYLOAD_TYPE) {
    refuse(`the envelope's payloadType is ${quoted(payloadType)}, expected ${PAYLOAD_TYPE}`);
  }
  const signature = signatures[0];
  if (signature === undefined || signatures.length !== 1) {
    refuse(`the envelope has ${signatures.length} signatures, expected exactly one`);
  }
  return { payloadType, payload, signature: signature.sig };
}

/** DER of what a log recorded must be what the bundle shows. */
function requireSameVerifier(bundle: Bundle, certificate: Uint8Array | undefined): Uint8Array | undefined {
  let spki: Uint8Array | undefined;
  for (const entry of bundle.verificationMaterial.tlogEntries) {
    const recorded = recordedVerifier(entry.canonicalizedBody);
    const same = certificate === undefined ||
      (recorded.certificate !== undefined && Buffer.from(recorded.certificate).equals(certificate));
    if (!same) refuse("the log entry is about another certificate (verifier)");
    spki = recorded.spki;
  }
  return spki;
}

/** Moments that were proven: by a log's promise, or by a timestamp authority; only after everything was verified. */
function provenTimes(entity: SignedEntity): readonly Date[] {
  return entity.timestamps.flatMap((timestamp) => {
    if (timestamp.$case === "timestamp-authority") return [timestamp.timestamp.signingTime];
    const { inclusionPromise, integratedTime } = timestamp.tlogEntry;
    return inclusionPromise === undefined ? [] : [new Date(Number(integratedTime) * 1000)];
  });
}

/** Logs, timestamps and, for certificates, the signature. */
async function verifyEvidence(
  bundle: Bundle,
  key: VerificationKey | undefined,
  signedBytes: Uint8Array,
  trust: TrustMaterial,
): Promise<readonly Date[]> {
  if (trust.trustRoot === undefined) {
    refuse("there is no trust root: its log entry cannot be checked");
  }
  const { PolicyError, toSignedEntity, toTrustMaterial, VerificationError, Verifier } =
    await loadSigstoreVerify();
  /** The package reads DER when it comes to it, and takes for granted what is in it: other errors than its own are about that. */
  const reading = <T>(read: () => T): T => {
    try {
      return read();
    } catch (error) {
      if (error instanceof VerificationError || error instanceof PolicyError) throw error;
      refuse("the bundle's log entries or timestamps can't be read");
    }
  };
  for (
    const { signedTimestamp } of bundle.verificationMaterial.timestampVerificationData?.rfc3161Timestamps ??
      []
  ) {
    requireCheapDer(signedTimestamp, "a timestamp of the bundle");
  }
  const plain = reading(() => toSignedEntity(bundle));
  const { signature } = plain.signature;
  const entity: SignedEntity = {
    ...plain,
    // Certificates are judged by our own rules; the library gets the bare key.
    key: { $case: "public-key", hint: "" },
    signature: {
      signature,
      compareSignature: (other) => plain.signature.compareSignature(other),
      compareDigest: (digest) => plain.signature.compareDigest(digest),
      compareSignedDigest: (digest) => plain.signature.compareSignedDigest(digest),
      // Without a certificate, the key is the one that the configuration names: `pubKey` entries ask for it.
      verifySignature: () => key === undefined || verifies(key, signedBytes, signature),
    },
  };
  const spare = trust.rekor[0]?.key.key;
  const publicKey = key?.key ?? spare;
  if (publicKey === undefined) refuse("the trust root has no transparency log");
  const material = toTrustMaterial(
    trustedRootOf(trust.trustRoot),
    () => ({ publicKey, validFor: () => true }),
  );
  const thresholds = { tlogThreshold: 1, ctlogThreshold: 0, timestampThreshold: key === undefined ? 0 : 1 };
  return reading(() => {
    new Verifier(material, thresholds).verify(entity);
    return provenTimes(entity);
  });
}

async function parseBundle(bytes: Uint8Array): Promise<Bundle> {
  const { bundleFromJSON, ValidationError } = await loadSigstoreBundle();
  const document = parseJson(new TextDecoder().decode(bytes), "the bundle", "signature");
  requireBundleShape(document);
  try {
    return bundleFromJSON(document);
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error;
    refuse(`invalid bundle: ${error.fields.join(", ")}`, error);
  }
}

function certificateOf(bundle: Bundle): X509Certificate | undefined {
  const { content } = bundle.verificationMaterial;
  if (content.$case === "publicKey") return undefined;
  if (content.$case === "certificate") {
    return certificateFromDer(content.certificate.rawBytes);
  }
  refuse("verificationMaterial is neither a single certificate nor a public key");
}

/**
 * Checks one bundle.
 *
 * A bundle by certificate must prove when it was made. One by public key is good for `pubKey` entries alone; its log entries,
 * if any, must be genuine where there is a trust root to tell.
 *
 * @param note told why the bundle gives no identity though it carries a certificate
 * @throws {ArtifactError} `signature`: why the bundle does not count at all
 */
export async function readBundle(
  source: string,
  bytes: Uint8Array,
  imageDigest: string,
  trust: TrustMaterial,
  note: (reason: string) => void,
): Promise<SignedLayer> {
  try {
    return await signedLayer(source, bytes, imageDigest, trust, note);
  } catch (error) {
    throw refusal(error);
  }
}

async function signedLayer(
  source: string,
  bytes: Uint8Array,
  imageDigest: string,
  trust: TrustMaterial,
  note: (reason: string) => void,
): Promise<SignedLayer> {
  const bundle = await parseBundle(bytes);
  const envelope = envelopeOf(bundle);
  const annotations = readStatement(envelope.payload, imageDigest);
  const signedBytes = preAuthEncoding(envelope.payloadType, envelope.payload);
  const layer = {
    source,
    signedBytes,
    signature: Buffer.from(envelope.signature).toString("base64"),
    annotations,
    integratedTime: undefined,
  };
  const certificate = certificateOf(bundle);
  if (certificate === undefined) {
    const logged = bundle.verificationMaterial.tlogEntries.length > 0 && trust.rekor.length > 0;
    if (logged) await verifyEvidence(bundle, undefined, signedBytes, trust);
    return {
      ...layer,
      identity: undefined,
      loggedKey: logged ? requireSameVerifier(bundle, undefined) : undefined,
    };
  }
  if (trust.trustRoot === undefined) {
    note("there is no trust root: its log entry cannot be checked");
    return { ...layer, identity: undefined, loggedKey: undefined };
  }
  const times = await verifyEvidence(bundle, keyOf(certificate), signedBytes, trust);
  const loggedKey = requireSameVerifier(bundle, derOf(certificate));
  let identity: Identity | undefined;
  try {
    for (const moment of times) identity = requireIdentity(certificate, trust.anchors, trust.ctlogs, moment);
  } catch (error) {
    identity = undefined;
    note(messageOf(error));
  }
  return { ...layer, identity, loggedKey };
}
