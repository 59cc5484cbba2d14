/**
 * Finds the stores of a function that have to be recorded (`written_map.ts`), and what of.
 *
 * Most stores of compiled code are relative to a local variable: a frame of the stack in memory, or an object. Such a base is
 * recorded once, and covers the stores at small offsets from it for as long as it is not assigned, wherever the record is known to
 * have been made: behind it in its block, and in the blocks inside. This leaves out 60% of the stores of pod-privileged.
 *
 * What a store's address comes from is known by following the operand stack. Only the operands on top are known; those that are
 * missing, say below an instruction that isn't followed, may be anything, and their stores are recorded by what is found on the
 * stack when they run. So leaving an instruction out costs speed; a wrong count of its operands would cost the isolation
 * (`tests/evaluator/recorded_stores_test.ts`).
 */
import type { Body, Surroundings } from "./function_body.ts";
import { PLAIN_EFFECTS } from "./stack_effects.ts";
import { Reader } from "./wasm_binary.ts";
import { readValueType, skipImmediate } from "./wasm_instructions.ts";
import type { Signature } from "./wasm_module.ts";
import { isWithinReach } from "./written_map.ts";

const I32 = 0x7f, I64 = 0x7e, F32 = 0x7d, F64 = 0x7c, V128 = 0x7b;

/** A store whose address is recorded before it. */
export interface RecordedStore {
  /** Where it stands. */
  readonly at: number;
  /** The local variable that its address is relative to; {@link ON_STACK} if the base is an operand below what is stored. */
  readonly base: number;
  readonly offset: number;
  /** The type of what is stored, and how many operands of it stand above the address. */
  readonly type: number;
  readonly operands: 1 | 2;
}

export const ON_STACK = -1;

const NOT_FOLLOWED = 0xff;
const NO_VALUES: Signature = { parameters: 0, results: 0 };
const ONE_RESULT: Signature = { parameters: 0, results: 1 };

/** How many operands an instruction takes that gives one. */
const TAKEN: Uint8Array = (() => {
  const table = new Uint8Array(256).fill(NOT_FOLLOWED);
  const follow = (from: number, to = from) => {
    for (let opcode = from; opcode <= to; opcode++) table[opcode] = 1 - PLAIN_EFFECTS[opcode]!;
  };
  follow(0x1b, 0x1c); // select
  follow(0x23); // global.get
  follow(0x25); // table.get
  follow(0x28, 0x35); // loads
  follow(0x3f, 0xc4); // memory.size, memory.grow, constants, arithmetic
  table[0x3f] = 0;
  return table;
})();

/** The types that the stores without a prefix store, by opcode from 0x36 on. */
const PLAIN_STORED = [I32, I64, F32, F64, I32, I32, I64, I64, I64];

/** A block that is open. */
interface Frame {
  /** Whether branches to it lead to its head. */
  readonly loop: boolean;
  /** Whether its code may be passed over without a branch to its end. */
  readonly conditional: boolean;
  readonly signature: Signature;
  /** The operands below its own that are known. */
  readonly base: number;
  /** How many bases were recorded before it. */
  readonly recorded: number;
  /** Where the first branch to its end stands. */
  reached: number;
  /** Where the loop around it begins. */
  readonly loopStart: number;
}

/** Reads one function after the other of a module. */
export class StoreFinder {
  readonly #module: Uint8Array;
  readonly #surroundings: Surroundings;
  #reader: Reader;
  #found: RecordedStore[] = [];

  /** What is known of the operands on top of the stack: the local variable they are a copy of, and which value of it. */
  readonly #locals: number[] = [];
  readonly #values: number[] = [];
  #height = 0;
  /** Of each local variable: which of its values it has, counted by its assignments. */
  #value = new Int32Array(64);
  /** … where it is assigned for the last time. */
  #lastAssigned = new Int32Array(64);
  /** … which of its values, counted from 1 on, is recorded, and where. */
  #recordedValue = new Int32Array(64);
  #recordedAt = new Int32Array(64);
  /** The local variables that are recorded, in the order in which they were, and where. */
  readonly #recorded: number[] = [];
  readonly #places: number[] = [];

  readonly #frames: Frame[] = [];
  #top!: Frame;
  /** Where the innermost loop begins. */
  #loopStart = 0;

  constructor(module: Uint8Array, surroundings: Surroundings) {
    this.#module = module;
    this.#surroundings = surroundings;
    this.#reader = new Reader(module);
  }

