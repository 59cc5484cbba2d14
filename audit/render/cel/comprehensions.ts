/** CEL's macros that go through lists and maps, with one variable or two. */
import { absorbed, type Compiler, type Frame, type Run, type Scope } from "./evaluate.ts";
import type { Functions } from "./library.ts";
import { callOf, type Node } from "./syntax.ts";
import { type CelMap, keysOf, lookUp, mapOf, sizeOf } from "./values.ts";

/** Numbers of arguments of each. */
const COMPREHENSIONS: ReadonlyMap<string, readonly number[]> = new Map([
  ["all", [2, 3]],
  ["exists", [2, 3]],
  ["exists_one", [2]],
  ["existsOne", [2, 3]],
  ["filter", [2]],
  ["map", [2, 3]],
  ["transformList", [3, 4]],
  ["transformMap", [3, 4]],
]);

export function isComprehension(name: string, args: number): boolean {
  return COMPREHENSIONS.get(name)?.includes(args) ?? false;
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

/** Compiles one; `node` is a call for which {@link isComprehension} holds. */
export function comprehension(
  { compile, declare }: Compiler,
  functions: Functions,
  node: Node,
  scope: Scope,
): Run {
  const { name, receiver, args } = callOf(node)!;
  const collection = compile(receiver!, scope);
  const members = membersOf(collection, functions);
  // `map(x, filter, value)` has one variable; every other with three or more arguments has two.
  const two = name !== "map" && args.length > 2;
  const first = declare(scope, args[0]!);
  const second = two ? declare(first.scope, args[1]!) : undefined;
  const inner = (second ?? first).scope;
  const bodies = args.slice(two ? 2 : 1).map((body) => compile(body, inner));
  const value = bodies.at(-1)!;
  const filter = bodies.length > 1 || name === "filter" ? bodies[0] : undefined;

  function condition(run: Run, frame: Frame): boolean {
    const found = run(frame);
    if (typeof found === "boolean") return found;
    throw new Error(
      `no such overload: the condition of ${name}() must be bool, not ${functions.typeOf(found)}`,
    );
  }

  /** Visits the members with the variables set. */
  function each(frame: Frame, visit: (key: unknown) => boolean): void {
    members(frame, (key, member, only) => {
      if (second === undefined) frame.variables[first.place] = only;
      else {
        frame.variables[first.place] = key;
        frame.variables[second.place] = member;
      }
      return visit(key);
    });
  }

  /** `all` and `exists`: a member that decides outweighs errors of others. */
  function quantifier(decisive: boolean): Run {
    return (frame) => {
      let decided = false;
      let problem: unknown;
      each(frame, () => {
        try {
          decided = condition(value, frame) === decisive;
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

  switch (name) {
    case "all":
      return quantifier(false);
    case "exists":
      return quantifier(true);
    case "exists_one":
    case "existsOne":
      return (frame) => {
        let count = 0;
        each(frame, () => {
          if (condition(value, frame)) count++;
          return true;
        });
        return count === 1;
      };
    case "transformMap":
      return (frame) => {
        const entries: [unknown, unknown][] = [];
        each(frame, (key) => {
          frame.meter.charge(1);
          if (filter === undefined || condition(filter, frame)) entries.push([key, value(frame)]);
          return true;
        });
        return mapOf(entries);
      };
    default:
      return (frame) => {
        const list: unknown[] = [];
        each(frame, () => {
          frame.meter.charge(1);
          if (name === "filter") {
            const member = frame.variables[first.place];
            if (condition(value, frame)) list.push(member);
          } else if (filter === undefined || condition(filter, frame)) list.push(value(frame));
          return true;
        });
        return list;
      };
  }
}
