/**
 * Rewrites an untrusted module so that the host keeps hold of it, without changing what it computes:
 *
 * - **Limits.** What costs time or memory before a guest runs is bounded first (`module_limits.ts`).
 * - **Deadline.** The guest pays for what it runs from a budget (`instrument_code.ts`); when it is spent, the guest asks
 *   the host ({@link GUARD.tick}, a table slot that the host fills) whether it may go on, and traps if not. A trap, unlike an
 *   exception, can't be caught by the guest. Bulk instructions pay by the length they work on, and work in pieces. Measured, this
 *   costs as little on Node as an atomic load of a shared flag, and much less on Bun; it needs no shared memory and no second thread.
 * - **Memory.** The guest's memory and tables get a maximum. `memory.grow` and `memory.size` go through a page count of
 *   the guest's own, so that a kept instance whose memory once grew looks exactly like a fresh one.
 * - **Isolation.** Mutable globals and the memory are exported under reserved names, so that the state after
 *   initialisation can be taken and put back. Where the guest wrote is recorded (`written_map.ts`), so that the rest can be left.
 * - **Start.** A start section becomes the export {@link GUARD.start}, so that it runs when the host is ready for it.
 *
 * Nothing is imported and no index of the guest changes: all additions stand behind the guest's own. The input must be a
 * valid module by itself (`WebAssembly.validate`), else its code might reach what is added here.
 */
import { PLACE } from "./function_body.ts";
import { GUARD } from "./guard.ts";
import {
  type Added,
  ADDED_TYPES,
  BUDGET,
  helperTypes,
  I32,
  I64,
  PIECE_BYTES,
  placeAdded,
} from "./guard_helpers.ts";
import { emitCode, TooManyRecords } from "./instrument_code.ts";
import { MODULE_LIMITS } from "./module_limits.ts";
import { Reader, SECTION, type Section, WasmFormatError, Writer } from "./wasm_binary.ts";
import { readValueType } from "./wasm_instructions.ts";
import { type ModuleShape, readModule, readTableType, skipConstantExpression } from "./wasm_module.ts";
import { chunkShift } from "./written_map.ts";

export { GUARD } from "./guard.ts";

/** What the host allows a guest. */
export interface GuardLimits {
  /** The guest's memory may grow to this many pages of 64 KiB. */
  readonly maxPages: number;
  /**
   * Whether to record where a guest that can be put back writes; the whole of its memory is put back unless it is, or where a function has
   * too many stores.
   */
  readonly recordsWrites?: boolean;
}

/** An instrumented module. */
export interface InstrumentedModule {
  readonly bytes: Uint8Array;
  /**
   * Whether memory and globals are all the state there is, so that an instance can be put back to a snapshot. False for
   * modules that change tables, drop segments, or have globals that JavaScript can't read: each call needs a new instance.
   */
  readonly restorable: boolean;
  /** Pages of the memory at instantiation; 0 when it is imported or absent. */
  readonly initialPages: number;
}

/** Rewrites `module`. Throws {@link WasmFormatError} for what is malformed, not supported or over the limits. */
export function instrument(module: Uint8Array, limits: GuardLimits): InstrumentedModule {
  const shape = readModule(module);
  const initialPages = shape.memoryImported ? 0 : shape.memory?.min ?? 0;
  if (initialPages > limits.maxPages) {
    throw new WasmFormatError(
      `the module asks for ${initialPages / 16} MiB of memory, the limit is ${limits.maxPages / 16} MiB`,
    );
  }
  const restorable = !shape.unreadableGlobals && shape.bodies.every(({ stateless }) => stateless);
  const records = shape.memory !== undefined && restorable && limits.recordsWrites;
  let bytes: Uint8Array;
  try {
    bytes = rewrite(module, shape, limits, records ? chunkShift(shape.memory.min) : undefined);
  } catch (error) {
    if (!(error instanceof TooManyRecords)) throw error;
    bytes = rewrite(module, shape, limits, undefined);
  }
  return { bytes, restorable, initialPages };
}

/** The rewritten module, which records its writes in chunks of `shift` if that is given. */
function rewrite(
  module: Uint8Array,
  shape: ModuleShape,
  limits: GuardLimits,
  shift: number | undefined,
): Uint8Array {
  const added = placeAdded(
    {
      types: shape.types.length,
      functions: shape.functionTypes.length,
      globals: shape.globals,
      tables: shape.tables.length,
    },
    longSegmentsIn(shape),
    shift,
  );
  const out = new Writer(module.length + (module.length >> 2) + 1024);
  out.copy(module, 0, 8);
  // Sections that must exist in the result even where the guest has none, in the order of the format.
  const wanted: number[] = [
    SECTION.type,
    SECTION.function,
    SECTION.table,
    SECTION.global,
    SECTION.export,
    SECTION.code,
  ];
  const rank = (id: number) => ORDER.indexOf(id);
  const emit = (id: number, section: Section | undefined) => {
    if (id === SECTION.code) return emitCode(out, module, shape, added);
    if (id === SECTION.start) return;
    const content = new Writer();
    const guest = section && new Reader(module, section.start, section.end);
    (WRITERS.get(id) ?? copyRest)(content, guest, shape, added, limits);
    out.section(id, content);
  };
  for (const section of shape.sections) {
    if (section.id === SECTION.custom) continue; // names and metadata are of no use to the engine
    while (wanted.length > 0 && rank(wanted[0]!) < rank(section.id)) emit(wanted.shift()!, undefined);
    if (wanted[0] === section.id) wanted.shift();
    emit(section.id, section);
  }
  for (const id of wanted) emit(id, undefined);
  return out.view().slice();
}

