/** How deep parsed values nest: what goes into one by recursion asks first. */

const json = JSON as unknown as { isRawJSON(value: unknown): boolean };

/** Numbers that are kept as their text are objects to JavaScript only. */
const isParent = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !json.isRawJSON(value);

/**
 * Whether lists and objects in `value` nest deeper than `max`.
 *
 * ```ts
 * deeperThan({ a: [1] }, 2); // false
 * deeperThan({ a: [[1]] }, 2); // true
 * ```
 */
export function deeperThan(value: unknown, max: number): boolean {
  let level: readonly unknown[] = [value];
  for (let depth = 0;; depth++) {
    const parents = level.filter(isParent);
    if (parents.length === 0) return false;
    if (depth >= max) return true;
    level = parents.flatMap(Object.values);
  }
}
