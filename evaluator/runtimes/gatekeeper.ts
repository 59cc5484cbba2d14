/** Execution mode `gatekeeper`: Rego policies that answer with a list of violations (`spec/evaluator.md §7.4`). */
import { gatekeeperVerdict } from "../render/rego_verdict.ts";
import { regoRuntime } from "./rego_guest.ts";

const encoder = new TextEncoder();
const BEFORE_PARAMETERS = encoder.encode('{"parameters":');
const BEFORE_REVIEW = encoder.encode(',"review":');
const BEFORE_INVENTORY = encoder.encode('{"inventory":');
const END = encoder.encode("}");
const NO_DATA = encoder.encode("{}");

/** Makes guests of Gatekeeper's kind. */
export const gatekeeper = regoRuntime({
  form: "gatekeeper",
  // What a mutation of a raw request is compared with is all of it; an AdmissionRequest's object stands within.
  refusal: ({ object }) =>
    object?.[0] === 0
      ? "internal server error: Gatekeeper does not support raw validation requests"
      : undefined,
  data: (_, inventory) => inventory === undefined ? [NO_DATA] : [BEFORE_INVENTORY, inventory, END],
  input: ({ settings }, review) => [BEFORE_PARAMETERS, settings, BEFORE_REVIEW, review, END],
  verdict: gatekeeperVerdict,
});
