/**
 * The code section of an instrumented module (`instrument.ts`): where the guest pays, and what it pays with.
 *
 * Two things can make code run long: loops, and calls. At a loop head the guest pays from a local variable, which costs next to
 * nothing, and fills that from the global budget a chunk at a time. At the entry of a function it pays from the global budget; short
 * functions that call nothing are paid by their callers. Long straight code pays in between. What is owed where is found by
 * `function_body.ts`, at the prices of `instruction_prices.ts`.
 */
import { type Body, PLACE } from "./function_body.ts";
import { type Added, CHUNK, emitBudgetPayment, helperBodies, I32 } from "./guard_helpers.ts";
import { UNIT_SHIFT } from "./instruction_prices.ts";
import { Reader, SECTION, Writer } from "./wasm_binary.ts";
import type { ModuleShape } from "./wasm_module.ts";

/** A loop that costs more than this part of a chunk an iteration pays from the budget itself. */
const CREDIT_PART = 4;

/** Units for what costs so many nanoseconds. */
const units = (cost: number): number => 1 + (cost >> UNIT_SHIFT);

/** Writes the rewritten code section. */
export function emitCode(out: Writer, module: Uint8Array, shape: ModuleShape, added: Added): void {
  const { bodies, importedFunctions, functionTypes, types } = shape;
  const helpers = helperBodies(added, shape.memory !== undefined, shape.dataLengths);
  const content = new Writer(
    Math.ceil(bodies.reduce((sum, { start, end }) => sum + end - start, 0) * 1.2) + 256,
  );
  content.u32(bodies.length + helpers.length);
  const written = new Writer(4096);
  const hints = new BranchHints();
  bodies.forEach((body, index) => {
    written.clear();
    const parameters = types[functionTypes[importedFunctions + index]!]?.parameters ?? 0;
    hints.add(importedFunctions + index, emitBody(written, module, body, parameters, added));
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

/** Writes a function's body. Returns where in it the branches stand that are hardly ever taken. */
function emitBody(
  out: Writer,
  module: Uint8Array,
  body: Body,
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
  if (!body.free) unlikely.push(emitBudgetPayment(out, added, units(body.cost)));
  const call = (helper: number) => {
    out.u8(0x10);
    out.u32(helper);
  };
  let from = body.entry;
  for (let place = 0; place < body.places.length; place += 4) {
    out.copy(module, from, body.places[place + 1]!);
    from = body.places[place + 2]!;
    const value = body.places[place + 3]!;
    switch (body.places[place]) {
      case PLACE.loop:
        if (units(value) > CHUNK / CREDIT_PART) unlikely.push(emitBudgetPayment(out, added, units(value)));
        else unlikely.push(emitCreditPayment(out, added, credit, units(value)));
        break;
      case PLACE.pay:
        unlikely.push(emitBudgetPayment(out, added, units(value)));
        break;
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
      case PLACE.memoryInit: {
        const init = added.init.get(value);
        if (init !== undefined) call(init);
        else {
          call(added.helper.payBytes);
          out.copy(module, body.places[place + 1]!, from);
        }
        break;
      }
    }
  }
  out.copy(module, from, body.end);
  return unlikely;
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
