/**
 * The way through a function, instruction by instruction: the open blocks, what the longest way to here costs, how many operands are on
 * the stack, and what compilers need for it. What each instruction does to these is told by `function_body.ts`.
 */
import { PRICE } from "./instruction_prices.ts";
import {
  BLOCK_RESULT_MEMORY,
  BRANCH_VALUE_MEMORY,
  CALL_VALUE_MEMORY,
  checkLimit,
  COMPILER_MEMORY,
  type CompilerMemory,
  WIDE,
} from "./module_limits.ts";
import type { Reader } from "./wasm_binary.ts";
import { readValueType } from "./wasm_instructions.ts";
import type { Signature } from "./wasm_module.ts";

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

/** The cost where no way leads. */
export const NOWHERE = -1;
export const NO_VALUES: Signature = { parameters: 0, results: 0 };
const ONE_RESULT: Signature = { parameters: 0, results: 1 };

export const BLOCK = { block: 0, loop: 1, if: 2, try: 3, catch: 4 } as const;

/** An open block. */
export interface Frame {
  kind: typeof BLOCK[keyof typeof BLOCK];
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

/** A function that is being read. */
export class BodyWalk {
  readonly reader: Reader;
  readonly around: Surroundings;
  readonly totals: Totals;
  /** Names the function in errors. */
  readonly where: string;
  /** What the function takes and gives. */
  readonly own: Signature;
  /** `PLACE`, start, end and value; `PLACE`, start, end and value … in order. */
  readonly places: number[] = [];
  /** Open blocks; the last of them is {@link top}. */
  readonly frames: Frame[] = [];
  top!: Frame;
  /** What the longest way from the last payment to here costs. */
  cost = 0;
  /** The number of operands on the stack. */
  height = 0;
  loops = false;
  calls = false;
  stateless = true;
  /** Exception handlers. */
  handlers = 0;
  /** Open blocks whose exceptions are caught here. */
  catching = 0;
  /** What compiling the instructions costs besides their bytes. */
  compileCost = 0;
  /** The values that calls and blocks with many of them take and give. */
  wideValues = 0;
  /** What compilers need, in bytes: by itself, and to keep track of values. */
  #compiling = 0;
  #tracking = 0;
  /** Local variables and parameters. */
  readonly #variables: number;
  /** How many `block`s there are, and how many results all of them have. */
  #blocks = 0;
  #blockResults = 0;

  constructor(
    reader: Reader,
    around: Surroundings,
    totals: Totals,
    { where, own, locals }: { readonly where: string; readonly own: Signature; readonly locals: number },
  ) {
    this.reader = reader;
    this.around = around;
    this.totals = totals;
    this.where = where;
    this.own = own;
    this.#variables = locals + own.parameters;
    this.open(BLOCK.block, { parameters: 0, results: own.results });
  }

  /** What compilers need for the function besides its size, and of that to keep track of values; in bytes. */
  get compiler(): { readonly compiling: number; readonly tracking: number } {
    const tracking = this.#tracking + BLOCK_RESULT_MEMORY * this.#blockResults * this.#blocks;
    return { compiling: this.#compiling + tracking, tracking };
  }

  /** Counts what compilers need for an instruction. */
  track({ itself, each }: CompilerMemory): void {
    this.#compiling += itself;
    this.#tracking += each * (this.#variables + this.height);
  }

  /** Counts the values of a block or a call, if it has many. */
  #move({ parameters, results }: Signature): void {
    if (parameters + results > WIDE) this.wideValues += parameters + results;
  }

  /** Takes operands from the stack or puts some on it; never those of the blocks around. */
  push(count: number): void {
    this.height = Math.max(this.height + count, this.top.base);
  }

  spend(price: number): void {
    if (this.cost !== NOWHERE) this.cost += price;
  }

  /** Records the cost so far as one that the block may have had. */
  mark(): void {
    if (this.cost > this.top.peak) this.top.peak = this.cost;
  }

  /** No way leads on from here. */
  leave(): void {
    this.mark();
    this.cost = NOWHERE;
  }

  /** A way leads to the label of a block. */
  reach(frame: Frame, cost: number): void {
    if (cost > frame.label) frame.label = cost;
  }

  readBlockType(): Signature {
    const first = this.reader.peek();
    if (first === 0x40) {
      this.reader.skip(1);
      return NO_VALUES;
    }
    if ((first & 0xc0) === 0x40) {
      readValueType(this.reader);
      return ONE_RESULT;
    }
    return this.around.types[this.reader.u32()] ?? NO_VALUES;
  }

  open(kind: Frame["kind"], signature: Signature, place = 0, handlers?: readonly Frame[]): void {
    const base = Math.max(0, this.height - signature.parameters);
    this.#move(signature);
    if (kind === BLOCK.block || kind === BLOCK.try) {
      this.#blocks++;
      this.#blockResults += signature.results;
    }
    if (kind === BLOCK.try || handlers) this.catching++;
    const { cost } = this;
    this.top = { kind, signature, label: NOWHERE, entry: cost, peak: cost, place, handlers, base };
    this.frames.push(this.top);
    checkLimit("nesting", this.frames.length, this.where);
  }

  close(): void {
    const frame = this.frames.pop()!;
    if (frame.kind === BLOCK.try || frame.handlers) this.catching--;
    this.height = frame.base + frame.signature.results;
    this.spend(PRICE.value * frame.signature.results);
    if (frame.kind === BLOCK.if) this.reach(frame, frame.entry);
    if (this.cost > frame.peak) frame.peak = this.cost;
    if (frame.kind === BLOCK.loop) this.places[frame.place + 3] = Math.max(frame.label, 0);
    else this.cost = Math.max(this.cost, frame.label);
    if (frame.handlers && frame.peak !== NOWHERE) {
      for (const target of frame.handlers) {
        const { parameters, results } = target.signature;
        this.reach(target, frame.peak + PRICE.catch + PRICE.value * Math.max(parameters, results));
      }
    }
    const parent = this.frames.at(-1);
    this.top = parent ?? frame;
    if (parent) parent.peak = Math.max(parent.peak, frame.peak, this.cost);
  }

  /** The block that a branch leads to; undefined where there is none. */
  target(depth: number): Frame | undefined {
    return this.frames[this.frames.length - 1 - depth];
  }

  branch(depth: number): void {
    this.track(COMPILER_MEMORY.branch);
    const target = this.target(depth);
    if (!target) return;
    const { parameters, results } = target.signature;
    const taken = target.kind === BLOCK.loop ? parameters : results;
    this.#tracking += BRANCH_VALUE_MEMORY * taken;
    if (this.cost !== NOWHERE) this.reach(target, this.cost + PRICE.value * taken);
  }

  /** A call of what has that signature; it takes `operands` more. */
  call(signature: Signature = NO_VALUES, price: number, operands = 0): void {
    const { parameters, results } = signature;
    this.#move(signature);
    this.spend(price + PRICE.value * (parameters + results));
    this.compileCost += PRICE.compiledValue * (parameters + results);
    this.#compiling += CALL_VALUE_MEMORY * (parameters + results);
    this.track(this.catching > 0 ? COMPILER_MEMORY.caughtCall : COMPILER_MEMORY.call);
    this.push(results - parameters - operands);
  }
}
