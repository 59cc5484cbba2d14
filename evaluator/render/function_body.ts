/**
 * One pass over a function: where something has to be put in or replaced, and what its code costs.
 *
 * A guest pays where it enters a function and at each loop head. What it owes there is the cost of the longest way through the
 * code that leads from one payment to the next. WebAssembly's branches lead outwards only, so one pass finds it: along with the
 * cost since the last payment goes, for each open block, the greatest cost at any branch to its end. What a function may still
 * owe when it is left is paid in advance, when it is entered; loop heads pay afterwards, for the way that led there.
 */
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
import {
  BLOCK_RESULT_MEMORY,
  BRANCH_VALUE_MEMORY,
  CALL_VALUE_MEMORY,
  checkCompileTime,
  checkCompiling,
  checkLimit,
  COMPILER_MEMORY,
  WIDE,
} from "./module_limits.ts";
import { ATOMIC_EFFECTS, MISC_EFFECTS, PLAIN_EFFECTS, VECTOR_EFFECTS } from "./stack_effects.ts";
import { type Reader, WasmFormatError } from "./wasm_binary.ts";
import { MISC, readValueType, skipImmediate } from "./wasm_instructions.ts";
import type { Signature } from "./wasm_module.ts";

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

/** What a body refers to. */
export interface Surroundings {
  readonly types: readonly Signature[];
  readonly importedFunctions: number;
  readonly functionTypes: readonly number[];
  readonly tags: readonly number[];
}

/** What is counted over all functions. */
export interface Totals {
  branchLabels: number;
  locals: number;
  /** What compilers need to keep track of values, in bytes. */
  tracking: number;
}

/** Straight code pays when it has cost this much since the last payment, in nanoseconds. */
const MAX_UNPAID = 100 << UNIT_SHIFT;
/** The cost where no way leads. */
const NOWHERE = -1;
const NO_VALUES: Signature = { parameters: 0, results: 0 };
const ONE_RESULT: Signature = { parameters: 0, results: 1 };
const NO_PLACES: readonly number[] = [];
const BLOCK = 0, LOOP = 1, IF = 2, TRY = 3, CATCH = 4;

/** An open block. */
interface Frame {
  kind: number;
  readonly signature: Signature;
  /** The greatest cost at a branch to it. */
  label: number;
  /** `if`: the cost of its condition. `catch`: the greatest cost at which what it catches can have been thrown. */
  entry: number;
  /** The greatest cost inside of it so far. */
  peak: number;
  /** Of a loop: where its place stands in the list. */
  readonly place: number;
  /** Of a `try_table`: the frames that its handlers branch to. */
  readonly handlers: readonly Frame[] | undefined;
  /** The operands on the stack below its own. */
  readonly base: number;
}

