/** Builtins on text: `sprintf`, `indexof_n`, `strings.*`. */
import { type RegoBuiltins, RegoNumber, RegoSet, type RegoValue } from "../../types/rego.ts";
import { type PrintfArgument, sprintf } from "../go_printf.ts";
import { fail, integerAt, listAt, stringAt } from "../rego_operands.ts";
import { shownText } from "../rego_text.ts";
import { digitsValue } from "../rego_number.ts";
import { checkCount } from "../rego_size.ts";
import { number, typeName } from "../rego_value.ts";
import { Searcher } from "../text_search.ts";
import { runeCount, work, workOn } from "../work.ts";

const INT64_MIN = -(2n ** 63n), INT64_MAX = 2n ** 63n - 1n;

function printfArgument(value: RegoValue): PrintfArgument {
  if (typeof value === "string") return { type: "string", value };
  if (!(value instanceof RegoNumber)) return { type: "string", value: shownText(value) };
  const { text } = value;
  if (/[.eE]/.test(text)) {
    const float = Number(text);
    return Number.isFinite(float) ? { type: "float64", value: float } : { type: "string", value: text };
  }
  const integer = digitsValue(text);
  return { type: integer >= INT64_MIN && integer <= INT64_MAX ? "int64" : "*big.Int", value: integer };
}

/** The strings of a string, array or set, as `strings.any_prefix_match` takes them. */
function stringsAt(operands: readonly RegoValue[], at: number): readonly string[] {
  const value = operands[at]!;
  if (typeof value === "string") return [value];
  const members = value instanceof RegoSet ? value.members : value;
  if (!Array.isArray(members)) fail(`operand ${at + 1} must be one of {string, set, array}`);
  workOn(members.length);
  return members.map((member: RegoValue) =>
    typeof member === "string"
      ? member
      : fail(`operand ${at + 1} must be array of strings but got array containing ${typeName(member)}`)
  );
}

function anyAffix(
  operands: readonly RegoValue[],
  matches: (text: string, affix: string) => boolean,
): boolean {
  const texts = stringsAt(operands, 0);
  const affixes = stringsAt(operands, 1);
  return texts.some((text) =>
    affixes.some((affix) => {
      if (affix.length <= text.length) workOn(affix.length);
      else work();
      return matches(text, affix);
    })
  );
}

/** The characters of a text, or what is between its separators. */
function* pieces(text: string, separator: string): Generator<string> {
  if (separator === "") {
    for (const rune of text) {
      work();
      yield rune;
    }
    return;
  }
  let start = 0;
  for (const at of new Searcher(separator).occurrences(text)) {
    yield text.slice(start, at);
    start = at + separator.length;
  }
  yield text.slice(start);
}

function split(text: string, separator: string, most: number): string[] {
  const found: string[] = [];
  if (most === 0) return found;
  for (const piece of pieces(text, separator)) {
    checkCount("strings.split_n", found.push(piece));
    if (found.length === most) break;
  }
  return found;
}

export const STRING_BUILTINS: RegoBuiltins = {
  sprintf: (operands) => sprintf(stringAt(operands, 0), listAt(operands, 1).map(printfArgument)),
  indexof_n: (operands) => {
    const text = stringAt(operands, 0);
    const search = stringAt(operands, 1);
    if (search === "") fail("empty search character");
    const found: RegoValue[] = [];
    // Characters are counted, not units: from one place to the next.
    let [counted, runes] = [0, 0];
    for (const at of new Searcher(search).occurrences(text, true)) {
      runes += runeCount(text.slice(counted, at));
      counted = at;
      checkCount("indexof_n", found.push(number(runes)));
    }
    return found;
  },
  "strings.any_prefix_match": (operands) => anyAffix(operands, (text, affix) => text.startsWith(affix)),
  "strings.any_suffix_match": (operands) => anyAffix(operands, (text, affix) => text.endsWith(affix)),
  "strings.count": (operands) => {
    const text = stringAt(operands, 0);
    const search = stringAt(operands, 1);
    if (search === "") return number(runeCount(text) + 1);
    let count = 0;
    for (const _ of new Searcher(search).occurrences(text)) count++;
    return number(count);
  },
  "strings.split_n": (operands) => {
    const text = stringAt(operands, 0);
    const separator = stringAt(operands, 1);
    const count = integerAt(operands, 2);
    return count >= 0 ? split(text, separator, count) : split(text, separator, Infinity).slice(count);
  },
};
