/** A new policy in Rego, as Gatekeeper has it, compiled by `opa`. */
import { type PolicyLanguage, text } from "./common.ts";

const POLICY = text(
  "# Requires a label, except in some namespaces.",
  "package policy",
  "",
  'violation contains {"msg": msg} if {',
  "\tlabel := input.parameters.label",
  "\tnot input.review.object.metadata.labels[label]",
  '\tnot input.review.namespace in object.get(input.parameters, "except", [])',
  '\tmsg := sprintf("the label %q is missing", [label])',
  "}",
);

export const REGO: PolicyLanguage = {
  ignored: ["*.wasm", "*.tar.gz"],
  executionMode: "gatekeeper",
  sources: () => ({ "policy.rego": POLICY }),
  commands: [
    "opa build -t wasm -e policy/violation -o bundle.tar.gz policy.rego",
    "tar -xzf bundle.tar.gz /policy.wasm",
  ],
};
