/** A module with its policy's metadata, checked against what the module is. */
import { withCustomSection } from "../../evaluator/render/custom_section.ts";
import { modeHint } from "../../evaluator/render/guest_mode.ts";
import { METADATA_SECTION, type PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { capabilityDifferences, usedCapabilities } from "../render/capability_scan.ts";
import { withHostImport } from "../render/javy_import.ts";
import { metadataFaults, metadataObject } from "../render/metadata_document.ts";
import { isRego } from "../render/module_mode.ts";
import { CliError, type Context } from "../types/command.ts";
import { COMPATIBLE_VERSION } from "../types/version.ts";
import { protocolVersion } from "./protocol_version.ts";

/** The annotation that holds what users read about a policy. */
export const USAGE = "io.kubewarden.policy.usage";
const TOOL = "io.kubewarden.kwctl";

function checkMode(mode: PolicyMetadata["executionMode"], module: Uint8Array): void {
  const rego = isRego(module);
  const wrong = "Wrong value inside of policy's metadata for 'executionMode'.";
  if ((mode === "opa" || mode === "gatekeeper") && !rego) {
    throw new CliError(`${wrong} The policy has not been created using Rego${modeHint(module, mode)}`);
  }
  if (mode === "kubewarden-wapc" && rego) {
    throw new CliError(`${wrong} This policy has been created using Rego${modeHint(module, mode)}`);
  }
}

function warnOfCapabilities(context: Context, module: Uint8Array, declared: readonly string[]): void {
  const { undeclared, unused } = capabilityDifferences(usedCapabilities(module), declared);
  const fields = (capabilities: readonly string[]) => ({
    capabilities: `{${capabilities.map((one) => JSON.stringify(one)).join(", ")}}`,
  });
  if (undeclared.length > 0) {
    context.log(
      "WARN",
      "host capabilities used by the policy but not declared in metadata",
      fields(undeclared),
    );
  }
  if (unused.length > 0) {
    context.log(
      "WARN",
      "host capabilities declared in metadata but not detected in the policy",
      fields(unused),
    );
  }
}

/** `module` with the metadata of its author, completed by what the module says of itself, and `annotations` over theirs. */
export async function annotatedModule(
  context: Context,
  module: Uint8Array,
  given: PolicyMetadata,
  annotations: Readonly<Record<string, string>>,
): Promise<Uint8Array> {
  checkMode(given.executionMode, module);
  const metadata: PolicyMetadata = {
    ...given,
    protocolVersion: given.executionMode === "kubewarden-wapc" ? await protocolVersion(module) : "Unknown",
    annotations: { ...given.annotations, ...annotations, [TOOL]: COMPATIBLE_VERSION },
  };
  const faults = metadataFaults(metadata);
  if (faults.length > 0) throw new CliError(`Metadata is invalid: ${faults.join("; ")}`);
  warnOfCapabilities(context, module, given.hostCapabilities ?? []);
  const section = new TextEncoder().encode(JSON.stringify(metadataObject(metadata)));
  return withCustomSection(withHostImport(module), METADATA_SECTION, section);
}
