/** From a policy's verdict to the admission response, and to the bytes that are sent (`spec/policy-server.md §5.4, §6.4`). */
import type { AdmissionResponse, AdmissionStatus, ResponseRules, Verdict } from "../types/admission.ts";
import { base64 } from "../../program/types/base64.ts";

/** A response that lets pass, without a word. */
export const ALLOWED: AdmissionResponse = { allowed: true, auditAnnotations: null, warnings: null };

/** Applies mode, mutation rule and custom message, in this order. `/audit` answers with the verdict itself instead. */
export function admissionResponse(verdict: Verdict, rules: ResponseRules): AdmissionResponse {
  const { warnings, auditAnnotations } = verdict;
  if (rules.mode === "monitor") return { allowed: true, auditAnnotations, warnings };
  let response: AdmissionResponse = verdict;
  if (verdict.patch !== undefined && !rules.allowedToMutate) {
    const message =
      `Request rejected by policy ${rules.policy}. The policy attempted to mutate the request, ` +
      "but it is currently configured to not allow mutations.";
    response = { allowed: false, status: { message }, auditAnnotations, warnings };
  }
  if (response.allowed || rules.message === null) return response;
  const status: AdmissionStatus = response.status ?? {};
  const cause = { reason: null, message: status.message ?? "", field: null };
  const details = { ...status.details, causes: [...status.details?.causes ?? [], cause] };
  return { ...response, status: { ...status, message: rules.message, details } };
}

const REVIEW_START = '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":';
const NOTHING_TO_SAY = ',"allowed":true,"auditAnnotations":null,"warnings":null}';

function responseText(uid: string, response: AdmissionResponse): string {
  const { allowed, patch, status, auditAnnotations, warnings } = response;
  const start = `{"uid":${JSON.stringify(uid)}`;
  if (allowed && patch === undefined && !status && !auditAnnotations && !warnings) {
    return start + NOTHING_TO_SAY;
  }
  const rest = JSON.stringify({
    allowed,
    ...(patch !== undefined && { patchType: "JSONPatch", patch: base64(patch) }),
    ...(status && { status: statusMembers(status) }),
    auditAnnotations,
    warnings,
  });
  return `${start},${rest.slice(1)}`;
}

/** A list of causes is left out when it is empty. */
function statusMembers(status: AdmissionStatus): AdmissionStatus {
  const { details } = status;
  if (!details?.causes || details.causes.length > 0) return status;
  const { causes: _, ...others } = details;
  return { ...status, details: others };
}

/** The body that answers an AdmissionReview. */
export function reviewAnswer(uid: string, response: AdmissionResponse): string {
  return `${REVIEW_START}${responseText(uid, response)}}`;
}

/** The body that answers a raw review. */
export function rawAnswer(uid: string, response: AdmissionResponse): string {
  return `{"response":${responseText(uid, response)}}`;
}
