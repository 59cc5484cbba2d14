/**
 * The functions that an instrumented module gets besides its own (`instrument.ts`): they pay, ask, and do what takes long in
 * pieces.
 */
import { BYTES_SHIFT, ELEMENTS_SHIFT, GROWN_TABLE_SHIFT } from "./instruction_prices.ts";
import { Writer } from "./wasm_binary.ts";
import { emitRecordRange, type WrittenMap } from "./written_map.ts";

/** Units before the guest has to ask: some 12 ms at the prices of `instruction_prices.ts`, in fact a few microseconds to 30 ms. */
export const BUDGET = 12_288;
/** Units that a loop takes from the budget at once. */
export const CHUNK = 64;
/** Memory is filled and copied in pieces of this size. */
export const PIECE_BYTES = 65_536;

export const I32 = 0x7f, I64 = 0x7e;

/** The types that are added, as the binary format has them. */
export const ADDED_TYPES = {
  /** `() -> ()` */
  run: [0x60, 0, 0],
  /** `() -> i32` */
  get: [0x60, 0, 1, I32],
  /** `(i32) -> i32` */
  map: [0x60, 1, I32, 1, I32],
  /** `(i32) -> ()` */
  take: [0x60, 1, I32, 0],
  /** `(i32, i32, i32) -> ()` */
  bulk: [0x60, 3, I32, I32, I32, 0],
  /** `(i32, i32) -> ()` */
  range: [0x60, 2, I32, I32, 0],
  /** `(i32, i32, i32) -> (i32, i32, i32)` */
  through: [0x60, 3, I32, I32, I32, 3, I32, I32, I32],
} as const;

type AddedType = keyof typeof ADDED_TYPES;

/** The functions that every module gets, in the order in which they stand; `memory.init` of long segments follows. */
const HELPER_TYPES = {
  ask: "run",
  refill: "get",
  payElements: "map",
  payGrownTable: "take",
  payInit: "through",
  record: "range",
  grow: "map",
  fill: "bulk",
  copy: "bulk",
} as const satisfies Readonly<Record<string, AddedType>>;

export type Helper = keyof typeof HELPER_TYPES;
const HELPERS = Object.keys(HELPER_TYPES) as readonly Helper[];

/** Where what is added stands: all of it behind the guest's own. */
export interface Added {
  readonly type: Readonly<Record<AddedType, number>>;
  readonly helper: Readonly<Record<Helper, number>>;
  /** The functions that do `memory.init` of long segments, by segment. */
  readonly init: ReadonlyMap<number, number>;
  readonly budget: number;
  readonly pages: number;
  readonly table: number;
  /** Undefined where writes are not recorded. */
  readonly written: WrittenMap | undefined;
}

/**
 * Gives indices to what is added behind `own`. `longSegments` are those that need a function for `memory.init`; writes are recorded in
 * chunks of `chunkShift`, or not at all if that is undefined.
 */
export function placeAdded(
  own: {
    readonly types: number;
    readonly functions: number;
    readonly globals: number;
    readonly tables: number;
  },
  longSegments: readonly number[],
  chunkShift: number | undefined,
): Added {
  const indices = <K extends string>(names: readonly K[], first: number) =>
    Object.fromEntries(names.map((name, index) => [name, first + index])) as Record<K, number>;
  const firstInit = own.functions + HELPERS.length;
  return {
    type: indices(Object.keys(ADDED_TYPES) as AddedType[], own.types),
    helper: indices(HELPERS, own.functions),
    init: new Map(longSegments.map((segment, index) => [segment, firstInit + index])),
    budget: own.globals,
    pages: own.globals + 1,
    table: own.tables,
    written: chunkShift === undefined ? undefined : { global: own.globals + 2, shift: chunkShift },
  };
}

/** The type of each added function, in order. */
export function helperTypes({ type, init }: Added): readonly number[] {
  return [...HELPERS.map((name) => type[HELPER_TYPES[name]]), ...Array.from(init, () => type.bulk)];
}

/** The body of each added function, in order. */
export function helperBodies(
  added: Added,
  hasMemory: boolean,
  dataLengths: readonly number[],
): readonly Writer[] {
  const bodies: Readonly<Record<Helper, () => Writer>> = {
    ask: () => askBody(added),
    refill: () => refillBody(added),
    payElements: () => payByLength(added, ELEMENTS_SHIFT, true),
    payGrownTable: () => payByLength(added, GROWN_TABLE_SHIFT, false),
    payInit: () => payInitBody(added),
    record: () => recordBody(added),
    grow: () => hasMemory ? growBody(added) : constant(-1),
    fill: () => hasMemory ? fillBody(added) : nothing(),
    copy: () => hasMemory ? copyBody(added) : nothing(),
  };
  return [
    ...HELPERS.map((name) => bodies[name]()),
    ...Array.from(added.init.keys(), (segment) => initBody(added, segment, dataLengths[segment]!)),
  ];
}

