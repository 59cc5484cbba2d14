/**
 * Rewrites an untrusted module so that the host keeps hold of it, without changing what it computes:
 *
 * - **Deadline.** The guest pays for loops and calls from a budget (`instrument_code.ts`); when it is spent, the guest asks
 *   the host ({@link GUARD.tick}, a table slot that the host fills) whether it may go on, and traps if not. A trap, unlike an
 *   exception, can't be caught by the guest. Bulk instructions pay by the length they work on. Measured, this costs as
 *   little on Node as an atomic load of a shared flag, and much less on Bun; it needs no shared memory and no second thread.
 * - **Memory.** The guest's memory and tables get a maximum. `memory.grow` and `memory.size` go through a page count of
 *   the guest's own, so that a kept instance whose memory once grew looks exactly like a fresh one.
 * - **Isolation.** Mutable globals and the memory are exported under reserved names, so that the state after
 *   initialisation can be taken and put back.
 * - **Start.** A start section becomes the export {@link GUARD.start}, so that it runs when the host is ready for it.
 *
 * Nothing is imported and no index of the guest changes: all additions stand behind the guest's own. The input must be a
 * valid module by itself (`WebAssembly.validate`), else its code might reach what is added here.
 */
import { Reader, SECTION, type Section, sections, WasmFormatError, Writer } from "./wasm_binary.ts";
import { type Added, BUDGET, emitCode, type Signatures } from "./instrument_code.ts";
import { readValueType, skipImmediate } from "./wasm_instructions.ts";

/** Names under which an instrumented module exports what was added. */
export const GUARD = {
  prefix: "portreeve:",
  /** A table of one function `() -> i32`: 0 lets the guest go on, anything else makes it trap. */
  tick: "portreeve:tick",
  /** The guest's start function, if it had one. */
  start: "portreeve:start",
  memory: "portreeve:memory",
  /** The number of pages that the guest believes it has. */
  pages: "portreeve:pages",
  /** The budget left until the next tick. */
  budget: "portreeve:budget",
  /** Followed by the index of a mutable global of the guest. */
  global: "portreeve:global:",
} as const;

/** What the host allows a guest. */
export interface GuardLimits {
  /** The guest's memory may grow to this many pages of 64 KiB. */
  readonly maxPages: number;
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

/** No policy needs more; a table costs 8 bytes an element outside of the guest's memory. */
const MAX_TABLE_ELEMENTS = 100_000;
const I32 = 0x7f, V128 = 0x7b, I64 = 0x7e, F32 = 0x7d, F64 = 0x7c;

interface Layout {
  /** How many parameters each type has. */
  parameters: number[];
  importedFunctions: number;
  functions: number;
  /** The type of each function that the module defines. */
  functionTypes: number[];
  tables: number;
  memories: number;
  memoryImported: boolean;
  initialPages: number;
  globals: number;
  mutableGlobals: number[];
  start: number | undefined;
  unreadableGlobals: boolean;
}

/** Rewrites `module`. Throws {@link WasmFormatError} for what is malformed, not supported or over the limits. */
export function instrument(module: Uint8Array, limits: GuardLimits): InstrumentedModule {
  const found = sections(module);
  const layout = readLayout(module, found, limits);
  const added: Added = {
    typeVoid: layout.parameters.length,
    typeAsk: layout.parameters.length + 1,
    typeMap: layout.parameters.length + 2,
    budget: layout.globals,
    pages: layout.globals + 1,
    table: layout.tables,
    ask: layout.functions,
    refill: layout.functions + 1,
    bulk: layout.functions + 2,
    grow: layout.functions + 3,
  };
  const signatures: Signatures = {
    importedFunctions: layout.importedFunctions,
    parameters: layout.functionTypes.map((type) => layout.parameters[type] ?? 0),
    hasMemory: layout.memories > 0,
  };
  const out = new Writer(module.length + (module.length >> 2) + 1024);
  out.copy(module, 0, 8);
  let restorable = !layout.unreadableGlobals;
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
    if (id === SECTION.code) restorable = emitCode(out, module, section, signatures, added) && restorable;
    else emitSection(out, module, id, section, layout, added, limits);
  };
  for (const section of found) {
    if (section.id === SECTION.custom) continue; // names and metadata are of no use to the engine
    while (wanted.length > 0 && rank(wanted[0]!) < rank(section.id)) emit(wanted.shift()!, undefined);
    if (wanted[0] === section.id) wanted.shift();
    emit(section.id, section);
  }
  for (const id of wanted) emit(id, undefined);
  return { bytes: out.view().slice(), restorable, initialPages: layout.initialPages };
}