  /** The stores of a function that have to be recorded, in order. `own` is its type. The module must be valid. */
  find(body: Body, own: Signature): readonly RecordedStore[] {
    this.#reader = new Reader(this.#module, body.entry, body.end);
    this.#found = [];
    this.#reset(own.parameters + body.locals);
    if (body.loops) this.#findLastAssignments(body);
    this.#open(false, { parameters: 0, results: own.results });
    while (this.#reader.at < body.end) this.#step();
    return this.#found;
  }

  #reset(locals: number): void {
    if (locals > this.#value.length) {
      this.#value = new Int32Array(locals);
      this.#lastAssigned = new Int32Array(locals);
      this.#recordedValue = new Int32Array(locals);
      this.#recordedAt = new Int32Array(locals);
    }
    this.#value.fill(1, 0, locals);
    this.#lastAssigned.fill(0, 0, locals);
    this.#recordedValue.fill(0, 0, locals);
    this.#recorded.length = this.#places.length = this.#frames.length = 0;
    this.#height = this.#loopStart = 0;
  }

  #findLastAssignments({ entry, end }: Body): void {
    const reader = new Reader(this.#module, entry, end);
    while (reader.at < end) {
      const { at } = reader;
      const opcode = reader.u8();
      if (opcode === 0x21 || opcode === 0x22) this.#lastAssigned[reader.u32()] = at;
      else skipImmediate(opcode, reader);
    }
  }

