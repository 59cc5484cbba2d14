/** The answer to a request as one line of JSON (`spec/cli.md §7.6`). */
import { safeJson } from "../../program/render/terminal_text.ts";
import { rawAnswer } from "../../admission/render/admission_response.ts";
import type { AdmissionResponse } from "../../admission/types/admission.ts";

/** The response with the request's uid. */
export function responseLine(uid: string, response: AdmissionResponse): string {
  return safeJson(rawAnswer(uid, response).slice('{"response":'.length, -1));
}