const ORDER: readonly number[] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

function readLayout(module: Uint8Array, found: readonly Section[], limits: GuardLimits): Layout {
  const layout: Layout = {
    parameters: [],
    importedFunctions: 0,
    functions: 0,
    functionTypes: [],
    tables: 0,
    memories: 0,
    memoryImported: false,
    initialPages: 0,
    globals: 0,
    mutableGlobals: [],
    start: undefined,
    unreadableGlobals: false,
  };
  for (const { id, start, end } of found) {
    const reader = new Reader(module, start, end);
    if (id === SECTION.type) {
      for (let count = reader.u32(); count > 0; count--) layout.parameters.push(readFunctionType(reader));
    } else if (id === SECTION.import) readImports(reader, layout);
    else if (id === SECTION.function) {
      for (let count = reader.u32(); count > 0; count--) layout.functionTypes.push(reader.u32());
    } else if (id === SECTION.table) layout.tables += reader.u32();
    else if (id === SECTION.memory) {
      const count = reader.u32();
      layout.memories += count;
      if (count === 1) {
        layout.initialPages = readMemoryLimits(reader).min;
        if (layout.initialPages > limits.maxPages) {
          throw new WasmFormatError(
            `the module asks for ${layout.initialPages / 16} MiB of memory, the limit is ${
              limits.maxPages / 16
            } MiB`,
          );
        }
      }
    } else if (id === SECTION.global) readGlobals(reader, layout);
    else if (id === SECTION.start) layout.start = reader.u32();
    else if (id === SECTION.export) {
      for (let count = reader.u32(); count > 0; count--) {
        const name = reader.name();
        if (name.startsWith(GUARD.prefix)) {
          throw new WasmFormatError(`the module exports the reserved name "${name}"`);
        }
        reader.skip(1);
        reader.u32();
      }
    }
  }
  layout.functions = layout.importedFunctions + layout.functionTypes.length;
  if (layout.memories > 1) throw new WasmFormatError("modules with several memories are not supported");
  return layout;
}

/** Passes over a function type. Returns how many parameters it has. */
function readFunctionType(reader: Reader): number {
  if (reader.u8() !== 0x60) throw new WasmFormatError("garbage-collected types are not supported");
  const parameters = reader.u32();
  for (let count = parameters; count > 0; count--) readValueType(reader);
  for (let count = reader.u32(); count > 0; count--) readValueType(reader);
  return parameters;
}

function readMemoryLimits(reader: Reader): { min: number; max: number | undefined } {
  const flags = reader.u8();
  if (flags & 0x02) throw new WasmFormatError("shared memories are not supported");
  if (flags & 0x04) throw new WasmFormatError("64-bit memories are not supported");
  if (flags & ~0x01) throw new WasmFormatError("custom page sizes are not supported");
  const min = reader.u32();
  return { min, max: flags & 1 ? reader.u32() : undefined };
}

function readImports(reader: Reader, layout: Layout): void {
  for (let count = reader.u32(); count > 0; count--) {
    reader.name();
    reader.name();
    const kind = reader.u8();
    if (kind === 0) {
      reader.u32();
      layout.importedFunctions++;
    } else if (kind === 1) {
      readTableType(reader);
      layout.tables++;
    } else if (kind === 2) {
      readMemoryLimits(reader);
      layout.memories++;
      layout.memoryImported = true;
    } else if (kind === 3) {
      readValueType(reader);
      if (reader.u8() !== 0) layout.unreadableGlobals = true; // the state of an imported mutable global is the host's
      layout.globals++;
    } else if (kind === 4) {
      reader.skip(1);
      reader.u32();
    } else throw new WasmFormatError(`unknown kind of import ${kind} at byte ${reader.at}`);
  }
}

function readTableType(reader: Reader): { type: number; min: number; max: number | undefined } {
  const type = readValueType(reader);
  const flags = reader.u8();
  if (flags > 1) throw new WasmFormatError("shared or 64-bit tables are not supported");
  const min = reader.u32();
  if (min > MAX_TABLE_ELEMENTS) {
    throw new WasmFormatError(`a table of ${min} elements; the limit is ${MAX_TABLE_ELEMENTS}`);
  }
  return { type, min, max: flags & 1 ? reader.u32() : undefined };
}

