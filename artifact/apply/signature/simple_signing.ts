/**
 * Signature layers of `sha256-<hex>.sig` images, "simple signing" (`spec/fetch-verify.md §9.4`, strict as in `spec/fetch-verify.md §9.6`).
 */
import type { Descriptor } from "../../types/manifest.ts";
import { messageOf } from "../../types/error.ts";
import { parseJson } from "../../types/json_text.ts";
import type { Identity, SignedLayer } from "../../types/signed_layer.ts";
import { certificateFromPem, derOf, requireIdentity, signedByCertificate } from "./certificate.ts";
import type { JsonObject } from "../../../program/types/json_object.ts";
import { fields, refusal } from "./fields.ts";
import { fromBase64 } from "./public_key.ts";
import {
  type RecordedKey,
  recordedKey,
  type RekorEntry,
  requireBodyMatches,
  requireRekorEntry,
} from "./rekor_entry.ts";
import type { TrustMaterial } from "./trust_material.ts";

export const ANNOTATION = {
  signature: "dev.cosignproject.cosign/signature",
  bundle: "dev.sigstore.cosign/bundle",
  certificate: "dev.sigstore.cosign/certificate",
} as const;

/** The payload's annotations, once it is clear that it speaks of this image. */
function readPayload(bytes: Uint8Array, imageDigest: string): JsonObject {
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  const payload = fields(
    // Numbers stay the texts that they are written as: annotations are compared as text (`spec/fetch-verify.md §9.3`).
    parseJson(text, "the payload", "signature", (source) => source),
    "the payload",
  );
  const critical = fields(payload["critical"], "critical");
  if (typeof fields(critical["identity"], "identity")["docker-reference"] !== "string") {
    throw new Error("the payload has no docker-reference");
  }
  if (typeof critical["type"] !== "string") throw new Error("the payload has no type");
  if (fields(critical["image"], "image")["docker-manifest-digest"] !== imageDigest) {
    throw new Error("the payload is about another image (docker-manifest-digest)");
  }
  const optional = payload["optional"] ?? null;
  if (optional === null) return {};
  const { creator, timestamp, ...annotations } = fields(optional, "optional");
  // Fields of their own in the original: of another type, they make the payload unreadable; annotations they never are.
  if (creator !== undefined && creator !== null && typeof creator !== "string") {
    throw new Error("creator is no string");
  }
  if (
    timestamp !== undefined && timestamp !== null &&
    !(typeof timestamp === "string" && /^-?\d+$/.test(timestamp))
  ) {
    throw new Error("timestamp is no integer");
  }
  return annotations;
}

function trustedIdentity(
  pem: string,
  entry: RekorEntry,
  recorded: RecordedKey,
  layer: Uint8Array,
  signature: string,
  trust: TrustMaterial,
): Identity {
  const certificate = certificateFromPem(pem);
  const bytes = fromBase64(signature);
  if (bytes === undefined || !signedByCertificate(certificate, layer, bytes)) {
    throw new Error("the layer's signature does not verify with the certificate's key");
  }
  if (recorded.certificate === undefined || !Buffer.from(recorded.certificate).equals(derOf(certificate))) {
    throw new Error("the log entry is about another certificate (spec.signature.publicKey)");
  }
  return requireIdentity(certificate, trust.anchors, trust.ctlogs, new Date(entry.integratedTime * 1000));
}

/**
 * Checks one layer.
 *
 * @param note told why a layer has no identity though it carries a certificate
 * @throws {ArtifactError} `signature`: why the layer does not count at all
 */
export function readSimpleSigning(
  descriptor: Descriptor,
  bytes: Uint8Array,
  imageDigest: string,
  trust: TrustMaterial,
  note: (reason: string) => void,
): SignedLayer {
  try {
    return signedLayer(descriptor, bytes, imageDigest, trust, note);
  } catch (error) {
    throw refusal(error);
  }
}

function signedLayer(
  descriptor: Descriptor,
  bytes: Uint8Array,
  imageDigest: string,
  trust: TrustMaterial,
  note: (reason: string) => void,
): SignedLayer {
  const { annotations } = descriptor;
  const signature = annotations[ANNOTATION.signature];
  const bundle = annotations[ANNOTATION.bundle];
  const certificate = annotations[ANNOTATION.certificate];
  const payload = readPayload(bytes, imageDigest);
  if (signature === undefined) throw new Error(`the layer has no annotation ${ANNOTATION.signature}`);
  const layer = { source: descriptor.digest, signedBytes: bytes, signature, annotations: payload };
  const anonymous: SignedLayer = {
    ...layer,
    identity: undefined,
    loggedKey: undefined,
    integratedTime: undefined,
  };

  if (bundle === undefined || trust.rekor.length === 0) {
    if (certificate !== undefined) {
      note(
        bundle === undefined ? "the layer carries no log entry" : "there are no transparency log keys",
      );
    }
    return anonymous;
  }
  const entry = requireRekorEntry(bundle, trust.rekor);
  let recorded: RecordedKey;
  try {
    recorded = recordedKey(requireBodyMatches(entry, bytes, signature));
  } catch (error) {
    if (certificate === undefined) throw error;
    note(messageOf(error));
    return anonymous;
  }
  const logged: SignedLayer = {
    ...anonymous,
    loggedKey: recorded.spki,
    integratedTime: entry.integratedTime,
  };
  if (certificate === undefined) return logged;
  try {
    return { ...logged, identity: trustedIdentity(certificate, entry, recorded, bytes, signature, trust) };
  } catch (error) {
    note(messageOf(error));
    return logged;
  }
}
