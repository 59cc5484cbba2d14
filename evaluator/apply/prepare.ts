/** From the bytes of a policy's module to a module that can be run: checked, instrumented, compiled. */
import { PortreeveError } from "../../program/types/error.ts";
import { customSections } from "../render/custom_section.ts";
import { checkBorder } from "../render/imports.ts";
import { modeHint } from "../render/guest_mode.ts";
import { instrument } from "../render/instrument.ts";
import { jsonExcess } from "../render/json_size.ts";
import { WasmFormatError } from "../render/wasm_binary.ts";
import {
  type ExecutionMode,
  METADATA_SECTION,
  NO_METADATA,
  parseMetadata,
  type PolicyMetadata,
} from "../types/metadata.ts";
import type { PreparedModule } from "../types/module.ts";

/** Raised for a module that can't be used; the message says why. */
export class ModuleError extends PortreeveError {
  /** Always this one. */
  override readonly code = "invalid_module";
  /** The name of the error. */
  override readonly name = "ModuleError";
}

/** Limits of a module's guests. */
export interface ModuleLimits {
  /** Memory of one guest, in MiB. */
  readonly memoryMib: number;
}

/**
 * Where a guest writes is recorded unless its mode is `wasi`. Programs of the Go compiler write all over their memory, from bases that
 * are hardly ever the same: recording costs them as much as it saves, and a third more code.
 */
const RECORDED: ReadonlySet<ExecutionMode> = new Set<ExecutionMode>([
  "kubewarden-wapc",
  "opa",
  "gatekeeper",
  "extism",
]);

/** Bytes of a module's metadata. Those of policies in use have 4 KiB. */
const MAX_METADATA = 1024 * 1024;

/** The metadata that a module carries; undefined if it has none. Throws {@link ModuleError}. */
export function readMetadata(module: Uint8Array): PolicyMetadata | undefined {
  let section: Uint8Array | undefined;
  try {
    section = customSections(module, METADATA_SECTION)[0];
  } catch (error) {
    throw new ModuleError(`cannot parse custom section of wasm module: ${(error as Error).message}`);
  }
  if (!section) return undefined;
  try {
    const excess = section.length > MAX_METADATA ? `more than ${MAX_METADATA} bytes` : jsonExcess(section);
    if (excess !== undefined) throw new Error(`it has ${excess}`);
    return parseMetadata(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(section)));
  } catch (error) {
    const reason = (error as Error).message;
    throw new ModuleError(
      `cannot deserialize custom section \`${METADATA_SECTION}\` of wasm module: ${reason}`,
    );
  }
}

/**
 * Checks, instruments and compiles a module. How it is run is said by its metadata, unless `mode` does. Throws
 * {@link ModuleError}.
 */
export async function prepareModule(
  module: Uint8Array,
  limits: ModuleLimits,
  mode: ExecutionMode = (readMetadata(module) ?? NO_METADATA).executionMode,
): Promise<PreparedModule> {
  const maxPages = limits.memoryMib * 16;
  try {
    // First, because it holds the module to its limits: an engine that checks or compiles it has none.
    const { bytes, restorable } = instrument(module, { maxPages, recordsWrites: RECORDED.has(mode) });
    // The guest's code must be valid by itself, else it could reach what was added (`render/instrument.ts`).
    if (!WebAssembly.validate(module as BufferSource)) {
      await WebAssembly.compile(module as BufferSource);
      throw new WasmFormatError("not a valid module");
    }
    const importedMemory = checkBorder(module, mode, maxPages);
    const compiled = await WebAssembly.compile(bytes as BufferSource);
    return { module: compiled, mode, restorable, maxPages, importedMemory, hint: modeHint(module, mode) };
  } catch (error) {
    const { message } = error as Error;
    throw new ModuleError(`error when building wasm module: ${message}${modeHint(module, mode)}`);
  }
}
