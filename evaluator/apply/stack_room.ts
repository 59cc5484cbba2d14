/**
 * Room on the call stack for the host's own code. A guest shares its thread's stack, and chooses how much of it is left when it
 * calls the host or is asked for its time. Where host code runs out of it halfway, a message may have been received and not been
 * handed on, with the requests of others in it.
 */

/**
 * Calls of {@link descend} that together take more than host code does, in whatever tier they are compiled: 110 to 170 KB on
 * Node, where 36 KB were too little and 71 KB enough to receive a message, and 110 to 240 KB on Bun.
 */
const DEPTH = 1000;

/** What is added to the result of the next call keeps that from being a tail call, which takes no stack. */
function descend(left: number, a: number, b: number, c: number, d: number, e: number): number {
  return left === 0 ? a : descend(left - 1, b, c, d, e, a) + left;
}

/**
 * Throws the runtime's error for an exhausted stack, which guests can't catch, unless there is room for host code. To be called
 * before host code changes anything that outlives the guest. Takes some 9 µs.
 */
export function needStackRoom(): void {
  descend(DEPTH, 1, 2, 3, 4, 5);
}
