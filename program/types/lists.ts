/**
 * Lists of any length. The arguments of a call lie on the stack, which a list that others made the length of overflows when it is
 * spread into a call: some 100,000 elements on Node, 65,000 on Bun (`tests/spreads_test.ts` finds such calls).
 */

/** Adds all items to the end of a list. */
export function append<T>(list: T[], items: Iterable<T>): void {
  for (const item of items) list.push(item);
}

/** The greatest of some numbers; `least` where none is greater. */
export function greatest(numbers: Iterable<number>, least = 0): number {
  let found = least;
  for (const number of numbers) if (number > found) found = number;
  return found;
}
