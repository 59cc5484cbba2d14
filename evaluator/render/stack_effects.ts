/**
 * By how much instructions change the number of operands on the stack. Those that branch or call are left out: their effect
 * depends on their operands.
 */

function effects(entries: readonly (readonly [effect: number, from: number, to?: number])[]): Int8Array {
  const table = new Int8Array(256);
  for (const [effect, from, to = from] of entries) table.fill(effect, from, to + 1);
  return table;
}

/** Instructions without a prefix, by opcode. */
export const PLAIN_EFFECTS: Int8Array = effects([
  [-1, 0x1a], // drop
  [-2, 0x1b, 0x1c], // select
  [1, 0x20], // local.get
  [-1, 0x21], // local.set
  [1, 0x23], // global.get
  [-1, 0x24], // global.set
  [-2, 0x36, 0x3e], // stores
  [1, 0x41, 0x44], // constants
  [-1, 0x46, 0x4f], // comparisons, without eqz
  [-1, 0x51, 0x66],
  [-1, 0x6a, 0x78], // arithmetic with two operands
  [-1, 0x7c, 0x8a],
  [-1, 0x92, 0x98],
  [-1, 0xa0, 0xa6],
  [1, 0xd0], // ref.null
  [1, 0xd2], // ref.func
  [-1, 0xd3], // ref.eq
]);

/** Instructions behind 0xfc, by sub-opcode. */
export const MISC_EFFECTS: readonly number[] = [0, 0, 0, 0, 0, 0, 0, 0, -3, 0, -3, -3, -3, 0, -3, -1, 1, -3];

/**
 * Instructions behind 0xfd, by the first byte of the sub-opcode. Arithmetic counts as if it had one operand: what is a little too
 * high does no harm.
 */
export const VECTOR_EFFECTS: Int8Array = effects([
  [-2, 11], // v128.store
  [1, 12], // v128.const
  [-1, 13], // i8x16.shuffle
  [-1, 14], // i8x16.swizzle
  [-1, 35, 76], // comparisons
  [-1, 78, 81], // and, andnot, or, xor
  [-2, 82], // bitselect
  [-1, 84, 87], // loads of a lane
  [-2, 88, 91], // stores of a lane
]);

/** Instructions behind 0xfe, by sub-opcode. */
export const ATOMIC_EFFECTS: Int8Array = effects([
  [-1, 0x00], // memory.atomic.notify
  [-2, 0x17, 0x1d], // stores
  [-1, 0x1e, 0x47], // read, modify, write
  [-2, 0x48, 0x4e], // compare and exchange
]);
