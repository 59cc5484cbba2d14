/**
 * The API of Portreeve: the five kinds of `policies.kubewarden.io`, their CRDs, defaults and admission rules.
 *
 * @example
 * ```ts
 * import { validatePolicy } from "./mod.ts";
 *
 * const errors = validatePolicy({
 *   apiVersion: "policies.kubewarden.io/v1",
 *   kind: "ClusterAdmissionPolicy",
 *   metadata: { name: "demo" },
 *   spec: { module: "registry://example.org/policy:v1", mutating: false, rules: [] },
 * });
 * console.log(errors.map((error) => `${error.field}: ${error.message}`));
 * // ["spec.rules: Required value: a value must be specified"]
 * ```
 */
export * from "./types.ts";
export {
  type CustomResourceDefinition,
  customResourceDefinition,
  customResourceDefinitions,
} from "./render/manifests.ts";
export {
  type FieldError,
  type FieldErrorReason,
  fieldErrorText,
  invalidMessage,
} from "./render/field_error.ts";
export {
  type PolicyValidation,
  SETTINGS_TOO_DEEP,
  unreadableSettings,
  validatePolicy,
} from "./render/validate_policy.ts";
export {
  type Found,
  type PolicyServerValidation,
  validatePolicyServer,
} from "./render/validate_policy_server.ts";
export { defaultingPatch, type PatchOperation, withDefaults } from "./render/defaults.ts";
export { checkGroupExpression, type ExpressionProblem } from "./render/group_expression.ts";
export { parseQuantity, type Quantity, quantityText } from "./render/quantity.ts";
