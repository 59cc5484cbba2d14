/** Where in its author's files an error happened: stacks of the bundle, read with its source map. */

/** A source map, as far as it is needed (https://tc39.es/ecma426). */
export interface LineMap {
  /** The files, as the author knows them. */
  readonly sources: readonly string[];
  /** Groups of lines and columns, in Base64 VLQ. */
  readonly mappings: string;
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** A stack of endless recursion has as many frames as fit. */
const MAX_FRAMES = 20;

/** The author's file and line for a place in the bundle, both counted from 1. */
export function authorPlace(map: LineMap, line: number, column: number): string | undefined {
  const state = [0, 0, 0, 0]; // column in the bundle, source, line, column
  const lines = map.mappings.split(";");
  let found: string | undefined;
  for (let row = 0; row < line && row < lines.length; row++) {
    state[0] = 0;
    if (row === line - 1) found = undefined;
    for (const segment of lines[row]!.split(",")) {
      if (segment === "") continue;
      let field = 0;
      let value = 0;
      let shift = 0;
      for (let at = 0; at < segment.length; at++) {
        const digit = DIGITS.indexOf(segment[at]!);
        value += (digit & 31) << shift;
        if (digit & 32) shift += 5;
        else {
          if (field < 4) state[field]! += value & 1 ? -(value >> 1) : value >> 1;
          field++;
          value = shift = 0;
        }
      }
      // The first mapping of a line stands for what is before it, too.
      if (row === line - 1 && (found === undefined || state[0]! < column)) {
        found = `${map.sources[state[1]!]}:${state[2]! + 1}:${state[3]! + 1}`;
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
    // The SDK's own lines tell an author nothing.
    if (!place || place.startsWith("portreeve/policy")) continue;
    if (frames.length === MAX_FRAMES) {
      frames.push("…");
      break;
    }
    const name = match![1];
    frames.push(name && name !== "<anonymous>" ? `at ${name} (${place})` : `at ${place}`);
  }
  return frames;
}