/** `budget -= price; if (budget < 0) ask()`. Returns where the branch stands. */
export function emitBudgetPayment(out: Writer, added: Added, price: number): number {
  return emitPayment(out, added, () => {
    out.u8(0x41);
    out.s32(price);
  });
}

function emitPayment(out: Writer, added: Added, emitPrice: () => void): number {
  out.u8(0x23);
  out.u32(added.budget);
  emitPrice();
  out.raw(0x6b, 0x24);
  out.u32(added.budget);
  out.u8(0x23);
  out.u32(added.budget);
  out.raw(0x41, 0, 0x48);
  const branch = out.length;
  out.raw(0x04, 0x40, 0x10);
  out.u32(added.helper.ask);
  out.u8(0x0b);
  return branch;
}

/** `if (tick()) unreachable; budget = BUDGET` */
function askBody(added: Added): Writer {
  const body = new Writer(64);
  body.raw(0, 0x41, 0, 0x11);
  body.u32(added.type.get);
  body.u32(added.table);
  body.raw(0x04, 0x40, 0x00, 0x0b, 0x41);
  body.s32(BUDGET);
  body.u8(0x24);
  body.u32(added.budget);
  body.u8(0x0b);
  return body;
}

/** `() => { budget -= CHUNK; if (budget < 0) ask(); return CHUNK }` */
function refillBody(added: Added): Writer {
  const body = new Writer(64);
  body.u8(0);
  emitBudgetPayment(body, added, CHUNK);
  body.u8(0x41);
  body.s32(CHUNK);
  body.u8(0x0b);
  return body;
}

/** `(length) => { budget -= length >>> shift; if (budget < 0) ask(); return length }` */
function payByLength(added: Added, shift: number, returns: boolean): Writer {
  const body = new Writer(64);
  body.u8(0);
  emitLengthPayment(body, added, 0, shift);
  if (returns) body.raw(0x20, 0);
  body.u8(0x0b);
  return body;
}

function emitLengthPayment(out: Writer, added: Added, local: number, shift: number): void {
  emitPayment(out, added, () => out.raw(0x20, local, 0x41, shift, 0x76));
}

/** What `memory.init` of a short segment pays and records: `(to, from, length) => (to, from, length)` */
function payInitBody(added: Added): Writer {
  const body = new Writer(96);
  body.u8(0);
  emitRecordTarget(body, added);
  emitLengthPayment(body, added, LENGTH, BYTES_SHIFT);
  body.raw(0x20, TO, 0x20, FROM, 0x20, LENGTH, 0x0b);
  return body;
}

/** `(start, length) => ()` */
function recordBody({ written }: Added): Writer {
  const body = new Writer(64);
  body.u8(0);
  if (written) emitRecordRange(body, written, 0, 1);
  body.u8(0x0b);
  return body;
}

/** Records what a bulk operation writes to. */
function emitRecordTarget(out: Writer, { written }: Added): void {
  if (written) emitRecordRange(out, written, TO, LENGTH);
}

function nothing(): Writer {
  const body = new Writer(8);
  body.raw(0, 0x0b);
  return body;
}

function constant(value: number): Writer {
  const body = new Writer(8);
  body.raw(0, 0x41);
  body.s32(value);
  body.u8(0x0b);
  return body;
}

/** Locals of what works in pieces. */
const TO = 0, FROM = 1, LENGTH = 2;

/** `i64(start) + i64(length)` */
function emitEnd(out: Writer, start: number): void {
  out.raw(0x20, start, 0xad, 0x20, LENGTH, 0xad, 0x7c);
}

/** Leaves the enclosing block if the range that starts at local `start` ends outside of the memory. */
function emitLeaveIfOutside(out: Writer, start: number): void {
  emitEnd(out, start);
  out.raw(0x3f, 0, 0xad, 0x42, 16, 0x86, 0x56, 0x0d, 0); // > i64(memory.size) << 16
}

function emitPiecePayment(out: Writer, added: Added): void {
  emitBudgetPayment(out, added, PIECE_BYTES >> BYTES_SHIFT);
}

/** `local += PIECE_BYTES` or, with `opcode` 0x6b, `-=` */
function emitStep(out: Writer, local: number, opcode = 0x6a): void {
  out.raw(0x20, local, 0x41);
  out.s32(PIECE_BYTES);
  out.raw(opcode, 0x21, local);
}

/** `LENGTH >u PIECE_BYTES` */
function emitIsLong(out: Writer): void {
  out.raw(0x20, LENGTH, 0x41);
  out.s32(PIECE_BYTES);
  out.u8(0x4b);
}

/**
 * An operation on `(to, from, length)`: while more than a piece is left, and all of it is inside of the bounds, it is done piece by
 * piece, with a payment for each. What is left then, or all of it when it is out of bounds, is one operation, which traps as the
 * guest's own would have: before it wrote anything.
 */
