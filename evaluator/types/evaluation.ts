/** What goes into an evaluation and what comes out of it (`spec/evaluator.md §3, §4`). */
import type { ContextAwareResource } from "./metadata.ts";

/** Why a request was refused, field by field (`metav1.StatusCause`). */
export interface StatusCause {
  /** A machine-readable cause such as `FieldValueInvalid`. */
  readonly reason: string | null;
  /** A text for people. */
  readonly message: string | null;
  /** The path of the field, as in `spec.containers[0].image`. */
  readonly field: string | null;
}

/** More about a refusal (`metav1.StatusDetails`). `retry_after_seconds` is spelled as the original spells it. */
export interface StatusDetails {
  /** Name of the resource. */
  readonly name?: string;
  /** API group of the resource. */
  readonly group?: string;
  /** Kind of the resource. */
  readonly kind?: string;
  /** Uid of the resource. */
  readonly uid?: string;
  /** All causes, where there are several. */
  readonly causes?: readonly StatusCause[];
  /** When to try again, in seconds. */
  readonly retry_after_seconds?: number;
}

/** The status of an admission response (`metav1.Status`). */
export interface AdmissionStatus {
  /** `Success` or `Failure`. */
  readonly status?: string;
  /** The text that the user sees. */
  readonly message?: string;
  /** A machine-readable reason such as `Forbidden`. */
  readonly reason?: string;
  /** More about the refusal. */
  readonly details?: StatusDetails;
  /** An HTTP-like code, 0 to 65535. */
  readonly code?: number;
}

/** What a policy answered to one request, before the server applies mode, mutation rule and custom message. */
export interface Verdict {
  /** Whether the request may pass. */
  readonly allowed: boolean;
  /** What the policy has to say of it; absent when it said nothing. */
  readonly status?: AdmissionStatus;
  /** A JSON Patch (RFC 6902) as JSON text. */
  readonly patch?: string;
  /** Annotations for the API server's audit log. */
  readonly auditAnnotations: Readonly<Record<string, string>> | null;
  /** Warnings for the client. */
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
  /** How important it is. */
  readonly level: "trace" | "debug" | "info" | "warn" | "error";
  /** The text; empty where the policy gave none. */
  readonly message: string;
  /** All further members of the entry as JSON text; undefined if it has none. */
  readonly data: string | undefined;
  /** Set where a Rego policy printed the line, or gave up with it. */
  readonly rego?: "println" | "abort";
}

/** The answer to a host call: bytes, or the text of an error. */
export type HostCallAnswer = {
  readonly ok: true;
  readonly payload: Uint8Array;
  /**
   * Of an inventory: a number that no other has had in this process. As long as it stays, a policy's guests keep what they made of the
   * inventory; without it they make it for each request.
   */
  readonly version?: number;
} | { readonly ok: false; readonly error: string };

/** A host call that the host's main thread has to answer. */
export interface HostCall {
  /** The capability's namespace, as in `kubernetes` or `oci`. */
  readonly namespace: string;
  /** What is asked, as in `can_i` or `v1/verify`. */
  readonly operation: string;
  /** The arguments, as a rule JSON. */
  readonly payload: Uint8Array;
  /** Set by the host itself, never by a guest, when a Rego policy's inventory is wanted. */
  readonly inventory?: InventoryRequest;
}

/**
 * Raised by a host capability for an error whose text the guest gets as it is; every other error is told as a failed callback
 * (`spec/evaluator.md §5.1` rules 4, 5 and 7).
 */
export class HostCallError extends Error {
  override readonly name = "HostCallError";
}

/** The cluster's objects that a Rego policy is to see, and in which form (`spec/evaluator.md §7.3, §7.4`). */
export interface InventoryRequest {
  /** Whose form. */
  readonly form: "opa" | "gatekeeper";
  /** The kinds wanted. */
  readonly resources: readonly ContextAwareResource[];
}

/**
 * Answers with the JSON text of the inventory: what becomes `data.kubernetes` in OPA's form, `data.inventory` in Gatekeeper's
 * (`render/rego_inventory.ts` builds both). An error is what the request is refused with, as it is.
 */
export type InventoryHandler = (
  request: InventoryRequest,
  policy: string,
) => HostCallAnswer | Promise<HostCallAnswer>;

/** Answers host calls of one policy. It must never throw: what goes wrong is an answer with `ok: false`. */
export type HostCallHandler = (call: HostCall) => HostCallAnswer | Promise<HostCallAnswer>;

/** Sizes of what a guest answers: bytes, unless they say what. */
export const ANSWER = {
  /**
   * More than an object can have that an API server takes: it refuses requests of over 3 MiB, and etcd stores 1.5 MiB. An answer is
   * parsed, copied into the thread that serves all policies, and sent: answers of 15 MiB kept that thread from the others for 0.2 s.
   * The patch that is made of an answer has no more either.
   */
  max: 4 << 20,
  /** To convert an answer of this size takes long enough that nothing should wait behind it. */
  large: 256 << 10,
  /**
   * Warnings of a verdict, audit annotations, and causes of a rejection. Each is copied into the thread that serves all policies: a
   * million annotations keep it from that for a second. An API server passes on 4 KiB of warnings.
   */
  entries: 10_000,
} as const;

/** Texts that clients see (`spec/evaluator.md §3.3, §4.2`). */
export const TEXT = {
  interrupted: "Policy execution interrupted because it exceeded the allowed execution time",
  mutationOfNothing:
    "Incoming object is null, which happens only with DELETE operations, but the policy is attempting a mutation. This is not allowed",
  regoInterrupted: "internal server error: guest code interrupted, execution deadline exceeded",
  noInventory: "cannot build Rego context aware data: callback channel is not set",
} as const;

/** A verdict that refuses because something failed: `internal server error` and the like, code 500. */
export function failure(message: string): Verdict {
  return { allowed: false, status: { message, code: 500 }, auditAnnotations: null, warnings: null };
}
