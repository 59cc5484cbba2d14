/**
 * The expression of a policy group (`spec/evaluator.md §10.1`): members as functions without arguments, combined to one
 * boolean. Parsed once, checked when the group is loaded, evaluated lazily from left to right.
 */

/** Raised for an expression that can't be used; the message holds the position, counted from 1. */
export class ExpressionError extends Error {
  override readonly name = "ExpressionError";
}

type Value = boolean | number | string;
type Position = { readonly line: number; readonly column: number };
type BinaryOperator =
  | "||"
  | "&&"
  | "|"
  | "^"
  | "&"
  | "=="
  | "!="
  | "<"
  | "<="
  | ">"
  | ">="
  | "+"
  | "-"
  | "*"
  | "/"
  | "%";

/** A parsed expression. */
export type Expression =
  | { readonly kind: "literal"; readonly value: Value; readonly at: Position }
  | { readonly kind: "member"; readonly name: string; readonly at: Position }
  | {
    readonly kind: "unary";
    readonly operator: "!" | "-" | "+";
    readonly operand: Expression;
    readonly at: Position;
  }
  | {
    readonly kind: "binary";
    readonly operator: BinaryOperator;
    readonly left: Expression;
    readonly right: Expression;
    readonly at: Position;
  };

/** Precedence of the original's language, low to high. */
const PRECEDENCE: Readonly<Record<BinaryOperator, number>> = {
  "||": 30,
  "|": 30,
  "^": 30,
  "&&": 60,
  "&": 60,
  "==": 90,
  "!=": 90,
  "<": 130,
  "<=": 130,
  ">": 130,
  ">=": 130,
  "+": 150,
  "-": 150,
  "*": 180,
  "/": 180,
  "%": 180,
};

const MAX_LENGTH = 64 * 1024;
const MAX_DEPTH = 64;
/** Operators in a row nest too, the first one deepest, and who goes through the tree calls itself. */
const MAX_OPERATORS = 1_000;
/** Names are shown with so many characters in errors. */
const MAX_SHOWN = 160;

const TOKEN =
  /(?<space>\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)|(?<number>0x[0-9a-fA-F_]+|0b[01_]+|0o[0-7_]+|[0-9][0-9_]*(?:\.[0-9_]+)?(?:[eE][+-]?[0-9]+)?)|(?<string>"(?:[^"\\\n]|\\.)*")|(?<name>[A-Za-z_][A-Za-z0-9_]*)|(?<operator>\|\||&&|[!=<>]=|[!<>|&^+\-*\/%()])/uy;

type Token = {
  readonly kind: "number" | "string" | "name" | "operator" | "end";
  readonly text: string;
  readonly at: Position;
};

const brief = (text: string): string => text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;

function where({ line, column }: Position): string {
  return `(line ${line}, position ${column})`;
}

function tokens(source: string): readonly Token[] {
  if (source.length > MAX_LENGTH) {
    throw new ExpressionError(`Syntax error: longer than ${MAX_LENGTH} characters`);
  }
  const found: Token[] = [];
  let line = 1;
  let lineStart = 0;
  let index = 0;
  while (index < source.length) {
    const at = { line, column: index - lineStart + 1 };
    TOKEN.lastIndex = index;
    const match = TOKEN.exec(source);
    if (!match) {
      throw new ExpressionError(
        `Syntax error: unexpected \`${String.fromCodePoint(source.codePointAt(index)!)}\` ${where(at)}`,
      );
    }
    const text = match[0];
    // No operator is followed by `*`; each further one of these would be looked through to the end of the text.
    if (text === "/" && source[index + 1] === "*") {
      throw new ExpressionError(`Syntax error: a comment that has no end ${where(at)}`);
    }
    const groups = match.groups!;
    const kind = (["number", "string", "name", "operator"] as const).find((name) =>
      groups[name] !== undefined
    );
    if (kind) found.push({ kind, text, at });
    for (let offset = text.indexOf("\n"); offset >= 0; offset = text.indexOf("\n", offset + 1)) {
      line++;
      lineStart = index + offset + 1;
    }
    index += text.length;
  }
  found.push({ kind: "end", text: "the end", at: { line, column: index - lineStart + 1 } });
  return found;
}

