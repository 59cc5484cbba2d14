/**
 * The expression of a policy group (`spec/evaluator.md §10.1`): members as functions without arguments, combined to one
 * boolean. Parsed once, checked when the group is loaded, evaluated lazily from left to right.
 */
import {
  type Binary,
  type BinaryOperator,
  chainOf,
  children,
  type Expression,
  ExpressionError,
  isChain,
  MAX_SHOWN,
  parseExpression,
  type Position,
  type Value,
  where,
} from "./group_syntax.ts";
export { type Expression, ExpressionError, parseExpression };

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
      if (isChain(expression)) return await valueOfChain(expression, member);
      const { operator, at } = expression;
      const left = await valueOf(expression.left, member);
      return compute(operator, left, await valueOf(expression.right, member), at);
    }
  }
}

/** The first operand that decides ends the chain: what is right of it is not asked. */
async function valueOfChain(expression: Binary, member: MemberCall): Promise<boolean> {
  const decisive = expression.operator === "||";
  const { first, rest } = chainOf(expression);
  let value = await valueOf(first, member);
  for (const { right, at } of rest) {
    if (typeof value !== "boolean") throw mismatch(value, at);
    if (value === decisive) return value;
    value = await valueOf(right, member);
    if (typeof value !== "boolean") throw mismatch(value, at);
  }
  return value as boolean;
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
  if (unknown) return `Function not found: ${unknown.name.slice(0, MAX_SHOWN)} () ${where(unknown.at)}`;
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
  if (expression.kind === "member") return members.includes(expression.name) ? undefined : expression;
  for (const part of children(expression)) {
    const unknown = firstUnknownMember(part, members);
    if (unknown !== undefined) return unknown;
  }
  return undefined;
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
