/** Metadata of policies, as a document and in the custom section of a module. */
import { ModuleError, readMetadata } from "../../../evaluator/apply/prepare.ts";
import { withCustomSection } from "../../../evaluator/render/custom_section.ts";
import { METADATA_SECTION, MetadataError, parseMetadata } from "../../../evaluator/types/metadata.ts";
import { holds, same } from "../target.ts";
import { textTarget } from "../text_target.ts";

const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
const RULE = { apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE", "UPDATE"] };

export const target = textTarget({
  name: "metadata",
  examples: [
    {
      protocolVersion: "v1",
      rules: [RULE],
      mutating: true,
      backgroundAudit: false,
      executionMode: "opa",
      policyType: "kubernetes",
      minimumKubewardenVersion: "1.10.0",
      contextAwareResources: [{ apiVersion: "v1", kind: "Service" }],
      annotations: { "io.kubewarden.policy.title": "a", "io.kubewarden.policy.author": "b" },
    },
    { rules: [], mutating: false },
    { rules: [{ ...RULE, scope: "*" }], mutating: false, executionMode: "kubewarden-wapc" },
  ],
  words: [
    "rules",
    "mutating",
    "protocolVersion",
    "executionMode",
    "kubewarden-wapc",
    "wasi",
    "opa",
    "gatekeeper",
    "extism",
    "policyType",
    "raw",
    "annotations",
    "contextAwareResources",
    "apiGroups",
    "operations",
    "*",
  ],
  expected: [ModuleError, MetadataError, SyntaxError],
  read: (text, bytes) => {
    let fault: unknown;
    let direct: string | undefined;
    try {
      direct = JSON.stringify(parseMetadata(JSON.parse(text)));
    } catch (error) {
      if (!(error instanceof MetadataError || error instanceof SyntaxError)) throw error;
      fault = error;
    }
    try {
      const read = JSON.stringify(readMetadata(withCustomSection(EMPTY, METADATA_SECTION, bytes)));
      // The document was decoded leniently here.
      if (!text.includes("\ufffd")) same("the metadata in a module", direct, read);
    } catch (error) {
      if (!(error instanceof ModuleError)) throw error;
      holds(
        direct === undefined || text.includes("\ufffd") || bytes[0] === 0xef,
        `metadata was refused in a module only: ${error.message}`,
      );
      throw error;
    }
    if (fault) throw fault;
  },
});