/** Parses the text of an expression. Throws {@link ExpressionError}. */
export function parseExpression(source: string): Expression {
  const list = tokens(source);
  let next = 0;
  let operators = 0;
  const peek = () => list[next]!;
  const take = () => list[next++]!;
  const expected = (what: string, token: Token): ExpressionError =>
    new ExpressionError(`Syntax error: expected ${what}, found \`${brief(token.text)}\` ${where(token.at)}`);
  const expect = (text: string) => {
    const token = take();
    if (token.text !== text || token.kind !== "operator") throw expected(`\`${text}\``, token);
  };

  function primary(depth: number): Expression {
    const token = take();
    if (depth > MAX_DEPTH) {
      throw new ExpressionError(`Syntax error: nested deeper than ${MAX_DEPTH} levels ${where(token.at)}`);
    }
    switch (token.kind) {
      case "number": {
        const value = Number(token.text.replaceAll("_", ""));
        return { kind: "literal", value, at: token.at };
      }
      case "string":
        try {
          return { kind: "literal", value: JSON.parse(token.text), at: token.at };
        } catch {
          throw new ExpressionError(`Syntax error: bad escape in a string ${where(token.at)}`);
        }
      case "name": {
        if (token.text === "true" || token.text === "false") {
          return { kind: "literal", value: token.text === "true", at: token.at };
        }
        if (peek().text !== "(") {
          throw new ExpressionError(`Variable not found: ${brief(token.text)} ${where(token.at)}`);
        }
        expect("(");
        expect(")");
        return { kind: "member", name: token.text, at: token.at };
      }
      case "operator":
        if (token.text === "(") {
          const inner = expression(0, depth + 1);
          expect(")");
          return inner;
        }
        if (token.text === "!" || token.text === "-" || token.text === "+") {
          return { kind: "unary", operator: token.text, operand: primary(depth + 1), at: token.at };
        }
    }
    throw expected("an expression", token);
  }

  function expression(least: number, depth: number): Expression {
    let left = primary(depth);
    for (;;) {
      const token = peek();
      const operator = token.text as BinaryOperator;
      const precedence = token.kind === "operator" ? PRECEDENCE[operator] : undefined;
      if (precedence === undefined || precedence <= least) return left;
      take();
      if (++operators > MAX_OPERATORS) {
        throw new ExpressionError(
          `Syntax error: more than ${MAX_OPERATORS} operators ${where(token.at)}`,
        );
      }
      left = { kind: "binary", operator, left, right: expression(precedence, depth + 1), at: token.at };
    }
  }

  const parsed = expression(0, 0);
  if (peek().kind !== "end") throw expected("an operator or the end", peek());
  return parsed;
}

function typeName(value: Value): string {
  return typeof value === "boolean"
    ? "bool"
    : typeof value === "string"
    ? "string"
    : Number.isInteger(value)
    ? "i64"
    : "f64";
}

