/**
 * Builtins on patterns: `regex.*` and `glob.quote_meta`. Patterns come from policies and their settings, so they run on RE2JS,
 * a port of Go's own engine: the same syntax and matches, and time linear in the text, whatever the pattern.
 */
import { loadRe2, type RE2JS } from "../../../deps.ts";
import { BuiltinError, type RegoBuiltins, type RegoContext, type RegoValue } from "../../types/rego.ts";
import { globsIntersect } from "../glob_intersection.ts";
import { fail, halt, integerAt, stringAt } from "../rego_operands.ts";

// Whoever loads the builtins loads the engine; nobody else does.
const { RE2JS: re2 } = await loadRe2();
/** As long as OPA's own cache. */
const MAX_CACHED = 100;
/** A longer pattern's program would take too much memory and too long to build. */
const MAX_PATTERN = 64 * 1024;
const cache = new Map<string, RE2JS>();

/** A compiled pattern. Throws {@link BuiltinError} for one that Go would not take. */
export function compiled(pattern: string): RE2JS {
  const known = cache.get(pattern);
  if (known) return known;
  if (pattern.length > MAX_PATTERN) halt(`the pattern is longer than ${MAX_PATTERN} characters`);
  let regex: RE2JS;
  try {
    regex = re2.compile(pattern);
  } catch (error) {
    throw new BuiltinError(error instanceof Error ? error.message : String(error));
  }
  if (cache.size >= MAX_CACHED) cache.delete(cache.keys().next().value!);
  cache.set(pattern, regex);
  return regex;
}

interface Match {
  readonly start: number;
  readonly end: number;
  readonly groups: readonly (string | undefined)[];
  readonly named: Readonly<Record<string, number>>;
}

/** Matches from left to right as Go's FindAll gives them: no empty match right behind another match. */
function* matches(regex: RE2JS, text: string, context: RegoContext): Generator<Match> {
  const matcher = regex.matcher(text);
  const named = regex.namedGroups() as Readonly<Record<string, number>>;
  let previousEnd = -1;
  let count = 0;
  while (matcher.find()) {
    if ((++count & 0xff) === 0) context.check();
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

/** Go's `Regexp.Expand`: `$1`, `${1}`, `$name`, `${name}`, `$$`. */
function expand(template: string, { groups, named }: Match): string {
  return template.replace(/\$(?:\$|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))?/gu, (whole, braced, bare) => {
    if (whole === "$$") return "$";
    const name: string | undefined = braced ?? bare;
    if (name === undefined) return whole;
    const index = /^\d+$/.test(name) ? Number(name) : Object.hasOwn(named, name) ? named[name]! : -1;
    return groups[index] ?? "";
  });
}

function split(regex: RE2JS, pattern: string, text: string, context: RegoContext): string[] {
  if (pattern.length > 0 && text.length === 0) return [""];
  const pieces: string[] = [];
  let begin = 0;
  let end = 0;
  for (const match of matches(regex, text, context)) {
    end = match.start;
    if (match.end !== 0) pieces.push(text.slice(begin, end));
    begin = match.end;
  }
  if (end !== text.length) pieces.push(text.slice(begin));
  return pieces;
}

/** The pattern that a template stands for: what is between the delimiters is a pattern, all else is meant literally. */
function templatePattern(template: string, open: string, close: string): string {
  let level = 0;
  let start = 0;
  let end = 0;
  let pattern = "^";
  for (let at = 0; at < template.length; at++) {
    // The order matters where both delimiters are the same.
    if (template[at] === open) {
      if (++level === 1) start = at;
    } else if (template[at] === close) {
      level--;
      if (level < 0) fail(`unbalanced braces in ${JSON.stringify(template)}`);
      if (level > 0) continue;
      const part = template.slice(start + 1, at);
      compiled(`^${part}$`);
      pattern += `${re2.quote(template.slice(end, start))}(${part})`;
      end = at + 1;
    }
  }
  if (level !== 0) fail(`unbalanced braces in ${JSON.stringify(template)}`);
  return `${pattern}${re2.quote(template.slice(end))}$`;
}

function delimiter(operands: readonly RegoValue[], at: number, which: string): string {
  const text = stringAt(operands, at);
  // One byte, as OPA counts.
  if (text.length !== 1 || text > "\x7f") fail(`${which} delimiter has to be exactly one character long`);
  return text;
}

export const REGEX_BUILTINS: RegoBuiltins = {
  "regex.find_n": (operands, context) => {
    const regex = compiled(stringAt(operands, 0));
    const limit = integerAt(operands, 2);
    const found: string[] = [];
    for (const match of matches(regex, stringAt(operands, 1), context)) {
      if (limit >= 0 && found.length >= limit) break;
      found.push(match.groups[0] ?? "");
    }
    return found;
  },
  "regex.globs_match": (operands) => globsIntersect(stringAt(operands, 0), stringAt(operands, 1)),
  "regex.replace": (operands, context) => {
    const text = stringAt(operands, 0);
    const regex = compiled(stringAt(operands, 1));
    const template = stringAt(operands, 2);
    let result = "";
    let end = 0;
    for (const match of matches(regex, text, context)) {
      result += text.slice(end, match.start) + expand(template, match);
      end = match.end;
    }
    return result + text.slice(end);
  },
  "regex.split": (operands, context) => {
    const pattern = stringAt(operands, 0);
    return split(compiled(pattern), pattern, stringAt(operands, 1), context);
  },
  "regex.template_match": (operands) => {
    const [open, close] = [delimiter(operands, 2, "start"), delimiter(operands, 3, "end")];
    const regex = compiled(templatePattern(stringAt(operands, 0), open, close));
    return regex.matcher(stringAt(operands, 1)).find();
  },
  "glob.quote_meta": (operands) => stringAt(operands, 0).replace(/[*?\\[\]{}]/g, "\\$&"),
};