  #push(local: number, value: number): void {
    this.#locals[this.#height] = local;
    this.#values[this.#height++] = value;
  }

  #give(count: number): void {
    for (let left = count; left > 0; left--) this.#push(ON_STACK, 0);
  }

  #take(count: number): void {
    this.#height = Math.max(this.#top.base, this.#height - count);
  }

  /** Nothing is known any more of the operands of the innermost block. */
  #loseTrack(): void {
    this.#height = this.#top.base;
  }

  #open(loop: boolean, signature: Signature, conditional = false): void {
    if (this.#frames.length > 0) this.#take(signature.parameters);
    const recorded = this.#recorded.length;
    this.#top = {
      loop,
      conditional,
      signature,
      base: this.#height,
      recorded,
      reached: Infinity,
      loopStart: this.#loopStart,
    };
    this.#frames.push(this.#top);
    if (loop) this.#loopStart = this.#reader.at;
    this.#give(signature.parameters);
  }

  /** The other way through a block begins: what was recorded on the first one need not have been. */
  #openOther(values: number): void {
    this.#loseTrack();
    this.#give(values);
    this.#forget(this.#top.recorded);
  }

  #close(): void {
    const { loop, signature, base, conditional, recorded, reached, loopStart } = this.#frames.pop()!;
    // What was recorded before the first branch to the end was recorded on every way that leads there.
    // Branches to a loop lead to its head instead.
    if (!loop) this.#forget(recorded, conditional ? 0 : reached);
    this.#height = base;
    this.#loopStart = loopStart;
    const parent = this.#frames.at(-1);
    if (parent) this.#top = parent;
    this.#give(signature.results);
  }

  /** A branch out of so many blocks. */
  #branch(depth: number): void {
    const target = this.#frames[this.#frames.length - 1 - depth];
    if (target) target.reached = Math.min(target.reached, this.#reader.at);
  }

  /** Forgets what was recorded behind `from`, but for the first `count` records. */
  #forget(count: number, from = 0): void {
    while (this.#recorded.length > count && this.#places.at(-1)! > from) {
      this.#places.pop();
      this.#recordedValue[this.#recorded.pop()!] = 0;
    }
  }

  #blockType(): Signature {
    const first = this.#reader.peek();
    if (first === 0x40) {
      this.#reader.skip(1);
      return NO_VALUES;
    }
    if ((first & 0xc0) === 0x40) {
      readValueType(this.#reader);
      return ONE_RESULT;
    }
    return this.#surroundings.types[this.#reader.u32()] ?? NO_VALUES;
  }

  #call({ parameters, results }: Signature = NO_VALUES, more = 0): void {
    this.#take(parameters + more);
    this.#give(results);
  }

  #assign(local: number): void {
    this.#value[local]!++;
    this.#take(1);
  }

  /** In a loop that began since, the variable may have another value: that of its last assignment in an earlier round. */
  #isRecorded(local: number): boolean {
    const at = this.#recordedAt[local]!;
    return this.#recordedValue[local] === this.#value[local] &&
      (at > this.#loopStart || this.#lastAssigned[local]! < at);
  }

  /** A store at `at`, whose immediate stands next, of operands of a type. */
  #store(at: number, type: number, operands: 1 | 2): void {
    const align = this.#reader.u32();
    if (align & 0x40) this.#reader.skipLeb();
    const offset = this.#reader.u32();
    const address = this.#height - 1 - operands;
    let base = address >= this.#top.base ? this.#locals[address]! : ON_STACK;
    if (base !== ON_STACK && this.#values[address] !== this.#value[base]) base = ON_STACK;
    this.#take(1 + operands);
    if (base !== ON_STACK && isWithinReach(offset)) {
      if (this.#isRecorded(base)) return;
      this.#recordedValue[base] = this.#value[base]!;
      this.#recordedAt[base] = at;
      this.#recorded.push(base);
      this.#places.push(at);
    }
    this.#found.push({ at, base, offset, type, operands });
  }

  #step(): void {
    const reader = this.#reader;
    const { at } = reader;
    const opcode = reader.u8();
    const taken = TAKEN[opcode]!;
    if (taken !== NOT_FOLLOWED) {
      skipImmediate(opcode, reader);
      this.#take(taken);
      this.#push(ON_STACK, 0);
      return;
    }
    switch (opcode) {
      case 0x20: { // local.get
        const local = reader.u32();
        return this.#push(local, this.#value[local]!);
      }
      case 0x21: // local.set
        return this.#assign(reader.u32());
      case 0x22: { // local.tee
        const local = reader.u32();
        this.#assign(local);
        return this.#push(local, this.#value[local]!);
      }
      case 0x10: // call
        return this.#call(this.#surroundings.types[this.#surroundings.functionTypes[reader.u32()]!]);
      case 0x11: { // call_indirect
        const type = reader.u32();
        reader.skipLeb();
        return this.#call(this.#surroundings.types[type], 1);
      }
      case 0x1a: // drop
      case 0x24: // global.set
        skipImmediate(opcode, reader);
        return this.#take(1);
      case 0xfd:
        return this.#vector(at);
      case 0xfe:
        return this.#atomic(at);
    }
    if (opcode >= 0x36 && opcode <= 0x3e) this.#store(at, PLAIN_STORED[opcode - 0x36]!, 1);
    else this.#control(opcode);
  }

  /** What opens and closes blocks and branches; of other instructions, nothing is known of the operands behind. */
  #control(opcode: number): void {
    const reader = this.#reader;
    switch (opcode) {
      case 0x02: // block
        return this.#open(false, this.#blockType());
      case 0x03: // loop
        return this.#open(true, this.#blockType());
      case 0x04: // if
        this.#take(1);
        return this.#open(false, this.#blockType(), true);
      case 0x06: // try
        return this.#open(false, this.#blockType(), true);
      case 0x1f: // try_table
        return this.#openTryTable();
      case 0x05: // else
        return this.#openOther(this.#top.signature.parameters);
      case 0x07: // catch
      case 0x19: // catch_all
        skipImmediate(opcode, reader);
        return this.#openOther(0);
      case 0x0b: // end
        return this.#close();
      case 0x18: // delegate
        reader.skipLeb();
        return this.#close();
      case 0x0c: // br
        return this.#branch(reader.u32());
      case 0x0d: // br_if
        this.#take(1);
        return this.#branch(reader.u32());
      case 0x0e: // br_table
        this.#take(1);
        for (let left = reader.u32(); left >= 0; left--) this.#branch(reader.u32());
        return;
      case 0xd5: // br_on_null
      case 0xd6: // br_on_non_null
        this.#loseTrack();
        return this.#branch(reader.u32());
      default:
        skipImmediate(opcode, reader);
        this.#loseTrack();
    }
  }

  #openTryTable(): void {
    const reader = this.#reader;
    const signature = this.#blockType();
    for (let left = reader.u32(); left > 0; left--) {
      if (reader.u8() < 2) reader.skipLeb();
      // It is branched to from anywhere inside.
      this.#branch(reader.u32());
    }
    this.#open(false, signature);
  }

  #vector(at: number): void {
    const reader = this.#reader;
    const after = reader.at;
    const instruction = reader.u32();
    if (instruction === 11) return this.#store(at, V128, 1); // v128.store
    if (instruction >= 88 && instruction <= 91) { // v128.store_lane
      this.#store(at, V128, 1);
      return reader.skip(1);
    }
    reader.at = after;
    skipImmediate(0xfd, reader);
    this.#loseTrack();
  }

  #atomic(at: number): void {
    const reader = this.#reader;
    const after = reader.at;
    const instruction = reader.u32();
    if (instruction < 0x17 || instruction > 0x4e) { // loads, fences, notify
      reader.at = after;
      skipImmediate(0xfe, reader);
      return this.#loseTrack();
    }
    // Families of seven: i32, i64, i32 of 8 and 16 bits, i64 of 8, 16 and 32 bits.
    const width = (instruction - 0x17) % 7;
    const type = width === 0 || width === 2 || width === 3 ? I32 : I64;
    this.#store(at, type, instruction >= 0x48 ? 2 : 1);
    if (instruction >= 0x1e) this.#give(1);
  }
}