function compute(operator: BinaryOperator, left: Value, right: Value, at: Position): Value {
  if (operator === "==") return left === right;
  if (operator === "!=") return left !== right;
  if (typeof left === "boolean" && typeof right === "boolean") {
    switch (operator) {
      case "&":
        return left && right;
      case "|":
        return left || right;
      case "^":
        return left !== right;
    }
  }
  if (typeof left === typeof right && typeof left !== "boolean") {
    switch (operator) {
      case "<":
        return left < right;
      case "<=":
        return left <= right;
      case ">":
        return left > right;
      case ">=":
        return left >= right;
    }
    if (typeof left === "string" && operator === "+") return left + right;
    if (typeof left === "number" && typeof right === "number") {
      switch (operator) {
        case "+":
          return left + right;
        case "-":
          return left - right;
        case "*":
          return left * right;
        case "/":
          if (right === 0) throw new ExpressionError(`Division by zero ${where(at)}`);
          return Number.isInteger(left) && Number.isInteger(right) ? Math.trunc(left / right) : left / right;
        case "%":
          if (right === 0) throw new ExpressionError(`Division by zero ${where(at)}`);
          return left % right;
      }
    }
  }
  throw new ExpressionError(
    `Function not found: ${operator} (${typeName(left)}, ${typeName(right)}) ${where(at)}`,
  );
}

/** Tells what a member answers. It is asked only where the expression depends on it. */
export type MemberCall = (name: string) => boolean | Promise<boolean>;

async function valueOf(expression: Expression, member: MemberCall): Promise<Value> {
  switch (expression.kind) {
    case "literal":
      return expression.value;
    case "member":
      return await member(expression.name);
    case "unary": {
      const operand = await valueOf(expression.operand, member);
      if (expression.operator === "!" && typeof operand === "boolean") return !operand;
      if (expression.operator !== "!" && typeof operand === "number") {
        return expression.operator === "-" ? -operand : operand;
      }
      throw new ExpressionError(
        `Function not found: ${expression.operator} (${typeName(operand)}) ${where(expression.at)}`,
      );
    }
    case "binary": {
      const { operator, at } = expression;
      const left = await valueOf(expression.left, member);
      if (operator === "&&" || operator === "||") {
        if (typeof left !== "boolean") throw mismatch(left, at);
        if (left === (operator === "||")) return left;
        const right = await valueOf(expression.right, member);
        if (typeof right !== "boolean") throw mismatch(right, at);
        return right;
      }
      return compute(operator, left, await valueOf(expression.right, member), at);
    }
  }
}

function mismatch(value: Value, at: Position): ExpressionError {
  return new ExpressionError(`Data type incorrect: ${typeName(value)} (expecting bool) ${where(at)}`);
}

/** Evaluates an expression. Throws {@link ExpressionError} where it is not a boolean, and whatever `member` throws. */
export async function evaluateExpression(expression: Expression, member: MemberCall): Promise<boolean> {
  const value = await valueOf(expression, member);
  if (typeof value !== "boolean") {
    throw new ExpressionError(`Output type incorrect: ${typeName(value)} (expecting bool)`);
  }
  return value;
}

/**
 * Checks an expression against the names of the group's members. Returns what is wrong with it, undefined if nothing:
 * unknown members anywhere, and types where every member answers true.
 */
export async function expressionError(
  expression: Expression,
  members: readonly string[],
): Promise<string | undefined> {
  const unknown = firstUnknownMember(expression, members);
  if (unknown) return `Function not found: ${brief(unknown.name)} () ${where(unknown.at)}`;
  try {
    await evaluateExpression(expression, () => true);
    return undefined;
  } catch (error) {
    if (error instanceof ExpressionError) return error.message;
    throw error;
  }
}

function firstUnknownMember(
  expression: Expression,
  members: readonly string[],
): { readonly name: string; readonly at: Position } | undefined {
  switch (expression.kind) {
    case "literal":
      return undefined;
    case "member":
      return members.includes(expression.name) ? undefined : expression;
    case "unary":
      return firstUnknownMember(expression.operand, members);
    case "binary":
      return firstUnknownMember(expression.left, members) ?? firstUnknownMember(expression.right, members);
  }
}

/** The expression in `source` if it can be evaluated over `members`; else what is wrong with it. */
export async function readExpression(
  source: string,
  members: readonly string[],
): Promise<Expression | string> {
  try {
    const expression = parseExpression(source);
    return await expressionError(expression, members) ?? expression;
  } catch (error) {
    return (error as Error).message;
  }
}
