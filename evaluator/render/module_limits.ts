/**
 * What a module may hold, checked while it is read and before an engine sees it: validating and compiling cost time and memory
 * that no deadline bounds, and some of it grows with the product of two numbers that each look harmless.
 */
import { WasmFormatError } from "./wasm_binary.ts";

/** A limit: the greatest number allowed, and what is counted. */
interface ModuleLimit {
  readonly most: number;
  readonly what: string;
}

const limit = (most: number, what: string): ModuleLimit => ({ most, what });

/** The limits of a module. The comments say what each bounds, and what the largest known policies have. */
export const MODULE_LIMITS = {
  // Compilers take some 10 ns and 20 bytes for each byte of code. Known: 3.6 MB (Go); large Go policies have 20 MB, and modules
  // of 90 MB, most of it data, are in use.
  moduleBytes: limit(128 << 20, "bytes"),
  // Engines keep each signature for the process's life. Known: 32.
  types: limit(20_000, "types"),
  // Values are moved one by one. Known: 11; engines take 1,000.
  parameters: limit(1_000, "parameters in a type"),
  results: limit(1_000, "results in a type"),
  // Known: under 200. 38 million took engines 800 MB and 20 s.
  typeValues: limit(1_000_000, "parameters and results in all types together"),
  // Known: 2,300 (Go); large Go policies have 30,000.
  functions: limit(200_000, "functions"),
  imports: limit(1_000, "imports"),
  exports: limit(10_000, "exports"),
  // Known: 14. Each mutable one is exported and put back after each request.
  globals: limit(10_000, "globals"),
  tags: limit(1_000, "tags"),
  // Known: 1. A table costs 8 to 32 bytes an element outside of the guest's memory, which is counted over all tables.
  tables: limit(100, "tables"),
  tableElements: limit(100_000, "elements in all tables together"),
  memories: limit(1, "memories"),
  // Known: 40,000 (Go). Engines keep some 50 bytes for each.
  dataSegments: limit(100_000, "data segments"),
  elementSegments: limit(10_000, "element segments"),
  // Passive ones are kept by each instance, at 8 bytes an element. Known: 4,500.
  segmentElements: limit(1_000_000, "elements in all element segments together"),
  constantInstructions: limit(1_000, "instructions in a constant expression"),
  // A function is compiled in one go, by at least two compilers, at run time. Known: 147,000 (pod-privileged, optimised).
  functionBytes: limit(1 << 20, "bytes in a function"),
  // Known: 852. Each is set to zero at each call, and tracked at each branch.
  locals: limit(5_000, "local variables in a function"),
  // Known: 10,000 (Go). 490 million, in a module of 700 KB, took Bun 1.3 GB and 30 s.
  allLocals: limit(5_000_000, "local variables in all functions together"),
  // Known: 549 (Go).
  nesting: limit(5_000, "blocks inside of each other"),
  // Only calls and blocks with more than WIDE values count. V8 takes 1 us for each when the function is first called, which no deadline
  // interrupts. Known: 0.
  wideValues: limit(40_000, "values that calls and blocks with many of them take and give in a function"),
  handlers: limit(1_000, "exception handlers in a function"),
  // Known: 964 and 78,830 (Go).
  branchTable: limit(20_000, "labels in a br_table"),
  branchLabels: limit(2_000_000, "labels in all br_tables together"),
} as const satisfies Readonly<Record<string, ModuleLimit>>;

/** What has more parameters and results than this counts as having many. */
export const WIDE = 16;

/** What an optimising compiler needs for something, in bytes. */
export interface CompilerMemory {
  /** By itself. */
  readonly itself: number;
  /** For each local variable and each operand on the stack, whose values it keeps track of. */
  readonly each: number;
}

/**
 * The most that was measured on Node 26 and Bun 1.4. The product of variables and branches is what makes
 * a module of 14 KB need 2.6 GB.
 */
export const COMPILER_MEMORY = {
  block: { itself: 1_000, each: 13 },
  loop: { itself: 10_000, each: 50 },
  if: { itself: 2_000, each: 27 },
  else: { itself: 1_000, each: 12 },
  /** A branch, or a label of a `br_table`. */
  branch: { itself: 1_000, each: 12 },
  call: { itself: 2_000, each: 0 },
  /** A call whose exceptions are caught in its function: Bun keeps all values. */
  caughtCall: { itself: 2_000, each: 300 },
  /** An exception handler: Bun keeps all values for it, too. */
  handler: { itself: 2_000, each: 1_600 },
} as const satisfies Readonly<Record<string, CompilerMemory>>;

