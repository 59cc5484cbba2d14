/**
 * `evaluator/render/imports.ts` without its check, for the tests of the second wall (`second_wall_test.ts`); nothing else may
 * import it.
 */
import type { ExecutionMode } from "../../../evaluator/types/metadata.ts";
import type { ImportedMemory } from "../../../evaluator/types/module.ts";

/** The memory that the tests' Rego guests import. */
const REGO_MEMORY: ImportedMemory = { min: 2, max: 100 };

/** Lets every module pass. Rego modules get their memory. */
export function checkBorder(
  _module: Uint8Array,
  mode: ExecutionMode,
): ImportedMemory | undefined {
  return mode === "opa" || mode === "gatekeeper" ? REGO_MEMORY : undefined;
}
