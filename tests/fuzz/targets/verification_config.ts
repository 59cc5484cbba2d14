/** Verification configurations: none that is read lets an image pass that has no signature. */
import { requireSignatures, signatureYaml } from "../../../artifact/render/constraint.ts";
import { ArtifactError } from "../../../artifact/types/error.ts";
import { configWarnings, parseVerificationConfig } from "../../../artifact/types/verification_config.ts";
import { holds } from "../target.ts";
import { textTarget } from "../text_target.ts";

const KEY =
  "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEyQfmL5YwHbn9xrrgG3vgbU0KJxMY\nBibYLJ5L4VSMvGxeMLnBGdM48w5IE//6idUPj3rscigFdHs7GDMH4LLAng==\n-----END PUBLIC KEY-----\n";
const signature = { kind: "pubKey", owner: "a", key: KEY, annotations: { env: "prod" } };
const issuer = { kind: "genericIssuer", issuer: "https://example.org", subject: { equal: "a@example.org" } };
const github = { kind: "githubAction", owner: "kubewarden", repo: "policy-server", annotations: {} };

export const target = textTarget({
  name: "verification-config",
  examples: [
    {
      apiVersion: "v1",
      allOf: [signature, github],
      anyOf: { minimumMatches: 1, signatures: [issuer, signature] },
    },
    { apiVersion: "v1", allOf: [{ ...issuer, subject: { urlPrefix: "https://github.com/kubewarden" } }] },
    { allOf: [], anyOf: { signatures: [github] } },
    "apiVersion: v1\nallOf:\n  - kind: githubAction\n    owner: kubewarden\n  - kind: genericIssuer\n" +
    "    issuer: https://token.actions.githubusercontent.com\n    subject:\n      urlPrefix: https://github.com/kubewarden/\n",
  ],
  words: [
    "apiVersion",
    "v1",
    "allOf",
    "anyOf",
    "minimumMatches",
    "signatures",
    "kind",
    "pubKey",
    "genericIssuer",
    "githubAction",
    "owner",
    "repo",
    "issuer",
    "subject",
    "equal",
    "urlPrefix",
    "annotations",
    "key",
    "https://github.com/a/../b",
  ],
  yaml: true,
  expected: [ArtifactError],
  read: (text) => {
    const config = parseVerificationConfig(text);
    configWarnings(config, text);
    for (const one of [...config.allOf ?? [], ...config.anyOf?.signatures ?? []]) signatureYaml(one);
    let passed = true;
    try {
      requireSignatures(config, [], () => true);
    } catch (error) {
      if (!(error instanceof ArtifactError)) throw error;
      passed = false;
    }
    // That an empty list asks for nothing is the original's rule; who loads it is warned, and no image without signatures gets here.
    const empty = (config.allOf ?? []).length === 0 && (config.anyOf?.minimumMatches ?? 0) === 0;
    holds(!passed || empty, "an image without signatures passed");
  },
});
