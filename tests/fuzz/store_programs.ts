/**
 * Modules made to write in every way, for `targets/restores.ts`: functions of random blocks, branches and loops whose stores share
 * local variables as bases, which are assigned here and there, so that whoever believes a base to be recorded where it isn't is found out.
 * A number in a global is the fuel of all loops and calls.
 */
import { SECTION, Writer } from "../../evaluator/render/wasm_binary.ts";
import type { Random } from "./random.ts";

export const PAGES = 5;
const I32 = 0x7f, I64 = 0x7e, F32 = 0x7d, F64 = 0x7c;
const FUNCTIONS = 3, PARAMETERS = 3;
/** Local variables behind the parameters: of i32, and one of each other type. */
const BASES = 5, WIDE = 5, SINGLE = 6, DOUBLE = 7;
const FUEL = 200, GLOBAL_FUEL = 0, GLOBAL_STACK = 1;
const TYPE_MAIN = 0, TYPE_MAP = 1, TYPE_TAG = 2;
const CHUNK = 32_768, SEGMENT = 4;

/** Stores without a prefix: opcode and the type of what is stored. */
const STORES: readonly (readonly [opcode: number, type: number])[] = [
  ...[[0x36, I32], [0x37, I64], [0x38, F32], [0x39, F64], [0x3a, I32], [0x3b, I32]] as const,
  ...[[0x3c, I64], [0x3d, I64], [0x3e, I64]] as const,
];
/** Offsets on both sides of what a recorded base covers. */
const OFFSETS = [0, 0, 0, 1, 8, 100, 4079, 4080, 4081, 4096, CHUNK - 3, CHUNK, 70_000];
/** What traps ends a program: it must be rare, or little of what is behind it ever runs. */
const TRAP_ODDS = 150;

/** An address: near the borders of chunks and of the memory, mostly. */
export function address(random: Random): number {
  const border = (1 + random.below(PAGES * 2 + 2)) * CHUNK;
  if (random.oneIn(5)) return random.below(PAGES * 65_536);
  if (random.oneIn(TRAP_ODDS)) return -1 - random.below(5_000);
  return border + random.pick([-17, -9, -8, -4, -3, -1, 0, 1, 7, 100, -4096, -4097]);
}

class Program {
  readonly #random: Random;
  readonly #function: number;
  readonly out = new Writer(2048);
  #left = 60;
  /** Whether a branch to each open block may be made, innermost last. */
  readonly #labels: boolean[] = [true];

  constructor(random: Random, index: number) {
    this.#random = random;
    this.#function = index;
  }

