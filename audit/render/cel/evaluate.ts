/** From a syntax tree to a function that evaluates it and pays for each step. */
import { own } from "../../../program/types/own.ts";
import { comprehension, isComprehension } from "./comprehensions.ts";
import type { Functions } from "./library.ts";
import type { Meter } from "./meter.ts";
import { ERROR_COST, LimitExceeded } from "./meter.ts";
import { binaryOperators, negated } from "./operators.ts";
import { callOf, isNode, type Node, operands } from "./syntax.ts";
import { type CelMap, int, lookUp, mapOf, NONE, Optional, quoted, TypeValue, uint } from "./values.ts";

/** One evaluation. CEL has no recursion, so each variable has its place. */
export type Frame = { readonly variables: unknown[]; readonly meter: Meter };
export type Run = (frame: Frame) => unknown;

/** Where the variables that an expression may name are kept. */
export type Scope = ReadonlyMap<string, number>;

export type Compiler = {
  compile(node: Node, scope: Scope): Run;
  /** A place for a variable of its own. */
  declare(scope: Scope, name: Node): { readonly scope: Scope; readonly place: number };
};

const TYPES: ReadonlyMap<string, TypeValue> = new Map(
  ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"]
    .map((name) => [name, new TypeValue(name)]),
);

/** Prices of literals (cel-go's `ListCreateBaseCost` and `MapCreateBaseCost`). */
const LIST_COST = 10;
const MAP_COST = 30;

function literal(value: unknown): unknown {
  if (typeof value === "bigint") return int(value);
  if (typeof value === "object" && value !== null && "value" in value) return uint(value.value as bigint);
  return value;
}

/** An error that an operator absorbs and keeps for the case that nothing decides. */
export function absorbed(error: unknown, meter: Meter): Error {
  if (error instanceof LimitExceeded || !(error instanceof Error)) throw error;
  meter.charge(ERROR_COST);
  return error;
}

