/** A policy's module: the engine, with a snapshot of its memory in the place of its own data. */
import { Reader, SECTION, type Section, sections, Writer } from "../../evaluator/render/wasm_binary.ts";
import type { EngineFacts } from "../types/engine.ts";

const PAGE = 65_536;
/** What a policy's module exports; everything else of the engine serves building. */
const EXPORTED: ReadonlySet<string> = new Set(["memory", "__guest_call"]);
/** Shorter runs of zeros are written: the head of a segment takes eight bytes, and compresses worse than they do. */
const MIN_GAP = 14;

const I32_CONST = 0x41, END = 0x0b;

/** Runs of memory that are not zero. */
function* segmentsOf(memory: Uint8Array): Generator<readonly [start: number, end: number]> {
  let start = -1;
  let end = -1;
  for (let at = 0; at < memory.length; at++) {
    if (memory[at] === 0) continue;
    if (start >= 0 && at - end >= MIN_GAP) {
      yield [start, end];
      start = at;
    } else if (start < 0) start = at;
    end = at + 1;
  }
  if (start >= 0) yield [start, end];
}

function dataSection(memory: Uint8Array): { readonly section: Writer; readonly count: number } {
  const segments = [...segmentsOf(memory)];
  const section = new Writer(memory.length);
  section.u32(segments.length);
  for (const [start, end] of segments) {
    section.raw(0, I32_CONST);
    section.s32(start);
    section.u8(END);
    section.u32(end - start);
    section.copy(memory, start, end);
  }
  return { section, count: segments.length };
}

function memorySection(length: number): Writer {
  const section = new Writer();
  section.raw(1, 0);
  section.u32(length / PAGE);
  return section;
}

/** The function section's and the code section's own indices begin behind the imported functions. */
function importedFunctions(engine: Uint8Array, imports: Section): number {
  const reader = new Reader(engine, imports.start, imports.end);
  let functions = 0;
  for (let left = reader.u32(); left > 0; left--) {
    reader.name();
    reader.name();
    if (reader.u8() !== 0) throw new Error("the engine imports something besides functions");
    reader.u32();
    functions++;
  }
  return functions;
}

function exportSection(engine: Uint8Array, { start, end }: Section): Writer {
  const reader = new Reader(engine, start, end);
  const kept = new Writer();
  let count = 0;
  for (let left = reader.u32(); left > 0; left--) {
    const from = reader.at;
    const name = reader.name();
    reader.skip(1);
    reader.u32();
    if (!EXPORTED.has(name)) continue;
    kept.copy(engine, from, reader.at);
    count++;
  }
  const section = new Writer();
  section.u32(count);
  section.append(kept);
  return section;
}

/** The bodies of functions that nothing calls become a trap. */
function codeSection(
  engine: Uint8Array,
  { start, end }: Section,
  unused: ReadonlySet<number>,
  first: number,
): Writer {
  const reader = new Reader(engine, start, end);
  const section = new Writer(end - start);
  const count = reader.u32();
  section.u32(count);
  for (let index = first; index < first + count; index++) {
    const from = reader.at;
    const length = reader.u32();
    reader.skip(length);
    if (unused.has(index)) section.raw(3, 0, 0x00, END);
    else section.copy(engine, from, reader.at);
  }
  return section;
}

/** `engine` (`apply/engine.wasm`) as a policy that begins with `memory`, whole pages of it. */
export function policyModule(engine: Uint8Array, facts: EngineFacts, memory: Uint8Array): Uint8Array {
  const { section: data, count } = dataSection(memory);
  const whole = new Writer(engine.length + memory.length);
  whole.copy(engine, 0, 8);
  const all = sections(engine);
  const first = importedFunctions(engine, all.find(({ id }) => id === SECTION.import)!);
  for (const section of all) {
    // The engine has none but that of its facts, which a policy has no use for.
    if (section.id === SECTION.custom) continue;
    const content = new Writer();
    if (section.id === SECTION.memory) content.append(memorySection(memory.length));
    else if (section.id === SECTION.export) content.append(exportSection(engine, section));
    else if (section.id === SECTION.dataCount) content.u32(count);
    else if (section.id === SECTION.code) {
      content.append(codeSection(engine, section, new Set(facts.unused), first));
    } else if (section.id === SECTION.data) content.append(data);
    else content.copy(engine, section.start, section.end);
    whole.section(section.id, content);
  }
  return whole.view().slice();
}
