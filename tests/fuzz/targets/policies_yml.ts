/** `policies.yml`: every name of a file that is read is one that stands in it, and JSON is read as JSON. */
import { parsePolicies, PoliciesFileError } from "../../../policy_server/types/policies.ts";
import { same } from "../target.ts";
import { textTarget } from "../text_target.ts";

const member = { module: "registry://ghcr.io/a/b:v1", settings: { a: [1, 1.5, null, "x"] } };
const EXAMPLES = [
  {
    "kw.cap.one": {
      module: "ghcr.io/kubewarden/policies/pod-privileged:v1.0.4",
      settings: { a: 1, "é": { b: [true, null] } },
      policyMode: "monitor",
      allowedToMutate: true,
      timeoutEvalSeconds: 3,
      message: "no",
      hostCapabilities: ["oci/*", "net/v1/dns_lookup_host"],
      contextAwareResources: [{ apiVersion: "v1", kind: "Namespace" }],
    },
    group: {
      policyMode: "protect",
      policies: { one: member, two: member },
      expression: "one() && !two()",
      message: "refused",
    },
  },
  {},
  "one:\n  module: file:///a.wasm\n  allowedToMutate: false\n  settings:\n    # comment\n    list: [1, 0x1f, 1e3, .inf, ~]\n" +
  "    text: |\n      a\n      b\n    folded: >-\n      a\n      b\ntwo: &anchor\n  module: 'https://example.org/b.wasm'\n" +
  "three: *anchor\n",
  "? a\n: {module: b}\n--- \n",
  "a: {module: x, settings: &s {k: [v, v]}}\nb: {module: y, settings: *s}\n",
];
const WORDS = [
  "module",
  "settings",
  "policyMode",
  "protect",
  "monitor",
  "allowedToMutate",
  "contextAwareResources",
  "apiVersion",
  "kind",
  "timeoutEvalSeconds",
  "hostCapabilities",
  "policies",
  "expression",
  "message",
  "registry://ghcr.io/a/b:v1",
  "one()",
];

export const target = textTarget({
  name: "policies-yml",
  examples: EXAMPLES,
  words: WORDS,
  yaml: true,
  expected: [PoliciesFileError],
  read: (text) => {
    const policies = parsePolicies(text, "policies.yml");
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      return;
    }
    same(
      "the policies",
      Object.keys(parsed as object).toSorted().join(),
      [...policies.keys()].toSorted().join(),
    );
  },
});