/** Reads the function body that begins at the reader. Throws {@link WasmFormatError}. */
export function readBody(reader: Reader, around: Surroundings, index: number, totals: Totals): Body {
  const where = `function ${around.importedFunctions + index}`;
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
  const own = around.types[around.functionTypes[around.importedFunctions + index]!] ?? NO_VALUES;
  const places: number[] = [];
  const frames: Frame[] = [];
  let loops = false;
  let calls = false;
  let stateless = true;
  let handlers = 0;
  /** Open blocks whose exceptions are caught here. */
  let catching = 0;
  /** The number of operands on the stack. */
  let height = 0;
  /** What compilers need, in bytes: besides, and to keep track of values. */
  let compiling = 0;
  let wideValues = 0;
  /** How many `block`s there are, and how many results all of them have. */
  let blocks = 0;
  let blockResults = 0;
  let tracking = 0;
  /** What compiling the instructions costs besides their bytes. */
  let compileCost = 0;
  /** What the longest way from the last payment to here costs. */
  let cost = 0;
  let top!: Frame;

  const track = ({ itself, each }: { readonly itself: number; readonly each: number }) => {
    compiling += itself;
    tracking += each * (values + height);
  };
  const move = ({ parameters, results }: Signature) => {
    if (parameters + results > WIDE) wideValues += parameters + results;
  };
  const push = (count: number) => {
    height = Math.max(height + count, top.base);
  };
  const open = (kind: number, signature: Signature, place = 0, targets?: readonly Frame[]) => {
    const base = Math.max(0, height - signature.parameters);
    move(signature);
    if (kind === BLOCK || kind === TRY) {
      blocks++;
      blockResults += signature.results;
    }
    if (kind === TRY || targets) catching++;
    top = { kind, signature, label: NOWHERE, entry: cost, peak: cost, place, handlers: targets, base };
    frames.push(top);
    checkLimit("nesting", frames.length, where);
  };
  const spend = (price: number) => {
    if (cost !== NOWHERE) cost += price;
  };
  const mark = () => {
    if (cost > top.peak) top.peak = cost;
  };
  const leave = () => {
    mark();
    cost = NOWHERE;
  };
  const reach = (frame: Frame, price: number) => {
    if (price > frame.label) frame.label = price;
  };
  const branch = (depth: number) => {
    track(COMPILER_MEMORY.branch);
    const target = frames[frames.length - 1 - depth];
    if (!target) return;
    const { parameters, results } = target.signature;
    const taken = target.kind === LOOP ? parameters : results;
    tracking += BRANCH_VALUE_MEMORY * taken;
    if (cost !== NOWHERE) reach(target, cost + PRICE.value * taken);
  };
  const pay = (at: number, price: number) => places.push(PLACE.pay, at, at, price);
  const readBlockType = (): Signature => {
    const first = reader.peek();
    if (first === 0x40) {
      reader.skip(1);
      return NO_VALUES;
    }
    if ((first & 0xc0) === 0x40) {
      readValueType(reader);
      return ONE_RESULT;
    }
    return around.types[reader.u32()] ?? NO_VALUES;
  };
  const call = (signature: Signature = NO_VALUES, price: number, operands = 0) => {
    const { parameters, results } = signature;
    move(signature);
    spend(price + PRICE.value * (parameters + results));
    compileCost += PRICE.compiledValue * (parameters + results);
    compiling += CALL_VALUE_MEMORY * (parameters + results);
    track(catching > 0 ? COMPILER_MEMORY.caughtCall : COMPILER_MEMORY.call);
    push(results - parameters - operands);
  };
  const callFunction = (called: number) => {
    const imported = called < around.importedFunctions;
    if (!imported) calls = true;
    call(around.types[around.functionTypes[called]!], PRICE.call + (imported ? 0 : FREE_COST));
  };
  const callUnknown = (type: number) => {
    calls = true;
    call(around.types[type], PRICE.indirectCall + FREE_COST, 1);
  };
  const close = () => {
    const frame = frames.pop()!;
    if (frame.kind === TRY || frame.handlers) catching--;
    height = frame.base + frame.signature.results;
    spend(PRICE.value * frame.signature.results);
    if (frame.kind === IF) reach(frame, frame.entry);
    if (cost > frame.peak) frame.peak = cost;
    if (frame.kind === LOOP) places[frame.place + 3] = Math.max(frame.label, 0);
    else cost = Math.max(cost, frame.label);
    if (frame.handlers && frame.peak !== NOWHERE) {
      for (const target of frame.handlers) {
        const { parameters, results } = target.signature;
        reach(target, frame.peak + PRICE.catch + PRICE.value * Math.max(parameters, results));
      }
    }
    const parent = frames.at(-1);
    if (!parent) {
      top = frame;
      return;
    }
    top = parent;
    top.peak = Math.max(top.peak, frame.peak, cost);
  };

  const values = locals + own.parameters;
  open(BLOCK, { parameters: 0, results: own.results });
  while (reader.at < end && frames.length > 0) {
    const at = reader.at;
    if (cost > MAX_UNPAID) {
      mark();
      pay(at, cost);
      cost = 0;
    }
    const opcode = reader.u8();
    compileCost += COMPILE_PRICES[opcode]!;
    switch (opcode) {
      case 0x00: // unreachable
        leave();
        break;
      case 0x02: // block
        track(COMPILER_MEMORY.block);
        open(BLOCK, readBlockType());
        break;
      case 0x03: { // loop
        const signature = readBlockType();
        loops = true;
        spend(PRICE.value * signature.parameters);
        mark();
        track(COMPILER_MEMORY.loop);
        open(LOOP, signature, places.length);
        top.label = cost;
        places.push(PLACE.loop, reader.at, reader.at, 0);
        if (cost !== NOWHERE) cost = 0;
        break;
      }
      case 0x04: // if
        spend(PLAIN_PRICES[opcode]!);
        push(-1);
        track(COMPILER_MEMORY.if);
        open(IF, readBlockType());
        break;
      case 0x05: // else
        spend(PRICE.value * top.signature.results);
        mark();
        reach(top, cost);
        cost = top.entry;
        if (top.kind === IF) top.kind = BLOCK;
        height = top.base + top.signature.parameters;
        track(COMPILER_MEMORY.else);
        break;
      case 0x06: // try
        track(COMPILER_MEMORY.block);
        open(TRY, readBlockType());
        break;
      case 0x07: // catch
      case 0x19: { // catch_all
        const caught = opcode === 0x07 ? around.tags[reader.u32()] ?? 0 : 0;
        handlers++;
        mark();
        reach(top, cost);
        if (top.kind === TRY) {
          top.entry = top.peak;
          catching--;
        }
        top.kind = CATCH;
        cost = top.entry;
        spend(PRICE.catch + PRICE.value * caught);
        height = top.base + caught;
        track(COMPILER_MEMORY.handler);
        break;
      }
      case 0x08: // throw
        pay(at, PRICE.throw + PRICE.thrownValue * (around.tags[reader.u32()] ?? 0));
        if (catching > 0) track(COMPILER_MEMORY.caughtCall);
        leave();
        break;
      case 0x09: // rethrow
        reader.skipLeb();
        pay(at, PRICE.throw);
        if (catching > 0) track(COMPILER_MEMORY.caughtCall);
        leave();
        break;
      case 0x0a: // throw_ref
        pay(at, PRICE.throw);
        if (catching > 0) track(COMPILER_MEMORY.caughtCall);
        leave();
        break;
      case 0x18: // delegate
        reader.skipLeb();
        close();
        break;
      case 0x0b: // end
        close();
        break;
      case 0x0c: // br
        branch(reader.u32());
        leave();
        break;
      case 0x0d: // br_if
      case 0xd5: // br_on_null
      case 0xd6: // br_on_non_null
        spend(PLAIN_PRICES[opcode]!);
        if (opcode !== 0xd5) push(-1);
        branch(reader.u32());
        break;
      case 0x0e: { // br_table
        const labels = reader.u32();
        checkLimit("branchTable", labels, where);
        checkLimit("branchLabels", totals.branchLabels += labels);
        spend(PLAIN_PRICES[opcode]!);
        for (let left = labels; left >= 0; left--) branch(reader.u32());
        leave();
        break;
      }
      case 0x0f: // return
        spend(PRICE.value * own.results);
        leave();
        break;
      case 0x10: // call
        callFunction(reader.u32());
        break;
      case 0x12: // return_call
        callFunction(reader.u32());
        leave();
        break;
      case 0x11: // call_indirect
      case 0x13: // return_call_indirect
        callUnknown(reader.u32());
        reader.skipLeb();
        if (opcode === 0x13) leave();
        break;
      case 0x14: // call_ref
      case 0x15: // return_call_ref
        callUnknown(reader.u32());
        if (opcode === 0x15) leave();
        break;
      case 0x1f: { // try_table
        const signature = readBlockType();
        const clauses = reader.u32();
        handlers += clauses;
        checkLimit("handlers", handlers, where);
        const targets: Frame[] = [];
        for (let left = clauses; left > 0; left--) {
          if (reader.u8() < 2) reader.skipLeb();
          track(COMPILER_MEMORY.handler);
          const target = frames[frames.length - 1 - reader.u32()];
          if (target) targets.push(target);
        }
        track(COMPILER_MEMORY.block);
        open(BLOCK, signature, 0, targets);
        break;
      }
      case 0x26: // table.set
        reader.skipLeb();
        stateless = false;
        spend(PLAIN_PRICES[opcode]!);
        push(-2);
        break;
      case 0x3f: // memory.size
        reader.skipLeb();
        places.push(PLACE.memorySize, at, reader.at, 0);
        push(1);
        break;
      case 0x40: // memory.grow
        reader.skipLeb();
        spend(PLAIN_PRICES[opcode]!);
        places.push(PLACE.memoryGrow, at, reader.at, 0);
        break;
      case 0xfc: {
        const operation = skipImmediate(opcode, reader);
        spend(MISC_PRICES[operation]!);
        compileCost += MISC_COMPILE_PRICES[operation]!;
        push(MISC_EFFECTS[operation]!);
        if (operation < MISC.memoryInit) break;
        const after = reader.at;
        reader.at = at + 1;
        reader.u32();
        const operand = reader.u32();
        reader.at = after;
        const kind = MISC_PLACES.get(operation);
        if (kind !== undefined) places.push(kind, at, kind < PLACE.memorySize ? at : after, operand);
        if (!STATELESS.has(operation)) stateless = false;
        break;
      }
      case 0xfd:
        // Sub-opcodes above 127 take two bytes; none of those loads or stores, and the tables treat all alike.
        spend(VECTOR_PRICES[reader.peek()]!);
        compileCost += VECTOR_COMPILE_PRICES[reader.peek()]!;
        push(VECTOR_EFFECTS[reader.peek()]!);
        skipImmediate(opcode, reader);
        break;
      case 0xfe:
        compileCost += reader.peek() === 0 ? NOTIFY_COMPILE_PRICE : ATOMIC_COMPILE_PRICE;
        push(ATOMIC_EFFECTS[reader.peek()]!);
        skipImmediate(opcode, reader);
        spend(ATOMIC_PRICE);
        break;
      default:
        skipImmediate(opcode, reader);
        height += PLAIN_EFFECTS[opcode]!;
        if (height < top.base) height = top.base;
        if (cost !== NOWHERE) cost += PLAIN_PRICES[opcode]!;
    }
  }
  if (reader.at !== end || frames.length > 0) {
    throw new WasmFormatError(`an instruction that crosses the end of its function at byte ${end}`);
  }
  checkLimit("handlers", handlers, where);
  checkLimit("wideValues", wideValues, where);
  tracking += BLOCK_RESULT_MEMORY * blockResults * blocks;
  checkCompiling(compiling + tracking, size, where);
  totals.tracking += tracking;
  const running = top.peak + PRICE.local * locals + PRICE.handler * handlers;
  checkCompileTime(compileCost + PRICE.codeByte * size, where);
  const compiled = compileCost + Math.ceil(PRICE.trackedByte * tracking);
  return {
    start,
    end,
    entry,
    localGroups,
    locals,
    places: places.length > 0 ? places : NO_PLACES,
    loops,
    compiling: compiling + tracking,
    cost: running + PRICE.codeByte * size + compiled,
    free: !calls && running <= FREE_COST && size <= FREE_COST && compiled <= FREE_COMPILE_COST,
    stateless,
  };
}

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
