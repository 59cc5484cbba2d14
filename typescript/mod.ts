/**
 * For policies in TypeScript: what their modules import from `portreeve/policy`. `reeve build policy.ts -o policy.wasm` makes a policy
 * of one (docs/write/typescript.md); it is an ordinary module as well, to be imported and asked by tests.
 *
 * ```ts
 * import { accept, containersOf, definePolicy, podSpecOf, reject } from "portreeve/policy";
 *
 * export default definePolicy({
 *   validate(request) {
 *     const privileged = containersOf(podSpecOf(request.object)).find((one) => one.securityContext?.privileged);
 *     return privileged ? reject(`the container ${privileged.name} is privileged`) : accept();
 *   },
 * });
 * ```
 *
 * @module
 */
export { accept, type AnswerOptions, mutate, reject, type RejectOptions } from "./render/answers.ts";
export { definePolicy } from "./render/define_policy.ts";
export {
  canI,
  getResource,
  imageConfig,
  imageManifest,
  isCertificateTrusted,
  listResources,
  lookupHost,
  manifestDigest,
  verifyImage,
} from "./render/capabilities.ts";
export { HostError, hostOf } from "./render/host.ts";
export { containersOf, podSpecOf } from "./render/pod_spec.ts";
export type {
  AccessQuery,
  CertificateText,
  Host,
  HostTransport,
  ImageSigners,
  ResourceQuery,
  ResourcesQuery,
} from "./types/host.ts";
export type {
  Answer,
  DefinedPolicy,
  PolicyContext,
  PolicyDefinition,
  SettingsAnswer,
} from "./types/policy.ts";
export type { AdmissionRequest, GroupVersionKind, GroupVersionResource, UserInfo } from "./types/request.ts";
export type { SchemaIssue, SchemaResult, SettingsOf, SettingsSchema } from "./types/schema.ts";
export type { Container, KubernetesObject, ObjectMeta, Pod, PodSpec } from "./types/workloads.ts";
