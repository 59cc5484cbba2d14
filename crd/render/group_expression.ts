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

import { BOOL, chainOf, isChain, type Node, parse, SyntaxProblem, type Type } from "./group_syntax.ts";

/** What is wrong with an expression. */
export type ExpressionProblem =
  | { readonly kind: "compilation"; readonly text: string }
  | { readonly kind: "not-bool" };

/** The type of what could not be typed; it agrees with every other, so that one mistake is reported once. */
const DYN: Type = { name: "dyn" };
/** The policy server's limits are not lower. */
const MAX_LENGTH = 64 * 1024;
/** Problems that are told, as by cel-go a bounded number. */
const MAX_PROBLEMS = 10;
/** Characters of a line that are shown around a problem. */
const SHOWN = 200;

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
      report(node.at, `undeclared reference to '${node.name}' (in container '')`);
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
  if (!isChain(node.name)) {
    return resultOf(node, node.args.map((arg) => typeOf(arg, members, report)), members, report);
  }
  const { first, rest } = chainOf(node);
  return rest.reduce(
    (left, call) => resultOf(call, [left, typeOf(call.args[1]!, members, report)], members, report),
    typeOf(first, members, report),
  );
}

/** The type of a call with arguments of these types. */
function resultOf(
  node: Node & { node: "call" },
  args: readonly Type[],
  members: ReadonlySet<string>,
  report: Report,
): Type {
  const mismatch = (): Type => {
    report(
      node.at,
      `found no matching overload for '${node.name}' applied to '(${args.map(typeText).join(", ")})'`,
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
    report(node.at, `undeclared reference to '${node.name}' (in container '')`);
    return DYN;
  }
  return args.length === 0 ? BOOL : mismatch();
}

function show(source: string, at: number, message: string): string {
  const before = source.slice(0, at);
  const line = before.split("\n").length;
  const column = at - (before.lastIndexOf("\n") + 1);
  const text = source.split("\n")[line - 1]!;
  // Of a long line, what is around the problem.
  const from = text.length > SHOWN ? Math.max(0, column - SHOWN / 2) : 0;
  const shown = text.slice(from, from + SHOWN);
  return `ERROR: <input>:${line}:${column + 1}: ${message.slice(0, 2 * SHOWN)}\n | ${shown}\n | ${
    ".".repeat(column - from)
  }^`;
}

/** What is wrong with a non-empty group expression over the given members; `undefined` when nothing is. */
export function checkGroupExpression(
  source: string,
  members: readonly string[],
): ExpressionProblem | undefined {
  if (source.length > MAX_LENGTH) {
    return { kind: "compilation", text: `ERROR: the expression is longer than ${MAX_LENGTH} characters` };
  }
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
    const told = found.slice(0, MAX_PROBLEMS).map(({ at, message }) => show(source, at, message));
    const more = found.length - told.length;
    return {
      kind: "compilation",
      text: [...told, ...(more > 0 ? [`and ${more} more problems`] : [])].join("\n"),
    };
  }
  return type === BOOL || type.name === "bool" ? undefined : { kind: "not-bool" };
}
