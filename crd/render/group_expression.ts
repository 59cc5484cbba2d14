/**
 * Checks the expression of a policy group when it is written (spec/crds.md §11): CEL's syntax, of which only calls of the
 * members, `==`, `!=`, `||`, `&&`, `!`, parentheses and literals have a meaning, and a result that must be a bool.
 *
 * @example
 * ```ts
 * checkGroupExpression("a() && !b()", ["a", "b"]); // undefined: fine
 * checkGroupExpression("a() + 1", ["a"]); // { kind: "compilation", text: "ERROR: <input>:1:5: undeclared …" }
 * ```
 */

/** What is wrong with an expression. */
export type ExpressionProblem =
  | { readonly kind: "compilation"; readonly text: string }
  | { readonly kind: "not-bool" };

type Type = { readonly name: string; readonly of?: readonly Type[] };
type Token = {
  readonly kind: "number" | "string" | "bytes" | "name" | "sign" | "end";
  readonly text: string;
  at: number;
};
type Node =
  | { readonly node: "literal"; readonly type: Type }
  | { readonly node: "name"; readonly name: string; readonly at: number }
  | { readonly node: "select"; readonly of: Node; readonly at: number }
  | { readonly node: "call"; readonly name: string; readonly args: readonly Node[]; readonly at: number }
  | { readonly node: "list"; readonly items: readonly Node[] }
  | { readonly node: "map"; readonly entries: readonly (readonly [Node, Node])[] };

const BOOL: Type = { name: "bool" };
/** The type of what could not be typed; it agrees with every other, so that one mistake is reported once. */
const DYN: Type = { name: "dyn" };
const RESERVED = new Set(
  "as break const continue else for function if import let loop package namespace return var void while"
    .split(" "),
);
/** Deeper nesting is no readable expression; it bounds the recursion below. */
const DEEPEST = 200;
/** No more characters and operators than the policy server takes. Operators in a row nest too, the first one deepest. */
const MAX_LENGTH = 64 * 1024;
const MAX_OPERATORS = 1_000;
/** What is wrong is shown so many times, with so many characters of its line: it goes into an answer and into Events. */
const MAX_PROBLEMS = 10;
const MAX_SHOWN = 160;

class SyntaxProblem extends Error {
  readonly at: number;
  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

const NUMBER = /0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\d+|\.\d+)(?:[eE][+-]?\d+)?[uU]?/y;
const NAME = /[_a-zA-Z][_a-zA-Z0-9]*/y;
const STRING =
  /(?:[bB]?[rR]?|[rR][bB])(?:"""(?:[^\\]|\\.)*?"""|'''(?:[^\\]|\\.)*?'''|"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*')/ys;
const SIGN = /&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()[\]{}]/y;
const BLANK = /(?:\s|\/\/[^\n]*)*/y;

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  for (;;) {
    at += take(BLANK)?.length ?? 0;
    if (at >= source.length) return [...tokens, { kind: "end", text: "<EOF>", at }];
    const string = take(STRING);
    const text = string ?? take(NUMBER) ?? take(NAME) ?? take(SIGN);
    if (text === undefined) {
      throw new SyntaxProblem(at, `Syntax error: token recognition error at: '${source[at]}'`);
    }
    const kind = string !== undefined
      ? (/^[rR]?[bB]/.test(string) ? "bytes" : "string")
      : /^\.?\d/.test(text)
      ? "number"
      : /^[_a-zA-Z]/.test(text)
      ? "name"
      : "sign";
    tokens.push({ kind, text, at });
    at += text.length;
  }
}

const BINARY: readonly (readonly string[])[] = [
  ["||"],
  ["&&"],
  ["<", "<=", ">=", ">", "==", "!=", "in"],
  ["+", "-"],
  ["*", "/", "%"],
];

