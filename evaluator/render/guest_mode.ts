/** Which execution mode a module was made for: its exports and imports tell, where its metadata are wrong. */
import type { ExecutionMode } from "../types/metadata.ts";
import { Reader, SECTION, sections } from "./wasm_binary.ts";

/** The modes that a module may have been made for, and what says so. */
export interface LikelyMode {
  readonly modes: readonly ExecutionMode[];
  /** As in "exports __guest_call". */
  readonly sign: string;
}

function reader(module: Uint8Array, id: number): Reader | undefined {
  const section = sections(module).find((section) => section.id === id);
  return section && new Reader(module, section.start, section.end);
}

/** Exports that are looked at; a module with more is refused (`module_limits.ts`). */
const MAX_EXPORTS = 100_000;

/** Calls `take` with the name of each export. */
function eachExport(module: Uint8Array, take: (name: string) => void): void {
  const section = reader(module, SECTION.export);
  for (let count = Math.min(section?.u32() ?? 0, MAX_EXPORTS); section && count > 0; count--) {
    take(section.name());
    section.skip(1);
    section.u32();
  }
}

/** Whether a module imports functions from a namespace. */
function importsFrom(module: Uint8Array, namespace: string): boolean {
  const section = reader(module, SECTION.import);
  for (let count = section?.u32() ?? 0; section && count > 0; count--) {
    if (section.name() === namespace) return true;
    section.name();
    // Guests of these modes import functions before anything else.
    if (section.u8() !== 0) return false;
    section.u32();
  }
  return false;
}

/** Whether `opa build` made the module. Throws WasmFormatError for what is no module. */
export function isRego(module: Uint8Array): boolean {
  let rego = false;
  eachExport(module, (name) => rego ||= name.startsWith("opa_"));
  return rego;
}

/** What a module looks like; undefined where nothing tells. Throws WasmFormatError for what is no module. */
export function likelyMode(module: Uint8Array): LikelyMode | undefined {
  let wapc = false;
  let start = false;
  eachExport(module, (name) => {
    wapc ||= name === "__guest_call";
    start ||= name === "_start";
  });
  if (isRego(module)) return { modes: ["opa", "gatekeeper"], sign: "exports functions named opa_…" };
  if (wapc) return { modes: ["kubewarden-wapc"], sign: "exports __guest_call" };
  if (importsFrom(module, "extism:host/env")) return { modes: ["extism"], sign: "imports extism:host/env" };
  // Guests of the modes above may export it, too.
  if (start) return { modes: ["wasi"], sign: "exports _start and nothing of another mode" };
  return undefined;
}

/** What to add to an error of a module that was run in the mode `declared`: nothing where that may be right. */
export function modeHint(module: Uint8Array, declared: ExecutionMode): string {
  let likely: LikelyMode | undefined;
  try {
    likely = likelyMode(module);
  } catch {
    // The error says already that it is no module.
    return "";
  }
  if (likely === undefined || likely.modes.includes(declared)) return "";
  const { modes, sign } = likely;
  return `; the module ${sign}, so its execution mode is ${
    modes.join(" or ")
  }, not ${declared}: correct executionMode in its metadata (reeve annotate), or the flag --execution-mode`;
}
