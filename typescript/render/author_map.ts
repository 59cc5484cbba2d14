/** A source map without what its readers don't ask for: a policy's module carries it (`render/stack.ts`). */
import { DIGITS, type LineMap } from "./stack.ts";

function vlq(value: number): string {
  let rest = value < 0 ? -value * 2 + 1 : value * 2;
  let text = "";
  do {
    const digit = rest & 31;
    rest >>>= 5;
    text += DIGITS[rest > 0 ? digit | 32 : digit];
  } while (rest > 0);
  return text;
}

/** The fields of a segment, each relative to the one before. */
function fieldsOf(segment: string): readonly number[] {
  const fields: number[] = [];
  let value = 0;
  let shift = 0;
  for (const letter of segment) {
    const digit = DIGITS.indexOf(letter);
    value += (digit & 31) << shift;
    if (digit & 32) shift += 5;
    else {
      fields.push(value & 1 ? -(value >> 1) : value >> 1);
      value = shift = 0;
    }
  }
  return fields;
}

/**
 * `map` with the mappings of the sources that are `wanted`, and of those only where a line or a source begins anew, or a call may
 * stand: names are dropped. What is before a wanted source's code, and behind it, is marked as nobody's.
 */
export function authorMap(map: LineMap, wanted: (source: string) => boolean): LineMap {
  const sources = map.sources.filter(wanted);
  const numbers = map.sources.map((source) => sources.indexOf(source));
  const from = [0, 0, 0, 0];
  const to = [0, 0, 0, 0];
  const lines = map.mappings.split(";").map((line) => {
    from[0] = to[0] = 0;
    let inside = true;
    const kept: string[] = [];
    for (const segment of line.split(",")) {
      if (segment === "") continue;
      for (const [field, change] of fieldsOf(segment).slice(0, 4).entries()) from[field]! += change;
      const source = numbers[from[1]!]!;
      if (source < 0) {
        // A segment of one field: this is nobody's.
        if (inside) kept.push(vlq(from[0]! - to[0]!)), to[0] = from[0]!;
        inside = false;
        continue;
      }
      inside = true;
      const place = [from[0]!, source, from[2]!, from[3]!];
      kept.push(place.map((value, field) => vlq(value - to[field]!)).join(""));
      for (const [field, value] of place.entries()) to[field] = value;
    }
    return kept.join(",");
  });
  return { sources, mappings: lines.join(";") };
}
