/** The syntax tree that the CEL parser makes, as far as it is evaluated here. */

export type Node = { readonly op: string; readonly args: unknown };

export const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && "op" in value && "args" in value;

export type Call = {
  readonly name: string;
  readonly receiver: Node | undefined;
  readonly args: readonly Node[];
};

/** The call that a node is, if it is one. */
export function callOf({ op, args }: Node): Call | undefined {
  if (op === "rcall") {
    const [name, receiver, list] = args as [string, Node, readonly Node[]];
    return { name, receiver, args: list };
  }
  if (op !== "call") return undefined;
  const [name, list] = args as [string, readonly Node[]];
  return { name, receiver: undefined, args: list };
}

/** The parts of `a && b && …` or `a || b || …`, which the parser nests as deep as the chain is long. */
export function operands(node: Node): readonly Node[] {
  const parts: Node[] = [];
  let rest = node;
  while (rest.op === node.op) {
    const [left, right] = rest.args as readonly [Node, Node];
    parts.push(right);
    rest = left;
  }
  return [...parts, rest].reverse();
}

function children(node: Node): readonly Node[] {
  const { op, args } = node;
  if (op === "value" || op === "id") return [];
  if (op === "&&" || op === "||") return operands(node);
  if (isNode(args)) return [args];
  // Calls hold lists of nodes, map literals lists of pairs.
  return (args as readonly unknown[]).flat(2).filter(isNode);
}

/** Compiling and evaluating go into an expression by recursion; `a + b + …` nests as deep as it is long. */
const MAX_DEPTH = 500;

/** Checks the tree's depth, without recursion, and tells whether a variable occurs. Throws for a tree that is too deep. */
export function mentions(root: Node, variable: string): boolean {
  let found = false;
  let level: readonly Node[] = [root];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw new Error(`it is nested more than ${MAX_DEPTH} levels deep`);
    found ||= level.some(({ op, args }) => op === "id" && args === variable);
    level = level.flatMap(children);
  }
  return found;
}
