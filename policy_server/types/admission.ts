/** What the server answers (`spec/policy-server.md §5.4`). */
import type { AdmissionStatus, Verdict } from "../../evaluator/types/evaluation.ts";
import type { PolicyMode } from "./policies.ts";

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

/** Where a request came in. */
export type RequestOrigin = "validate" | "audit" | "raw";

/** Tells in answers to audits for how many policies one review may come. */
export const MANY_HEADER = "portreeve-audit-many";
export const MOST_POLICIES = 32;
/** One JSON value a line. */
export const LINES_TYPE = "application/x-ndjson";

export type { AdmissionStatus, Verdict };
