/**
 * Reads what instrumenting a module needs to know of it (`instrument.ts`), and holds it to the limits (`module_limits.ts`). Every
 * loop here takes at least a byte of the module a round, whatever count the module claims.
 */
import { type Body, readBody } from "./function_body.ts";
import { GUARD } from "./guard.ts";
import { checkLimit, checkTracking } from "./module_limits.ts";
import { Reader, SECTION, type Section, sections, WasmFormatError } from "./wasm_binary.ts";
import { readValueType, skipImmediate } from "./wasm_instructions.ts";

/** How many values a function or a block takes and gives. */
export interface Signature {
  readonly parameters: number;
  readonly results: number;
}

/** Limits of a memory or table, as the module names them. */
export interface SizeLimits {
  readonly min: number;
  readonly max: number | undefined;
}

/** What a module is made of. */
export interface ModuleShape {
  readonly sections: readonly Section[];
  readonly types: readonly Signature[];
  readonly importedFunctions: number;
  /** The types of all functions, imported ones first. */
  readonly functionTypes: readonly number[];
  readonly bodies: readonly Body[];
  /** The least and greatest size of each table, imported ones first. */
  readonly tables: readonly SizeLimits[];
  readonly memory: SizeLimits | undefined;
  readonly memoryImported: boolean;
  readonly globals: number;
  readonly mutableGlobals: readonly number[];
  /** Whether there are mutable globals whose value JavaScript can't read. */
  readonly unreadableGlobals: boolean;
  /** The parameters of each tag. */
  readonly tags: readonly number[];
  readonly start: number | undefined;
  /** The length of each data segment. */
  readonly dataLengths: readonly number[];
}

const I32 = 0x7f, I64 = 0x7e, F32 = 0x7d, F64 = 0x7c;
const PASSES_TO_JAVASCRIPT: ReadonlySet<number> = new Set([I32, I64, F32, F64]);

type Writable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

/** Reads `module`. Throws {@link WasmFormatError} for what is malformed, not supported or over the limits. */
export function readModule(module: Uint8Array): ModuleShape {
  checkLimit("moduleBytes", module.length);
  const found = sections(module);
  const shape: Writable<ModuleShape> = {
    sections: [...found],
    types: [],
    importedFunctions: 0,
    functionTypes: [],
    bodies: [],
    tables: [],
    memory: undefined,
    memoryImported: false,
    globals: 0,
    mutableGlobals: [],
    unreadableGlobals: false,
    tags: [],
    start: undefined,
    dataLengths: [],
  };
  for (const section of found) {
    const read = READERS.get(section.id);
    read?.(new Reader(module, section.start, section.end), shape);
  }
  checkLimit("tableElements", shape.tables.reduce((sum, { min }) => sum + min, 0));
  return shape;
}

type SectionReader = (reader: Reader, shape: Writable<ModuleShape>) => void;

/** How each section is read; those that are missing here are passed over. */
const READERS: ReadonlyMap<number, SectionReader> = new Map<number, SectionReader>([
  [SECTION.type, readTypes],
  [SECTION.import, readImports],
  [SECTION.function, (reader, { functionTypes }) => {
    const count = reader.u32();
    checkLimit("functions", functionTypes.length + count);
    for (let left = count; left > 0; left--) functionTypes.push(reader.u32());
  }],
  [SECTION.table, (reader, { tables }) => {
    const count = reader.u32();
    checkLimit("tables", tables.length + count);
    for (let left = count; left > 0; left--) {
      if (reader.peek() === 0x40) { // with an initial value
        reader.skip(2);
        tables.push(readTableType(reader));
        skipConstantExpression(reader);
      } else tables.push(readTableType(reader));
    }
  }],
  [SECTION.memory, (reader, shape) => {
    const count = reader.u32();
    checkLimit("memories", count + (shape.memory ? 1 : 0));
    if (count > 0) shape.memory = readMemoryLimits(reader);
  }],
  [SECTION.tag, (reader, { tags, types }) => {
    const count = reader.u32();
    checkLimit("tags", tags.length + count);
    for (let left = count; left > 0; left--) tags.push(readTag(reader, types));
  }],
  [SECTION.global, readGlobals],
  [SECTION.export, readExports],
  [SECTION.start, (reader, shape) => void (shape.start = reader.u32())],
  [SECTION.element, readElements],
  [SECTION.code, (reader, shape) => {
    const count = reader.u32();
    checkLimit("functions", count);
    const total = { branchLabels: 0, locals: 0, tracking: 0 };
    for (let index = 0; index < count; index++) shape.bodies.push(readBody(reader, shape, index, total));
    checkTracking(total.tracking, reader.at);
  }],
  [SECTION.data, readData],
]);