/** Compiles a whole expression; `functions` are those that it may call. */
export function compileExpression(root: Node, names: readonly string[], functions: Functions): (
  values: { readonly [name: string]: unknown },
  meter: Meter,
) => unknown {
  const binary = binaryOperators(functions);
  let places = names.length;
  const compiler: Compiler = {
    compile,
    declare(scope, { op, args }) {
      if (op !== "id") throw new Error("a variable of a comprehension must be a plain name");
      const place = places++;
      return { scope: new Map([...scope, [String(args), place]]), place };
    },
  };

  function select(value: unknown, key: unknown, optional: boolean): unknown {
    if (value instanceof Optional) {
      return value.value === undefined ? NONE : select(value.value, key, true);
    }
    const type = functions.typeOf(value);
    let found: unknown;
    if (type === "map") found = lookUp(value as CelMap, key);
    else if (type === "list") {
      const index = typeof key === "number" && Number.isInteger(key) || typeof key === "bigint"
        ? Number(key)
        : NaN;
      if (Number.isNaN(index)) throw new Error("no such overload: a list's index must be a whole number");
      found = index >= 0 ? (value as readonly unknown[])[index] : undefined;
    } else if (!(optional && type === "null_type")) {
      throw new Error(`no such overload: ${type} has no fields or members`);
    }
    if (optional) return found === undefined ? NONE : new Optional(found);
    if (found !== undefined) return found;
    throw new Error(
      type === "list"
        ? `index out of bounds: ${key}`
        : `no such key: ${typeof key === "string" ? quoted(key) : key}`,
    );
  }

  /** Whichever operand decides, decides; an error counts only when none does. */
  function logical(parts: readonly Run[], decisive: boolean): Run {
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

  /** `has(a.b)`: whether the map `a` holds `b`. */
  function has(argument: Node | undefined, scope: Scope): Run {
    if (argument?.op !== ".") throw new Error("has() takes a field such as `object.spec`");
    const [of, field] = argument.args as readonly [Node, string];
    const holder = compile(of, scope);
    return (frame) => {
      frame.meter.charge(1);
      return (select(holder(frame), field, true) as Optional).value !== undefined;
    };
  }

  function optionalOf(value: unknown): Optional {
    if (value instanceof Optional) return value;
    throw new Error(`no such overload: ${functions.typeOf(value)} is not an optional`);
  }

  /** Calls whose arguments are evaluated only when they are needed, or with a variable of their own. */
  function special(node: Node, scope: Scope): Run | undefined {
    const { name, receiver, args } = callOf(node)!;
    if (receiver === undefined) return name === "has" && args.length === 1 ? has(args[0], scope) : undefined;
    if (isComprehension(name, args.length)) return comprehension(compiler, functions, node, scope);
    const [first, second, third] = args;
    if (name === "bind" && args.length === 3 && receiver.op === "id" && receiver.args === "cel") {
      const value = compile(second!, scope);
      const inner = compiler.declare(scope, first!);
      const body = compile(third!, inner.scope);
      return (frame) => {
        frame.variables[inner.place] = value(frame);
        return body(frame);
      };
    }
    if ((name === "or" || name === "orValue") && args.length === 1) {
      const optional = compile(receiver, scope);
      const other = compile(first!, scope);
      return (frame) => {
        frame.meter.charge(1);
        const found = optionalOf(optional(frame));
        if (name === "or") return found.value === undefined ? optionalOf(other(frame)) : found;
        return found.value === undefined ? other(frame) : found.value;
      };
    }
    if ((name === "optMap" || name === "optFlatMap") && args.length === 2) {
      const optional = compile(receiver, scope);
      const inner = compiler.declare(scope, first!);
      const body = compile(second!, inner.scope);
      return (frame) => {
        frame.meter.charge(1);
        const found = optionalOf(optional(frame));
        if (found.value === undefined) return NONE;
        frame.variables[inner.place] = found.value;
        const value = body(frame);
        return name === "optMap" ? new Optional(value) : optionalOf(value);
      };
    }
    return undefined;
  }

  function call(node: Node, scope: Scope): Run {
    const lazy = special(node, scope);
    if (lazy !== undefined) return lazy;
    const { name, receiver, args } = callOf(node)!;
    const found = functions.find(name, receiver !== undefined, args.length);
    if (found === undefined) {
      throw new Error(`there is no function ${quoted(name)} with ${args.length} arguments here`);
    }
    const parts = (receiver === undefined ? args : [receiver, ...args]).map((part) => compile(part, scope));
    return (frame) => found(parts.map((part) => part(frame)), frame.meter);
  }

  function identifier(name: string, scope: Scope): Run {
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

  function compile(node: Node, scope: Scope): Run {
    const { op, args } = node;
    const parts = () => (args as readonly Node[]).map((part) => compile(part, scope));
    switch (op) {
      case "value": {
        const value = literal(args);
        return () => value;
      }
      case "id":
        return identifier(args as string, scope);
      case ".":
      case ".?": {
        const [of, field] = args as readonly [Node, string];
        const holder = compile(of, scope);
        return (frame) => {
          frame.meter.charge(1);
          return select(holder(frame), field, op === ".?");
        };
      }
      case "[]":
      case "[?]": {
        const [holder, key] = parts() as [Run, Run];
        return (frame) => {
          frame.meter.charge(1);
          return select(holder(frame), key(frame), op === "[?]");
        };
      }
      case "call":
      case "rcall":
        return call(node, scope);
      case "list": {
        const members = parts();
        return (frame) => {
          frame.meter.charge(LIST_COST + members.length);
          return members.map((member) => member(frame));
        };
      }
      case "map": {
        const entries = (args as readonly (readonly [Node, Node])[])
          .map(([key, value]) => [compile(key, scope), compile(value, scope)] as const);
        return (frame) => {
          frame.meter.charge(MAP_COST + entries.length);
          return mapOf(entries.map(([key, value]) => [key(frame), value(frame)] as const));
        };
      }
      case "?:": {
        const [condition, then, otherwise] = parts() as [Run, Run, Run];
        return (frame) => {
          frame.meter.charge(1);
          const chosen = condition(frame);
          if (typeof chosen === "boolean") return chosen ? then(frame) : otherwise(frame);
          throw new Error(`no such overload: a condition must be bool, not ${functions.typeOf(chosen)}`);
        };
      }
      case "&&":
      case "||":
        return logical(operands(node).map((part) => compile(part, scope)), op === "||");
      case "!_":
      case "-_": {
        const operand = compile(args as Node, scope);
        return (frame) => {
          frame.meter.charge(1);
          const value = operand(frame);
          if (op === "-_") return negated(value);
          if (typeof value === "boolean") return !value;
          throw new Error(`no such overload: ! needs a bool, not ${functions.typeOf(value)}`);
        };
      }
    }
    const operator = binary.get(op);
    if (operator === undefined || !Array.isArray(args) || !args.every(isNode)) {
      throw new Error(`the operator ${quoted(op)} is not known here`);
    }
    const [left, right] = parts() as [Run, Run];
    return (frame) => operator(left(frame), right(frame), frame.meter);
  }

  const run = compile(root, new Map(names.map((name, place) => [name, place])));
  return (values, meter) => run({ variables: names.map((name) => own(values, name)), meter });
}
