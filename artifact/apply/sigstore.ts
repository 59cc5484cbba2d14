/** Answers a policy's question about an image's signatures (`spec/fetch-verify.md §12`). */
import { annotationsMatch } from "../render/constraint.ts";
import { ArtifactError, messageOf } from "../types/error.ts";
import type { ArtifactOptions } from "../types/options.ts";
import type { SignedLayer } from "../types/signed_layer.ts";
import type { SigstoreRequest } from "../types/sigstore_request.ts";
import type { TrustRoot } from "../types/trust_root.ts";
import { log } from "./event.ts";
import { certificateFromPem, keyOf, requireCodeSigning, requireIssuer } from "./signature/certificate.ts";
import { fromBase64, publicKeyFault, verifies } from "./signature/public_key.ts";
import { loadX509 } from "./signature/x509.ts";
import { imageSignatures, requireConfig } from "./verify.ts";

/** What a policy is told, ready to be written as JSON. */
export type SigstoreAnswer = {
  /** An image that is not trusted is an error, never `false`. */
  readonly is_trusted: true;
  readonly digest: string;
};

type CertificateRequest = SigstoreRequest & { kind: "certificate" };

const NO_WINDOW = { start: undefined, end: undefined };

/** The certificate that the policy brought: usable for code signing, and issued by the chain it brought, as of `now`. */
function readCertificate(request: CertificateRequest, now: Date) {
  try {
    const certificate = certificateFromPem(request.certificate);
    requireCodeSigning(certificate);
    if (certificate.notBefore > now) {
      throw new Error(`the certificate is not valid before ${certificate.notBefore.toISOString()}`);
    }
    if (request.chain !== undefined) {
      const anchors = request.chain.map((pem) => ({
        certificate: certificateFromPem(pem),
        validFor: NO_WINDOW,
      }));
      requireIssuer(certificate, anchors, now);
    }
    return certificate;
  } catch (error) {
    throw new ArtifactError("signature", `verification failed: ${messageOf(error)}`, error);
  }
}

/** Signature, log entry and annotations must all be those of one layer (`spec/fetch-verify.md §12.2` rules 3 to 5). */
function certificateMeets(
  request: CertificateRequest,
  certificate: ReturnType<typeof certificateFromPem>,
  layer: SignedLayer,
): boolean {
  const key = keyOf(certificate);
  const signature = fromBase64(layer.signature);
  if (signature === undefined || !verifies(key, layer.signedBytes, signature)) return false;
  if (layer.loggedKey !== undefined && !Buffer.from(layer.loggedKey).equals(key.spki)) return false;
  if (layer.integratedTime === undefined) {
    if (request.requireRekorBundle) return false;
  } else if (!certificate.validForDate(new Date(layer.integratedTime * 1000))) return false;
  return annotationsMatch(request.annotations, layer.annotations);
}

/** A key that cannot be read is the policy's mistake, not the image's. */
function requireReadableKeys(request: SigstoreRequest): void {
  if (request.kind !== "signatures") return;
  request.signatures.forEach((signature, index) => {
    const fault = signature.kind === "pubKey" ? publicKeyFault(signature.key) : undefined;
    if (fault !== undefined) throw new ArtifactError("signature", `pub_keys[${index}]: ${fault}`);
  });
}

/**
 * Verifies an image for a policy.
 *
 * @param now the current time: a chain that the policy brings is judged by it
 * @throws {ArtifactError} the image is not signed like that; the message is what the policy is told
 */
export async function sigstoreVerify(
  request: SigstoreRequest,
  trustRoot: TrustRoot | undefined,
  options: ArtifactOptions = {},
  now: Date = new Date(),
): Promise<SigstoreAnswer> {
  await loadX509();
  const certificate = request.kind === "certificate" ? readCertificate(request, now) : undefined;
  requireReadableKeys(request);
  const found = await imageSignatures(request.image, trustRoot, options);
  if (request.kind === "signatures") {
    requireConfig({ allOf: request.signatures, anyOf: undefined }, found, options);
  } else if (
    certificate === undefined || !found.layers.some((layer) => certificateMeets(request, certificate, layer))
  ) {
    throw new ArtifactError("signature", "verification failed: Several Signature Layers failed verification");
  }
  log(options, "debug", "image verified", { image: request.image, digest: found.digest });
  return { is_trusted: true, digest: found.digest };
}
