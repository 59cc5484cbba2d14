/** The syntax of a group expression, as CEL has it: from its text to a tree whose depth is bounded. */

export type Type = { readonly name: string; readonly of?: readonly Type[] };
type Token = {
  readonly kind: "number" | "string" | "bytes" | "name" | "sign" | "end";
  readonly text: string;
  at: number;
};
export type Node =
  | { readonly node: "literal"; readonly type: Type }
  | { readonly node: "name"; readonly name: string; readonly at: number }
  | { readonly node: "select"; readonly of: Node; readonly at: number }
  | { readonly node: "call"; readonly name: string; readonly args: readonly Node[]; readonly at: number }
  | { readonly node: "list"; readonly items: readonly Node[] }
  | { readonly node: "map"; readonly entries: readonly (readonly [Node, Node])[] };

export const BOOL: Type = { name: "bool" };
const RESERVED = new Set(
  "as break const continue else for function if import let loop package namespace return var void while"
    .split(" "),
);
/** Deeper nesting is no readable expression; it bounds the recursion below. */
const DEEPEST = 200;
/** `1 + 1 + …` nests as deep as it is long; chains of `&&` and of `||` are taken apart. */
const MAX_TREE_DEPTH = 500;

export class SyntaxProblem extends Error {
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

/** Parses an expression. Throws {@link SyntaxProblem}. */
export function parse(source: string): Node {
  const tokens = tokenize(source);
  let next = 0;
  const peek = (): Token => tokens[next]!;
  const isSign = (...texts: string[]) => peek().kind === "sign" && texts.includes(peek().text);
  const unexpected = (): never => {
    throw new SyntaxProblem(peek().at, `Syntax error: mismatched input '${peek().text}'`);
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
      const right = binary(level + 1, depth);
      left = { node: "call", name: text === "in" ? "@in" : `_${text}_`, args: [left, right], at };
    }
    return left;
  }

  function unary(depth: number): Node {
    const first = peek();
    if (!isSign("!", "-")) return member(depth);
    const start = next;
    while (isSign(first.text)) next += 1;
    const signs = next - start;
    if (depth + signs > DEEPEST) throw new SyntaxProblem(first.at, "expression recursion limit exceeded");
    if (first.text === "-" && signs === 1 && peek().kind === "number") return member(depth);
    const operand = member(depth);
    return { node: "call", name: first.text === "!" ? "!_" : "-_", args: [operand], at: first.at };
  }

  function member(depth: number): Node {
    let of = primary(depth);
    for (;;) {
      if (isSign("[")) {
        const at = tokens[next++]!.at;
        of = { node: "call", name: "_[_]", args: [of, expression(depth + 1)], at };
        expect("]");
      } else if (isSign(".")) {
        const dot = tokens[next++]!;
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
    throw new SyntaxProblem(peek().at, `Syntax error: mismatched input '${peek().text}' expecting <EOF>`);
  }
  checkDepth(tree);
  return tree;
}

type Chain = { readonly first: Node; readonly rest: readonly (Node & { node: "call" })[] };

/** The calls of a chain of `&&` or of `||` from left to right, and the operand that it begins with. */
export function chainOf(node: Node & { node: "call" }): Chain {
  const rest: (Node & { node: "call" })[] = [];
  let first: Node = node;
  while (first.node === "call" && first.name === node.name) {
    rest.push(first);
    first = first.args[0]!;
  }
  return { first, rest: rest.reverse() };
}

export const isChain = (name: string) => name === "_&&_" || name === "_||_";

function children(node: Node): readonly Node[] {
  switch (node.node) {
    case "select":
      return [node.of];
    case "call": {
      if (!isChain(node.name)) return node.args;
      const { first, rest } = chainOf(node);
      return [first, ...rest.map(({ args }) => args[1]!)];
    }
    case "list":
      return node.items;
    case "map":
      return node.entries.flat();
    default:
      return [];
  }
}

/** Checks the depth of a tree without recursion. Throws {@link SyntaxProblem}. */
function checkDepth(tree: Node): void {
  let level: readonly Node[] = [tree];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_TREE_DEPTH) throw new SyntaxProblem(0, "expression recursion limit exceeded");
    level = level.flatMap(children);
  }
}
