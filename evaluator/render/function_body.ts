/**
 * One pass over a function: where something has to be put in or replaced, and what its code costs.
 *
 * A guest pays where it enters a function and at each loop head. What it owes there is the cost of the longest way through the
 * code that leads from one payment to the next. WebAssembly's branches lead outwards only, so one pass finds it: along with the
 * cost since the last payment goes, for each open block, the greatest cost at any branch to its end. What a function may still
 * owe when it is left is paid in advance, when it is entered; loop heads pay afterwards, for the way that led there.
 */
import {
  BLOCK,
  BodyWalk,
  type Frame,
  NO_VALUES,
  NOWHERE,
  type Surroundings,
  type Totals,
} from "./body_walk.ts";
import {
  ATOMIC_COMPILE_PRICE,
  ATOMIC_PRICE,
  COMPILE_PRICES,
  FREE_COMPILE_COST,
  FREE_COST,
  MISC_COMPILE_PRICES,
  MISC_PRICES,
  NOTIFY_COMPILE_PRICE,
  PLAIN_PRICES,
  PRICE,
  UNIT_SHIFT,
  VECTOR_COMPILE_PRICES,
  VECTOR_PRICES,
} from "./instruction_prices.ts";
import { checkCompileTime, checkCompiling, checkLimit, COMPILER_MEMORY } from "./module_limits.ts";
import { ATOMIC_EFFECTS, MISC_EFFECTS, PLAIN_EFFECTS, VECTOR_EFFECTS } from "./stack_effects.ts";
import { type Reader, WasmFormatError } from "./wasm_binary.ts";
import { MISC, readValueType, skipImmediate } from "./wasm_instructions.ts";

export type { Surroundings } from "./body_walk.ts";

/** What stands at a place in a function that an instrumented one does differently. */
export const PLACE = {
  /** A loop's head pays; the value is what the longest way there costs. */
  loop: 0,
  /** A payment in the midst of long straight code, or for an exception; the value is what it costs. */
  pay: 1,
  /** An operation on as many table elements as the operand on top of the stack says. */
  elements: 2,
  /** `table.grow`; the value is the table. */
  tableGrow: 3,
  memorySize: 4,
  memoryGrow: 5,
  memoryFill: 6,
  memoryCopy: 7,
  /** `memory.init`; the value is the segment. */
  memoryInit: 8,
} as const;

/** What one pass over a function found. */
export interface Body {
  readonly start: number;
  readonly end: number;
  /** Where the instructions begin. */
  readonly entry: number;
  readonly localGroups: number;
  readonly locals: number;
  /** {@link PLACE}, start, end and value; {@link PLACE}, start, end and value … in order. */
  readonly places: readonly number[];
  readonly loops: boolean;
  /** What compilers need for it besides its size, in bytes. */
  readonly compiling: number;
  /** What it costs to enter it. */
  readonly cost: number;
  /** Whether it is short and calls nothing: then its callers pay for it. */
  readonly free: boolean;
  /** Whether tables and segments stay as they are. */
  readonly stateless: boolean;
}

/** Straight code pays when it has cost this much since the last payment, in nanoseconds. */
const MAX_UNPAID = 100 << UNIT_SHIFT;
const NO_PLACES: readonly number[] = [];

