/**
 * Expressions of policy groups: where JavaScript reads the same text as an expression over the same members, its value is the
 * same; and what the operator takes, the server takes.
 */
import { checkGroupExpression } from "../../../crd/render/group_expression.ts";
import {
  evaluateExpression,
  ExpressionError,
  expressionError,
  parseExpression,
} from "../../../evaluator/render/group_expression.ts";
import { Finding, same } from "../target.ts";
import { textTarget } from "../text_target.ts";

const MEMBERS = ["a", "b", "c"];
/** What means the same to JavaScript: members, booleans, and, or, not, brackets. */
const COMMON = /^(?:[abc]\(\)|true\b|false\b|&&|\|\||!|\(|\)|[ \n])*$/;

function valueInJavaScript(text: string, member: (name: string) => boolean): boolean | undefined {
  if (!COMMON.test(text)) return undefined;
  try {
    // The text holds nothing but the tokens above.
    const value = new Function("a", "b", "c", `return (${text}\n)`)(
      ...MEMBERS.map((name) => () => member(name)),
    );
    return typeof value === "boolean" ? value : undefined;
  } catch {
    return undefined;
  }
}

export const target = textTarget({
  name: "group-expressions",
  examples: [
    "a()",
    "a() && b()",
    "a() && (b() || !c())",
    "!(a() || b()) && c() || true",
    "a() == b() && 1 < 2",
    "a() /* x */ && // y\nb()",
    "((((a()))))",
    "-1 + 2 * 3 > 4 % 2 && a()",
    "a() | b() & c() ^ true",
  ],
  words: [
    "a()",
    "b()",
    "c()",
    " && ",
    " || ",
    "!",
    "(",
    ")",
    "true",
    "false",
    "==",
    "!=",
    "d()",
    "1",
    "<",
    "\n",
  ],
  expected: [ExpressionError],
  read: async (text) => {
    const problem = checkGroupExpression(text, MEMBERS);
    if (
      problem?.kind === "compilation" && problem.text.length > 3 * text.length + 4096 + text.length ** 2 / 4
    ) {
      throw new Finding("long error", "the operator's explanation grows faster than the expression");
    }
    const expression = parseExpression(text);
    const error = await expressionError(expression, MEMBERS);
    if (error !== undefined) throw new ExpressionError(error);
    for (let answers = 0; answers < 8; answers++) {
      const member = (name: string) => (answers >> MEMBERS.indexOf(name) & 1) === 1;
      const expected = valueInJavaScript(text, member);
      let value: boolean;
      try {
        value = await evaluateExpression(expression, member);
      } catch (caught) {
        if (!(caught instanceof ExpressionError) || expected !== undefined) throw caught;
        continue;
      }
      if (expected !== undefined) same(`${text} for answers ${answers}`, expected, value);
    }
  },
});
