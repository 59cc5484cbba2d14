/**
 * The code section of an instrumented module (`instrument.ts`): where the guest pays, and what it pays with.
 *
 * Two things can make code run long: loops, and calls. At a loop head the guest pays from a local variable, which costs next to
 * nothing, and fills that from the global budget a chunk at a time. At the entry of a function it pays from the global budget.
 * Short functions from which a single call leads on, and short leaves, pay nothing, unless such calls alone make a circle: what
 * they cost is part of the price that their callers pay. So a unit stands for a bounded amount of straight code, however a
 * hostile module spreads it over functions.
 */
import { Reader, SECTION, type Section, WasmFormatError, Writer } from "./wasm_binary.ts";
import { MISC, readValueType, skipImmediate } from "./wasm_instructions.ts";

/** Units before the guest has to ask. With the slowest instructions there are (a square root a byte) they take some 40 ms. */
export const BUDGET = 8_192;
/** Units that a loop takes from the budget at once. */
const CHUNK = 64;
/** A loop iteration or a call costs one unit, and one more for this many (log2) bytes of the function's code. */
const CODE_SHIFT = 10;
/** What a function that pays nothing, and what it calls, may cost its callers at most, in bytes of code. */
const FREE_COST = 256;
/** What a local variable, which is set to zero at entry, counts in bytes of code. */
const LOCAL_COST = 4;
/** A bulk instruction costs a unit for this many (log2) bytes or elements. */
const BULK_SHIFT = 8;
const I32 = 0x7f;

/** Indices of what is added. */
export interface Added {
  readonly typeVoid: number;
  readonly typeAsk: number;
  readonly typeMap: number;
  readonly budget: number;
  readonly pages: number;
  readonly table: number;
  readonly ask: number;
  readonly refill: number;
  readonly bulk: number;
  readonly grow: number;
}

/** What the code section needs to know of the others. */
export interface Signatures {
  readonly importedFunctions: number;
  /** How many parameters each function has that the module defines. */
  readonly parameters: readonly number[];
  readonly hasMemory: boolean;
}

/** Places in a function at which something is put in or replaced. */
const PLACE = { loop: 0, bulk: 1, size: 2, grow: 3 } as const;

/** What one pass over a function found. */
interface Body {
  readonly start: number;
  readonly end: number;
  /** Where the instructions begin. */
  readonly entry: number;
  readonly localGroups: number;
  readonly locals: number;
  /** Kind, start, end; kind, start, end … of places, in order. */
  readonly places: readonly number[];
  readonly loops: boolean;
  /** The functions that are called directly, one entry a call instruction, and the number of other calls. */
  readonly callees: readonly number[];
  readonly indirectCalls: number;
  /** Whether tables and segments stay as they are. */
  readonly stateless: boolean;
}

const NONE: readonly number[] = [];

function readBody(reader: Reader, sectionEnd: number): Body {
  const size = reader.u32();
  const start = reader.at;
  const end = start + size;
  if (end > sectionEnd) {
    throw new WasmFormatError(`a function that ends outside of the code section at byte ${start}`);
  }
  const localGroups = reader.u32();
  let locals = 0;
  for (let group = 0; group < localGroups; group++) {
    locals += reader.u32();
    readValueType(reader);
  }
  const entry = reader.at;
  let places: number[] | undefined;
  let loops = false;
  let callees: number[] | undefined;
  let indirectCalls = 0;
  let stateless = true;
  while (reader.at < end) {
    const at = reader.at;
    const opcode = reader.u8();
    // Calls are read here for their target; all else is only measured.
    if (opcode === 0x10 || opcode === 0x12) {
      (callees ??= []).push(reader.u32());
      continue;
    }
    const misc = skipImmediate(opcode, reader);
    if (opcode === 0x03) {
      loops = true;
      (places ??= []).push(PLACE.loop, reader.at, reader.at);
    } else if (opcode >= 0x11 && opcode <= 0x15) {
      indirectCalls++;
    } else if (opcode === 0x3f) (places ??= []).push(PLACE.size, at, reader.at);
    else if (opcode === 0x40) (places ??= []).push(PLACE.grow, at, reader.at);
    else if (opcode === 0x26) stateless = false;
    else if (misc >= MISC.memoryInit) {
      if (BULK.has(misc)) (places ??= []).push(PLACE.bulk, at, at);
      if (
        misc !== MISC.memoryInit && misc !== MISC.memoryCopy && misc !== MISC.memoryFill &&
        misc !== TABLE_SIZE
      ) {
        stateless = false;
      }
    }
  }
  if (reader.at !== end) {
    throw new WasmFormatError(`an instruction that crosses the end of its function at byte ${end}`);
  }
  return {
    start,
    end,
    entry,
    localGroups,
    locals,
    places: places ?? NONE,
    loops,
    callees: callees ?? NONE,
    indirectCalls,
    stateless,
  };
}

