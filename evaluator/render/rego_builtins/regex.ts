/**
 * Builtins on patterns: `regex.*` and `glob.quote_meta`. Patterns come from policies and their settings, so they run on RE2JS,
 * a port of Go's own engine: the same syntax and matches, and time linear in the text, whatever the pattern.
 */
import { MatcherInput, RE2JS } from "../../../deps.ts";
import { BuiltinError, type RegoBuiltins, type RegoValue } from "../../types/rego.ts";
import { MAX_TEXT } from "../../types/rego_limits.ts";
import { globsIntersect } from "../glob_intersection.ts";
import { fail, halt, integerAt, stringAt } from "../rego_operands.ts";
import { MAX_PATTERN_COST, patternCost } from "../regex_cost.ts";
import { checkCount } from "../rego_size.ts";
import { Searcher } from "../text_search.ts";
import { BoundedText, mapText, pause, work, workOn } from "../work.ts";

/** As long as OPA's own cache. */
const MAX_CACHED = 100;
/** What all cached patterns may cost together: some 100 MB. */
const MAX_CACHED_COST = 20 * MAX_PATTERN_COST;
const MAX_PATTERN = 64 * 1024;
/** Compiled once for a thread, as OPA does: patterns are mostly constants of policies. */
const cache = new Map<string, { readonly regex: RE2JS; readonly cost: number }>();
let cachedCost = 0;

function cached(pattern: string, regex: RE2JS, cost: number): RE2JS {
  cache.set(pattern, { regex, cost });
  cachedCost += cost;
  for (const [oldest, { cost: freed }] of cache) {
    if (cache.size <= MAX_CACHED && cachedCost <= MAX_CACHED_COST) break;
    cache.delete(oldest);
    cachedCost -= freed;
  }
  return regex;
}

/** A compiled pattern. Throws {@link BuiltinError} for one that Go would not take. */
export function compiled(pattern: string): RE2JS {
  if (pattern.length > MAX_PATTERN) halt(`the pattern is longer than ${MAX_PATTERN} characters`);
  const known = cache.get(pattern);
  if (known) return known.regex;
  const cost = patternCost(pattern);
  if (cost > MAX_PATTERN_COST) {
    halt(
      `the pattern ${
        JSON.stringify(pattern.slice(0, 100))
      } would become a program of over ${MAX_PATTERN_COST} steps`,
    );
  }
  pause();
  let regex: RE2JS;
  try {
    regex = RE2JS.compile(pattern);
  } catch (error) {
    if (error instanceof RangeError) throw error;
    throw new BuiltinError((error instanceof Error ? error.message : String(error)).slice(0, 500));
  }
  pause();
  return cached(pattern, regex, cost);
}

/**
 * A text as the engine reads it: it asks for one unit after the other, and that is counted, so that a match can be interrupted.
 * The engine takes whatever calls itself a String and has these methods.
 */
class MeteredText {
  readonly #text: string;
  readonly #cost: number;
  /** The last search for each literal: the engine asks for the same one at every match. */
  readonly #searches = new Map<string, { searcher: Searcher; from: number; found: number }>();
  readonly [Symbol.toStringTag] = "String";
  readonly length: number;

  /** `cost` is what one character costs: a step of every instruction of the program at most. */
  constructor(text: string, cost: number) {
    this.#text = text;
    this.#cost = cost;
    this.length = text.length;
  }

