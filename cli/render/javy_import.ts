/** Modules that Javy made import their host call under a name that no host has (`spec/cli.md §15` rule 8). */
import { Reader, SECTION, sections, Writer } from "../../evaluator/render/wasm_binary.ts";

const FROM = { module: "kubewarden:javy/host", name: "call" };
const TO = "host";

/** The module with the import renamed; the same bytes if there is none. */
export function withHostImport(module: Uint8Array): Uint8Array {
  const section = sections(module).find(({ id }) => id === SECTION.import);
  if (section === undefined) return module;
  const reader = new Reader(module, section.start, section.end);
  const content = new Writer(section.end - section.start);
  const count = reader.u32();
  content.u32(count);
  let renamed = false;
  for (let index = 0; index < count; index++) {
    const start = reader.at;
    const from = reader.name();
    const afterModule = reader.at;
    const name = reader.name();
    const kind = reader.u8();
    skipImport(reader, kind);
    if (kind === 0 && from === FROM.module && name === FROM.name) {
      content.name(TO);
      content.copy(module, afterModule, reader.at);
      renamed = true;
    } else content.copy(module, start, reader.at);
  }
  if (!renamed) return module;
  const out = new Writer(module.length);
  // The section's own header: its id, and its size as it is written.
  let header = section.start - 1;
  while (header > 8 && !isHeader(module, header, section)) header--;
  out.copy(module, 0, header);
  out.section(SECTION.import, content);
  out.copy(module, section.end, module.length);
  return out.view().slice();
}

function isHeader(
  module: Uint8Array,
  at: number,
  section: { readonly start: number; readonly end: number },
): boolean {
  if (module[at] !== SECTION.import) return false;
  const reader = new Reader(module, at + 1);
  try {
    return reader.u32() === section.end - section.start && reader.at === section.start;
  } catch {
    return false;
  }
}

function skipImport(reader: Reader, kind: number): void {
  const limits = () => {
    const flags = reader.u8();
    reader.u32();
    if (flags & 1) reader.u32();
  };
  if (kind === 0) reader.u32();
  else if (kind === 1) {
    reader.skip(1);
    limits();
  } else if (kind === 2) limits();
  else if (kind === 3) reader.skip(2);
  else {
    reader.skip(1);
    reader.u32();
  }
}
