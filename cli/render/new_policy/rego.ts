/** A new policy in Rego, as Gatekeeper has it, compiled by `opa`. */
import {
  ANNOTATE_AND_TEST,
  metadataFile,
  type PolicyLanguage,
  REQUEST_FILE,
  suiteFile,
  text,
} from "./common.ts";

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
  files: (policy) =>
    new Map([
      [".gitignore", "*.wasm\n*.tar.gz\n"],
      ["metadata.yml", metadataFile(policy, "gatekeeper")],
      ["policy.rego", POLICY],
      ["request.json", REQUEST_FILE],
      // A policy in Rego takes any settings, so that no typo is refused.
      ["suite.yml", suiteFile("annotated.wasm", undefined)],
    ]),
  next: [
    "opa build -t wasm -e policy/violation -o bundle.tar.gz policy.rego",
    "tar -xzf bundle.tar.gz /policy.wasm",
    ...ANNOTATE_AND_TEST,
  ],
};