const TABLE_SIZE = 16;
/** Instructions whose time grows with the operand on top of the stack. */
const BULK: ReadonlySet<number> = new Set([
  MISC.memoryInit,
  MISC.memoryCopy,
  MISC.memoryFill,
  MISC.tableInit,
  MISC.tableCopy,
  MISC.tableGrow,
  MISC.tableFill,
]);

/** What a body costs by itself when it is run once without going round a loop, in bytes of code. */
const ownCost = ({ start, end, locals }: Body): number => end - start + LOCAL_COST * locals;

/**
 * What each function costs its callers because it does not pay at its own entry; 0 for those that do. These are the ones
 * with an indirect call or several calls, one of every circle of functions with a single call, and those that cost too much.
 */
function freeCosts(bodies: readonly Body[], importedFunctions: number): readonly number[] {
  const costs = new Array<number>(bodies.length).fill(-1);
  const handsOn = ({ callees, indirectCalls }: Body) => callees.length === 1 && indirectCalls === 0;
  bodies.forEach(({ callees, indirectCalls }, index) => {
    if (callees.length > 1 || indirectCalls > 0) costs[index] = 0;
  });
  // 0: not looked at; otherwise the walk that came by.
  const walked = new Int32Array(bodies.length);
  for (let start = 0; start < bodies.length; start++) {
    const chain: number[] = [];
    let at = start;
    while (at >= 0 && at < bodies.length && costs[at]! < 0 && walked[at] === 0) {
      walked[at] = start + 1;
      chain.push(at);
      at = handsOn(bodies[at]!) ? bodies[at]!.callees[0]! - importedFunctions : -1;
    }
    // The walk has come round to where it was before.
    if (at >= 0 && at < bodies.length && costs[at]! < 0) costs[at] = 0;
    // Calls into the host are measured by the clock.
    let cost = at >= 0 && at < bodies.length ? costs[at]! : 0;
    for (const index of chain.reverse()) {
      if (costs[index] === 0) cost = 0;
      else {
        cost += ownCost(bodies[index]!);
        if (cost > FREE_COST) cost = 0;
        costs[index] = cost;
      }
    }
  }
  return costs;
}

/** Writes the rewritten code section. Returns whether all code leaves tables and segments as they are. */
export function emitCode(
  out: Writer,
  module: Uint8Array,
  section: Section | undefined,
  signatures: Signatures,
  added: Added,
): boolean {
  const bodies: Body[] = [];
  if (section) {
    const reader = new Reader(module, section.start, section.end);
    for (let count = reader.u32(); count > 0; count--) bodies.push(readBody(reader, section.end));
  }
  const costs = freeCosts(bodies, signatures.importedFunctions);
  const helpers = [askBody(added), refillBody(added), bulkBody(added), growBody(added, signatures.hasMemory)];
  const content = new Writer(section ? Math.ceil((section.end - section.start) * 1.2) + 256 : 256);
  content.u32(bodies.length + helpers.length);
  const written = new Writer(4096);
  const hints = new BranchHints();
  bodies.forEach((body, index) => {
    written.clear();
    let cost = ownCost(body) + FREE_COST * body.indirectCalls;
    for (const callee of body.callees) cost += costs[callee - signatures.importedFunctions] ?? 0;
    const price = 1 + (cost >> CODE_SHIFT);
    const parameters = signatures.parameters[index] ?? 0;
    const unlikely = emitBody(written, module, body, costs[index] === 0, price, parameters, added);
    hints.add(signatures.importedFunctions + index, unlikely);
    content.u32(written.length);
    content.append(written);
  });
  for (const helper of helpers) {
    content.u32(helper.length);
    content.append(helper);
  }
  hints.emit(out);
  out.section(SECTION.code, content);
  return bodies.every(({ stateless }) => stateless);
}

