/**
 * Looking up and setting members of ordinary objects by names that others chose. An object also answers to the names that it
 * inherits (`constructor`, `toString`, `__proto__`), which would be taken for members, and what is set as `__proto__` becomes
 * what it inherits from. `tests/lookups_test.ts` finds every place that takes such names without this.
 */

/** The value of `table`'s own member `name`; undefined where there is none, or no table. */
export function own<T>(
  table: { readonly [name: string]: T } | undefined | null,
  name: string,
): T | undefined {
  return table !== undefined && table !== null && Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Sets `table`'s own member `name`, whatever the name is. */
export function setOwn<T>(table: { [name: string]: T }, name: string, value: T): void {
  Object.defineProperty(table, name, { value, writable: true, enumerable: true, configurable: true });
}
