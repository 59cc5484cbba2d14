/** Names under which an instrumented module exports what was added to it (`instrument.ts`). */
export const GUARD = {
  prefix: "portreeve:",
  /** A table of one function `() -> i32`: 0 lets the guest go on, anything else makes it trap. */
  tick: "portreeve:tick",
  /** The guest's start function, if it had one. */
  start: "portreeve:start",
  memory: "portreeve:memory",
  /** The number of pages that the guest believes it has. */
  pages: "portreeve:pages",
  /** The budget left until the next tick. */
  budget: "portreeve:budget",
  /** Records that the host writes: `(address, length) -> ()`. Only where writes are recorded (`written_map.ts`). */
  write: "portreeve:write",
  /** The map of what was written to, followed by the size of its chunks, as log2. */
  written: "portreeve:written:",
  /** Followed by the index of a mutable global of the guest. */
  global: "portreeve:global:",
} as const;