function parse(source: string): Node {
  if (source.length > MAX_LENGTH) {
    throw new SyntaxProblem(MAX_LENGTH, `expression is longer than ${MAX_LENGTH} characters`);
  }
  const tokens = tokenize(source);
  let next = 0;
  let operators = 0;
  const countOperator = (at: number) => {
    if (++operators > MAX_OPERATORS) {
      throw new SyntaxProblem(at, `expression has more than ${MAX_OPERATORS} operators`);
    }
  };
  const peek = (): Token => tokens[next]!;
  const isSign = (...texts: string[]) => peek().kind === "sign" && texts.includes(peek().text);
  const unexpected = (): never => {
    throw new SyntaxProblem(peek().at, `Syntax error: mismatched input '${brief(peek().text)}'`);
  };
  const expect = (text: string): Token => {
    if (!isSign(text)) unexpected();
    return tokens[next++]!;
  };
  const commaList = (close: string, depth: number): Node[] => {
    const items: Node[] = [];
    while (!isSign(close)) {
      items.push(expression(depth));
      if (!isSign(",")) break;
      next += 1;
    }
    expect(close);
    return items;
  };

  function expression(depth: number): Node {
    if (depth > DEEPEST) throw new SyntaxProblem(peek().at, "expression recursion limit exceeded");
    const condition = binary(0, depth);
    if (!isSign("?")) return condition;
    const at = tokens[next++]!.at;
    const yes = binary(0, depth + 1);
    expect(":");
    return { node: "call", name: "_?_:_", args: [condition, yes, expression(depth + 1)], at };
  }

  function binary(level: number, depth: number): Node {
    const signs = BINARY[level];
    if (signs === undefined) return unary(depth);
    let left = binary(level + 1, depth);
    while (signs.includes(peek().text) && (peek().kind === "sign" || peek().text === "in")) {
      const { text, at } = tokens[next++]!;
      countOperator(at);
      const right = binary(level + 1, depth);
      left = { node: "call", name: text === "in" ? "@in" : `_${text}_`, args: [left, right], at };
    }
    return left;
  }

  function unary(depth: number): Node {
    const first = peek();
    if (!isSign("!", "-")) return member(depth);
    let signs = 0;
    for (; isSign(first.text); next++) signs++;
    if (first.text === "-" && signs === 1 && peek().kind === "number") return member(depth);
    const operand = member(depth);
    return { node: "call", name: first.text === "!" ? "!_" : "-_", args: [operand], at: first.at };
  }

  function member(depth: number): Node {
    let of = primary(depth);
    for (;;) {
      if (isSign("[")) {
        const at = tokens[next++]!.at;
        countOperator(at);
        of = { node: "call", name: "_[_]", args: [of, expression(depth + 1)], at };
        expect("]");
      } else if (isSign(".")) {
        const dot = tokens[next++]!;
        countOperator(dot.at);
        if (peek().kind !== "name") unexpected();
        const name = tokens[next++]!.text;
        if (!isSign("(")) {
          of = { node: "select", of, at: dot.at };
          continue;
        }
        const at = tokens[next++]!.at;
        of = { node: "call", name, args: [of, ...commaList(")", depth + 1)], at };
      } else return of;
    }
  }

  function primary(depth: number): Node {
    const token = peek();
    if (token.kind === "number") {
      next += 1;
      const hexadecimal = /^0[xX]/.test(token.text);
      const name = /[uU]$/.test(token.text)
        ? "uint"
        : !hexadecimal && /[.eE]/.test(token.text)
        ? "double"
        : "int";
      return { node: "literal", type: { name } };
    }
    if (token.kind === "string" || token.kind === "bytes") {
      next += 1;
      return { node: "literal", type: { name: token.kind } };
    }
    if (token.kind === "name") {
      if (token.text === "in") unexpected();
      next += 1;
      if (token.text === "true" || token.text === "false") return { node: "literal", type: BOOL };
      if (token.text === "null") return { node: "literal", type: { name: "null_type" } };
      if (RESERVED.has(token.text)) throw new SyntaxProblem(token.at, `reserved identifier: ${token.text}`);
      if (!isSign("(")) return { node: "name", name: token.text, at: token.at };
      const at = tokens[next++]!.at;
      return { node: "call", name: token.text, args: commaList(")", depth + 1), at };
    }
    if (isSign("(")) {
      next += 1;
      const inner = expression(depth + 1);
      expect(")");
      return inner;
    }
    if (isSign("[")) {
      next += 1;
      return { node: "list", items: commaList("]", depth + 1) };
    }
    if (isSign("{")) {
      next += 1;
      const entries: [Node, Node][] = [];
      while (!isSign("}")) {
        const key = expression(depth + 1);
        expect(":");
        entries.push([key, expression(depth + 1)]);
        if (!isSign(",")) break;
        next += 1;
      }
      expect("}");
      return { node: "map", entries };
    }
    return unexpected();
  }

  const tree = expression(0);
  if (peek().kind !== "end") {
    throw new SyntaxProblem(
      peek().at,
      `Syntax error: mismatched input '${brief(peek().text)}' expecting <EOF>`,
    );
  }
  return tree;
}

