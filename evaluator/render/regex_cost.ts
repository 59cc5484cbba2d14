/**
 * What compiling a pattern costs, estimated before it is done: the engine can't be interrupted while it parses and builds the
 * program. Repetitions multiply what they repeat (`(a{30}){30}` has 900 instructions), classes of Unicode have hundreds of
 * ranges, and without regard to case each range is folded character by character.
 */
import { work } from "./work.ts";

/** The most that a pattern may cost. Patterns of this cost take up to 80 ms where everything is cold, else 20 ms. */
export const MAX_PATTERN_COST = 5_000;

/** In instructions of the program, which take some 10 µs each to build. */
const COST = { unicodeClass: 50, foldedRange: 500, class: 3, group: 2 } as const;
const REPEAT = /\{(\d{1,9})(,(\d{0,9}))?\}/y;

/** The estimate for a pattern; more than {@link MAX_PATTERN_COST} is only a lower bound. */
export function patternCost(pattern: string): number {
  const range = /\(\?[A-Za-z]*i/.test(pattern) ? COST.foldedRange : 1;
  const outer: number[] = [];
  let total = 0;
  let last = 0;
  const atom = (cost: number) => total += last = cost;
  for (let at = 0; at < pattern.length && total <= MAX_PATTERN_COST; at++) {
    work();
    const unit = pattern[at]!;
    if (unit === "\\") {
      const kind = pattern[++at] ?? "";
      if (kind === "Q") {
        const end = pattern.indexOf("\\E", at);
        const close = end < 0 ? pattern.length : end;
        total += close - at;
        last = 1;
        at = end < 0 ? close : close + 1;
      } else if (kind === "p" || kind === "P") atom(COST.unicodeClass + (range > 1 ? range : 0));
      else atom(/[WDS]/.test(kind) ? range : 1);
    } else if (unit === "[") {
      const [cost, end] = classCost(pattern, at, range);
      atom(cost);
      at = end;
    } else if (unit === "(") {
      outer.push(total);
      total = COST.group;
    } else if (unit === ")" && outer.length > 0) {
      last = total;
      total += outer.pop()!;
    } else if (unit === "{") {
      REPEAT.lastIndex = at;
      const [whole = "", least, , most] = REPEAT.exec(pattern) ?? [];
      if (whole === "") atom(1);
      else {
        const times = Math.max(Number(least), Number(most || 0), 1);
        total += last * (times - 1);
        last *= times;
        at += whole.length - 1;
      }
    } else atom(1);
  }
  return outer.reduce((sum, cost) => sum + cost, total);
}

/** What a class in brackets costs, and where it ends. */
function classCost(pattern: string, open: number, range: number): readonly [cost: number, end: number] {
  let at = open + 1;
  let cost: number = COST.class;
  if (pattern[at] === "^") {
    cost += range;
    at++;
  }
  // A bracket that closes is a character where it comes first.
  for (let first = true; at < pattern.length && (first || pattern[at] !== "]"); at++, first = false) {
    work();
    if (pattern[at] === "\\") {
      at++;
      cost += /[pP]/.test(pattern[at] ?? "") ? COST.unicodeClass + (range > 1 ? range : 0) : 1;
      if (/[WDS]/.test(pattern[at] ?? "")) cost += range;
    } else if (pattern[at] === "-") cost += range;
    else if (pattern[at] === "[" && pattern[at + 1] === ":") {
      const end = pattern.indexOf(":]", at + 2);
      if (end > 0 && end - at < 16) at = end + 1;
      cost += range + 5;
    } else cost += 1 / 8;
    if (cost > MAX_PATTERN_COST) break;
  }
  return [cost, at];
}
