/**
 * What instructions cost, in nanoseconds: the most that `npm run bench:prices` saw on Node and Bun, in whatever tier of the
 * runtime's compilers is slowest, rounded up. A price that is too high costs a look at the clock now and then; one that is too
 * low lets a hostile guest run past its deadline.
 */

/** A unit of the budget stands for this many (log2) nanoseconds. */
export const UNIT_SHIFT = 10;

/** What most instructions cost: one step of Bun's interpreter. */
const PLAIN = 5;

/** Prices of what is not an instruction with a price of its own. */
export const PRICE = {
  /** A load whose address depends on the load before it, and that misses all caches and address translation. */
  load: 150,
  /** A store to a page that was not used before: the kernel takes up to 1.7 us to provide it. A budget full of these takes 50 ms. */
  store: 400,
  /** Each value that a branch, a block or a call moves. */
  value: 5,
  /** Setting a local variable to zero when a function is entered. */
  local: 2,
  /** A byte of a function's code: engines compile a function when it is first called. See {@link COMPILE_PRICES} for what costs more. */
  codeByte: 4,
  /** … and a parameter or result of a call in it. */
  compiledValue: 20,
  /** … and meanwhile keep track of values: a byte of what that takes, by `COMPILER_MEMORY`. At most 0.33 was measured, on Node. */
  trackedByte: 0.4,
  /** A call, without its values and without what the callee costs. */
  call: 25,
  /** An indirect call checks the callee's type, and may miss the caches. */
  indirectCall: 120,
  /** What a handler costs when it catches. */
  catch: 2_000,
  /** A handler of a function that an exception passes through. */
  handler: 4,
  /** An exception: it is made, and all of the stack is walked, on Bun at 6 ns a frame. */
  throw: 40_000,
  /** A value that an exception carries. */
  thrownValue: 500,
} as const;

/** What a function that pays nothing may cost: each call includes that much, for in case its callee is such a one. */
export const FREE_COST = 512;
/** What compiling such a function may cost, besides its bytes, when it is first called: 45 ms for a budget full of them. */
export const FREE_COMPILE_COST = 2_048;

/** A table operation pays a unit for this many (log2) elements: 25 ns an element on Node, 15 ns on Bun. */
export const ELEMENTS_SHIFT = 5;
/** `table.grow` copies the table on Bun: a unit for this many (log2) elements that it has. */
export const GROWN_TABLE_SHIFT = 11;
/** A bulk operation on memory pays a unit for this many (log2) bytes: 1.7 us for each fresh page of 4 KiB, on both sides of a copy. */
export const BYTES_SHIFT = 10;

function table(
  entries: readonly (readonly [price: number, from: number, to?: number])[],
  others = 0,
): Uint16Array {
  const prices = new Uint16Array(256).fill(others);
  for (const [price, from, to = from] of entries) prices.fill(price, from, to + 1);
  return prices;
}

/** Prices of the instructions without a prefix, by opcode. Calls, branches and throws cost more than this, by their operands. */
export const PLAIN_PRICES: Uint16Array = table([
  [0, 0x01, 0x03], // nop, block, loop
  [0, 0x0b], // end
  [10, 0x0e], // br_table
  [20, 0x25], // table.get
  [60, 0x26], // table.set
  [PRICE.load, 0x28, 0x35],
  [PRICE.store, 0x36, 0x3e],
  [100, 0x40], // memory.grow, without what its helper pays
  [15, 0x6d, 0x70], // i32.div and i32.rem
  [25, 0x7f, 0x82], // i64.div and i64.rem
  [15, 0x91, 0x91], // f32.sqrt
  // Arithmetic with subnormal numbers is done by microcode.
  [50, 0x92, 0x95], // f32.add, sub, mul, div
  [20, 0x9f, 0x9f], // f64.sqrt
  [50, 0xa0, 0xa3], // f64.add, sub, mul, div
  [20, 0xa8, 0xb9], // truncations and conversions
  [50, 0xb6, 0xb6], // f32.demote_f64
  [50, 0xbb, 0xbb], // f64.promote_f32
  [60, 0xd2], // ref.func
], PLAIN);

