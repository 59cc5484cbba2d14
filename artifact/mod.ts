/**
 * Where policies come from, and whether to trust them.
 *
 * @example Fetch a policy, and only what its signers vouch for
 *   const options = { sources: await readSources("sources.yml"), onEvent: console.error };
 *   const trustRoot = await loadTrustRoot({ kind: "tuf", cacheDir: "sigstore-data" }, options);
 *   const config = await readVerificationConfig("verification.yml", options);
 *   const policy = await fetchVerifiedPolicy("ghcr.io/o/policy:v1", config, trustRoot, { kind: "store", root: "." }, options);
 *   const module = await readModule(policy.path, policy.sha256);
 */
export { ArtifactError, type ArtifactErrorCode } from "./types/error.ts";
export type { ArtifactEvent, LogLevel, OnEvent } from "./types/event.ts";
export { type ArtifactOptions, DEFAULT_LIMITS, type Environment, type Limits } from "./types/options.ts";
export {
  isDigest,
  parseImage,
  parsePolicyUrl,
  parseReference,
  type PolicyUrl,
  type Reference,
} from "./types/reference.ts";
export { NO_SOURCES, type Proxies, type Sources } from "./types/sources.ts";
export {
  type Annotations,
  githubNameFault,
  parseVerificationConfig,
  type Signature,
  type Subject,
  type VerificationConfig,
} from "./types/verification_config.ts";
export { quotedUri } from "./types/quoted.ts";
export { readSigstoreRequest, type SigstoreRequest, type SigstoreSubject } from "./types/sigstore_request.ts";
export { DocumentError } from "./types/strict_document.ts";
export type { Identity, SignedLayer } from "./types/signed_layer.ts";
export type { TrustRoot } from "./types/trust_root.ts";
export { MANIFEST_FOLDER, manifestComponents, STORE_SCHEMES, storedUri } from "./render/store_path.ts";
export { formatReference, immutableReference } from "./render/reference.ts";
export { signatureYaml } from "./render/constraint.ts";
export { readSources, readVerificationConfig } from "./apply/configuration_file.ts";
export { dockerConfigDir, dockerConfigFile } from "./apply/docker_credentials.ts";
export {
  checkStored,
  type Destination,
  type FetchedPolicy,
  fetchPolicy,
  type StoredCheck,
} from "./apply/fetch.ts";
export { manifestDigest, type OciDocument, ociManifest, ociManifestAndConfig } from "./apply/oci_manifest.ts";
export { copyArtifact } from "./apply/copy.ts";
export { listTags, type PushedPolicy, pushPolicy } from "./apply/push.ts";
export { type SigstoreAnswer, sigstoreVerify } from "./apply/sigstore.ts";
export {
  defaultStoreRoot,
  findBySha256,
  findInStore,
  listStore,
  moduleSha256,
  readModule,
  type StoredPolicy,
  storePath,
} from "./apply/store.ts";
export { keptDigests } from "./apply/stored_manifest.ts";
export { listSignatures, type SignatureListing } from "./apply/signature_listing.ts";
export { publicKeyFault, publicKeyWarnings } from "./apply/signature/public_key.ts";
export { loadTrustRoot, PUBLIC_MIRROR, type TrustRootSource } from "./apply/trust_root.ts";
export {
  fetchVerifiedPolicy,
  type ImageSignatures,
  imageSignatures,
  NO_TRUST_ROOT_WARNINGS,
  type VerifiedImage,
  verifyLocalChecksum,
  verifyPolicy,
} from "./apply/verify.ts";
