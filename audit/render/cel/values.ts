/** JSON as the values that CEL works with: whole numbers are `int`s (bigint), others doubles. */

export type CelSource = {
  readonly value: unknown;
  /** Members of the longest list or map: what a comprehension may have to go through. */
  readonly longest: number;
  /** Characters of the longest string. */
  readonly longestText: number;
};

/** Parses an object's text for CEL. */
export function celSource(text: string): CelSource {
  let longest = 0;
  let longestText = 0;
  const revive = (_key: string, value: unknown, context: { readonly source?: string }): unknown => {
    if (typeof value === "number") {
      const { source = String(value) } = context;
      return /^-?\d+$/.test(source) ? BigInt(source) : value;
    }
    if (typeof value === "string") longestText = Math.max(longestText, value.length);
    else if (typeof value === "object" && value !== null) {
      longest = Math.max(longest, Array.isArray(value) ? value.length : Object.keys(value).length);
    }
    return value;
  };
  const value = JSON.parse(text, revive as (key: string, value: unknown) => unknown);
  return { value, longest, longestText };
}
