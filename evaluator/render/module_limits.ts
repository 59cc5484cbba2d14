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
  // Compilers take some 10 ns and 20 bytes for each byte. Known: 3.6 MB (Go); large Go policies have 20 MB.
  moduleBytes: limit(64 << 20, "bytes"),
  // Engines keep each signature for the process's life. Known: 32.
  types: limit(20_000, "types"),
  // Values are moved one by one. Known: 11; engines take 1,000.
  parameters: limit(1_000, "parameters in a type"),
  results: limit(1_000, "results in a type"),
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
  // Known: 852. Each costs 16 bytes of stack, is set to zero at each call, and is tracked at each branch.
  locals: limit(5_000, "local variables in a function"),
  // Known: 549 (Go).
  nesting: limit(5_000, "blocks inside of each other"),
  handlers: limit(1_000, "exception handlers in a function"),
  // Known: 964 and 78,830 (Go).
  branchTable: limit(20_000, "labels in a br_table"),
  branchLabels: limit(2_000_000, "labels in all br_tables together"),
  // The optimising compilers keep what each local variable holds for each branch and loop. Known: 4.2 million.
  tracked: limit(16_000_000, "local variables times branches in a function"),
  trackedInAll: limit(200_000_000, "local variables times branches in all functions together"),
} as const satisfies Readonly<Record<string, ModuleLimit>>;

/** Throws {@link WasmFormatError} if `count` is over the limit; `where` says in what, say "function 7". */
export function checkLimit(name: keyof typeof MODULE_LIMITS, count: number, where = "the module"): void {
  const { most, what } = MODULE_LIMITS[name];
  if (count > most) throw new WasmFormatError(`${where} has ${count} ${what}, the limit is ${most}`);
}
