/** From a syntax tree to a function that evaluates it and pays for each step. */
import { own } from "../../../program/types/own.ts";
import type { Functions } from "./library.ts";
import { macro } from "./macros.ts";
import { absorbed, type Meter } from "./meter.ts";
import { type Binary, binaryOperators, negated, select } from "./operators.ts";
import { callOf, isNode, type Node, operands } from "./syntax.ts";
import { int, mapOf, quoted, TypeValue, uint } from "./values.ts";

/** One evaluation. CEL has no recursion, so each variable has its place. */
export type Frame = { readonly variables: unknown[]; readonly meter: Meter };
export type Run = (frame: Frame) => unknown;

/** Where the variables that an expression may name are kept. */
export type Scope = ReadonlyMap<string, number>;

export type Compiler = {
  readonly functions: Functions;
  /** All but `&&` and `||`, by their signs. */
  readonly operators: ReadonlyMap<string, Binary>;
  compile(node: Node, scope: Scope): Run;
  /** A place for a variable of its own. */
  declare(scope: Scope, name: Node): { readonly scope: Scope; readonly place: number };
};

/** Compiles a whole expression; `functions` are those that it may call. */
export function compileExpression(root: Node, names: readonly string[], functions: Functions): (
  values: { readonly [name: string]: unknown },
  meter: Meter,
) => unknown {
  let places = names.length;
  const compiler: Compiler = {
    functions,
    operators: binaryOperators(functions),
    compile: (node, scope) => compileNode(compiler, node, scope),
    declare(scope, { op, args }) {
      if (op !== "id") throw new Error("a variable of a comprehension must be a plain name");
      const place = places++;
      return { scope: new Map([...scope, [String(args), place]]), place };
    },
  };
  const run = compiler.compile(root, new Map(names.map((name, place) => [name, place])));
  return (values, meter) => run({ variables: names.map((name) => own(values, name)), meter });
}

/** Prices of literals (cel-go's `ListCreateBaseCost` and `MapCreateBaseCost`). */
const LIST_COST = 10;
const MAP_COST = 30;

function compileNode(compiler: Compiler, node: Node, scope: Scope): Run {
  const { op, args } = node;
  const { compile, functions } = compiler;
  const parts = () => (args as readonly Node[]).map((part) => compile(part, scope));
  switch (op) {
    case "value": {
      const value = literal(args);
      return () => value;
    }
    case "id":
      return identifier(compiler, args as string, scope);
    case ".":
    case ".?": {
      const [of, field] = args as readonly [Node, string];
      const holder = compile(of, scope);
      return (frame) => {
        frame.meter.charge(1);
        return select(functions, holder(frame), field, op === ".?");
      };
    }
    case "[]":
    case "[?]": {
      const [holder, key] = parts() as [Run, Run];
      return (frame) => {
        frame.meter.charge(1);
        return select(functions, holder(frame), key(frame), op === "[?]");
      };
    }
    case "call":
    case "rcall":
      return call(compiler, node, scope);
    case "list": {
      const members = parts();
      return (frame) => {
        frame.meter.charge(LIST_COST + members.length);
        return members.map((member) => member(frame));
      };
    }
    case "map":
      return map(compiler, args as readonly (readonly [Node, Node])[], scope);
    case "?:":
      return conditional(compiler, parts() as [Run, Run, Run]);
    case "&&":
    case "||":
      return logical(compiler, operands(node).map((part) => compile(part, scope)), op === "||");
    case "!_":
    case "-_":
      return unary(compiler, op, compile(args as Node, scope));
  }
  const operator = compiler.operators.get(op);
  if (operator === undefined || !Array.isArray(args) || !args.every(isNode)) {
    throw new Error(`the operator ${quoted(op)} is not known here`);
  }
  const [left, right] = parts() as [Run, Run];
  return (frame) => operator(left(frame), right(frame), frame.meter);
}

function literal(value: unknown): unknown {
  if (typeof value === "bigint") return int(value);
  if (typeof value === "object" && value !== null && "value" in value) return uint(value.value as bigint);
  return value;
}

const TYPES: ReadonlyMap<string, TypeValue> = new Map(
  ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"]
    .map((name) => [name, new TypeValue(name)]),
);

function identifier({ functions }: Compiler, name: string, scope: Scope): Run {
  const place = scope.get(name);
  if (place !== undefined) {
    return ({ variables, meter }) => {
      meter.charge(1);
      return variables[place];
    };
  }
  const constant = functions.namespaces.get(name) ?? TYPES.get(name);
  if (constant === undefined) throw new Error(`there is no variable ${quoted(name)} here`);
  return () => constant;
}

function call(compiler: Compiler, node: Node, scope: Scope): Run {
  const called = callOf(node)!;
  const { name, receiver, args } = called;
  const lazy = macro(compiler, called, scope);
  if (lazy !== undefined) return lazy;
  const found = compiler.functions.find(name, receiver !== undefined, args.length);
  if (found === undefined) {
    throw new Error(`there is no function ${quoted(name)} with ${args.length} arguments here`);
  }
  const all = receiver === undefined ? args : [receiver, ...args];
  const parts = all.map((part) => compiler.compile(part, scope));
  return (frame) => found(parts.map((part) => part(frame)), frame.meter);
}

function map({ compile }: Compiler, nodes: readonly (readonly [Node, Node])[], scope: Scope): Run {
  const entries = nodes.map(([key, value]) => [compile(key, scope), compile(value, scope)] as const);
  return (frame) => {
    frame.meter.charge(MAP_COST + entries.length);
    return mapOf(entries.map(([key, value]) => [key(frame), value(frame)] as const));
  };
}

function conditional({ functions }: Compiler, [condition, then, otherwise]: readonly [Run, Run, Run]): Run {
  return (frame) => {
    frame.meter.charge(1);
    const chosen = condition(frame);
    if (typeof chosen === "boolean") return chosen ? then(frame) : otherwise(frame);
    throw new Error(`no such overload: a condition must be bool, not ${functions.typeOf(chosen)}`);
  };
}

/** Whichever operand decides, decides; an error counts only when none does. */
function logical({ functions }: Compiler, parts: readonly Run[], decisive: boolean): Run {
  return (frame) => {
    let problem: Error | undefined;
    for (const part of parts) {
      frame.meter.charge(1);
      try {
        const value = part(frame);
        if (value === decisive) return decisive;
        if (typeof value !== "boolean") {
          throw new Error(`no such overload: a condition must be bool, not ${functions.typeOf(value)}`);
        }
      } catch (error) {
        const kept = absorbed(error, frame.meter);
        problem ??= kept;
      }
    }
    if (problem !== undefined) throw problem;
    return !decisive;
  };
}

function unary({ functions }: Compiler, op: string, operand: Run): Run {
  return (frame) => {
    frame.meter.charge(1);
    const value = operand(frame);
    if (op === "-_") return negated(value);
    if (typeof value === "boolean") return !value;
    throw new Error(`no such overload: ! needs a bool, not ${functions.typeOf(value)}`);
  };
}
