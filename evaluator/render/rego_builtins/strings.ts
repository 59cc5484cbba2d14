/** Builtins on text: `sprintf`, `indexof_n`, `strings.*`. */
import { type RegoBuiltins, RegoNumber, RegoSet, type RegoValue } from "../../types/rego.ts";
import { type PrintfArgument, PrintfLimitError, sprintf } from "../go_printf.ts";
import { fail, halt, integerAt, listAt, stringAt } from "../rego_operands.ts";
import { shownText } from "../rego_text.ts";
import { number, typeName } from "../rego_value.ts";

const INT64_MIN = -(2n ** 63n), INT64_MAX = 2n ** 63n - 1n;

function printfArgument(value: RegoValue): PrintfArgument {
  if (typeof value === "string") return { type: "string", value };
  if (!(value instanceof RegoNumber)) return { type: "string", value: shownText(value) };
  const { text } = value;
  if (/[.eE]/.test(text)) {
    const float = Number(text);
    return Number.isFinite(float) ? { type: "float64", value: float } : { type: "string", value: text };
  }
  const integer = BigInt(text);
  return { type: integer >= INT64_MIN && integer <= INT64_MAX ? "int64" : "*big.Int", value: integer };
}

/** The strings of a string, array or set, as `strings.any_prefix_match` takes them. */
function stringsAt(operands: readonly RegoValue[], at: number): readonly string[] {
  const value = operands[at]!;
  if (typeof value === "string") return [value];
  const members = value instanceof RegoSet ? value.members : value;
  if (!Array.isArray(members)) fail(`operand ${at + 1} must be one of {string, set, array}`);
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
  return texts.some((text) => affixes.some((affix) => matches(text, affix)));
}

/** Pieces of a text; by an empty separator, its characters. */
function split(text: string, separator: string, limit: number): string[] {
  if (limit === 0) return [];
  const pieces = separator === "" ? [...text] : text.split(separator);
  if (limit < 0 || pieces.length <= limit) return pieces;
  return [...pieces.slice(0, limit - 1), pieces.slice(limit - 1).join(separator)];
}

export const STRING_BUILTINS: RegoBuiltins = {
  sprintf: (operands) => {
    try {
      return sprintf(stringAt(operands, 0), listAt(operands, 1).map(printfArgument));
    } catch (error) {
      if (error instanceof PrintfLimitError) halt(error.message);
      throw error;
    }
  },
  indexof_n: (operands, context) => {
    const base = [...stringAt(operands, 0)];
    const search = [...stringAt(operands, 1)];
    if (search.length === 0) fail("empty search character");
    const found: RegoValue[] = [];
    for (let at = 0; at + search.length <= base.length; at++) {
      if ((at & 0xfff) === 0) context.check();
      if (search.every((rune, offset) => base[at + offset] === rune)) found.push(number(at));
    }
    return found;
  },
  "strings.any_prefix_match": (operands) => anyAffix(operands, (text, affix) => text.startsWith(affix)),
  "strings.any_suffix_match": (operands) => anyAffix(operands, (text, affix) => text.endsWith(affix)),
  "strings.count": (operands) => {
    const text = stringAt(operands, 0);
    const search = stringAt(operands, 1);
    return number(search === "" ? [...text].length + 1 : text.split(search).length - 1);
  },
  "strings.split_n": (operands) => {
    const text = stringAt(operands, 0);
    const separator = stringAt(operands, 1);
    const count = integerAt(operands, 2);
    if (count >= 0) return split(text, separator, count + 1).slice(0, count);
    const pieces = split(text, separator, -1);
    return pieces.slice(Math.max(pieces.length + count, 0));
  },
};