function typeText(type: Type): string {
  return type.of === undefined ? type.name : `${type.name}(${type.of.map(typeText).join(", ")})`;
}

function agree(a: Type, b: Type): boolean {
  if (a === DYN || b === DYN) return true;
  if (a.name !== b.name) return false;
  return (a.of ?? []).every((part, index) => agree(part, b.of![index]!));
}

function common(types: readonly Type[]): Type {
  const [first = DYN, ...rest] = types;
  return rest.every((type) => agree(first, type)) ? first : DYN;
}

type Report = (at: number, message: string) => void;

function typeOf(node: Node, members: ReadonlySet<string>, report: Report): Type {
  switch (node.node) {
    case "literal":
      return node.type;
    case "list":
      return { name: "list", of: [common(node.items.map((item) => typeOf(item, members, report)))] };
    case "map": {
      const keys = node.entries.map(([key]) => typeOf(key, members, report));
      const values = node.entries.map(([, value]) => typeOf(value, members, report));
      return { name: "map", of: [common(keys), common(values)] };
    }
    case "name":
      report(node.at, `undeclared reference to '${brief(node.name)}' (in container '')`);
      return DYN;
    case "select":
      typeOf(node.of, members, report);
      report(node.at, "field selection is not supported in group expressions");
      return DYN;
    case "call":
      return typeOfCall(node, members, report);
  }
}

function typeOfCall(node: Node & { node: "call" }, members: ReadonlySet<string>, report: Report): Type {
  const args = node.args.map((arg) => typeOf(arg, members, report));
  const mismatch = (): Type => {
    report(
      node.at,
      `found no matching overload for '${brief(node.name)}' applied to '(${
        brief(args.map(typeText).join(", "))
      })'`,
    );
    return DYN;
  };
  switch (node.name) {
    case "_==_":
    case "_!=_":
      return agree(args[0]!, args[1]!) ? BOOL : mismatch();
    case "_||_":
    case "_&&_":
    case "!_":
      return args.every((arg) => agree(arg, BOOL)) ? BOOL : mismatch();
  }
  if (!members.has(node.name)) {
    report(node.at, `undeclared reference to '${brief(node.name)}' (in container '')`);
    return DYN;
  }
  return args.length === 0 ? BOOL : mismatch();
}

/** A name or a token as it is shown, however long it is. */
function brief(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

function show(source: string, at: number, message: string): string {
  const before = source.slice(0, at);
  const line = before.split("\n").length;
  const lineStart = before.lastIndexOf("\n") + 1;
  const lineEnd = source.indexOf("\n", lineStart);
  const text = source.slice(lineStart, lineEnd < 0 ? source.length : lineEnd);
  const column = at - lineStart;
  // Of a long line, what is around the place.
  const from = text.length <= MAX_SHOWN ? 0 : Math.max(0, column - MAX_SHOWN / 2);
  const shown = text.slice(from, from + MAX_SHOWN);
  return `ERROR: <input>:${line}:${column + 1}: ${message}\n | ${shown}\n | ${".".repeat(column - from)}^`;
}

/** What is wrong with a non-empty group expression over the given members; `undefined` when nothing is. */
export function checkGroupExpression(
  source: string,
  members: readonly string[],
): ExpressionProblem | undefined {
  const found: { at: number; message: string }[] = [];
  let type: Type = DYN;
  try {
    type = typeOf(parse(source), new Set(members), (at, message) => found.push({ at, message }));
  } catch (error) {
    if (!(error instanceof SyntaxProblem)) throw error;
    found.push({ at: error.at, message: error.message });
  }
  if (found.length > 0) {
    found.sort((a, b) => a.at - b.at);
    const shown = found.slice(0, MAX_PROBLEMS).map(({ at, message }) => show(source, at, message));
    if (found.length > MAX_PROBLEMS) shown.push(`and ${found.length - MAX_PROBLEMS} more errors`);
    return { kind: "compilation", text: shown.join("\n") };
  }
  return type === BOOL || type.name === "bool" ? undefined : { kind: "not-bool" };
}
