/** A policy's module, ready to be instantiated by any thread. */
import type { ExecutionMode } from "./metadata.ts";

/** An instrumented and compiled module. It can be posted to another thread, which then shares its machine code. */
export interface PreparedModule {
  readonly module: WebAssembly.Module;
  readonly mode: ExecutionMode;
  /** Whether an instance can be put back to a snapshot, see `render/instrument.ts`. */
  readonly restorable: boolean;
  /** The guest's memory never grows beyond this many pages of 64 KiB. */
  readonly maxPages: number;
  /** The size of the memory that the module imports; undefined when it has a memory of its own, or none. */
  readonly importedMemory: ImportedMemory | undefined;
  /** Pages that the memory of an instance that is kept gets beyond what is usual for its mode; 0 unless given. */
  readonly room?: number;
  /** Added to the error of a guest that can't be made: which mode the module looks like, where that is another. */
  readonly hint?: string;
}

/** Limits of an imported memory, in pages. */
export interface ImportedMemory {
  readonly min: number;
  readonly max: number;
}
