/** The syntax of a group expression (`spec/evaluator.md §10.1`): from its text to a tree whose depth is bounded. */

/** Raised for an expression that can't be used; the message holds the position, counted from 1. */
export class ExpressionError extends Error {
  override readonly name = "ExpressionError";
}

export type Value = boolean | number | string;
export type Position = { readonly line: number; readonly column: number };
export type BinaryOperator =
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
export const MAX_SHOWN = 100;

const TOKEN =
  /(?<space>\s+|\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<number>0x[0-9a-fA-F_]+|0b[01_]+|0o[0-7_]+|[0-9][0-9_]*(?:\.[0-9_]+)?(?:[eE][+-]?[0-9]+)?)|(?<string>"(?:[^"\\\n]|\\.)*")|(?<name>[A-Za-z_][A-Za-z0-9_]*)|(?<operator>\|\||&&|[!=<>]=|[!<>|&^+\-*\/%()])/uy;

type Token = {
  readonly kind: "number" | "string" | "name" | "operator" | "end";
  readonly text: string;
  readonly at: Position;
};

export function where({ line, column }: Position): string {
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

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(source: string) {
    this.#tokens = tokens(source);
  }

  whole(): Expression {
    const parsed = this.#expression(0, 0);
    if (this.#peek().kind !== "end") throw expected("an operator or the end", this.#peek());
    return parsed;
  }

  #peek(): Token {
    return this.#tokens[this.#next]!;
  }

  #take(): Token {
    return this.#tokens[this.#next++]!;
  }

  #expect(text: string): void {
    const token = this.#take();
    if (token.text !== text || token.kind !== "operator") throw expected(`\`${text}\``, token);
  }

  #expression(least: number, depth: number): Expression {
    let left = this.#primary(depth);
    for (;;) {
      const token = this.#peek();
      const operator = token.text as BinaryOperator;
      const precedence = token.kind === "operator" ? PRECEDENCE[operator] : undefined;
      if (precedence === undefined || precedence <= least) return left;
      this.#take();
      const right = this.#expression(precedence, depth + 1);
      left = { kind: "binary", operator, left, right, at: token.at };
    }
  }

  #primary(depth: number): Expression {
    const token = this.#take();
    const { text, at } = token;
    if (depth > MAX_DEPTH) {
      throw new ExpressionError(`Syntax error: nested deeper than ${MAX_DEPTH} levels ${where(at)}`);
    }
    switch (token.kind) {
      case "number":
        return { kind: "literal", value: Number(text.replaceAll("_", "")), at };
      case "string":
        return { kind: "literal", value: stringOf(token), at };
      case "name":
        return text === "true" || text === "false"
          ? { kind: "literal", value: text === "true", at }
          : this.#member(token);
      case "operator":
        if (text === "(") {
          const inner = this.#expression(0, depth + 1);
          this.#expect(")");
          return inner;
        }
        if (text === "!" || text === "-" || text === "+") {
          return { kind: "unary", operator: text, operand: this.#primary(depth + 1), at };
        }
    }
    throw expected("an expression", token);
  }

  #member({ text, at }: Token): Expression {
    if (this.#peek().text !== "(") {
      throw new ExpressionError(`Variable not found: ${text.slice(0, MAX_SHOWN)} ${where(at)}`);
    }
    this.#expect("(");
    this.#expect(")");
    return { kind: "member", name: text, at };
  }
}

function expected(what: string, { text, at }: Token): ExpressionError {
  return new ExpressionError(
    `Syntax error: expected ${what}, found \`${text.slice(0, MAX_SHOWN)}\` ${where(at)}`,
  );
}

function stringOf({ text, at }: Token): string {
  try {
    return JSON.parse(text);
  } catch {
    throw new ExpressionError(`Syntax error: bad escape in a string ${where(at)}`);
  }
}

/** Parses the text of an expression. Throws {@link ExpressionError}. */
export function parseExpression(source: string): Expression {
  const parsed = new Parser(source).whole();
  checkDepth(parsed);
  return parsed;
}

export type Binary = Expression & { readonly kind: "binary" };

/** The operators of a chain such as `a() && b() && c()` from left to right, and the operand that it begins with. */
export function chainOf(
  expression: Binary,
): { readonly first: Expression; readonly rest: readonly Binary[] } {
  const rest: Binary[] = [];
  let first: Expression = expression;
  while (first.kind === "binary" && first.operator === expression.operator) {
    rest.push(first);
    first = first.left;
  }
  return { first, rest: rest.reverse() };
}

export const isChain = ({ operator }: Binary) => operator === "&&" || operator === "||";

export function children(expression: Expression): readonly Expression[] {
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
