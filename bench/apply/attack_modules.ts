/** The policies of attacks, as files and entries of a policies file. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import binaryen from "binaryen";
import { withCustomSection } from "../../evaluator/render/custom_section.ts";
import type { ExecutionMode } from "../../evaluator/types/metadata.ts";
import { attackGuest } from "../types/attack_guests.ts";
import { type Attack, ATTACK_LIMIT_S, LONG_SETTINGS } from "../types/attacks.ts";
import { type PolicyEntry, ROOT } from "./servers.ts";

const { Features } = binaryen;
const FEATURES = Features.BulkMemory | Features.ExceptionHandling | Features.Multivalue |
  Features.MutableGlobals | Features.ReferenceTypes | Features.SIMD128 | Features.SignExt |
  Features.TailCall | Features.NontrappingFPToInt | Features.GC | Features.Atomics;

function assemble(text: string, executionMode: ExecutionMode): Uint8Array {
  const module = binaryen.parseText(text);
  try {
    module.setFeatures(FEATURES);
    const metadata = {
      protocolVersion: "v1",
      rules: [],
      mutating: false,
      executionMode,
      policyType: "kubernetes",
    };
    return withCustomSection(
      module.emitBinary(),
      "io.kubewarden.metadata",
      new TextEncoder().encode(JSON.stringify(metadata)),
    );
  } finally {
    module.dispose();
  }
}

/** The name of an attack's policy. */
export const policyOf = ({ name }: Attack): string => name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");

/** Writes the modules of attacks into a folder. Returns the entries of their policies. */
export function attackPolicies(
  attacks: readonly Attack[],
  folder: string,
): Readonly<Record<string, PolicyEntry>> {
  return Object.fromEntries(attacks.map((attack) => {
    const policy = policyOf(attack);
    let module: string;
    if ("file" in attack.guest) module = join(ROOT, attack.guest.file);
    else {
      module = join(folder, `${policy}.wasm`);
      writeFileSync(module, assemble(attackGuest(attack.guest.mode, attack.guest.text), attack.guest.mode));
    }
    const entry: PolicyEntry = {
      module,
      timeoutEvalSeconds: ATTACK_LIMIT_S,
      ...(attack.settings === true && { settings: LONG_SETTINGS }),
      ...(attack.hostCapabilities && { hostCapabilities: attack.hostCapabilities }),
    };
    return [policy, entry];
  }));
}
