/** Reading AdmissionReviews and writing their answers (spec/crds.md §8.2). */
import { isObject } from "../../program/types/json_object.ts";
import { type FieldError, invalidMessage, toldErrors } from "../../crd/render/field_error.ts";
import { API_GROUP, type Kind } from "../../crd/types.ts";
import type { PatchOperation } from "../../crd/render/defaults.ts";
import { base64 } from "../../program/types/base64.ts";

/** Largest body, in bytes, that is read. */
export const BODY_LIMIT = 7 * 1024 * 1024;

export type AdmissionRequest = {
  readonly uid: string;
  readonly operation: string;
  readonly name: string;
  readonly object: unknown;
  readonly oldObject: unknown;
};

/** A review that was read: the request, and the version in which to answer. */
export type Review = { readonly apiVersion: string; readonly request: AdmissionRequest };

export type Verdict =
  | {
    readonly allowed: true;
    readonly patch?: readonly PatchOperation[];
    readonly warnings?: readonly string[];
  }
  | { readonly allowed: false; readonly code: number; readonly message: string }
  | {
    readonly allowed: false;
    readonly kind: Kind;
    readonly name: string;
    readonly errors: readonly FieldError[];
    readonly warnings?: readonly string[];
  };

const VERSIONS = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];

function record(value: unknown): { readonly [key: string]: unknown } | undefined {
  return isObject(value) ? value : undefined;
}

/** Reads a review from a request's body; a text says why it cannot be read. */
export function readReview(
  contentType: string | undefined,
  body: string,
): Review | { readonly problem: string } {
  if (contentType !== "application/json") {
    return { problem: `contentType=${contentType ?? ""}, expected application/json` };
  }
  if (body === "") return { problem: "request body is empty" };
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (error) {
    return { problem: `couldn't decode the request body: ${(error as Error).message}` };
  }
  const review = record(parsed);
  const apiVersion = review?.["apiVersion"];
  const request = record(review?.["request"]);
  if (
    typeof apiVersion !== "string" || !VERSIONS.includes(apiVersion) || review?.["kind"] !== "AdmissionReview"
  ) {
    return { problem: "the request body is no AdmissionReview of admission.k8s.io/v1 or v1beta1" };
  }
  if (request === undefined || typeof request["uid"] !== "string") {
    return { problem: "the AdmissionReview has no request with a uid" };
  }
  const text = (value: unknown) => typeof value === "string" ? value : "";
  return {
    apiVersion,
    request: {
      uid: request["uid"],
      operation: text(request["operation"]),
      name: text(request["name"]),
      object: request["object"] ?? undefined,
      oldObject: request["oldObject"] ?? undefined,
    },
  };
}

function response(verdict: Verdict): { readonly [key: string]: unknown } {
  if (verdict.allowed) {
    const { patch = [], warnings = [] } = verdict;
    return {
      allowed: true,
      ...(patch.length === 0 ? {} : { patchType: "JSONPatch", patch: base64(JSON.stringify(patch)) }),
      ...(warnings.length === 0 ? {} : { warnings }),
      status: { code: 200 },
    };
  }
  if ("errors" in verdict) {
    const { kind, name, errors, warnings = [] } = verdict;
    return {
      allowed: false,
      ...(warnings.length === 0 ? {} : { warnings }),
      status: {
        status: "Failure",
        code: 422,
        reason: "Invalid",
        message: invalidMessage(kind, API_GROUP, name, errors),
        details: {
          name,
          group: API_GROUP,
          kind,
          causes: toldErrors(errors).map(({ reason, message, field }) => ({ reason, message, field })),
        },
      },
    };
  }
  return { allowed: false, status: { code: verdict.code, message: verdict.message } };
}

/** The answer's body. */
export function renderReview(verdict: Verdict, uid = "", apiVersion = VERSIONS[0]!): string {
  return JSON.stringify({ apiVersion, kind: "AdmissionReview", response: { uid, ...response(verdict) } });
}
