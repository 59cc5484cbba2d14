/** Calls whose arguments are evaluated only when they are needed, or with a variable of their own. */
import { comprehension } from "./comprehensions.ts";
import type { Compiler, Run, Scope } from "./evaluate.ts";
import type { Functions } from "./library.ts";
import { select } from "./operators.ts";
import type { Call, Node } from "./syntax.ts";
import { NONE, Optional } from "./values.ts";

/** By name and number of arguments, methods with a dot before; all others that there are go through lists and maps. */
const MACROS: ReadonlyMap<string, typeof comprehension> = new Map([
  ["has/1", has],
  [".bind/3", bind],
  [".or/1", or],
  [".orValue/1", or],
  [".optMap/2", optMap],
  [".optFlatMap/2", optMap],
]);

/** Compiles a call that is one; `undefined` for calls of functions. */
export function macro(compiler: Compiler, call: Call, scope: Scope): Run | undefined {
  const { name, receiver, args } = call;
  const compile = MACROS.get(`${receiver === undefined ? "" : "."}${name}/${args.length}`) ?? comprehension;
  return compile(compiler, call, scope);
}

/** `has(a.b)`: whether the map `a` holds `b`. */
function has({ compile, functions }: Compiler, { args: [argument] }: Call, scope: Scope): Run {
  if (argument?.op !== ".") throw new Error("has() takes a field such as `object.spec`");
  const [of, field] = argument.args as readonly [Node, string];
  const holder = compile(of, scope);
  return (frame) => {
    frame.meter.charge(1);
    return (select(functions, holder(frame), field, true) as Optional).value !== undefined;
  };
}

/** `cel.bind(name, value, body)`. */
function bind({ compile, declare }: Compiler, { receiver, args }: Call, scope: Scope): Run | undefined {
  if (receiver?.op !== "id" || receiver.args !== "cel") return undefined;
  const value = compile(args[1]!, scope);
  const inner = declare(scope, args[0]!);
  const body = compile(args[2]!, inner.scope);
  return (frame) => {
    frame.variables[inner.place] = value(frame);
    return body(frame);
  };
}

/** `optional.or(optional)` and `optional.orValue(value)`. */
function or({ compile, functions }: Compiler, { name, receiver, args }: Call, scope: Scope): Run {
  const optional = compile(receiver!, scope);
  const other = compile(args[0]!, scope);
  return (frame) => {
    frame.meter.charge(1);
    const found = optionalOf(optional(frame), functions);
    if (name === "or") return found.value === undefined ? optionalOf(other(frame), functions) : found;
    return found.value === undefined ? other(frame) : found.value;
  };
}

/** `optional.optMap(name, value)` and `optional.optFlatMap(name, optional)`. */
function optMap(
  { compile, declare, functions }: Compiler,
  { name, receiver, args }: Call,
  scope: Scope,
): Run {
  const optional = compile(receiver!, scope);
  const inner = declare(scope, args[0]!);
  const body = compile(args[1]!, inner.scope);
  return (frame) => {
    frame.meter.charge(1);
    const found = optionalOf(optional(frame), functions);
    if (found.value === undefined) return NONE;
    frame.variables[inner.place] = found.value;
    const value = body(frame);
    return name === "optMap" ? new Optional(value) : optionalOf(value, functions);
  };
}

function optionalOf(value: unknown, functions: Functions): Optional {
  if (value instanceof Optional) return value;
  throw new Error(`no such overload: ${functions.typeOf(value)} is not an optional`);
}
