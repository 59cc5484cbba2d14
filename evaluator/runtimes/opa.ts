/** Execution mode `opa`: Rego policies that answer with an AdmissionResponse (`spec/evaluator.md §7.3`). */
import { opaData } from "../render/rego_documents.ts";
import { opaVerdict } from "../render/rego_verdict.ts";
import { regoRuntime } from "./rego_guest.ts";

const encoder = new TextEncoder();
const BEFORE_REQUEST = encoder.encode('{"request":');
const END = encoder.encode("}");

/** Makes guests of OPA's kind. */
export const opa = regoRuntime({
  form: "opa",
  refusal: () => undefined,
  data({ settings }, inventory, warn) {
    if (inventory === undefined) return [settings];
    const { pieces, overwritten } = opaData(settings, inventory);
    if (overwritten) warn("the setting `kubernetes` is overwritten by the policy's context-aware data");
    return pieces;
  },
  input: (_, request) => [BEFORE_REQUEST, request, END],
  verdict: opaVerdict,
});
