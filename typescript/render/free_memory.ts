/**
 * Clears what a program has freed: it would be a part of the snapshot, and say nothing. The allocator is that of wasi-libc, Doug
 * Lea's, whose heap is a row of chunks up to the end of the memory.
 *
 * Source: dlmalloc 2.8.6, `malloc_chunk` and `malloc_tree_chunk`.
 */

/** Flags in the lower bits of a chunk's size. */
const BEFORE_IN_USE = 1, IN_USE = 2, FLAGS = 7;
/** A free chunk is in a list: the size of the one before, its own, two links. From {@link TREE} on it is in a tree. */
const LIST_HEAD = 16, TREE_HEAD = 32, TREE = 256;

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
    if ((head & IN_USE) === 0) memory.fill(0, at + (size < TREE ? LIST_HEAD : TREE_HEAD), end);
    at = end;
  }
}
