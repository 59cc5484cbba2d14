/**
 * Custom sections of a Wasm module: what a policy carries beside its code, such as its metadata
 * (`io.kubewarden.metadata`, spec/evaluator.md §9). Only the frame of the module is read; its code is not validated.
 *
 * ```ts
 * const marked = withCustomSection(module, "example", new TextEncoder().encode("hello"));
 * customSections(marked, "example").length; // 1
 * ```
 */
import { Reader, SECTION, sections, Writer } from "./wasm_binary.ts";

const preambleLength = 8;

/**
 * The contents of every custom section called `name`, in the order of the module (views on `module`, not copies).
 *
 * @throws {WasmFormatError} when the bytes are not a whole module in the Wasm binary format
 */
export function customSections(module: Uint8Array, name: string): Uint8Array[] {
  return frame(module).flatMap((section) =>
    section.custom?.name === name ? [module.subarray(section.custom.contentStart, section.end)] : []
  );
}

/**
 * A copy of `module` whose last section is the custom section `name` holding `content`. Sections it already has under
 * that name are left out; everything else stays byte for byte.
 *
 * @throws {WasmFormatError} when the bytes are not a whole module in the Wasm binary format
 */
export function withCustomSection(module: Uint8Array, name: string, content: Uint8Array): Uint8Array {
  const whole = new Writer(module.length + content.length + 64);
  const kept = frame(module).filter((section) => section.custom?.name !== name);
  whole.copy(module, 0, preambleLength);
  for (const section of kept) whole.copy(module, section.start, section.end);
  const added = new Writer(content.length + 64);
  added.name(name);
  added.copy(content, 0, content.length);
  whole.section(SECTION.custom, added);
  return whole.view();
}

type Framed = {
  /** Offset of the section's id, so that a section can be copied with its own spelling of its size. */
  readonly start: number;
  readonly end: number;
  readonly custom?: { readonly name: string; readonly contentStart: number };
};

function frame(module: Uint8Array): Framed[] {
  let start = preambleLength;
  return sections(module).map((section) => {
    const framed = { start, end: section.end };
    start = section.end;
    if (section.id !== SECTION.custom) return framed;
    const reader = new Reader(module, section.start, section.end);
    return { ...framed, custom: { name: reader.name(), contentStart: reader.at } };
  });
}
