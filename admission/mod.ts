/**
 * The evaluator alone, without what fetches policies and without what answers their questions: it runs in a browser as well.
 *
 * ```ts
 * import { loadPolicy } from "portreeve/evaluator";
 *
 * const module = new Uint8Array(await (await fetch("policy.wasm")).arrayBuffer());
 * const policy = await loadPolicy(module, { threads: 0, settings: { required: ["owner"] } });
 * const { allowed, status } = await policy.validate(review);
 * ```
 *
 * @module
 */
import { Policy } from "./apply/policy.ts";
import { PolicyGroup } from "./apply/policy_group.ts";
import { readModule } from "./apply/read_module.ts";
import { checkPolicyOptions } from "./render/check_options.ts";
import { viewedBytes } from "./render/given_json.ts";
import type { GroupMember, PolicyGroupOptions, PolicyOptions } from "./types/options.ts";

export { Policy } from "./apply/policy.ts";
export { PolicyGroup } from "./apply/policy_group.ts";
export { Evaluated } from "./apply/evaluated.ts";
export { PortreeveError } from "../program/types/error.ts";
export { PolicyError, type PolicyErrorCode } from "./types/policy_error.ts";
export { ModuleError, readMetadata } from "../evaluator/apply/prepare.ts";
export { OverloadedError } from "../evaluator/types/overloaded_error.ts";
export { JsonSyntaxError } from "../evaluator/render/json_scan.ts";
export { ReviewShapeError } from "../evaluator/render/review.ts";
export type { PolicyMode } from "./types/admission.ts";
export type {
  GroupMember,
  Host,
  HostCaller,
  HostCapability,
  ModuleOptions,
  PolicyGroupOptions,
  PolicyLog,
  PolicyOptions,
  ReviewOptions,
  RunOptions,
} from "./types/options.ts";
export type {
  AdmissionRequest,
  AdmissionReview,
  AdmissionReviewAnswer,
  AdmissionReviewResponse,
  GroupVersionKind,
  GroupVersionResource,
  UserInfo,
} from "./types/review.ts";
export type {
  AdmissionStatus,
  HostCall,
  HostCallAnswer,
  InventoryHandler,
  InventoryRequest,
  PolicyLogEntry,
  SettingsVerdict,
  StatusCause,
  StatusDetails,
  Verdict,
} from "../evaluator/types/evaluation.ts";
export type {
  ContextAwareResource,
  ExecutionMode,
  PolicyMetadata,
  PolicyRule,
} from "../evaluator/types/metadata.ts";

/**
 * Loads a policy from the bytes of its module, from a path, or from a `file:`, `http:` or `https:` URL.
 *
 * @throws {PolicyError} when the module can't be got, an option can't be used, or the policy refuses its settings
 * @throws {ModuleError} when it is no module that can be run
 */
export async function loadPolicy(
  source: Uint8Array | string | URL,
  options: PolicyOptions = {},
): Promise<Policy> {
  checkPolicyOptions(options);
  const name = options.name ?? (viewedBytes(source) === undefined ? String(source) : "policy");
  return await Policy.fromBytes(await readModule(source), { ...options, name });
}

/**
 * Loads a group of policies: what its expression says of its members' verdicts decides.
 *
 * ```ts
 * await using group = await loadPolicyGroup({
 *   signed: { policy: "signed.wasm", settings: {} },
 *   exempt: { policy: "exempt.wasm" },
 * }, { expression: "signed() || exempt()", message: "neither signed nor exempt" });
 * ```
 *
 * @throws {PolicyError} when a module can't be got, the expression is none, an option can't be used, or a member refuses its settings
 * @throws {ModuleError} when a member is no module that can be run
 */
export async function loadPolicyGroup(
  members: Readonly<Record<string, GroupMember>>,
  options: PolicyGroupOptions,
): Promise<PolicyGroup> {
  return await PolicyGroup.load(members, options);
}
