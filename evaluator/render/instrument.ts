/**
 * Rewrites an untrusted module so that the host keeps hold of it, without changing what it computes:
 *
 * - **Deadline.** At the entry of every function that calls another and at every loop head the guest pays from a budget
 *   (a global); when it is spent, the guest asks the host ({@link GUARD.tick}, a table slot that the host fills) whether
 *   it may go on, and traps if not. A trap, unlike an exception, can't be caught by the guest. Bulk instructions pay by
 *   the length they work on, so that no single step between two payments takes long. A plain counter is as fast on Node
 *   as an atomic load of a shared flag and much faster on Bun, whose engine keeps atomics out of loops' fast path.
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
import { MISC, skipImmediate } from "./wasm_instructions.ts";

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

/** Payments before the guest has to ask. Small enough that 1,024 costly steps stay far below the deadline's tolerance. */
const BUDGET = 1024;
/** A bulk instruction pays one for this many (log2) bytes or elements. */
const BULK_SHIFT = 8;
/** No policy needs more; a table costs 8 bytes an element outside of the guest's memory. */
const MAX_TABLE_ELEMENTS = 100_000;
const I32 = 0x7f, V128 = 0x7b, I64 = 0x7e, F32 = 0x7d, F64 = 0x7c;

interface Layout {
  types: number;
  importedFunctions: number;
  functions: number;
  tables: number;
  memories: number;
  memoryImported: boolean;
  initialPages: number;
  globals: number;
  mutableGlobals: number[];
  start: number | undefined;
  unreadableGlobals: boolean;
}

/** Indices of what is added. */
interface Added {
  readonly typeVoid: number;
  readonly typeAsk: number;
  readonly typeMap: number;
  readonly budget: number;
  readonly pages: number;
  readonly table: number;
  readonly ask: number;
  readonly bulk: number;
  readonly grow: number;
}

/** Rewrites `module`. Throws {@link WasmFormatError} for what is malformed, not supported or over the limits. */
export function instrument(module: Uint8Array, limits: GuardLimits): InstrumentedModule {
  const found = sections(module);
  const layout = readLayout(module, found, limits);
  const added: Added = {
    typeVoid: layout.types,
    typeAsk: layout.types + 1,
    typeMap: layout.types + 2,
    budget: layout.globals,
    pages: layout.globals + 1,
    table: layout.tables,
    ask: layout.functions,
    bulk: layout.functions + 1,
    grow: layout.functions + 2,
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
    if (id === SECTION.code) restorable = emitCode(out, module, section, layout, added) && restorable;
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
    types: 0,
    importedFunctions: 0,
    functions: 0,
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
      layout.types = reader.u32();
      for (let index = 0; index < layout.types; index++) readFunctionType(reader);
    } else if (id === SECTION.import) readImports(reader, layout);
    else if (id === SECTION.function) layout.functions += reader.u32();
    else if (id === SECTION.table) layout.tables += reader.u32();
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
  layout.functions += layout.importedFunctions;
  if (layout.memories > 1) throw new WasmFormatError("modules with several memories are not supported");
  return layout;
}

function readFunctionType(reader: Reader): void {
  if (reader.u8() !== 0x60) throw new WasmFormatError("garbage-collected types are not supported");
  for (let list = 0; list < 2; list++) {
    for (let count = reader.u32(); count > 0; count--) readValueType(reader);
  }
}

