/**
 * Clears what a program has freed: it would be a part of the snapshot, and say nothing. The allocator is that of wasi-libc, Doug
 * Lea's, whose heap is a row of chunks up to the end of the memory. In some of them QuickJS keeps blocks of one size.
 *
 * Source: dlmalloc 2.8.6, `malloc_chunk` and `malloc_tree_chunk`. The blocks of QuickJS-NG, as they are found in its memory: a chunk
 * begins with two links of two words, then four numbers of 16 bits: the class of its blocks (8 bits of it), how many are used, how many
 * there are, the first free one or 0xffff. A block has a head: its own number or, where it is free, the next free one's, and its class.
 */

/** Flags in the lower bits of a chunk's size. */
const BEFORE_IN_USE = 1, IN_USE = 2, FLAGS = 7;
/** A free chunk is in a list: the size of the one before, its own, two links. From {@link TREE} on it is in a tree. */
const LIST_HEAD = 16, TREE_HEAD = 32, TREE = 256;

const CHUNK_HEAD = 8, BLOCKS_HEAD = 24, BLOCK_HEAD = 4, NONE = 0xffff;
const SMALLEST_BLOCK = 16, LARGEST_BLOCK = 1024;

/** The size of the blocks that a chunk is made of; undefined where it holds something else. */
function blockSize(view: DataView, from: number, end: number): number | undefined {
  if (end - from < BLOCKS_HEAD + 2 * SMALLEST_BLOCK) return undefined;
  const group = view.getUint8(from + 16);
  const [used, count] = [18, 20].map((at) => view.getUint16(from + at, true));
  if (count! < 2 || used! > count!) return undefined;
  const isBlock = (at: number) => view.getUint8(at + 2) === group;
  for (
    let size = SMALLEST_BLOCK;
    size <= LARGEST_BLOCK && BLOCKS_HEAD + count! * size <= end - from;
    size += 8
  ) {
    let right = true;
    for (let block = 0; right && block < count!; block++) right = isBlock(from + BLOCKS_HEAD + block * size);
    if (right) return size;
  }
  return undefined;
}

/** Clears the free blocks of a chunk, if it is made of some: only where their list is whole, and all others say that they are used. */
function clearFreeBlocks(view: DataView, memory: Uint8Array, from: number, end: number): void {
  const size = blockSize(view, from, end);
  if (size === undefined) return;
  const [used, count] = [18, 20].map((at) => view.getUint16(from + at, true));
  const at = (block: number) => from + BLOCKS_HEAD + block * size;
  const free = new Set<number>();
  for (
    let block = view.getUint16(from + 22, true);
    block !== NONE;
    block = view.getUint16(at(block), true)
  ) {
    if (block >= count! || free.has(block)) return;
    free.add(block);
  }
  if (free.size !== count! - used!) return;
  for (let block = 0; block < count!; block++) {
    if (!free.has(block) && view.getUint16(at(block), true) !== block) return;
  }
  // From the first to the last: a list in the order in which they were freed compresses worse.
  let next = NONE;
  for (const block of [...free].sort((a, b) => b - a)) {
    memory.fill(0, at(block) + BLOCK_HEAD, at(block) + size);
    view.setUint16(at(block), next, true);
    next = block;
  }
  view.setUint16(from + 22, next, true);
}

/** Clears the free chunks from `heap`, the first one, to the end. Throws when the heap is no row of chunks. */
export function clearFreeMemory(memory: Uint8Array, heap: number): void {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.length);
  for (let at = heap;;) {
    const head = at + LIST_HEAD <= memory.length ? view.getUint32(at + 4, true) : 0;
    const size = head & ~FLAGS;
    const end = at + size;
    // Behind the last chunk stands what the allocator knows of this piece of memory.
    if ((head & (BEFORE_IN_USE | IN_USE)) === 0 && end === memory.length) return;
    if (size < LIST_HEAD || end > memory.length) {
      throw new Error(
        `the engine's heap is not what it was: a chunk of ${size} bytes at ${at} of ${memory.length}`,
      );
    }
    if ((head & IN_USE) !== 0) clearFreeBlocks(view, memory, at + CHUNK_HEAD, end);
    else memory.fill(0, at + (size < TREE ? LIST_HEAD : TREE_HEAD), end);
    at = end;
  }
}

/** Clears texts that nothing names but functions which are gone; not those that a word of the memory, or what looks like one, names. */
export function clearTexts(
  memory: Uint8Array,
  texts: readonly (readonly [start: number, end: number])[],
): void {
  const first = texts[0]?.[0] ?? 0, last = texts.at(-1)?.[1] ?? 0;
  const named = new Uint32Array(memory.buffer, memory.byteOffset, memory.length >> 2)
    .filter((word) => word >= first && word < last);
  for (const [start, end] of texts) {
    if (!named.some((word) => word >= start && word < end)) memory.fill(0, start, end);
  }
}
