/** Conditions in CEL, compiled once and asked of many objects. */
import { compileExpression } from "./evaluate.ts";
import type { Functions } from "./library.ts";
import type { Meter } from "./meter.ts";
import { mentions, type Node } from "./syntax.ts";

export type Verdict =
  | { readonly kind: "value"; readonly value: boolean }
  | { readonly kind: "problem"; readonly message: string };

/** Asks an expression of the values of its variables; `meter` is what may be spent. */
export type Condition = (variables: { readonly [name: string]: unknown }, meter: Meter) => Verdict;

export type Environment = {
  /** Parses an expression, or throws. */
  readonly parse: (expression: string) => Node;
  readonly variables: readonly string[];
  readonly functions: Functions;
};

/** A policy's conditions are this many at most, as for a webhook. */
export const MAX_CONDITIONS = 64;
const MAX_EXPRESSION = 32 * 1024;
const MAX_MESSAGE = 250;

/** One line that fits into a report, without characters that a terminal would obey. */
function oneLine(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).slice(0, 10 * MAX_MESSAGE).split(
    "\n",
  )[0]!;
  const safe = text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
  return safe.length > MAX_MESSAGE ? `${safe.slice(0, MAX_MESSAGE)}…` : safe;
}

type Run = ReturnType<typeof compileExpression>;

function compile({ parse, variables, functions }: Environment, expression: string): Run {
  if (expression.length > MAX_EXPRESSION) throw new Error(`it is longer than ${MAX_EXPRESSION} characters`);
  try {
    const root = parse(expression);
    if (mentions(root, "authorizer")) {
      throw new Error("it asks the authorizer, and in an audit there is no user whose rights it could tell");
    }
    return compileExpression(root, variables, functions);
  } catch (error) {
    // The parser goes into an expression by recursion.
    throw error instanceof RangeError ? new Error("it is nested too deeply") : error;
  }
}

/** An expression, compiled when it is first asked and kept; what is wrong with it is said whenever it is asked. */
export function compileCondition(environment: Environment, expression: string): Condition {
  let compiled: { readonly run: Run } | { readonly problem: string } | undefined;
  return (variables, meter) => {
    try {
      // Before compiling too: the conditions of one policy may take a while to compile.
      meter.begin();
      try {
        compiled ??= { run: compile(environment, expression) };
      } catch (error) {
        compiled = { problem: oneLine(error) };
      }
      if ("problem" in compiled) return { kind: "problem", message: compiled.problem };
      meter.checkTime();
      const value = compiled.run(variables, meter);
      return typeof value === "boolean"
        ? { kind: "value", value }
        : { kind: "problem", message: "its value is neither true nor false" };
    } catch (error) {
      return { kind: "problem", message: oneLine(error) };
    }
  };
}