function inPieces(
  added: Added,
  emitLeaveIfOutOfBounds: (out: Writer) => void,
  emitPieces: (out: Writer) => void,
  emitOperation: (out: Writer) => void,
): Writer {
  const body = new Writer(200);
  body.u8(0);
  emitRecordTarget(body, added);
  body.raw(0x02, 0x40);
  emitIsLong(body);
  body.raw(0x45, 0x0d, 0);
  emitLeaveIfOutOfBounds(body);
  emitPieces(body);
  body.u8(0x0b);
  emitLengthPayment(body, added, LENGTH, BYTES_SHIFT);
  body.raw(0x20, TO, 0x20, FROM, 0x20, LENGTH);
  emitOperation(body);
  body.u8(0x0b);
  return body;
}

/** From the start on: `do { operation(to, from, PIECE_BYTES); to += …; from += …; length -= … } while (length > PIECE_BYTES)` */
function emitAscending(
  out: Writer,
  added: Added,
  advances: boolean,
  emitOperation: (out: Writer) => void,
): void {
  out.raw(0x03, 0x40);
  emitPiecePayment(out, added);
  out.raw(0x20, TO, 0x20, FROM, 0x41);
  out.s32(PIECE_BYTES);
  emitOperation(out);
  emitStep(out, TO);
  if (advances) emitStep(out, FROM);
  emitStep(out, LENGTH, 0x6b);
  emitIsLong(out);
  out.raw(0x0d, 0, 0x0b);
}

/** `memory.fill` in pieces; what is called FROM is the value. */
function fillBody(added: Added): Writer {
  const fill = (out: Writer) => out.raw(0xfc, 11, 0);
  return inPieces(
    added,
    (out) => emitLeaveIfOutside(out, TO),
    (out) => emitAscending(out, added, false, fill),
    fill,
  );
}

/** `memory.copy` in pieces: from the end on where the target lies behind the source, which it may overlap. */
function copyBody(added: Added): Writer {
  const copy = (out: Writer) => out.raw(0xfc, 10, 0, 0);
  return inPieces(
    added,
    (out) => {
      emitLeaveIfOutside(out, TO);
      emitLeaveIfOutside(out, FROM);
    },
    (out) => {
      out.raw(0x20, TO, 0x20, FROM, 0x4d, 0x04, 0x40); // to <=u from
      emitAscending(out, added, true, copy);
      out.raw(0x05, 0x03, 0x40);
      emitPiecePayment(out, added);
      emitStep(out, LENGTH, 0x6b);
      for (const start of [TO, FROM]) out.raw(0x20, start, 0x20, LENGTH, 0x6a);
      out.u8(0x41);
      out.s32(PIECE_BYTES);
      copy(out);
      emitIsLong(out);
      out.raw(0x0d, 0, 0x0b, 0x0b);
    },
    copy,
  );
}

/** `memory.init` in pieces. A segment that was dropped traps at the first piece. */
function initBody(added: Added, segment: number, length: number): Writer {
  const init = (out: Writer) => {
    out.raw(0xfc, 8);
    out.u32(segment);
    out.u8(0);
  };
  return inPieces(
    added,
    (out) => {
      emitLeaveIfOutside(out, TO);
      emitEnd(out, FROM);
      out.raw(0x41);
      out.s32(length);
      out.raw(0xad, 0x56, 0x0d, 0);
    },
    (out) => emitAscending(out, added, true, init),
    init,
  );
}

/**
 * `memory.grow` over the guest's own page count: real growth only beyond what the memory has already. What lies between
 * the guest's count and the memory's end is kept zero by whoever restores the instance.
 *
 * Real growth may copy all of the memory, so the guest asks before and after it.
 */
function growBody(added: Added): Writer {
  const DELTA = 0, MISSING = 1;
  const body = new Writer(160);
  body.raw(1, 1, I32);
  // if (delta >u 65536) return -1: pages + delta can't overflow below
  body.raw(0x20, DELTA, 0x41);
  body.s32(65536);
  body.raw(0x4b, 0x04, 0x40, 0x41, 0x7f, 0x0f, 0x0b);
  // missing = pages + delta - memory.size
  body.u8(0x23);
  body.u32(added.pages);
  body.raw(0x20, DELTA, 0x6a, 0x3f, 0, 0x6b, 0x22, MISSING);
  // if (missing > 0)
  body.raw(0x41, 0, 0x4a, 0x04, 0x40);
  emitAsk(body, added);
  // if (memory.grow(missing) == -1) return -1
  body.raw(0x20, MISSING, 0x40, 0, 0x41, 0x7f, 0x46, 0x04, 0x40, 0x41, 0x7f, 0x0f, 0x0b);
  emitAsk(body, added);
  body.u8(0x0b);
  // old = pages (left on the stack); pages += delta
  body.u8(0x23);
  body.u32(added.pages);
  body.u8(0x23);
  body.u32(added.pages);
  body.raw(0x20, DELTA, 0x6a, 0x24);
  body.u32(added.pages);
  body.u8(0x0b);
  return body;
}

function emitAsk(out: Writer, added: Added): void {
  out.u8(0x10);
  out.u32(added.helper.ask);
}
