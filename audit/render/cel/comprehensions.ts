/** CEL's macros that go through lists and maps, with one variable or two. */
import type { Compiler, Frame, Run, Scope } from "./evaluate.ts";
import type { Functions } from "./library.ts";
import { absorbed } from "./meter.ts";
import type { Call } from "./syntax.ts";
import { type CelMap, keysOf, lookUp, mapOf, sizeOf } from "./values.ts";

/** The parts of a comprehension, compiled. */
type Loop = {
  /** Visits the members, with the variables set, until told to stop. */
  each(frame: Frame, visit: (key: unknown) => boolean): void;
  /** Leaves out members for which it is false. */
  readonly filter: Condition | undefined;
  /** What is made of a member. */
  readonly value: Run;
  /** The same as a condition. */
  readonly condition: Condition;
};
type Condition = (frame: Frame) => boolean;

/** Numbers of arguments of each, and what it evaluates. */
const COMPREHENSIONS: ReadonlyMap<string, readonly [counts: readonly number[], (loop: Loop) => Run]> =
  new Map([
    ["all", [[2, 3], (loop) => quantifier(loop, false)]],
    ["exists", [[2, 3], (loop) => quantifier(loop, true)]],
    ["exists_one", [[2], existsOne]],
    ["existsOne", [[2, 3], existsOne]],
    ["filter", [[2], list]],
    ["map", [[2, 3], list]],
    ["transformList", [[3, 4], list]],
    ["transformMap", [[3, 4], map]],
  ]);

/** Compiles a call that is a comprehension; `undefined` for others. */
export function comprehension(compiler: Compiler, call: Call, scope: Scope): Run | undefined {
  const [counts, evaluate] = COMPREHENSIONS.get(call.name) ?? [];
  if (call.receiver === undefined || !counts?.includes(call.args.length)) return undefined;
  return evaluate?.(loopOf(compiler, call, scope));
}

function loopOf(
  { compile, declare, functions }: Compiler,
  { name, receiver, args }: Call,
  scope: Scope,
): Loop {
  const members = membersOf(compile(receiver!, scope), functions);
  // `map(x, filter, value)` has one variable; every other with three or more arguments has two.
  const two = name !== "map" && args.length > 2;
  const first = declare(scope, args[0]!);
  const second = two ? declare(first.scope, args[1]!) : undefined;
  const inner = (second ?? first).scope;
  const bodies = args.slice(two ? 2 : 1).map((body) => compile(body, inner));
  const last = bodies.at(-1)!;
  const conditionOf = (run: Run): Condition => (frame) => {
    const found = run(frame);
    if (typeof found === "boolean") return found;
    throw new Error(
      `no such overload: the condition of ${name}() must be bool, not ${functions.typeOf(found)}`,
    );
  };
  return {
    each(frame, visit) {
      members(frame, (key, member, only) => {
        if (second === undefined) frame.variables[first.place] = only;
        else {
          frame.variables[first.place] = key;
          frame.variables[second.place] = member;
        }
        return visit(key);
      });
    },
    filter: bodies.length > 1 || name === "filter" ? conditionOf(bodies[0]!) : undefined,
    value: name === "filter" ? ({ variables }) => variables[first.place] : last,
    condition: conditionOf(last),
  };
}

/** Visits a collection's members until told to stop; `only` is what a single variable stands for. */
type Members = (frame: Frame, visit: (key: unknown, value: unknown, only: unknown) => boolean) => void;

function membersOf(collection: Run, functions: Functions): Members {
  return (frame, visit) => {
    const value = collection(frame);
    const type = functions.typeOf(value);
    if (type === "list") {
      for (const [index, member] of (value as readonly unknown[]).entries()) {
        frame.meter.charge(1);
        if (!visit(BigInt(index), member, member)) return;
      }
    } else if (type === "map") {
      frame.meter.charge(sizeOf(value as CelMap));
      for (const key of keysOf(value as CelMap)) {
        frame.meter.charge(1);
        if (!visit(key, lookUp(value as CelMap, key), key)) return;
      }
    } else throw new Error(`no such overload: ${type} has no members to go through`);
  };
}

/** `all` and `exists`: a member that decides outweighs errors of others. */
function quantifier({ each, condition }: Loop, decisive: boolean): Run {
  return (frame) => {
    let decided = false;
    let problem: unknown;
    each(frame, () => {
      try {
        decided = condition(frame) === decisive;
      } catch (error) {
        const kept = absorbed(error, frame.meter);
        problem ??= kept;
      }
      return !decided;
    });
    if (decided) return decisive;
    if (problem !== undefined) throw problem;
    return !decisive;
  };
}

function existsOne({ each, condition }: Loop): Run {
  return (frame) => {
    let count = 0;
    each(frame, () => {
      if (condition(frame)) count++;
      return true;
    });
    return count === 1;
  };
}

function list({ each, filter, value }: Loop): Run {
  return (frame) => {
    const members: unknown[] = [];
    each(frame, () => {
      frame.meter.charge(1);
      if (filter === undefined || filter(frame)) members.push(value(frame));
      return true;
    });
    return members;
  };
}

function map({ each, filter, value }: Loop): Run {
  return (frame) => {
    const entries: [unknown, unknown][] = [];
    each(frame, (key) => {
      frame.meter.charge(1);
      if (filter === undefined || filter(frame)) entries.push([key, value(frame)]);
      return true;
    });
    return mapOf(entries);
  };
}