/** Reads the function body that begins at the reader. Throws {@link WasmFormatError}. */
export function readBody(reader: Reader, around: Surroundings, index: number, totals: Totals): Body {
  const where = `function ${around.importedFunctions + index}`;
  const own = around.types[around.functionTypes[around.importedFunctions + index]!] ?? NO_VALUES;
  const size = reader.u32();
  checkLimit("functionBytes", size, where);
  const start = reader.at;
  const end = start + size;
  if (end > reader.end) {
    throw new WasmFormatError(`a function that ends outside of the code section at byte ${start}`);
  }
  const localGroups = reader.u32();
  let locals = 0;
  for (let group = 0; group < localGroups; group++) {
    locals += reader.u32();
    checkLimit("locals", locals, where);
    readValueType(reader);
  }
  checkLimit("allLocals", totals.locals += locals);
  const entry = reader.at;
  const walk = new BodyWalk(reader, around, totals, { where, own, locals });
  readInstructions(walk, end);
  const { places, loops, stateless, handlers, compileCost } = walk;
  checkLimit("handlers", handlers, where);
  checkLimit("wideValues", walk.wideValues, where);
  const { compiling, tracking } = walk.compiler;
  checkCompiling(compiling, size, where);
  totals.tracking += tracking;
  checkCompileTime(compileCost + PRICE.codeByte * size, where);
  const running = walk.top.peak + PRICE.local * locals + PRICE.handler * handlers;
  const compiled = compileCost + Math.ceil(PRICE.trackedByte * tracking);
  return {
    start,
    end,
    entry,
    localGroups,
    locals,
    places: places.length > 0 ? places : NO_PLACES,
    loops,
    compiling,
    cost: running + PRICE.codeByte * size + compiled,
    free: !walk.calls && running <= FREE_COST && size <= FREE_COST && compiled <= FREE_COMPILE_COST,
    stateless,
  };
}

function readInstructions(walk: BodyWalk, end: number): void {
  const { reader, frames } = walk;
  while (reader.at < end && frames.length > 0) {
    const at = reader.at;
    if (walk.cost > MAX_UNPAID) {
      walk.mark();
      pay(walk, at, walk.cost);
      walk.cost = 0;
    }
    const opcode = reader.u8();
    walk.compileCost += COMPILE_PRICES[opcode]!;
    const instruction = INSTRUCTIONS[opcode];
    if (instruction) instruction(walk, at, opcode);
    else {
      skipImmediate(opcode, reader);
      walk.height += PLAIN_EFFECTS[opcode]!;
      if (walk.height < walk.top.base) walk.height = walk.top.base;
      if (walk.cost !== NOWHERE) walk.cost += PLAIN_PRICES[opcode]!;
    }
  }
  if (reader.at !== end || frames.length > 0) {
    throw new WasmFormatError(`an instruction that crosses the end of its function at byte ${end}`);
  }
}

function pay({ places }: BodyWalk, at: number, price: number): void {
  places.push(PLACE.pay, at, at, price);
}

function openLoop(walk: BodyWalk): void {
  const { reader, places } = walk;
  const signature = walk.readBlockType();
  walk.loops = true;
  walk.spend(PRICE.value * signature.parameters);
  walk.mark();
  walk.track(COMPILER_MEMORY.loop);
  walk.open(BLOCK.loop, signature, places.length);
  walk.top.label = walk.cost;
  places.push(PLACE.loop, reader.at, reader.at, 0);
  if (walk.cost !== NOWHERE) walk.cost = 0;
}

function openIf(walk: BodyWalk): void {
  walk.spend(PLAIN_PRICES[0x04]!);
  walk.push(-1);
  walk.track(COMPILER_MEMORY.if);
  walk.open(BLOCK.if, walk.readBlockType());
}

function beginElse(walk: BodyWalk): void {
  const { top } = walk;
  walk.spend(PRICE.value * top.signature.results);
  walk.mark();
  walk.reach(top, walk.cost);
  walk.cost = top.entry;
  if (top.kind === BLOCK.if) top.kind = BLOCK.block;
  walk.height = top.base + top.signature.parameters;
  walk.track(COMPILER_MEMORY.else);
}

/** `catch` and `catch_all`. */
function beginCatch(walk: BodyWalk, _: number, opcode: number): void {
  const { top, reader, around } = walk;
  const caught = opcode === 0x07 ? around.tags[reader.u32()] ?? 0 : 0;
  walk.handlers++;
  walk.mark();
  walk.reach(top, walk.cost);
  if (top.kind === BLOCK.try) {
    top.entry = top.peak;
    walk.catching--;
  }
  top.kind = BLOCK.catch;
  walk.cost = top.entry;
  walk.spend(PRICE.catch + PRICE.value * caught);
  walk.height = top.base + caught;
  walk.track(COMPILER_MEMORY.handler);
}

