/**
 * The code section of an instrumented module (`instrument.ts`): where the guest pays, and what it pays with.
 *
 * Two things can make code run long: loops, and calls. At a loop head the guest pays from a local variable, which costs next to
 * nothing, and fills that from the global budget a chunk at a time. At the entry of a function it pays from the global budget; short
 * functions that call nothing are paid by their callers. Long straight code pays in between. What is owed where is found by
 * `function_body.ts`, at the prices of `instruction_prices.ts`. Where writes are recorded, that stands before the stores that
 * `recorded_stores.ts` finds.
 */
import { type Body, PLACE } from "./function_body.ts";
import { type Added, CHUNK, emitBudgetPayment, helperBodies, I32 } from "./guard_helpers.ts";
import { UNIT_SHIFT } from "./instruction_prices.ts";
import { mayRecord } from "./module_limits.ts";
import { ON_STACK, type RecordedStore, StoreFinder } from "./recorded_stores.ts";
import { Reader, SECTION, Writer } from "./wasm_binary.ts";
import type { ModuleShape, Signature } from "./wasm_module.ts";
import { emitRecord, type WrittenMap } from "./written_map.ts";

/** A loop that costs more than this part of a chunk an iteration pays from the budget itself. */
const CREDIT_PART = 4;

const NO_VALUES: Signature = { parameters: 0, results: 0 };
const NO_STORES: readonly RecordedStore[] = [];
const NO_LOCAL = -1, NO_BRANCH = -1;

/** Units for what costs so many nanoseconds. */
const units = (cost: number): number => 1 + (cost >> UNIT_SHIFT);

/** Raised where recording the stores of a function would make compilers need too much memory. */
export class TooManyRecords extends Error {
  override readonly name = "TooManyRecords";
}