function readGlobals(reader: Reader, layout: Layout): void {
  for (let count = reader.u32(); count > 0; count--) {
    const type = readValueType(reader);
    if (reader.u8() === 1) {
      layout.mutableGlobals.push(layout.globals);
      if (type === V128 || ![I32, I64, F32, F64].includes(type)) layout.unreadableGlobals = true;
    }
    layout.globals++;
    skipConstantExpression(reader);
  }
}

function skipConstantExpression(reader: Reader): void {
  for (let opcode = reader.u8(); opcode !== 0x0b; opcode = reader.u8()) skipImmediate(opcode, reader);
}

function emitSection(
  out: Writer,
  module: Uint8Array,
  id: number,
  section: Section | undefined,
  layout: Layout,
  added: Added,
  limits: GuardLimits,
): void {
  if (id === SECTION.start) return;
  const content = new Writer();
  /** Opens a list section: its grown count, then the guest's own entries. */
  const list = (extra: number) => {
    if (section === undefined) {
      content.u32(extra);
      return;
    }
    const reader = new Reader(module, section.start, section.end);
    content.u32(reader.u32() + extra);
    content.copy(module, reader.at, section.end);
  };
  if (id === SECTION.type) {
    list(3);
    content.raw(0x60, 0, 0, 0x60, 0, 1, I32, 0x60, 1, I32, 1, I32);
  } else if (id === SECTION.function) {
    const types = [added.typeVoid, added.typeAsk, added.typeMap, added.typeMap];
    list(types.length);
    for (const type of types) content.u32(type);
  } else if (id === SECTION.table) {
    emitTables(content, module, section);
  } else if (
    id === SECTION.memory && section !== undefined && layout.memories > 0 && !layout.memoryImported
  ) {
    const reader = new Reader(module, section.start, section.end);
    content.u32(reader.u32());
    const { min, max } = readMemoryLimits(reader);
    content.u8(1);
    content.u32(min);
    content.u32(Math.min(max ?? limits.maxPages, limits.maxPages));
  } else if (id === SECTION.global) {
    list(2);
    content.raw(I32, 1, 0x41);
    content.s32(BUDGET);
    content.raw(0x0b, I32, 1, 0x41);
    content.s32(layout.initialPages);
    content.u8(0x0b);
  } else if (id === SECTION.export) {
    const hasMemory = layout.memories > 0;
    const hasStart = layout.start !== undefined;
    list(3 + (hasMemory ? 1 : 0) + (hasStart ? 1 : 0) + layout.mutableGlobals.length);
    const add = (name: string, kind: number, index: number) => {
      content.name(name);
      content.u8(kind);
      content.u32(index);
    };
    add(GUARD.tick, 1, added.table);
    add(GUARD.budget, 3, added.budget);
    add(GUARD.pages, 3, added.pages);
    if (hasMemory) add(GUARD.memory, 2, 0);
    if (layout.start !== undefined) add(GUARD.start, 0, layout.start);
    for (const index of layout.mutableGlobals) add(`${GUARD.global}${index}`, 3, index);
  } else if (section !== undefined) {
    content.copy(module, section.start, section.end);
  }
  out.section(id, content);
}

function emitTables(content: Writer, module: Uint8Array, section: Section | undefined): void {
  const reader = section && new Reader(module, section.start, section.end);
  const count = reader?.u32() ?? 0;
  content.u32(count + 1);
  for (let index = 0; reader !== undefined && index < count; index++) {
    const start = reader.at;
    const withInitialiser = module[start] === 0x40;
    if (withInitialiser) reader.skip(2);
    const typeStart = reader.at;
    readValueType(reader);
    const typeEnd = reader.at;
    reader.at = typeStart;
    const { min, max } = readTableType(reader);
    content.copy(module, start, typeEnd);
    content.u8(1);
    content.u32(min);
    content.u32(Math.min(max ?? MAX_TABLE_ELEMENTS, MAX_TABLE_ELEMENTS));
    if (withInitialiser) {
      const expression = reader.at;
      skipConstantExpression(reader);
      content.copy(module, expression, reader.at);
    }
  }
  content.raw(0x70, 1, 1, 1);
}
