/**
 * Portreeve's evaluator as a library: load a Kubewarden policy, ask it for a verdict, read its metadata.
 *
 * ```ts
 * import { loadPolicy } from "portreeve";
 *
 * await using policy = await loadPolicy("policies/required-labels/policy.wasm", {
 *   settings: { required: ["owner"] },
 * });
 * const verdict = await policy.validate({
 *   uid: "1",
 *   kind: { group: "", version: "v1", kind: "Pod" },
 *   resource: { group: "", version: "v1", resource: "pods" },
 *   operation: "CREATE",
 *   userInfo: { username: "alice" },
 *   object: { apiVersion: "v1", kind: "Pod", metadata: { name: "web", labels: {} } },
 * });
 * console.log(verdict.allowed, verdict.status?.message);
 * ```
 *
 * Policies run in worker threads, or with `threads: 0` in the calling thread. Either way they see no file, no network and no
 * environment, are stopped when their time is up, and know nothing of earlier requests.
 *
 * @module
 */
import "./program/check_runtime.ts";

export * from "./admission/mod.ts";

export {
  ArtifactError,
  fetchPolicy,
  loadTrustRoot,
  parseVerificationConfig,
  verifyPolicy,
} from "./artifact/mod.ts";
export type {
  Annotations,
  ArtifactErrorCode,
  ArtifactEvent,
  ArtifactOptions,
  Destination,
  Environment,
  FetchedPolicy,
  Limits,
  LogLevel,
  OnEvent,
  Proxies,
  Signature,
  Sources,
  Subject,
  TrustRoot,
  TrustRootSource,
  VerificationConfig,
  VerifiedImage,
} from "./artifact/mod.ts";