/** Writes the rewritten code section. Throws {@link TooManyRecords}. */
export function emitCode(out: Writer, module: Uint8Array, shape: ModuleShape, added: Added): void {
  const { bodies, importedFunctions, functionTypes, types } = shape;
  const helpers = helperBodies(added, shape.memory !== undefined, shape.dataLengths);
  const content = new Writer(
    Math.ceil(bodies.reduce((sum, { start, end }) => sum + end - start, 0) * 1.2) + 256,
  );
  content.u32(bodies.length + helpers.length);
  const written = new Writer(4096);
  const hints = new BranchHints();
  const finder = new StoreFinder(module, shape);
  bodies.forEach((body, index) => {
    written.clear();
    const own = types[functionTypes[importedFunctions + index]!] ?? NO_VALUES;
    const stores = added.written ? finder.find(body, own) : NO_STORES;
    if (!mayRecord(stores.length, body.compiling, body.end - body.start)) throw new TooManyRecords();
    hints.add(importedFunctions + index, emitBody(written, module, body, own.parameters, added, stores));
    content.u32(written.length);
    content.append(written);
  });
  for (const helper of helpers) {
    content.u32(helper.length);
    content.append(helper);
  }
  hints.emit(out);
  out.section(SECTION.code, content);
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

/** The local variables that a function gets behind its own. */
interface AddedLocals {
  readonly types: readonly number[];
  /** What the function's loops have left of their chunk. */
  readonly credit: number;
  /** Where the address of a store is put aside, and what stands above it on the stack, by {@link slot}. */
  readonly address: number;
  readonly stored: ReadonlyMap<number, number>;
}

const slot = (type: number, operand: number): number => 2 * type + operand;

function addLocals(body: Body, parameters: number, stores: readonly RecordedStore[]): AddedLocals {
  const types: number[] = [];
  const add = (type: number) => parameters + body.locals + types.push(type) - 1;
  const credit = body.loops ? add(I32) : NO_LOCAL;
  let address = NO_LOCAL;
  const stored = new Map<number, number>();
  for (const { base, type, operands } of stores) {
    if (base !== ON_STACK) continue;
    if (address === NO_LOCAL) address = add(I32);
    for (let operand = 0; operand < operands; operand++) {
      if (!stored.has(slot(type, operand))) stored.set(slot(type, operand), add(type));
    }
  }
  return { types, credit, address, stored };
}

/** Writes a function's body. Returns where in it the branches stand that are hardly ever taken. */
function emitBody(
  out: Writer,
  module: Uint8Array,
  body: Body,
  parameters: number,
  added: Added,
  stores: readonly RecordedStore[],
): readonly number[] {
  const unlikely: number[] = [];
  const locals = addLocals(body, parameters, stores);
  if (locals.types.length > 0) {
    const groups = new Reader(module, body.start, body.entry);
    groups.u32();
    out.u32(body.localGroups + locals.types.length);
    out.copy(module, groups.at, body.entry);
    for (const type of locals.types) out.raw(1, type);
  } else out.copy(module, body.start, body.entry);
  if (!body.free) unlikely.push(emitBudgetPayment(out, added, units(body.cost)));
  let from = body.entry;
  let store = 0;
  const copyUntil = (end: number) => {
    for (let next = stores[store]; next && next.at < end; next = stores[++store]) {
      out.copy(module, from, next.at);
      from = next.at;
      emitStoreRecord(out, added.written!, next, locals);
    }
    out.copy(module, from, end);
  };
  for (let place = 0; place < body.places.length; place += 4) {
    const [kind, start, end, value] = body.places.slice(place, place + 4) as [number, number, number, number];
    copyUntil(start);
    from = end;
    const branch = emitPlace(out, added, kind, value, locals.credit);
    if (branch !== NO_BRANCH) unlikely.push(branch);
    if (kind === PLACE.memoryInit && !added.init.has(value)) out.copy(module, start, end);
  }
  copyUntil(body.end);
  return unlikely;
}

/** Records what a store that stands next writes to. */
function emitStoreRecord(
  out: Writer,
  written: WrittenMap,
  { base, offset, type, operands }: RecordedStore,
  { address, stored }: AddedLocals,
): void {
  if (base !== ON_STACK) return emitRecord(out, written, base, offset);
  const move = (opcode: number, local: number) => {
    out.u8(opcode);
    out.u32(local);
  };
  for (let operand = operands - 1; operand >= 0; operand--) move(0x21, stored.get(slot(type, operand))!);
  move(0x21, address);
  emitRecord(out, written, address, offset);
  move(0x20, address);
  for (let operand = 0; operand < operands; operand++) move(0x20, stored.get(slot(type, operand))!);
}

/** Writes what stands at a place. Returns where the branch stands that is hardly ever taken, or {@link NO_BRANCH}. */
function emitPlace(out: Writer, added: Added, kind: number, value: number, credit: number): number {
  const call = (helper: number) => {
    out.u8(0x10);
    out.u32(helper);
  };
  switch (kind) {
    case PLACE.loop:
      if (units(value) > CHUNK / CREDIT_PART) return emitBudgetPayment(out, added, units(value));
      return emitCreditPayment(out, added, credit, units(value));
    case PLACE.pay:
      return emitBudgetPayment(out, added, units(value));
    case PLACE.elements:
      call(added.helper.payElements);
      break;
    case PLACE.tableGrow:
      call(added.helper.payElements);
      out.raw(0xfc, 16); // table.size
      out.u32(value);
      call(added.helper.payGrownTable);
      break;
    case PLACE.memorySize:
      out.u8(0x23);
      out.u32(added.pages);
      break;
    case PLACE.memoryGrow:
      call(added.helper.grow);
      break;
    case PLACE.memoryFill:
      call(added.helper.fill);
      break;
    case PLACE.memoryCopy:
      call(added.helper.copy);
      break;
    case PLACE.memoryInit:
      call(added.init.get(value) ?? added.helper.payInit);
      break;
  }
  return NO_BRANCH;
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
  out.u32(added.helper.refill);
  out.u8(0x21);
  out.u32(credit);
  out.u8(0x0b);
  return branch;
}
