/**
 * Whether two patterns of the small language of `regex.globs_match` have a text in common: characters, `.`, sets like
 * `[a-c-]`, each with `+` or `*` behind it, and `\` before a character that is meant as it is.
 */
import { BuiltinError } from "../types/rego.ts";
import { halt, work } from "./work.ts";

/** A range of code points, both ends included. */
type Range = readonly [first: number, last: number];
/** What a token takes: any character, or those of ranges in order, none of which touches the next. */
type Accepts = "any" | readonly Range[];
interface Token {
  readonly accepts: Accepts;
  readonly flag: "" | "+" | "*";
}

function refuse(pattern: string, why: string): never {
  throw new BuiltinError(`${JSON.stringify(pattern.slice(0, 100))}: ${why}`);
}

function inOrder(ranges: readonly Range[]): readonly Range[] {
  const result: Range[] = [];
  work(4 * ranges.length);
  for (const [first, last] of ranges.toSorted(([a], [b]) => a - b)) {
    const before = result.at(-1);
    if (before && first <= before[1] + 1) result[result.length - 1] = [before[0], Math.max(before[1], last)];
    else result.push([first, last]);
  }
  return result;
}

function readSet(pattern: string, runes: readonly string[], open: number): { accepts: Accepts; end: number } {
  const members: Range[] = [];
  const code = (at: number) => runes[at]!.codePointAt(0)!;
  let previous: number | undefined;
  let at = open + 1;
  for (; at < runes.length && runes[at] !== "]"; at++) {
    if (runes[at] === "-" && previous !== undefined) {
      at++;
      if (runes[at] === "]" || runes[at] === "-") refuse(pattern, "a range without an end");
      if (runes[at] === "\\") at++;
      if (at >= runes.length - 1) refuse(pattern, "a range without an end");
      if (code(at) < previous) refuse(pattern, "a range that ends before it begins");
      members.push([previous, code(at)]);
      previous = undefined;
      continue;
    }
    if (runes[at] === "-") refuse(pattern, "a range without a beginning");
    if (runes[at] === "\\") at++;
    if (at >= runes.length) break;
    previous = code(at);
    members.push([previous, previous]);
  }
  if (at >= runes.length) refuse(pattern, "a set without an end");
  return { accepts: inOrder(members), end: at + 1 };
}

function tokens(pattern: string): readonly Token[] {
  const runes = [...pattern];
  const result: Token[] = [];
  for (let at = 0; at < runes.length;) {
    const rune = runes[at]!;
    let accepts: Accepts;
    if (rune === ".") {
      accepts = "any";
      at++;
    } else if (rune === "[") ({ accepts, end: at } = readSet(pattern, runes, at));
    else if (rune === "]" || rune === "+" || rune === "*") {
      return refuse(pattern, `${JSON.stringify(rune)} where a character is expected`);
    } else {
      if (rune === "\\" && ++at >= runes.length) return refuse(pattern, "nothing behind the last backslash");
      const code = runes[at]!.codePointAt(0)!;
      accepts = [[code, code]];
      at++;
    }
    const flag = runes[at] === "+" || runes[at] === "*" ? runes[at] as "+" | "*" : "";
    if (flag) at++;
    result.push({ accepts, flag });
  }
  return result;
}

function meet(a: Accepts, b: Accepts): boolean {
  if (a === "any" || b === "any") return true;
  work(1 + ((a.length + b.length) >> 2));
  for (let [i, j] = [0, 0]; i < a.length && j < b.length;) {
    if (a[i]![1] < b[j]![0]) i++;
    else if (b[j]![1] < a[i]![0]) j++;
    else return true;
  }
  return false;
}

function sameAccepts(a: Accepts, b: Accepts): boolean {
  if (a === "any" || b === "any") return a === b;
  work(1 + (a.length >> 2));
  return a.length === b.length && a.every(([first, last], at) => first === b[at]![0] && last === b[at]![1]);
}

/** Neighbours that repeat the same count as one. */
function simplified(list: readonly Token[]): readonly Token[] {
  const result: Token[] = [];
  for (const token of list) {
    const last = result.at(-1);
    if (last && last.flag !== "" && token.flag !== "" && sameAccepts(last.accepts, token.accepts)) {
      result[result.length - 1] = { ...last, flag: last.flag === "+" || token.flag === "+" ? "+" : "*" };
    } else result.push(token);
  }
  return result;
}

/** Steps of one comparison; what OPA does takes exponential time for patterns full of repetitions. */
const MAX_STEPS = 2_000_000;

/**
 * Compares from the left, as the library that OPA uses does. It is not exact: it finds no common text for some pairs that have
 * one, such as `[ab]*c*` and `a`. Policies get OPA's answer, so these too.
 */
class Intersection {
  #steps = 0;

  plain(a: readonly Token[], b: readonly Token[]): boolean {
    let at = 0;
    for (; at < a.length && at < b.length; at++) {
      this.#step();
      if (a[at]!.flag !== "" || b[at]!.flag !== "") return this.#repeated(a.slice(at), b.slice(at));
      if (!meet(a[at]!.accepts, b[at]!.accepts)) return false;
    }
    return at === a.length && at === b.length;
  }

  #step(): void {
    if (++this.#steps > MAX_STEPS) halt("the patterns are too intricate to be compared");
  }

  #repeated(a: readonly Token[], b: readonly Token[]): boolean {
    const [repeating, other] = a[0]!.flag !== "" ? [a, b] : [b, a];
    return repeating[0]!.flag === "+" ? this.#plus(repeating, other) : this.#star(repeating, other);
  }

  #plus(repeating: readonly Token[], other: readonly Token[]): boolean {
    if (!meet(repeating[0]!.accepts, other[0]!.accepts)) return false;
    if (this.#star(repeating, other.slice(1))) return true;
    return other[0]!.flag !== "" && this.plain(repeating.slice(1), other);
  }

  #star(repeating: readonly Token[], other: readonly Token[]): boolean {
    const [star, next] = repeating;
    for (const [at, token] of other.entries()) {
      this.#step();
      work(1 + ((repeating.length + other.length) >> 4));
      if (next && meet(token.accepts, next.accepts) && this.plain(repeating.slice(1), other.slice(at))) {
        return true;
      }
      if (!meet(token.accepts, star!.accepts)) return false;
    }
    return next === undefined;
  }
}

/** Drops what both begin and end with, down to one token; undefined when they differ there. */
function trimmed(
  a: readonly Token[],
  b: readonly Token[],
): readonly [readonly Token[], readonly Token[]] | undefined {
  let left = 0;
  for (; left < a.length && left < b.length && a[left]!.flag === "" && b[left]!.flag === ""; left++) {
    if (!meet(a[left]!.accepts, b[left]!.accepts)) return undefined;
  }
  if (left > 0) left--;
  let [i, j] = [a.length - 1, b.length - 1];
  for (; i >= left && j >= left && a[i]!.flag === "" && b[j]!.flag === ""; i--, j--) {
    if (!meet(a[i]!.accepts, b[j]!.accepts)) return undefined;
  }
  if (i < a.length - 1) {
    i++;
    j++;
  }
  return [a.slice(left, i + 1), b.slice(left, j + 1)];
}

/** Whether some text matches both patterns, as OPA answers. Throws {@link BuiltinError} for a pattern that can't be read. */
export function globsIntersect(left: string, right: string): boolean {
  const pair = trimmed(simplified(tokens(left)), simplified(tokens(right)));
  return pair !== undefined && new Intersection().plain(pair[0], pair[1]);
}
