/**
 * The length of every WebAssembly instruction: one pass over a function body needs to know where each instruction ends.
 *
 * Covers core, multi-value, bulk memory, reference types, SIMD, relaxed SIMD, tail calls, exceptions (both forms), typed
 * function references and threads. Garbage-collected types are refused: their heap is not under the guest's memory limit.
 */
import { type Reader, WasmFormatError } from "./wasm_binary.ts";

const NONE = 0,
  LEB = 1,
  LEB2 = 2,
  MEMARG = 3,
  BLOCK = 4,
  BR_TABLE = 5,
  F32 = 6,
  F64 = 7,
  SELECT = 8,
  TRY_TABLE = 9;
const PREFIX_GC = 10, PREFIX_MISC = 11, PREFIX_SIMD = 12, PREFIX_THREADS = 13, HEAP_TYPE = 14, UNKNOWN = 255;

/** What follows each opcode. */
const IMMEDIATE: Uint8Array = (() => {
  const table = new Uint8Array(256).fill(UNKNOWN);
  const set = (kind: number, ...ranges: readonly (number | readonly [number, number])[]) => {
    for (const range of ranges) {
      const [from, to] = typeof range === "number" ? [range, range] : range;
      table.fill(kind, from, to + 1);
    }
  };
  set(NONE, 0x00, 0x01, 0x05, 0x0a, 0x0b, 0x0f, 0x19, 0x1a, 0x1b, [0x45, 0xc4], 0xd1, 0xd3, 0xd4);
  set(BLOCK, 0x02, 0x03, 0x04, 0x06);
  set(
    LEB,
    [0x07, 0x09],
    0x0c,
    0x0d,
    0x10,
    0x12,
    0x14,
    0x15,
    0x18,
    [0x20, 0x26],
    [0x3f, 0x42],
    0xd2,
    0xd5,
    0xd6,
  );
  set(LEB2, 0x11, 0x13);
  set(BR_TABLE, 0x0e);
  set(SELECT, 0x1c);
  set(TRY_TABLE, 0x1f);
  set(MEMARG, [0x28, 0x3e]);
  set(F32, 0x43);
  set(F64, 0x44);
  set(HEAP_TYPE, 0xd0);
  set(PREFIX_GC, 0xfb);
  set(PREFIX_MISC, 0xfc);
  set(PREFIX_SIMD, 0xfd);
  set(PREFIX_THREADS, 0xfe);
  return table;
})();

/** Instructions behind the prefix 0xfc whose effect outlives a call or whose cost grows with an operand. */
export const MISC = {
  memoryInit: 8,
  dataDrop: 9,
  memoryCopy: 10,
  memoryFill: 11,
  tableInit: 12,
  elemDrop: 13,
  tableCopy: 14,
  tableGrow: 15,
  tableSize: 16,
  tableFill: 17,
} as const;

/** How many index operands follow each instruction behind 0xfc. */
const MISC_OPERANDS = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1];

/** Passes over a value type. Returns its first byte. */
export function readValueType(reader: Reader): number {
  const type = reader.u8();
  if (type === 0x63 || type === 0x64) reader.skipLeb();
  return type;
}

function skipBlockType(reader: Reader): void {
  const byte = reader.bytes[reader.at];
  if (byte === 0x63 || byte === 0x64) {
    reader.skip(1);
  }
  reader.skipLeb();
}

function skipMemoryArgument(reader: Reader): void {
  const align = reader.u32();
  if (align & 0x40) reader.skipLeb();
  reader.skipLeb();
}

function skipSimd(reader: Reader): void {
  const instruction = reader.u32();
  if (instruction <= 11 || instruction === 92 || instruction === 93) skipMemoryArgument(reader);
  else if (instruction <= 13) reader.skip(16);
  else if (instruction >= 21 && instruction <= 34) reader.skip(1);
  else if (instruction >= 84 && instruction <= 91) {
    skipMemoryArgument(reader);
    reader.skip(1);
  } else if (instruction > 0x113) {
    throw new WasmFormatError(`unknown SIMD instruction ${instruction} at byte ${reader.at}`);
  }
}

function skipThreads(reader: Reader): void {
  const instruction = reader.u32();
  if (instruction === 1 || instruction === 2) {
    throw new WasmFormatError(
      `memory.atomic.wait at byte ${reader.at} is not supported: a waiting policy cannot be stopped`,
    );
  }
  if (instruction === 3) reader.skip(1);
  else if (instruction === 0 || (instruction >= 0x10 && instruction <= 0x4e)) skipMemoryArgument(reader);
  else throw new WasmFormatError(`unknown atomic instruction ${instruction} at byte ${reader.at}`);
}

function skipMisc(reader: Reader): number {
  const instruction = reader.u32();
  const operands = MISC_OPERANDS[instruction];
  if (operands === undefined) {
    throw new WasmFormatError(`unknown instruction 0xfc ${instruction} at byte ${reader.at}`);
  }
  for (let operand = 0; operand < operands; operand++) reader.skipLeb();
  return instruction;
}

/**
 * Passes over what follows `opcode`, which was just read. Returns the sub-opcode of an instruction behind 0xfc, else -1.
 * Throws {@link WasmFormatError} for an unknown or refused instruction.
 */
export function skipImmediate(opcode: number, reader: Reader): number {
  switch (IMMEDIATE[opcode]) {
    case NONE:
      return -1;
    case LEB:
      reader.skipLeb();
      return -1;
    case MEMARG:
      skipMemoryArgument(reader);
      return -1;
    case BLOCK:
      skipBlockType(reader);
      return -1;
    case LEB2:
      reader.skipLeb();
      reader.skipLeb();
      return -1;
    case BR_TABLE:
      for (let labels = reader.u32(); labels >= 0; labels--) reader.skipLeb();
      return -1;
    case F32:
      reader.skip(4);
      return -1;
    case F64:
      reader.skip(8);
      return -1;
    case SELECT:
      for (let types = reader.u32(); types > 0; types--) readValueType(reader);
      return -1;
    case TRY_TABLE:
      skipBlockType(reader);
      for (let clauses = reader.u32(); clauses > 0; clauses--) {
        if (reader.u8() < 2) reader.skipLeb();
        reader.skipLeb();
      }
      return -1;
    case HEAP_TYPE:
      reader.skipLeb();
      return -1;
    case PREFIX_MISC:
      return skipMisc(reader);
    case PREFIX_SIMD:
      skipSimd(reader);
      return -1;
    case PREFIX_THREADS:
      skipThreads(reader);
      return -1;
    case PREFIX_GC:
      throw new WasmFormatError(`garbage-collected types (0xfb at byte ${reader.at}) are not supported`);
    default:
      throw new WasmFormatError(
        `unknown instruction 0x${opcode.toString(16).padStart(2, "0")} at byte ${reader.at - 1}`,
      );
  }
}