/** What a compiler needs for each value that a branch takes along, and for each that a call takes or gives, in bytes. */
export const BRANCH_VALUE_MEMORY = 80;
export const CALL_VALUE_MEMORY = 750;
/**
 * … and for each result of a `block`, times the number of `block`s in the function: Bun's optimising compiler took 1 GiB for 11,700 of one
 * result each.
 */
export const BLOCK_RESULT_MEMORY = 8;

/** What a compiler needs for a byte of code besides. */
const MEMORY_PER_CODE_BYTE = 100;
/** What compiling one function may need. Known: 84 MiB (pod-privileged, whose largest function has 147 KB). */
const MAX_FUNCTION_MEMORY = 160 << 20;
/**
 * What keeping track of values may need in all functions of any module together, and what each byte of its code adds: threads of the
 * compiler work on several functions at once. Known: 82 of 263 MiB (pod-privileged), 17 MiB (Go).
 */
const MAX_TRACKING = 96 << 20;
const MAX_TRACKING_PER_CODE_BYTE = 256;

/** What a compiler needs for a store that is recorded, besides: at most 4,700 bytes were measured, on Node. */
const RECORDED_STORE_MEMORY = 4_700;

/** Whether a function that takes `bytes` besides its `size` may record so many stores. */
export function mayRecord(stores: number, bytes: number, size: number): boolean {
  return bytes + MEMORY_PER_CODE_BYTE * size + RECORDED_STORE_MEMORY * stores <= MAX_FUNCTION_MEMORY;
}

/** Throws {@link WasmFormatError} if compiling a function of `size` bytes takes `bytes` of memory besides, and that is too much. */
export function checkCompiling(bytes: number, size: number, where: string): void {
  const needed = bytes + MEMORY_PER_CODE_BYTE * size;
  if (needed <= MAX_FUNCTION_MEMORY) return;
  throw new WasmFormatError(
    `${where} makes a compiler need ${mib(needed)} MiB by its loops, branches and calls, the limit is ${
      mib(MAX_FUNCTION_MEMORY)
    } MiB`,
  );
}

/**
 * What compiling a function may cost when it is first called, which no deadline interrupts, in nanoseconds at the prices of
 * `instruction_prices.ts`; without what keeping track of values costs, which {@link checkCompiling} bounds. Real time is up to twice as
 * much. Known: 3 ms (Go).
 */
const MAX_COMPILE_COST = 25e6;

/** Throws {@link WasmFormatError} if compiling a function costs `nanoseconds`, and that is too much. */
export function checkCompileTime(nanoseconds: number, where: string): void {
  if (nanoseconds <= MAX_COMPILE_COST) return;
  const ms = (cost: number) => Math.ceil(cost / 1e6);
  throw new WasmFormatError(
    `${where} makes a compiler work for ${
      ms(nanoseconds)
    } ms by its calls, traps and conversions, the limit is ${ms(MAX_COMPILE_COST)} ms`,
  );
}

/** Throws {@link WasmFormatError} if compilers need `bytes` to keep track of values in `codeBytes` of code, and that is too much. */
export function checkTracking(bytes: number, codeBytes: number): void {
  const most = MAX_TRACKING + MAX_TRACKING_PER_CODE_BYTE * codeBytes;
  if (bytes <= most) return;
  throw new WasmFormatError(
    `the module makes compilers need ${
      mib(bytes)
    } MiB by its local variables and operands times its branches, ` +
      `the limit for ${codeBytes} bytes of code is ${mib(most)} MiB`,
  );
}

const mib = (bytes: number): number => Math.ceil(bytes / (1 << 20));

/** Throws {@link WasmFormatError} if `count` is over the limit; `where` says in what, say "function 7". */
export function checkLimit(name: keyof typeof MODULE_LIMITS, count: number, where = "the module"): void {
  const { most, what } = MODULE_LIMITS[name];
  if (count > most) throw new WasmFormatError(`${where} has ${count} ${what}, the limit is ${most}`);
}