function openTryTable(walk: BodyWalk): void {
  const { reader, where } = walk;
  const signature = walk.readBlockType();
  const clauses = reader.u32();
  walk.handlers += clauses;
  checkLimit("handlers", walk.handlers, where);
  const targets: Frame[] = [];
  for (let left = clauses; left > 0; left--) {
    if (reader.u8() < 2) reader.skipLeb();
    walk.track(COMPILER_MEMORY.handler);
    const target = walk.target(reader.u32());
    if (target) targets.push(target);
  }
  walk.track(COMPILER_MEMORY.block);
  walk.open(BLOCK.block, signature, 0, targets);
}

/** `throw`, `rethrow` and `throw_ref`, which throw so many values. */
function leaveByException(walk: BodyWalk, at: number, values: number): void {
  pay(walk, at, PRICE.throw + PRICE.thrownValue * values);
  if (walk.catching > 0) walk.track(COMPILER_MEMORY.caughtCall);
  walk.leave();
}

/** `br_if`, `br_on_null` and `br_on_non_null`. */
function branchIf(walk: BodyWalk, _: number, opcode: number): void {
  walk.spend(PLAIN_PRICES[opcode]!);
  if (opcode !== 0xd5) walk.push(-1);
  walk.branch(walk.reader.u32());
}

function branchTable(walk: BodyWalk): void {
  const { reader, totals, where } = walk;
  const labels = reader.u32();
  checkLimit("branchTable", labels, where);
  checkLimit("branchLabels", totals.branchLabels += labels);
  walk.spend(PLAIN_PRICES[0x0e]!);
  for (let left = labels; left >= 0; left--) walk.branch(reader.u32());
  walk.leave();
}

function call(walk: BodyWalk): void {
  const { importedFunctions, types, functionTypes } = walk.around;
  const called = walk.reader.u32();
  const imported = called < importedFunctions;
  if (!imported) walk.calls = true;
  walk.call(types[functionTypes[called]!], PRICE.call + (imported ? 0 : FREE_COST));
}

/** A call of what an operand says: an element of a table, or a reference. */
function callUnknown(walk: BodyWalk): void {
  walk.calls = true;
  walk.call(walk.around.types[walk.reader.u32()], PRICE.indirectCall + FREE_COST, 1);
}

/** `table.set`. */
function setElement(walk: BodyWalk): void {
  walk.reader.skipLeb();
  walk.stateless = false;
  walk.spend(PLAIN_PRICES[0x26]!);
  walk.push(-2);
}

/** Instructions behind 0xfc: conversions, and bulk operations. */
function misc(walk: BodyWalk, at: number, opcode: number): void {
  const { reader } = walk;
  const operation = skipImmediate(opcode, reader);
  walk.spend(MISC_PRICES[operation]!);
  walk.compileCost += MISC_COMPILE_PRICES[operation]!;
  walk.push(MISC_EFFECTS[operation]!);
  if (operation < MISC.memoryInit) return;
  const after = reader.at;
  reader.at = at + 1;
  reader.u32();
  const operand = reader.u32();
  reader.at = after;
  const kind = MISC_PLACES.get(operation);
  if (kind !== undefined) walk.places.push(kind, at, kind < PLACE.memorySize ? at : after, operand);
  if (!STATELESS.has(operation)) walk.stateless = false;
}

/** Sub-opcodes above 127 take two bytes; none of those loads or stores, and the tables treat all alike. */
function vector(walk: BodyWalk, _: number, opcode: number): void {
  const operation = walk.reader.peek();
  walk.spend(VECTOR_PRICES[operation]!);
  walk.compileCost += VECTOR_COMPILE_PRICES[operation]!;
  walk.push(VECTOR_EFFECTS[operation]!);
  skipImmediate(opcode, walk.reader);
}