const ORDER: readonly number[] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/** Data segments that `memory.init` may copy more than a piece of. */
function longSegmentsIn({ bodies, dataLengths, memory }: ModuleShape): readonly number[] {
  const segments = new Set<number>();
  for (const { places } of bodies) {
    for (let place = 0; place < places.length; place += 4) {
      const segment = places[place + 3]!;
      if (places[place] === PLACE.memoryInit && dataLengths[segment]! > PIECE_BYTES) segments.add(segment);
    }
  }
  return memory ? [...segments] : [];
}

/** Writes the content of a section; `guest` reads the guest's own, if it has one. */
type SectionWriter = (
  content: Writer,
  guest: Reader | undefined,
  shape: ModuleShape,
  added: Added,
  limits: GuardLimits,
) => void;

/** How each section is written but the code; those that are missing here stay as they are. */
const WRITERS: ReadonlyMap<number, SectionWriter> = new Map<number, SectionWriter>([
  [SECTION.type, (content, guest) => {
    const types = Object.values(ADDED_TYPES);
    writeList(content, guest, types.length);
    for (const type of types) content.raw(...type);
  }],
  [SECTION.function, (content, guest, _, added) => {
    const types = helperTypes(added);
    writeList(content, guest, types.length);
    for (const type of types) content.u32(type);
  }],
  [SECTION.table, writeTables],
  [SECTION.memory, (content, guest, { memory, memoryImported }, _, { maxPages }) => {
    if (!guest || !memory || memoryImported) return copyRest(content, guest);
    content.raw(1, 1);
    content.u32(memory.min);
    content.u32(Math.min(memory.max ?? maxPages, maxPages));
  }],
  [SECTION.global, writeGlobals],
  [SECTION.export, writeExports],
]);

function copyRest(content: Writer, guest: Reader | undefined): void {
  if (guest) content.copy(guest.bytes, guest.at, guest.end);
}

/** Begins a list: its count, grown by `extra`, then the guest's own entries. */
function writeList(content: Writer, guest: Reader | undefined, extra: number): void {
  content.u32((guest?.u32() ?? 0) + extra);
  copyRest(content, guest);
}

/** Globals: the budget, the page count, and the map of what was written. */
function writeGlobals(
  content: Writer,
  guest: Reader | undefined,
  { memory, memoryImported }: ModuleShape,
  { written }: Added,
): void {
  writeList(content, guest, written ? 3 : 2);
  content.raw(I32, 1, 0x41);
  content.s32(BUDGET);
  content.raw(0x0b, I32, 1, 0x41);
  content.s32(memoryImported ? 0 : memory?.min ?? 0);
  content.u8(0x0b);
  if (written) content.raw(I64, 1, 0x42, 0, 0x0b);
}

function writeExports(
  content: Writer,
  guest: Reader | undefined,
  { memory, start, mutableGlobals }: ModuleShape,
  { table, budget, pages, helper, written }: Added,
): void {
  const exported: (readonly [name: string, kind: number, index: number])[] = [
    [GUARD.tick, 1, table],
    [GUARD.budget, 3, budget],
    [GUARD.pages, 3, pages],
  ];
  if (memory !== undefined) exported.push([GUARD.memory, 2, 0]);
  if (start !== undefined) exported.push([GUARD.start, 0, start]);
  if (written) {
    exported.push([GUARD.write, 0, helper.record]);
    exported.push([`${GUARD.written}${written.shift}`, 3, written.global]);
  }
  for (const index of mutableGlobals) exported.push([`${GUARD.global}${index}`, 3, index]);
  writeList(content, guest, exported.length);
  for (const [name, kind, index] of exported) {
    content.name(name);
    content.u8(kind);
    content.u32(index);
  }
}

/** The guest's tables, none of which grows beyond what all of them together may have, and the one that the host fills. */
function writeTables(content: Writer, guest: Reader | undefined, { tables }: ModuleShape): void {
  const count = guest?.u32() ?? 0;
  const spare = MODULE_LIMITS.tableElements.most - tables.reduce((sum, { min }) => sum + min, 0);
  const growable = tables.filter(({ min, max }) => max === undefined || max > min).length;
  const growth = Math.floor(spare / Math.max(1, growable));
  content.u32(count + 1);
  for (let index = 0; guest !== undefined && index < count; index++) {
    const start = guest.at;
    const withInitialiser = guest.bytes[start] === 0x40;
    if (withInitialiser) guest.skip(2);
    const typeStart = guest.at;
    readValueType(guest);
    const typeEnd = guest.at;
    guest.at = typeStart;
    const { min, max } = readTableType(guest);
    content.copy(guest.bytes, start, typeEnd);
    content.u8(1);
    content.u32(min);
    content.u32(Math.min(max ?? Infinity, min + growth));
    if (withInitialiser) {
      const expression = guest.at;
      skipConstantExpression(guest);
      content.copy(guest.bytes, expression, guest.at);
    }
  }
  content.raw(0x70, 1, 1, 1);
}