  charCodeAt(at: number): number {
    work(this.#cost);
    return this.#text.charCodeAt(at);
  }

  indexOf(literal: string, from: number): number {
    if (literal === "") return Math.min(from, this.length);
    let search = this.#searches.get(literal);
    if (search === undefined) {
      this.#searches.set(literal, search = { searcher: new Searcher(literal), from: Infinity, found: -1 });
    }
    const known = search.from <= from && (search.found < 0 || search.found >= from);
    if (!known) {
      search.found = search.searcher.indexOf(this.#text, from);
      search.from = from;
    }
    return search.found;
  }

  substring(start: number, end: number): string {
    workOn(end - start);
    return this.#text.slice(start, end);
  }

  toString(): string {
    return this.#text;
  }
}

/** A matcher whose time is limited like all else. */
export function matcherOf(regex: RE2JS, text: string): ReturnType<RE2JS["matcher"]> {
  const cost = 1 + (regex.re2().numberOfInstructions() >> 4);
  return regex.matcher(MatcherInput.utf16(new MeteredText(text, cost) as unknown as string));
}

interface Match {
  readonly start: number;
  readonly end: number;
  readonly groups: readonly (string | undefined)[];
  readonly named: Readonly<Record<string, number>>;
}

/** Matches from left to right as Go's FindAll gives them: no empty match right behind another match. */
function* matches(regex: RE2JS, text: string): Generator<Match> {
  const matcher = matcherOf(regex, text);
  const named = regex.namedGroups() as Readonly<Record<string, number>>;
  let previousEnd = -1;
  while (matcher.find()) {
    work(100);
    const start: number = matcher.start();
    const end: number = matcher.end();
    if (start === end && start === previousEnd) continue;
    previousEnd = end;
    const groups: (string | undefined)[] = [];
    for (let group = 0; group <= matcher.groupCount(); group++) {
      groups.push(matcher.group(group) ?? undefined);
    }
    yield { start, end, groups, named };
  }
}

const REFERENCE = /\$(?:\$|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))?/gu;

/** Go's `Regexp.Expand`: `$1`, `${1}`, `$name`, `${name}`, `$$`. */
function expand(template: string, { groups, named }: Match, result: BoundedText): void {
  let end = 0;
  REFERENCE.lastIndex = 0;
  for (let found = REFERENCE.exec(template); found; found = REFERENCE.exec(template)) {
    work(4);
    const [whole, braced, bare] = found;
    result.add(template.slice(end, found.index));
    end = found.index + whole.length;
    const name = braced ?? bare;
    if (name === undefined) result.add(whole === "$$" ? "$" : whole);
    else {
      const index = /^\d+$/.test(name) ? Number(name) : Object.hasOwn(named, name) ? named[name]! : -1;
      result.add(groups[index] ?? "");
    }
  }
  result.add(template.slice(end));
}

function split(regex: RE2JS, pattern: string, text: string): string[] {
  if (pattern.length > 0 && text.length === 0) return [""];
  const pieces: string[] = [];
  let begin = 0;
  let end = 0;
  for (const match of matches(regex, text)) {
    end = match.start;
    if (match.end !== 0) checkCount("regex.split", pieces.push(text.slice(begin, end)));
    begin = match.end;
  }
  if (end !== text.length) pieces.push(text.slice(begin));
  return pieces;
}

/** The pattern that a template stands for: what is between the delimiters is a pattern, all else is meant literally. */
function templatePattern(template: string, open: string, close: string): string {
  let level = 0;
  if (template.length > MAX_PATTERN) halt(`the template is longer than ${MAX_PATTERN} characters`);
  let start = 0;
  let end = 0;
  let pattern = "^";
  for (let at = 0; at < template.length; at++) {
    work();
    // The order matters where both delimiters are the same.
    if (template[at] === open) {
      if (++level === 1) start = at;
    } else if (template[at] === close) {
      level--;
      if (level < 0) fail(`unbalanced braces in ${JSON.stringify(template)}`);
      if (level > 0) continue;
      const part = template.slice(start + 1, at);
      compiled(`^${part}$`);
      pattern += `${RE2JS.quote(template.slice(end, start))}(${part})`;
      end = at + 1;
    }
  }
  if (level !== 0) fail(`unbalanced braces in ${JSON.stringify(template)}`);
  return `${pattern}${RE2JS.quote(template.slice(end))}$`;
}

function delimiter(operands: readonly RegoValue[], at: number, which: string): string {
  const text = stringAt(operands, at);
  // One byte, as OPA counts.
  if (text.length !== 1 || text > "\x7f") fail(`${which} delimiter has to be exactly one character long`);
  return text;
}

export const REGEX_BUILTINS: RegoBuiltins = {
  "regex.find_n": (operands) => {
    const regex = compiled(stringAt(operands, 0));
    const limit = integerAt(operands, 2);
    const found: string[] = [];
    for (const match of matches(regex, stringAt(operands, 1))) {
      if (limit >= 0 && found.length >= limit) break;
      checkCount("regex.find_n", found.push(match.groups[0] ?? ""));
    }
    return found;
  },
  "regex.globs_match": (operands) => globsIntersect(stringAt(operands, 0), stringAt(operands, 1)),
  "regex.replace": (operands) => {
    const text = stringAt(operands, 0);
    const regex = compiled(stringAt(operands, 1));
    const template = stringAt(operands, 2);
    const result = new BoundedText(MAX_TEXT, "the result");
    let end = 0;
    for (const match of matches(regex, text)) {
      result.add(text.slice(end, match.start));
      expand(template, match, result);
      end = match.end;
    }
    result.add(text.slice(end));
    return result.toString();
  },
  "regex.split": (operands) => {
    const pattern = stringAt(operands, 0);
    return split(compiled(pattern), pattern, stringAt(operands, 1));
  },
  "regex.template_match": (operands) => {
    const [open, close] = [delimiter(operands, 2, "start"), delimiter(operands, 3, "end")];
    const regex = compiled(templatePattern(stringAt(operands, 0), open, close));
    return matcherOf(regex, stringAt(operands, 1)).find();
  },
  "glob.quote_meta": (operands) =>
    mapText(stringAt(operands, 0), MAX_TEXT, (piece) => piece.replace(/[*?\\[\]{}]/g, "\\$&")),
};
