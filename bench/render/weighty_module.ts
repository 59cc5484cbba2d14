/** Makes modules of a wished size and all different, out of one that works. */
import { customSections, withCustomSection } from "../../evaluator/render/custom_section.ts";
import { Reader, SECTION, sections, Writer } from "../../evaluator/render/wasm_binary.ts";

const METADATA = "io.kubewarden.metadata";

/** A vector of a module's section as its elements' bytes: function types' indices, or function bodies. */
function elements(module: Uint8Array, id: number): Uint8Array[] {
  const section = sections(module).find((candidate) => candidate.id === id);
  if (section === undefined) throw new Error("the module has no functions");
  const reader = new Reader(module, section.start, section.end);
  return Array.from({ length: reader.u32() }, () => {
    const start = reader.at;
    const value = reader.u32();
    if (id === SECTION.code) reader.skip(value);
    return module.subarray(start, reader.at);
  });
}

function vector(items: readonly Uint8Array[]): Writer {
  const writer = new Writer(items.reduce((sum, item) => sum + item.length, 8));
  writer.u32(items.length);
  for (const item of items) writer.copy(item, 0, item.length);
  return writer;
}

/**
 * `module` with copies of its functions, added behind them until it has about `bytes`. Nothing calls the copies, but whoever
 * loads the module reads, checks, instruments and keeps them like all code.
 */
export function withMoreCode(module: Uint8Array, bytes: number): Uint8Array {
  const types = elements(module, SECTION.function);
  const bodies = elements(module, SECTION.code);
  const moreTypes = [...types];
  const moreBodies = [...bodies];
  for (let length = module.length, index = 0; length < bytes; index++) {
    const body = bodies[index % bodies.length]!;
    moreTypes.push(types[index % types.length]!);
    moreBodies.push(body);
    length += body.length + 1;
  }
  const whole = new Writer(bytes + 4096);
  whole.copy(module, 0, 8);
  for (const { id, start, end } of sections(module)) {
    if (id === SECTION.function) whole.section(id, vector(moreTypes));
    else if (id === SECTION.code) whole.section(id, vector(moreBodies));
    else {
      const content = new Writer(end - start);
      content.copy(module, start, end);
      whole.section(id, content);
    }
  }
  return whole.view();
}

/** `module` with a custom section that makes it about `bytes` long (no less than it is) and different for every `index`. */
export function distinct(module: Uint8Array, index: number, bytes: number): Uint8Array {
  const content = new Uint8Array(Math.max(4, bytes - module.length));
  new DataView(content.buffer).setUint32(0, index);
  return withCustomSection(module, "portreeve.bench", content);
}

/** `module` with the policy metadata of `other`, unless it has its own: what cargo builds has none yet. */
export function withMetadataOf(module: Uint8Array, other: Uint8Array): Uint8Array {
  const metadata = customSections(other, METADATA)[0];
  if (metadata === undefined || customSections(module, METADATA).length > 0) return module;
  return withCustomSection(module, METADATA, metadata);
}