/** Prices of the instructions behind 0xfc, by sub-opcode, without what they pay by length. */
export const MISC_PRICES: readonly number[] = [
  ...Array<number>(8).fill(20), // saturating truncations
  100, // memory.init
  40, // data.drop
  60, // memory.copy
  60, // memory.fill
  150, // table.init
  40, // elem.drop
  100, // table.copy
  300, // table.grow
  10, // table.size
  100, // table.fill
];

/** What every vector instruction costs, and every atomic one; vector loads and stores cost {@link PRICE} besides. */
export const VECTOR_PRICES: Uint16Array = (() => {
  const prices = new Uint16Array(256).fill(75);
  for (const store of [11, 88, 89, 90, 91]) prices[store] = 75 + PRICE.store;
  for (const load of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 84, 85, 86, 87, 92, 93]) {
    prices[load] = 75 + PRICE.load;
  }
  return prices;
})();
export const ATOMIC_PRICE = 60 + PRICE.store;

/**
 * What compiling an instruction costs besides its bytes ({@link PRICE.codeByte}), by opcode, where it was measured to be more than three times
 * as much: on Node, whose first compiler writes a check and the code of a trap for each. Bun's interpreter needs no such code. The
 * prices are half of what was measured at least, as functions pay them whenever they are entered.
 */
export const COMPILE_PRICES: Uint16Array = table([
  [50, 0x00], // unreachable
  [100, 0x03], // loop
  [400, 0x08, 0x0a], // throw, rethrow, throw_ref
  [60, 0x0d], // br_if
  [60, 0x0f, 0x10], // return, call
  [500, 0x11], // call_indirect
  [100, 0x12], // return_call
  [500, 0x13, 0x15], // return_call_indirect, call_ref, return_call_ref
  [50, 0x25, 0x26], // table.get, table.set
  [100, 0x36, 0x3e], // stores, with what records them
  [80, 0x40], // memory.grow
  [60, 0x6d, 0x70], // i32.div and i32.rem
  [120, 0x77, 0x78], // i32.rotl, i32.rotr
  [60, 0x7f, 0x82], // i64.div and i64.rem
  [120, 0x89, 0x8a], // i64.rotl, i64.rotr
  [40, 0x96, 0x97], // f32.min, f32.max
  [40, 0xa4, 0xa5], // f64.min, f64.max
  [50, 0xa8, 0xae], // truncations, f32
  [300, 0xaf], // i64.trunc_f32_u
  [50, 0xb0],
  [300, 0xb1], // i64.trunc_f64_u
  [60, 0xd2], // ref.func
]);

/** As {@link COMPILE_PRICES}, for what stands behind 0xfc, by sub-opcode. */
export const MISC_COMPILE_PRICES: readonly number[] = [
  ...Array<number>(4).fill(60), // saturating truncations to i32
  ...Array<number>(4).fill(500), // … and to i64
  400, // memory.init
  200, // data.drop
  100, // memory.copy
  100, // memory.fill
  400, // table.init
  200, // elem.drop
  300, // table.copy
  500, // table.grow
  20, // table.size
  300, // table.fill
];

/** As {@link COMPILE_PRICES}, for vector instructions, by the first byte of the sub-opcode. */
export const VECTOR_COMPILE_PRICES: Uint16Array = table([
  [80, 0x00, 0xff],
  [600, 13], // i8x16.shuffle
  [300, 0x62], // i8x16.popcnt
  [300, 0x84], // i32x4.relaxed_trunc_f64x2_u_zero
  [300, 0xf8, 0xff], // truncations and conversions
]);
/** As {@link COMPILE_PRICES}, for atomic instructions, and for `memory.atomic.notify`. */
export const ATOMIC_COMPILE_PRICE = 100;
export const NOTIFY_COMPILE_PRICE = 250;
