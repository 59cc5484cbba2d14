/** The memory that a module wants from its host; JavaScript's API does not tell its size. */
import type { ImportedMemory } from "../types/module.ts";
import { Reader, SECTION, sections, WasmFormatError } from "./wasm_binary.ts";

/** Limits of the memory that `module` imports; undefined if it imports none. Throws {@link WasmFormatError}. */
export function importedMemoryOf(module: Uint8Array, maxPages: number): ImportedMemory | undefined {
  const section = sections(module).find(({ id }) => id === SECTION.import);
  if (!section) return undefined;
  const reader = new Reader(module, section.start, section.end);
  for (let count = reader.u32(); count > 0; count--) {
    reader.name();
    reader.name();
    const kind = reader.u8();
    if (kind === 2) {
      const bounded = (reader.u8() & 1) === 1;
      const min = reader.u32();
      const max = Math.min(bounded ? reader.u32() : maxPages, maxPages);
      if (min > maxPages) {
        throw new WasmFormatError(
          `the module asks for ${min / 16} MiB of memory, the limit is ${maxPages / 16} MiB`,
        );
      }
      return { min, max };
    }
    if (kind === 0) reader.u32();
    else if (kind === 3) skipValueType(reader, 1);
    else if (kind === 4) {
      reader.skip(1);
      reader.u32();
    } else {
      skipValueType(reader, 0);
      const flags = reader.u8();
      reader.u32();
      if (flags & 1) reader.u32();
    }
  }
  return undefined;
}

function skipValueType(reader: Reader, more: number): void {
  const type = reader.u8();
  if (type === 0x63 || type === 0x64) reader.skipLeb();
  reader.skip(more);
}