/**
 * The section that tells engines which branches are hardly ever taken: those to the code that asks. It saves a fifth of what
 * paying costs. Engines that don't know it pass it over.
 *
 * Source: https://github.com/WebAssembly/branch-hinting
 */
class BranchHints {
  readonly #functions = new Writer(4096);
  #count = 0;

  /** Adds the branches of a function, given by where they stand in its body, in order. */
  add(index: number, unlikely: readonly number[]): void {
    if (unlikely.length === 0) return;
    this.#count++;
    this.#functions.u32(index);
    this.#functions.u32(unlikely.length);
    for (const at of unlikely) {
      this.#functions.u32(at);
      this.#functions.raw(1, 0);
    }
  }

  emit(out: Writer): void {
    if (this.#count === 0) return;
    const content = new Writer(this.#functions.length + 64);
    content.name("metadata.code.branch_hint");
    content.u32(this.#count);
    content.append(this.#functions);
    out.section(SECTION.custom, content);
  }
}

/** Writes a function's body. Returns where in it the branches stand that are hardly ever taken. */
function emitBody(
  out: Writer,
  module: Uint8Array,
  body: Body,
  pays: boolean,
  price: number,
  parameters: number,
  added: Added,
): readonly number[] {
  const unlikely: number[] = [];
  const credit = parameters + body.locals;
  if (body.loops) {
    // One more local: what the function's loops have left of their chunk.
    const groups = new Reader(module, body.start, body.entry);
    groups.u32();
    out.u32(body.localGroups + 1);
    out.copy(module, groups.at, body.entry);
    out.raw(1, I32);
  } else out.copy(module, body.start, body.entry);
  if (pays) unlikely.push(emitBudgetPayment(out, added, price));
  let from = body.entry;
  for (let place = 0; place < body.places.length; place += 3) {
    const kind = body.places[place];
    out.copy(module, from, body.places[place + 1]!);
    from = body.places[place + 2]!;
    // A loop that costs more than a chunk an iteration pays from the budget itself.
    if (kind === PLACE.loop && price > CHUNK) unlikely.push(emitBudgetPayment(out, added, price));
    else if (kind === PLACE.loop) unlikely.push(emitCreditPayment(out, added, credit, price));
    else if (kind === PLACE.size) {
      out.u8(0x23);
      out.u32(added.pages);
    } else {
      out.u8(0x10);
      out.u32(kind === PLACE.grow ? added.grow : added.bulk);
    }
  }
  out.copy(module, from, body.end);
  return unlikely;
}

/** `budget -= price; if (budget < 0) ask()`. Returns where the branch stands. */
function emitBudgetPayment(out: Writer, added: Added, price: number): number {
  out.u8(0x23);
  out.u32(added.budget);
  out.u8(0x41);
  out.s32(price);
  out.raw(0x6b, 0x24);
  out.u32(added.budget);
  out.u8(0x23);
  out.u32(added.budget);
  out.raw(0x41, 0, 0x48);
  const branch = out.length;
  out.raw(0x04, 0x40, 0x10);
  out.u32(added.ask);
  out.u8(0x0b);
  return branch;
}

/** `credit -= price; if (credit < 0) credit = refill()`. Returns where the branch stands. */
function emitCreditPayment(out: Writer, added: Added, credit: number, price: number): number {
  out.u8(0x20);
  out.u32(credit);
  out.u8(0x41);
  out.s32(price);
  out.raw(0x6b, 0x22);
  out.u32(credit);
  out.raw(0x41, 0, 0x48);
  const branch = out.length;
  out.raw(0x04, 0x40, 0x10);
  out.u32(added.refill);
  out.u8(0x21);
  out.u32(credit);
  out.u8(0x0b);
  return branch;
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
function growBody(added: Added, hasMemory: boolean): Writer {
  const body = new Writer(96);
  if (!hasMemory) {
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
  );
  body.raw(0x0b, 0x0b);
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