  #local(): number {
    return this.#random.below(BASES);
  }

  #constant(value: number): void {
    this.out.u8(0x41);
    this.out.s32(value | 0);
  }

  #fuel(): void {
    // if (--fuel < 0) unreachable
    this.out.raw(0x23, GLOBAL_FUEL, 0x41, 1, 0x6b, 0x24, GLOBAL_FUEL);
    this.out.raw(0x23, GLOBAL_FUEL, 0x41, 0, 0x48, 0x04, 0x40, 0x00, 0x0b);
  }

  /** A number that is mostly an address. */
  #number(depth = 0): void {
    const { out } = this;
    const random = this.#random;
    if (depth > 2 || !random.oneIn(3)) return out.raw(0x20, this.#local());
    switch (random.below(9)) {
      case 0:
        return this.#constant(address(random));
      case 1:
        this.#number(depth + 1);
        this.#constant(random.pick([1, 8, 16, 4096, CHUNK, -16, -CHUNK]));
        return out.u8(0x6a);
      case 2:
        this.#number(depth + 1);
        return out.raw(0x22, this.#local());
      case 3:
        return out.raw(0x23, GLOBAL_STACK);
      case 4:
        this.#constant(random.below(PAGES * 65_536 - 8));
        out.raw(0x2d, 0, 0); // i32.load8_u
        this.#constant(11);
        return out.u8(0x74);
      case 5:
        for (let operand = 0; operand < 2; operand++) this.#number(depth + 1);
        out.raw(0x20, this.#local(), 0x1b);
        return;
      case 6:
        return this.#block(0x02, I32, () => this.#number(depth + 1));
      case 7:
        out.raw(0x20, this.#local());
        return this.#block(0x04, I32, () => this.#number(depth + 1), () => this.#number(depth + 1));
      default: // a block that takes a value
        this.#number(depth + 1);
        return this.#block(
          random.oneIn(2) ? 0x02 : 0x03,
          TYPE_MAP,
          random.oneIn(2) ? () => {} : () => out.raw(0x22, this.#local()),
        );
    }
  }

  #value(type: number): void {
    if (type === I32) return this.#number();
    if (type === I64) return this.out.raw(0x20, WIDE);
    this.out.raw(0x20, type === F32 ? SINGLE : DOUBLE);
  }

  #block(opcode: number, type: number, body: () => void, other?: () => void): void {
    this.out.raw(opcode, type);
    // What a branch has to bring along is not made here.
    this.#labels.push(type === 0x40);
    body();
    if (other) {
      this.out.u8(0x05);
      other();
    }
    this.#labels.pop();
    this.out.u8(0x0b);
  }

  /** How many blocks out a branch may lead. */
  #label(): number {
    const possible = [...this.#labels].reverse().flatMap((free, depth) => free ? [depth] : []);
    return this.#random.pick(possible);
  }

  #store(): void {
    const random = this.#random;
    const [opcode, type] = random.pick(STORES);
    this.#number();
    this.#value(type);
    this.out.raw(opcode, 0);
    this.out.u32(random.oneIn(TRAP_ODDS) ? 0xffff_fff0 : random.pick(OFFSETS));
  }

  #bulk(): void {
    const random = this.#random;
    this.#number();
    if (random.oneIn(3)) { // memory.init
      const from = random.below(SEGMENT + 1);
      this.#constant(from);
      this.#constant(random.below(SEGMENT - from + (random.oneIn(TRAP_ODDS) ? 2 : 1)));
      return this.out.raw(0xfc, 8, 0, 0);
    }
    this.#constant(random.below(100_000));
    this.#constant(random.pick([0, 1, 4, 4096, CHUNK, 70_000]));
    return random.oneIn(2) ? this.out.raw(0xfc, 10, 0, 0) : this.out.raw(0xfc, 11, 0);
  }

  #statements(): void {
    for (let count = 1 + this.#random.below(5); count > 0 && this.#left > 0; count--) this.#statement();
  }

  #tryTable(): void {
    this.#block(0x02, 0x40, () => {
      this.out.raw(0x1f, 0x40, 1, 2, 0); // catch_all
      this.#labels.push(true);
      this.#statements();
      this.#throwSometimes();
      this.#statements();
      this.#throwSometimes();
      this.#labels.pop();
      this.out.u8(0x0b);
    });
  }

  #throwSometimes(): void {
    this.out.raw(0x20, this.#local(), 0x04, 0x40, 0x08, 0, 0x0b);
  }

  #statement(): void {
    const { out } = this;
    const random = this.#random;
    this.#left--;
    const nested = this.#labels.length < 8;
    switch (random.below(nested ? 18 : 12)) {
      case 0:
        this.#number();
        return out.raw(0x21, this.#local());
      case 1:
        this.#number();
        return out.raw(0x24, GLOBAL_STACK);
      case 2:
        out.raw(0x20, this.#local(), 0x0d);
        return out.u32(this.#label());
      case 3:
        return this.#bulk();
      case 4:
        if (!random.oneIn(3)) return this.#store();
        out.u8(0x0c);
        return out.u32(this.#label());
      case 5:
        if (!random.oneIn(3)) return this.#store();
        out.raw(0x20, this.#local(), 0x0e, 1);
        out.u32(this.#label());
        return out.u32(this.#label());
      case 6:
        if (this.#function === 0) return this.#store();
        for (let parameter = 0; parameter < PARAMETERS; parameter++) this.#number();
        return out.raw(0x10, random.below(this.#function));
      case 12:
      case 13:
        return this.#block(0x02, 0x40, () => this.#statements());
      case 14:
        return this.#block(0x03, 0x40, () => {
          this.#fuel();
          this.#statements();
          this.out.raw(0x20, this.#local(), 0x0d, 0); // br_if, once more
        });
      case 15:
        out.raw(0x20, this.#local());
        return this.#block(0x04, 0x40, () => this.#statements());
      case 16:
        out.raw(0x20, this.#local());
        return this.#block(0x04, 0x40, () => this.#statements(), () => this.#statements());
      case 17:
        return this.#tryTable();
      default:
        return this.#store();
    }
  }

  body(): Writer {
    const { out } = this;
    out.raw(4, BASES - PARAMETERS, I32, 1, I64, 1, F32, 1, F64);
    this.#fuel();
    while (this.#left > 0) this.#statement();
    out.u8(0x0b);
    return out;
  }
}

/** A valid module with functions `f0` … of {@link PARAMETERS} addresses each. */
export function storeProgram(random: Random): Uint8Array {
  const out = new Writer(8192);
  out.raw(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  const section = (id: number, write: (content: Writer) => void) => {
    const content = new Writer();
    write(content);
    out.section(id, content);
  };
  section(SECTION.type, (content) => {
    content.raw(3, 0x60, PARAMETERS, I32, I32, I32, 0, 0x60, 1, I32, 1, I32, 0x60, 0, 0);
  });
  section(SECTION.function, (content) => content.raw(FUNCTIONS, ...Array(FUNCTIONS).fill(TYPE_MAIN)));
  section(SECTION.memory, (content) => content.raw(1, 0, PAGES));
  section(SECTION.tag, (content) => content.raw(1, 0, TYPE_TAG));
  section(SECTION.global, (content) => {
    content.raw(2, I32, 1, 0x41);
    content.s32(FUEL);
    content.raw(0x0b, I32, 1, 0x41);
    content.s32(CHUNK * 3 + 8);
    content.u8(0x0b);
  });
  section(SECTION.export, (content) => {
    content.u8(FUNCTIONS);
    for (let index = 0; index < FUNCTIONS; index++) {
      content.name(`f${index}`);
      content.raw(0, index);
    }
  });
  section(SECTION.dataCount, (content) => content.raw(1));
  section(SECTION.code, (content) => {
    content.u8(FUNCTIONS);
    for (let index = 0; index < FUNCTIONS; index++) {
      const body = new Program(random, index).body();
      content.u32(body.length);
      content.append(body);
    }
  });
  section(SECTION.data, (content) => content.raw(1, 1, SEGMENT, 1, 2, 3, 4));
  return out.view().slice();
}
