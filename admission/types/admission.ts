/** What is answered to a review (`spec/policy-server.md §5.4`). */
import type { AdmissionStatus, Verdict } from "../../evaluator/types/evaluation.ts";

/** Whether a verdict is enforced (`protect`) or only logged and measured (`monitor`). */
export type PolicyMode = "protect" | "monitor";

/** A verdict after mode, mutation rule and custom message were applied; the `response` of the answer without its `uid`. */
export type AdmissionResponse = Verdict;

/** What decides how a verdict becomes a response (`spec/policy-server.md §6.4`). */
export interface ResponseRules {
  /** The id that texts name. */
  readonly policy: string;
  readonly mode: PolicyMode;
  readonly allowedToMutate: boolean;
  /** Takes the place of a rejection's message. */
  readonly message: string | null;
}

export type { AdmissionStatus, Verdict };