function readValueType(reader: Reader): number {
  const type = reader.u8();
  if (type === 0x63 || type === 0x64) reader.skipLeb();
  return type;
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
    list(3);
    for (const type of [added.typeVoid, added.typeMap, added.typeMap]) content.u32(type);
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

/** The places of one function body at which something is put in or replaced. */
const PLACE = { loop: 0, bulk: 1, size: 2, grow: 3 } as const;

/** Rewrites the code section. Returns whether the code leaves tables and segments as they are. */
function emitCode(
  out: Writer,
  module: Uint8Array,
  section: Section | undefined,
  layout: Layout,
  added: Added,
): boolean {
  const content = new Writer(section ? Math.ceil((section.end - section.start) * 1.2) + 256 : 256);
  const body = new Writer(4096);
  const reader = section ? new Reader(module, section.start, section.end) : undefined;
  const count = reader?.u32() ?? 0;
  let stateless = true;
  const places: number[] = [];
  content.u32(count + 3);
  for (let index = 0; reader !== undefined && index < count; index++) {
    const size = reader.u32();
    const end = reader.at + size;
    if (end > reader.end) {
      throw new WasmFormatError(`a function body that ends outside of the code section at byte ${reader.at}`);
    }
    const start = reader.at;
    for (let groups = reader.u32(); groups > 0; groups--) {
      reader.u32();
      readValueType(reader);
    }
    const entry = reader.at;
    let calls = false;
    places.length = 0;
    while (reader.at < end) {
      const at = reader.at;
      const opcode = reader.u8();
      const misc = skipImmediate(opcode, reader);
      if (opcode === 0x03) places.push(PLACE.loop, reader.at, reader.at);
      else if (opcode >= 0x10 && opcode <= 0x15) calls = true;
      else if (opcode === 0x3f) places.push(PLACE.size, at, reader.at);
      else if (opcode === 0x40) {
        places.push(PLACE.grow, at, reader.at);
      } else if (opcode === 0x26) stateless = false;
      else if (misc >= MISC.memoryInit) {
        if (misc === MISC.memoryInit || misc === MISC.memoryCopy || misc === MISC.memoryFill) {
          places.push(PLACE.bulk, at, at);
        } else {
          stateless = false;
          if (
            misc === MISC.tableInit || misc === MISC.tableCopy || misc === MISC.tableGrow ||
            misc === MISC.tableFill
          ) {
            places.push(PLACE.bulk, at, at);
          }
        }
      }
    }
    if (reader.at !== end) {
      throw new WasmFormatError(`an instruction that crosses the end of its function at byte ${end}`);
    }
    const price = 1 + (size >> 10);
    body.clear();
    body.copy(module, start, entry);
    if (calls) emitPayment(body, added, price);
    let from = entry;
    for (let place = 0; place < places.length; place += 3) {
      const kind = places[place];
      body.copy(module, from, places[place + 1]!);
      from = places[place + 2]!;
      if (kind === PLACE.loop) emitPayment(body, added, price);
      else if (kind === PLACE.size) {
        body.u8(0x23);
        body.u32(added.pages);
      } else {
        body.u8(0x10);
        body.u32(kind === PLACE.grow ? added.grow : added.bulk);
      }
    }
    body.copy(module, from, end);
    content.u32(body.length);
    content.append(body);
  }
  for (const helper of [askBody(added), bulkBody(added), growBody(added, layout)]) {
    content.u32(helper.length);
    content.append(helper);
  }
  out.section(SECTION.code, content);
  return stateless;
}

/** `budget -= price; if (budget < 0) ask()` */
function emitPayment(body: Writer, added: Added, price: number): void {
  body.u8(0x23);
  body.u32(added.budget);
  body.u8(0x41);
  body.s32(price);
  body.raw(0x6b, 0x24);
  body.u32(added.budget);
  body.u8(0x23);
  body.u32(added.budget);
  body.raw(0x41, 0, 0x48, 0x04, 0x40, 0x10);
  body.u32(added.ask);
  body.u8(0x0b);
}

/** `if (tick()) unreachable; budget = BUDGET` */
function askBody(added: Added): Writer {
  const body = new Writer(64);
  body.raw(0, 0x41, 0, 0x11);
  body.u32(added.typeAsk);
  body.u32(added.table);
  body.raw(0x04, 0x40, 0x00, 0x0b, 0x41);
  body.s32(BUDGET);
  body.u8(0x24);
  body.u32(added.budget);
  body.u8(0x0b);
  return body;
}

/** `(length) => { budget -= length >>> BULK_SHIFT; if (budget < 0) ask(); return length }` */
function bulkBody(added: Added): Writer {
  const body = new Writer(64);
  body.raw(0, 0x23);
  body.u32(added.budget);
  body.raw(0x20, 0, 0x41, BULK_SHIFT, 0x76, 0x6b, 0x24);
  body.u32(added.budget);
  body.u8(0x23);
  body.u32(added.budget);
  body.raw(0x41, 0, 0x48, 0x04, 0x40, 0x10);
  body.u32(added.ask);
  body.raw(0x0b, 0x20, 0, 0x0b);
  return body;
}

/**
 * `memory.grow` over the guest's own page count: real growth only beyond what the memory has already. What lies between
 * the guest's count and the memory's end is kept zero by whoever restores the instance.
 */
function growBody(added: Added, layout: Layout): Writer {
  const body = new Writer(96);
  if (layout.memories === 0) {
    body.raw(0, 0x41, 0x7f, 0x0b);
    return body;
  }
  // local 0: delta; local 1: pages missing from the real memory
  body.raw(1, 1, I32);
  // if (delta >u 65536) return -1: pages + delta can't overflow below
  body.raw(0x20, 0, 0x41);
  body.s32(65536);
  body.raw(0x4b, 0x04, 0x40, 0x41, 0x7f, 0x0f, 0x0b);
  // missing = pages + delta - memory.size
  body.u8(0x23);
  body.u32(added.pages);
  body.raw(0x20, 0, 0x6a, 0x3f, 0, 0x6b, 0x21, 1);
  // if (missing > 0 && memory.grow(missing) == -1) return -1
  body.raw(
    0x20,
    1,
    0x41,
    0,
    0x4a,
    0x04,
    0x40,
    0x20,
    1,
    0x40,
    0,
    0x41,
    0x7f,
    0x46,
    0x04,
    0x40,
    0x41,
    0x7f,
    0x0f,
    0x0b,
    0x0b,
  );
  // old = pages (left on the stack); pages += delta
  body.u8(0x23);
  body.u32(added.pages);
  body.u8(0x23);
  body.u32(added.pages);
  body.raw(0x20, 0, 0x6a, 0x24);
  body.u32(added.pages);
  body.u8(0x0b);
  return body;
}
