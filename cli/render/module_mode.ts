/** How a module is run: what its metadata, its exports and the user say (`spec/cli.md §7.4`). */
import { isRego as exportsOpa, modeHint } from "../../evaluator/render/guest_mode.ts";
import type { ExecutionMode, PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { CliError } from "../types/command.ts";

const REGO: readonly ExecutionMode[] = ["opa", "gatekeeper"];
const CREATED_WITH = "the policy execution mode specified via CLI flag is wrong";

/** Whether `opa build` made the module. Throws {@link CliError} for what is no module. */
export function isRego(module: Uint8Array): boolean {
  try {
    return exportsOpa(module);
  } catch (error) {
    throw new CliError(
      `Rego policy type check failure: cannot parse WebAssembly file: ${(error as Error).message}`,
    );
  }
}

/** The mode to run a module in. `wanted` is what the user asked for. Throws {@link CliError}. */
export function executionMode(
  module: Uint8Array,
  metadata: PolicyMetadata | undefined,
  wanted: ExecutionMode | undefined,
): ExecutionMode {
  const rego = isRego(module);
  const mode = wanted ?? metadata?.executionMode;
  if (wanted !== undefined && metadata !== undefined && metadata.executionMode !== wanted) {
    throw new CliError(
      `The policy execution mode specified via CLI flag is ${wanted}, but the policy's metadata says ` +
        metadata.executionMode,
    );
  }
  if (mode === undefined) {
    if (!rego) return "kubewarden-wapc";
    throw new CliError(
      "The policy has been created with Rego, please specify which Opa runtime has to be used",
    );
  }
  if (REGO.includes(mode) && !rego) {
    throw new CliError(`The policy has not been created with Rego, ${CREATED_WITH}${modeHint(module, mode)}`);
  }
  if (!REGO.includes(mode) && rego) {
    throw new CliError(`The policy has been created with Rego, ${CREATED_WITH}${modeHint(module, mode)}`);
  }
  return mode;
}

/** Refuses a policy that wants a newer Kubewarden; the patch version does not count. Throws {@link CliError}. */
export function checkVersion(metadata: PolicyMetadata | undefined, version: string): void {
  const minimum = metadata?.minimumKubewardenVersion;
  if (minimum === undefined) return;
  const numbers = (text: string) => /^(\d+)\.(\d+)\./.exec(text)?.slice(1).map(Number) ?? [0, 0];
  const [major = 0, minor = 0] = numbers(minimum);
  const [ourMajor = 0, ourMinor = 0] = numbers(version);
  if (major < ourMajor || (major === ourMajor && minor <= ourMinor)) return;
  throw new CliError(
    `Policy required Kubewarden version ${major}.${minor}.0 or greater. But it's running on ${version}`,
  );
}
