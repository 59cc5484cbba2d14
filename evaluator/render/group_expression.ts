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
/** Deeper than what the controller accepts, so that no group that was accepted keeps a server from starting. */
const MAX_DEPTH = 1_024;
/** `1 + 1 + …` nests as deep as it is long, and is evaluated by recursion; chains of `&&` and of `||` are taken apart. */
const MAX_TREE_DEPTH = 1_024;
/** Characters of a token in an error. */
const MAX_SHOWN = 100;

const TOKEN =
  /(?<space>\s+|\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<number>0x[0-9a-fA-F_]+|0b[01_]+|0o[0-7_]+|[0-9][0-9_]*(?:\.[0-9_]+)?(?:[eE][+-]?[0-9]+)?)|(?<string>"(?:[^"\\\n]|\\.)*")|(?<name>[A-Za-z_][A-Za-z0-9_]*)|(?<operator>\|\||&&|[!=<>]=|[!<>|&^+\-*\/%()])/uy;

type Token = {
  readonly kind: "number" | "string" | "name" | "operator" | "end";
  readonly text: string;
  readonly at: Position;
};

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
    const groups = match.groups!;
    const kind = (["number", "string", "name", "operator"] as const).find((name) =>
      groups[name] !== undefined
    );
    if (kind) found.push({ kind, text, at });
    else if (/^\/\*(?!.*\*\/$)|^\/\*\/$/s.test(text)) {
      throw new ExpressionError(`Syntax error: the comment does not end ${where(at)}`);
    }
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
  const peek = () => list[next]!;
  const take = () => list[next++]!;
  const expected = (what: string, token: Token): ExpressionError =>
    new ExpressionError(
      `Syntax error: expected ${what}, found \`${token.text.slice(0, MAX_SHOWN)}\` ${where(token.at)}`,
    );
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
          throw new ExpressionError(
            `Variable not found: ${token.text.slice(0, MAX_SHOWN)} ${where(token.at)}`,
          );
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
      left = { kind: "binary", operator, left, right: expression(precedence, depth + 1), at: token.at };
    }
  }

  const parsed = expression(0, 0);
  if (peek().kind !== "end") throw expected("an operator or the end", peek());
  checkDepth(parsed);
  return parsed;
}

type Binary = Expression & { readonly kind: "binary" };

/** The operators of a chain such as `a() && b() && c()` from left to right, and the operand that it begins with. */
function chainOf(expression: Binary): { readonly first: Expression; readonly rest: readonly Binary[] } {
  const rest: Binary[] = [];
  let first: Expression = expression;
  while (first.kind === "binary" && first.operator === expression.operator) {
    rest.push(first);
    first = first.left;
  }
  return { first, rest: rest.reverse() };
}

const isChain = ({ operator }: Binary) => operator === "&&" || operator === "||";

function children(expression: Expression): readonly Expression[] {
  if (expression.kind === "unary") return [expression.operand];
  if (expression.kind !== "binary") return [];
  if (!isChain(expression)) return [expression.left, expression.right];
  const { first, rest } = chainOf(expression);
  return [first, ...rest.map(({ right }) => right)];
}

/** Checks the depth of a tree without recursion. */
function checkDepth(tree: Expression): void {
  let level: readonly Expression[] = [tree];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_TREE_DEPTH) {
      throw new ExpressionError(
        `Syntax error: nested deeper than ${MAX_TREE_DEPTH} operators ${where(tree.at)}`,
      );
    }
    level = level.flatMap(children);
  }
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
