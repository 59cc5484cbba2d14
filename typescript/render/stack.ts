/** Where in its author's files an error happened: stacks of the bundle, read with its source map. */

/** A source map, as far as it is needed (https://tc39.es/ecma426). */
export interface LineMap {
  /** The files, as the author knows them. */
  readonly sources: readonly string[];
  /** Groups of lines and columns, in Base64 VLQ. */
  readonly mappings: string;
}

/** The digits of Base64 VLQ. */
export const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** A stack of endless recursion has as many frames as fit. */
const MAX_FRAMES = 20;

/** The author's file and line for a place in the bundle, both counted from 1; undefined for what nobody wrote. */
export function authorPlace(map: LineMap, line: number, column: number): string | undefined {
  const state = [0, 0, 0, 0]; // column in the bundle, source, line, column
  let row = 0;
  let found: string | undefined;
  for (const group of map.mappings.split(";", line)) {
    state[0] = 0;
    row++;
    for (const segment of group === "" ? [] : group.split(",")) {
      let field = 0;
      let value = 0;
      let shift = 0;
      for (const letter of segment) {
        const digit = DIGITS.indexOf(letter);
        value += (digit & 31) << shift;
        if (digit & 32) shift += 5;
        else {
          state[field++]! += value & 1 ? -(value >> 1) : value >> 1;
          value = shift = 0;
        }
      }
      if (row === line && state[0]! < column) {
        found = field > 1 ? `${map.sources[state[1]!]}:${state[2]! + 1}:${state[3]! + 1}` : undefined;
      }
    }
  }
  return found;
}

/** The lines of a stack that lie in the author's files. */
export function authorStack(stack: string, map: LineMap): readonly string[] {
  const frames: string[] = [];
  for (const frame of stack.split("\n")) {
    const match = /^\s*at (?:(.*) )?\(?policy\.js:(\d+):(\d+)\)?$/.exec(frame);
    const place = match && authorPlace(map, Number(match[2]), Number(match[3]));
    if (!place) continue;
    if (frames.length === MAX_FRAMES) {
      frames.push("…");
      break;
    }
    const name = match![1];
    frames.push(name && name !== "<anonymous>" ? `at ${name} (${place})` : `at ${place}`);
  }
  return frames;
}
