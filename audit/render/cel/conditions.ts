/** Conditions in CEL, compiled once and asked of many objects. */
import type { CelEnvironment } from "../../../deps.ts";
import type { CelSource } from "./values.ts";

/** A parsed expression, as far as is needed here. */
type Node = { readonly op: string; readonly args: unknown; readonly start: number; readonly end: number };

export type Verdict =
  | { readonly kind: "value"; readonly value: boolean }
  | { readonly kind: "problem"; readonly message: string };

export type Condition = (source: CelSource, variables: { readonly [name: string]: unknown }) => Verdict;

/** Steps of nested comprehensions that are taken at most; the API server has a limit on costs too. */
const MOST_STEPS = 10_000_000;
const LONGEST_EXPRESSION = 32 * 1024;
const COMPREHENSIONS = ["all", "exists", "exists_one", "existsOne", "map", "filter"];

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && "op" in value;

function children(node: Node): readonly Node[] {
  const found: Node[] = [];
  const collect = (value: unknown) => {
    if (isNode(value)) found.push(value);
    else if (Array.isArray(value)) value.forEach(collect);
  };
  collect(node.args);
  return found;
}

type Call = { readonly name: string; readonly receiver: Node | undefined };

function callOf({ op, args }: Node): Call | undefined {
  if (!Array.isArray(args) || typeof args[0] !== "string") return undefined;
  if (op === "rcall") return { name: args[0], receiver: args[1] as Node };
  return op === "call" ? { name: args[0], receiver: undefined } : undefined;
}

type Findings = {
  /** Comprehensions within comprehensions. */
  readonly depth: number;
  readonly authorizer: boolean;
  /** Whether lists are made out of text. */
  readonly splits: boolean;
  /** Where `matches` is called: indices of its name. */
  readonly matches: readonly number[];
};

function examine(root: Node, text: string): Findings {
  let authorizer = false;
  let splits = false;
  const matches: number[] = [];
  const depthOf = (node: Node): number => {
    const call = callOf(node);
    if (node.op === "id" && node.args === "authorizer") authorizer = true;
    if (call?.name === "split" || call?.name === "findAll") splits = true;
    if (call?.name === "matches") matches.push(text.indexOf("matches", call.receiver?.end ?? node.start));
    const below = Math.max(0, ...children(node).map(depthOf));
    return call !== undefined && COMPREHENSIONS.includes(call.name) ? below + 1 : below;
  };
  return { depth: depthOf(root), authorizer, splits, matches };
}

const oneLine = (error: unknown) => (error instanceof Error ? error.message : String(error)).split("\n")[0]!;

/** Compiles an expression; what is wrong with it is said when it is asked. */
export function compileCondition(environment: CelEnvironment, expression: string): Condition {
  const problem = (message: string): Condition => () => ({ kind: "problem", message });
  if (expression.length > LONGEST_EXPRESSION) {
    return problem(`it is longer than ${LONGEST_EXPRESSION} characters`);
  }
  let found: Findings;
  let run: (variables: never) => unknown;
  try {
    found = examine(environment.parse(expression).ast as unknown as Node, expression);
    // Regular expressions are RE2's, whose time is linear; the CEL library would take JavaScript's.
    const rewritten = [...found.matches].sort((a, b) => b - a).reduce(
      (text, at) => `${text.slice(0, at)}re2Matches${text.slice(at + "matches".length)}`,
      expression,
    );
    const parsed = environment.parse(rewritten);
    if (found.authorizer) {
      return problem("it asks the authorizer, and in an audit there is no user whose rights it could tell");
    }
    const checked = parsed.check();
    if (!checked.valid) return problem(oneLine(checked.error));
    run = parsed as never;
  } catch (error) {
    return problem(oneLine(error));
  }
  return ({ longest, longestText }, variables) => {
    const members = Math.max(longest, found.splits ? longestText : 0, 2);
    if (found.depth > 1 && members ** found.depth > MOST_STEPS) {
      return { kind: "problem", message: "it would go through too much of so large an object" };
    }
    try {
      const value = run(variables as never);
      return typeof value === "boolean"
        ? { kind: "value", value }
        : { kind: "problem", message: "its value is neither true nor false" };
    } catch (error) {
      return { kind: "problem", message: oneLine(error) };
    }
  };
}
