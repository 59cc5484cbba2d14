/** Regular expressions in RE2's syntax and linear time; patterns and texts come from tenants. */
import type { RE2JS } from "../../../deps.ts";
import type { Library } from "./library.ts";
import type { Meter } from "./meter.ts";

const MAX_PATTERN = 2_048;
/** Instructions of a pattern's program, about. Building so many takes about 20 ms. */
const MAX_PROGRAM = 10_000;
/** Instructions of all programs that are kept. */
const MAX_KEPT_PROGRAMS = 100_000;
/**
 * Characters of the text times instructions of the program, for one match, which nothing interrupts. RE2's slowest engine
 * takes 15 to 30 ns for each (Node 26 and Bun), so that a match ends within about 100 ms.
 */
const MAX_MATCH_STEPS = 4_000_000;
/** Match steps for one unit of cost: the API server takes a tenth of the text times a quarter of the pattern. */
const STEPS_PER_COST = 40;
/** A class is one instruction, but is built of many ranges: for each of Unicode's classes in it so much. */
const CLASS_COST = 20;
/** Where cases are not told apart, those of every member of each range are looked up. */
const FOLDING = 3;
const FOLDS_CASES = /\(\?[a-zA-Z]*i/;

export type ProgramSize = {
  /** Instructions that a match goes through. */
  readonly instructions: number;
  /** What building them costs, in instructions. */
  readonly building: number;
};

const TOKEN =
  /\\Q.*?(?:\\E|$)|\\[pP](?:\{[^}]*\}|.)|\\x\{[^}]*\}|\\.|\[\^?\]?(?:\[:[^\]]*:\]|\\.|[^\]\\])*\]?|\{\d+(?:,\d*)?\}|./gs;

const NOTHING: ProgramSize = { instructions: 0, building: 0 };
const plus = (a: ProgramSize, b: ProgramSize): ProgramSize => ({
  instructions: a.instructions + b.instructions,
  building: a.building + b.building,
});
const times = (a: ProgramSize, factor: number): ProgramSize => ({
  instructions: a.instructions * factor,
  building: a.building * factor,
});

/** What a pattern's program will be like in size, repetitions written out; without compiling it. */
export function programSize(pattern: string): ProgramSize {
  // Sizes of the groups that are open, and of the last atom of each, which a repetition multiplies.
  const open: { size: ProgramSize; last: ProgramSize }[] = [{ size: NOTHING, last: NOTHING }];
  const atom = (size: ProgramSize) => {
    const group = open.at(-1)!;
    group.size = plus(group.size, size);
    group.last = size;
  };
  const some = (instructions: number, building = instructions) => ({ instructions, building });
  const classCost = FOLDS_CASES.test(pattern) ? CLASS_COST * FOLDING : CLASS_COST;
  for (const [part] of pattern.matchAll(TOKEN)) {
    if (part === "(") open.push({ size: some(2), last: NOTHING });
    else if (part === ")") {
      if (open.length > 1) atom(open.pop()!.size);
    } else if (/^\{\d/.test(part)) {
      const group = open.at(-1)!;
      const [least = 1, most = least] = part.slice(1, -1).split(",").map(Number);
      // Each repetition that may be left out is one more instruction.
      const whole = plus(times(group.last, Math.max(least, most, 1)), some(Math.max(most - least, 0)));
      group.size = plus(group.size, plus(whole, times(group.last, -1)));
      group.last = whole;
    } else if (/^\\Q/.test(part)) atom(some(part.length));
    else if (/^(?:\\[pP]|\[.{4})/s.test(part)) {
      atom(some(1, classCost * Math.max(1, part.match(/\\[pP]/g)?.length ?? 0)));
    } else atom(some(1));
  }
  return open.reduce((total, { size }) => plus(total, size), NOTHING);
}

type Pattern = { readonly size: number; readonly compiled: RE2JS };

/** Compiles patterns and keeps them; `compile` is RE2's. */
function patternCache(compile: (pattern: string) => RE2JS): (text: string, meter: Meter) => Pattern {
  const kept = new Map<string, Pattern>();
  let keptSize = 0;
  return (text, meter) => {
    const known = kept.get(text);
    if (known !== undefined) return known;
    if (text.length > MAX_PATTERN) {
      throw new Error(`the regular expression is longer than ${MAX_PATTERN} characters`);
    }
    const { instructions: size, building } = programSize(text);
    if (!(building <= MAX_PROGRAM)) {
      throw new Error(
        `the regular expression needs more than ${MAX_PROGRAM} instructions; repeat fewer times`,
      );
    }
    meter.charge(100 + 5 * building);
    const compiled = compile(text);
    meter.checkTime();
    if (keptSize + size > MAX_KEPT_PROGRAMS) {
      kept.clear();
      keptSize = 0;
    }
    const pattern = { size, compiled };
    kept.set(text, pattern);
    keptSize += size;
    return pattern;
  };
}

/** The functions; `compile` is RE2's. */
export function patternLibrary(compile: (pattern: string) => RE2JS): Library {
  const patternOf = patternCache(compile);

  function matcherOf(text: string, pattern: string, meter: Meter) {
    const { size, compiled } = patternOf(pattern, meter);
    const steps = (text.length + 1) * (size + 1);
    if (steps > MAX_MATCH_STEPS) {
      throw new Error(
        `a regular expression of ${size} instructions is too much for a text of ${text.length} characters`,
      );
    }
    meter.charge(Math.ceil(steps / STEPS_PER_COST));
    meter.checkTime();
    return compiled.matcher(text);
  }

  function matches(text: string, pattern: string, meter: Meter): boolean {
    const found = matcherOf(text, pattern, meter).find();
    meter.checkTime();
    return found;
  }

  function findAll(text: string, pattern: string, limit: number, meter: Meter): string[] {
    const matcher = matcherOf(text, pattern, meter);
    const found: string[] = [];
    // Each match may go through the whole rest of the text: after each the clock is read.
    while (found.length < limit && matcher.find()) {
      meter.charge(1);
      meter.checkTime();
      found.push(matcher.group() ?? "");
    }
    meter.checkTime();
    return found;
  }

  return {
    functions: {
      "string.matches(string): bool": matches,
      "matches(string, string): bool": matches,
      "string.find(string): string": (text: string, pattern: string, meter: Meter) =>
        findAll(text, pattern, 1, meter)[0] ?? "",
      "string.findAll(string): list": (text: string, pattern: string, meter: Meter) =>
        findAll(text, pattern, Infinity, meter),
      "string.findAll(string, int): list": (text: string, pattern: string, limit: bigint, meter: Meter) =>
        findAll(text, pattern, limit < 0n ? Infinity : Number(limit), meter),
    },
  };
}
