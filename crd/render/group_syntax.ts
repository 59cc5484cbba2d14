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
const TOO_DEEP = "expression recursion limit exceeded";

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
  const tree = new Parser(tokenize(source)).whole();
  checkDepth(tree);
  return tree;
}

/** By recursive descent, a method for each rule of the grammar. */
class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): Node {
    const tree = this.#expression(0);
    if (this.#peek().kind !== "end") this.#unexpected(" expecting <EOF>");
    return tree;
  }

  #expression(depth: number): Node {
    if (depth > DEEPEST) throw new SyntaxProblem(this.#peek().at, TOO_DEEP);
    const condition = this.#binary(0, depth);
    if (!this.#isSign("?")) return condition;
    const { at } = this.#take();
    const yes = this.#binary(0, depth + 1);
    this.#expect(":");
    return { node: "call", name: "_?_:_", args: [condition, yes, this.#expression(depth + 1)], at };
  }

  #binary(level: number, depth: number): Node {
    const signs = BINARY[level];
    if (signs === undefined) return this.#unary(depth);
    let left = this.#binary(level + 1, depth);
    for (;;) {
      const { kind, text, at } = this.#peek();
      if (!signs.includes(text) || (kind !== "sign" && text !== "in")) return left;
      this.#next += 1;
      const right = this.#binary(level + 1, depth);
      left = { node: "call", name: text === "in" ? "@in" : `_${text}_`, args: [left, right], at };
    }
  }

  #unary(depth: number): Node {
    const first = this.#peek();
    if (!this.#isSign("!", "-")) return this.#member(depth);
    const start = this.#next;
    while (this.#isSign(first.text)) this.#next += 1;
    const signs = this.#next - start;
    if (depth + signs > DEEPEST) throw new SyntaxProblem(first.at, TOO_DEEP);
    if (first.text === "-" && signs === 1 && this.#peek().kind === "number") return this.#member(depth);
    const operand = this.#member(depth);
    return { node: "call", name: first.text === "!" ? "!_" : "-_", args: [operand], at: first.at };
  }

  #member(depth: number): Node {
    let of = this.#primary(depth);
    for (;;) {
      if (this.#isSign("[")) {
        const { at } = this.#take();
        of = { node: "call", name: "_[_]", args: [of, this.#expression(depth + 1)], at };
        this.#expect("]");
      } else if (this.#isSign(".")) {
        const dot = this.#take();
        if (this.#peek().kind !== "name") this.#unexpected();
        const name = this.#take().text;
        if (this.#isSign("(")) {
          const { at } = this.#take();
          of = { node: "call", name, args: [of, ...this.#commaList(")", depth + 1)], at };
        } else of = { node: "select", of, at: dot.at };
      } else return of;
    }
  }

  #primary(depth: number): Node {
    const { kind, text } = this.#peek();
    switch (kind) {
      case "number":
        this.#next += 1;
        return { node: "literal", type: { name: numberType(text) } };
      case "string":
      case "bytes":
        this.#next += 1;
        return { node: "literal", type: { name: kind } };
      case "name":
        return this.#nameOrCall(depth);
      case "sign":
        return this.#bracketed(depth);
      case "end":
        return this.#unexpected();
    }
  }

  #nameOrCall(depth: number): Node {
    if (this.#peek().text === "in") this.#unexpected();
    const { text: name, at } = this.#take();
    if (name === "true" || name === "false") return { node: "literal", type: BOOL };
    if (name === "null") return { node: "literal", type: { name: "null_type" } };
    if (RESERVED.has(name)) throw new SyntaxProblem(at, `reserved identifier: ${name}`);
    if (!this.#isSign("(")) return { node: "name", name, at };
    const open = this.#take();
    return { node: "call", name, args: this.#commaList(")", depth + 1), at: open.at };
  }

  #bracketed(depth: number): Node {
    if (!this.#isSign("(", "[", "{")) return this.#unexpected();
    const { text: open } = this.#take();
    if (open === "[") return { node: "list", items: this.#commaList("]", depth + 1) };
    if (open === "{") return { node: "map", entries: this.#entries(depth + 1) };
    const inner = this.#expression(depth + 1);
    this.#expect(")");
    return inner;
  }

  #entries(depth: number): [Node, Node][] {
    return this.#separated("}", () => {
      const key = this.#expression(depth);
      this.#expect(":");
      return [key, this.#expression(depth)];
    });
  }

  #commaList(close: string, depth: number): Node[] {
    return this.#separated(close, () => this.#expression(depth));
  }

  /** Items with commas between them, and one after the last if they like, up to what closes them. */
  #separated<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.#isSign(close)) {
      items.push(item());
      if (!this.#isSign(",")) break;
      this.#next += 1;
    }
    this.#expect(close);
    return items;
  }

  #peek(): Token {
    return this.#tokens[this.#next]!;
  }

  #take(): Token {
    return this.#tokens[this.#next++]!;
  }

  #isSign(...texts: string[]): boolean {
    const { kind, text } = this.#peek();
    return kind === "sign" && texts.includes(text);
  }

  #expect(text: string): void {
    if (!this.#isSign(text)) this.#unexpected();
    this.#next += 1;
  }

  #unexpected(expecting = ""): never {
    const { at, text } = this.#peek();
    throw new SyntaxProblem(at, `Syntax error: mismatched input '${text}'${expecting}`);
  }
}

function numberType(text: string): string {
  if (/[uU]$/.test(text)) return "uint";
  return !/^0[xX]/.test(text) && /[.eE]/.test(text) ? "double" : "int";
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
    if (depth > MAX_TREE_DEPTH) throw new SyntaxProblem(0, TOO_DEEP);
    level = level.flatMap(children);
  }
}
