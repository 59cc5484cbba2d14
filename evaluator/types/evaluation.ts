/** What goes into an evaluation and what comes out of it (`spec/evaluator.md §3, §4`). */

/** Why a request was refused, field by field (`metav1.StatusCause`). */
export interface StatusCause {
  readonly reason: string | null;
  readonly message: string | null;
  readonly field: string | null;
}

/** More about a refusal (`metav1.StatusDetails`). `retry_after_seconds` is spelled as the original spells it. */
export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  readonly retry_after_seconds?: number;
}

/** The status of an admission response (`metav1.Status`). */
export interface AdmissionStatus {
  readonly status?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code?: number;
}

/** What a policy answered to one request, before the server applies mode, mutation rule and custom message. */
export interface Verdict {
  readonly allowed: boolean;
  readonly status?: AdmissionStatus;
  /** A JSON Patch (RFC 6902) as JSON text. */
  readonly patch?: string;
  readonly auditAnnotations: Readonly<Record<string, string>> | null;
  readonly warnings: readonly string[] | null;
}

/** Whether a policy takes its settings. */
export type SettingsVerdict = { readonly valid: true } | {
  readonly valid: false;
  readonly message: string | null;
};

/** One request to be judged. */
export interface EvaluationRequest {
  /** The request as JSON, as the guest is to see it (`spec/evaluator.md §3.1`). */
  readonly json: Uint8Array;
  /** Where in `json` the object stands that a mutation is compared with; undefined if the request has none. */
  readonly object: readonly [start: number, end: number] | undefined;
}

/** A log entry that a policy sent, or a line that it printed. */
export interface PolicyLogEntry {
  readonly level: "trace" | "debug" | "info" | "warn" | "error";
  readonly message: string;
  /** All further members of the entry as JSON text; undefined if it has none. */
  readonly data: string | undefined;
}

/** The answer to a host call: bytes, or the text of an error. */
export type HostCallAnswer = { readonly ok: true; readonly payload: Uint8Array } | {
  readonly ok: false;
  readonly error: string;
};

/** A host call that the host's main thread has to answer. */
export interface HostCall {
  readonly namespace: string;
  readonly operation: string;
  readonly payload: Uint8Array;
}

/** Answers host calls of one policy. It must never throw: what goes wrong is an answer with `ok: false`. */
export type HostCallHandler = (call: HostCall) => HostCallAnswer | Promise<HostCallAnswer>;

/** Texts that clients see (`spec/evaluator.md §3.3, §4.2`). */
export const TEXT = {
  interrupted: "Policy execution interrupted because it exceeded the allowed execution time",
  mutationOfNothing:
    "Incoming object is null, which happens only with DELETE operations, but the policy is attempting a mutation. This is not allowed",
} as const;

/** A verdict that refuses because something failed: `internal server error` and the like, code 500. */
export function failure(message: string): Verdict {
  return { allowed: false, status: { message, code: 500 }, auditAnnotations: null, warnings: null };
}
