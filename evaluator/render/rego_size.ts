/** How large the operands of a builtin are, held against its limits. */
import { RegoNumber, RegoObject, RegoSet, type RegoValue } from "../types/rego.ts";
import { MAX_NESTING, MAX_VALUES, type RegoLimit } from "../types/rego_limits.ts";
import { isList } from "./rego_value.ts";
import { halt, work } from "./work.ts";

/** Refuses operands that are larger than a builtin's limits. Throws {@link BuiltinHalt}. */
export function checkOperands(name: string, operands: readonly RegoValue[], limit: RegoLimit): void {
  let characters = 0;
  let values = 0;
  const count = (value: RegoValue, depth: number): void => {
    work();
    if (++values > limit.values) halt(`${name}: operands of more than ${limit.values} values`);
    if (depth > MAX_NESTING) halt(`${name}: operands nested deeper than ${MAX_NESTING} levels`);
    if (typeof value === "string") characters += value.length;
    else if (value instanceof RegoNumber) characters += value.text.length;
    else if (value instanceof RegoSet) { for (const member of value.members) count(member, depth + 1); }
    else if (value instanceof RegoObject) {
      for (const [key, content] of value.entries) {
        count(key, depth + 1);
        count(content, depth + 1);
      }
    } else if (value !== null && typeof value !== "boolean" && isList(value)) {
      for (const member of value) count(member, depth + 1);
    }
    if (characters > limit.characters) halt(`${name}: operands of more than ${limit.characters} characters`);
  };
  for (const operand of operands) count(operand, 0);
}

/** Refuses to make more values than could be handed to the guest. Throws {@link BuiltinHalt}. */
export function checkCount(name: string, count: number): void {
  if (count > MAX_VALUES) halt(`${name}: more than ${MAX_VALUES} values`);
}