function readTypes(reader: Reader, { types }: Writable<ModuleShape>): void {
  const count = reader.u32();
  checkLimit("types", count);
  let values = 0;
  for (let index = 0; index < count; index++) {
    if (reader.u8() !== 0x60) throw new WasmFormatError("garbage-collected types are not supported");
    const where = `type ${index}`;
    const parameters = reader.u32();
    checkLimit("parameters", parameters, where);
    for (let left = parameters; left > 0; left--) readValueType(reader);
    const results = reader.u32();
    checkLimit("results", results, where);
    checkLimit("typeValues", values += parameters + results);
    for (let left = results; left > 0; left--) readValueType(reader);
    types.push({ parameters, results });
  }
}

function readTag(reader: Reader, types: readonly Signature[]): number {
  reader.skip(1);
  return types[reader.u32()]?.parameters ?? 0;
}

function readMemoryLimits(reader: Reader): SizeLimits {
  const flags = reader.u8();
  if (flags & 0x02) throw new WasmFormatError("shared memories are not supported");
  if (flags & 0x04) throw new WasmFormatError("64-bit memories are not supported");
  if (flags & ~0x01) throw new WasmFormatError("custom page sizes are not supported");
  const min = reader.u32();
  return { min, max: flags & 1 ? reader.u32() : undefined };
}

/** Reads a table's type and limits. */
export function readTableType(reader: Reader): SizeLimits {
  readValueType(reader);
  const flags = reader.u8();
  if (flags > 1) throw new WasmFormatError("shared or 64-bit tables are not supported");
  const min = reader.u32();
  return { min, max: flags & 1 ? reader.u32() : undefined };
}

function readImports(reader: Reader, shape: Writable<ModuleShape>): void {
  const count = reader.u32();
  checkLimit("imports", count);
  for (let left = count; left > 0; left--) {
    reader.name();
    reader.name();
    const kind = reader.u8();
    if (kind === 0) {
      shape.functionTypes.push(reader.u32());
      shape.importedFunctions++;
    } else if (kind === 1) {
      shape.tables.push(readTableType(reader));
    } else if (kind === 2) {
      checkLimit("memories", shape.memory ? 2 : 1);
      shape.memory = readMemoryLimits(reader);
      shape.memoryImported = true;
    } else if (kind === 3) {
      readValueType(reader);
      if (reader.u8() !== 0) shape.unreadableGlobals = true; // the state of an imported mutable global is the host's
      shape.globals++;
    } else if (kind === 4) {
      shape.tags.push(readTag(reader, shape.types));
    } else throw new WasmFormatError(`unknown kind of import ${kind} at byte ${reader.at}`);
  }
}

function readGlobals(reader: Reader, shape: Writable<ModuleShape>): void {
  const count = reader.u32();
  checkLimit("globals", shape.globals + count);
  for (let left = count; left > 0; left--) {
    const type = readValueType(reader);
    if (reader.u8() === 1) {
      shape.mutableGlobals.push(shape.globals);
      if (!PASSES_TO_JAVASCRIPT.has(type)) shape.unreadableGlobals = true;
    }
    shape.globals++;
    skipConstantExpression(reader);
  }
}

function readExports(reader: Reader): void {
  const count = reader.u32();
  checkLimit("exports", count);
  for (let left = count; left > 0; left--) {
    const name = reader.name();
    if (name.startsWith(GUARD.prefix)) {
      throw new WasmFormatError(`the module exports the reserved name "${name}"`);
    }
    reader.skip(1);
    reader.u32();
  }
}

/** Passes over a constant expression. */
export function skipConstantExpression(reader: Reader): void {
  let count = 0;
  for (let opcode = reader.u8(); opcode !== 0x0b; opcode = reader.u8()) {
    skipImmediate(opcode, reader);
    count++;
  }
  checkLimit("constantInstructions", count);
}

function readElements(reader: Reader): void {
  const count = reader.u32();
  checkLimit("elementSegments", count);
  let elements = 0;
  for (let index = 0; index < count; index++) {
    // Bit 0: passive or declared; bit 1: names a table, or is declared; bit 2: expressions instead of functions.
    const flags = reader.u32();
    if (flags > 7) throw new WasmFormatError(`unknown kind of element segment ${flags} at byte ${reader.at}`);
    const active = (flags & 1) === 0;
    if (active && flags & 2) reader.u32();
    if (active) skipConstantExpression(reader);
    if (flags & 3) {
      if (flags & 4) readValueType(reader);
      else reader.skip(1);
    }
    const length = reader.u32();
    elements += length;
    checkLimit("segmentElements", elements);
    for (let left = length; left > 0; left--) {
      if (flags & 4) skipConstantExpression(reader);
      else reader.u32();
    }
  }
}

function readData(reader: Reader, { dataLengths }: Writable<ModuleShape>): void {
  const count = reader.u32();
  checkLimit("dataSegments", count);
  for (let index = 0; index < count; index++) {
    const flags = reader.u32();
    if (flags > 2) throw new WasmFormatError(`unknown kind of data segment ${flags} at byte ${reader.at}`);
    if (flags === 2) reader.u32();
    if (flags !== 1) skipConstantExpression(reader);
    const length = reader.u32();
    dataLengths.push(length);
    reader.skip(length);
  }
}