function atomic(walk: BodyWalk, _: number, opcode: number): void {
  const operation = walk.reader.peek();
  walk.compileCost += operation === 0 ? NOTIFY_COMPILE_PRICE : ATOMIC_COMPILE_PRICE;
  walk.push(ATOMIC_EFFECTS[operation]!);
  skipImmediate(opcode, walk.reader);
  walk.spend(ATOMIC_PRICE);
}

/** Reads what follows an opcode, and does to the walk what the instruction does. */
type Instruction = (walk: BodyWalk, at: number, opcode: number) => void;

const openBlock = (kind: Frame["kind"]): Instruction => (walk) => {
  walk.track(COMPILER_MEMORY.block);
  walk.open(kind, walk.readBlockType());
};

const callIndirect: Instruction = (walk) => {
  callUnknown(walk);
  walk.reader.skipLeb();
};

/** An instruction behind which no way leads on. */
const last = (instruction: Instruction): Instruction => (walk, at, opcode) => {
  instruction(walk, at, opcode);
  walk.leave();
};

/** The instructions that do more than the tables of prices and effects say, by opcode. */
const BY_OPCODE: ReadonlyMap<number, Instruction> = new Map<number, Instruction>([
  [0x00, (walk) => walk.leave()], // unreachable
  [0x02, openBlock(BLOCK.block)],
  [0x03, openLoop],
  [0x04, openIf],
  [0x05, beginElse],
  [0x06, openBlock(BLOCK.try)],
  [0x07, beginCatch],
  [0x08, (walk, at) => leaveByException(walk, at, walk.around.tags[walk.reader.u32()] ?? 0)], // throw
  [0x09, (walk, at) => { // rethrow
    walk.reader.skipLeb();
    leaveByException(walk, at, 0);
  }],
  [0x0a, (walk, at) => leaveByException(walk, at, 0)], // throw_ref
  [0x0b, (walk) => walk.close()], // end
  [0x0c, last((walk) => walk.branch(walk.reader.u32()))], // br
  [0x0d, branchIf],
  [0x0e, branchTable],
  [0x0f, last((walk) => walk.spend(PRICE.value * walk.own.results))], // return
  [0x10, call],
  [0x11, callIndirect],
  [0x12, last(call)], // return_call
  [0x13, last(callIndirect)], // return_call_indirect
  [0x14, callUnknown], // call_ref
  [0x15, last(callUnknown)], // return_call_ref
  [0x18, (walk) => { // delegate
    walk.reader.skipLeb();
    walk.close();
  }],
  [0x19, beginCatch], // catch_all
  [0x1f, openTryTable],
  [0x26, setElement],
  [0x3f, (walk, at) => { // memory.size
    walk.reader.skipLeb();
    walk.places.push(PLACE.memorySize, at, walk.reader.at, 0);
    walk.push(1);
  }],
  [0x40, (walk, at) => { // memory.grow
    walk.reader.skipLeb();
    walk.spend(PLAIN_PRICES[0x40]!);
    walk.places.push(PLACE.memoryGrow, at, walk.reader.at, 0);
  }],
  [0xd5, branchIf], // br_on_null
  [0xd6, branchIf], // br_on_non_null
  [0xfc, misc],
  [0xfd, vector],
  [0xfe, atomic],
]);
const INSTRUCTIONS: readonly (Instruction | undefined)[] = Array.from(
  { length: 256 },
  (_, opcode) => BY_OPCODE.get(opcode),
);

const MISC_PLACES: ReadonlyMap<number, number> = new Map<number, number>([
  [MISC.memoryInit, PLACE.memoryInit],
  [MISC.memoryCopy, PLACE.memoryCopy],
  [MISC.memoryFill, PLACE.memoryFill],
  [MISC.tableInit, PLACE.elements],
  [MISC.tableCopy, PLACE.elements],
  [MISC.tableFill, PLACE.elements],
  [MISC.tableGrow, PLACE.tableGrow],
]);

/** Operations behind 0xfc from 8 on that change neither tables nor segments. */
const STATELESS: ReadonlySet<number> = new Set([
  MISC.memoryInit,
  MISC.memoryCopy,
  MISC.memoryFill,
  MISC.tableSize,
]);
