/** Functions by signature, and which of them a call means. */
import type { Meter } from "./meter.ts";
import { Duration, Namespace, Optional, TypeValue, Uint } from "./values.ts";

/**
 * Gets the receiver, the arguments and the meter, in this order. Texts and byte strings among them are paid for already, and
 * what is returned will be; whatever else takes time or memory in proportion to something, the handler pays for beforehand.
 */
// deno-lint-ignore no-explicit-any
export type Handler = (...args: any[]) => unknown;

export type Library = {
  /** Types of values that only these functions make and take: the class that such values are of, by name. */
  readonly types?: { readonly [name: string]: abstract new (...args: never[]) => unknown };
  /** Namespaces such as `sets.`: the type whose methods are the namespace's functions. */
  readonly namespaces?: { readonly [name: string]: string };
  /** `==` of values of a type. */
  readonly equality?: { readonly [type: string]: (a: never, b: never) => boolean };
  /** Handlers by signature, such as `quantity(string): Quantity`. */
  readonly functions: { readonly [signature: string]: Handler };
};

type Overload = {
  /** Types of the receiver, where there is one, and of the arguments. */
  readonly types: readonly string[];
  readonly handler: Handler;
};

export type Functions = {
  readonly namespaces: ReadonlyMap<string, Namespace>;
  typeOf(value: unknown): string;
  /** `undefined` for a type whose values are only equal to themselves. */
  equality(type: string): ((a: never, b: never) => boolean) | undefined;
  /** How to call a function, or `undefined` when there is none of this name and number of arguments. */
  find(
    name: string,
    method: boolean,
    parameters: number,
  ): ((args: readonly unknown[], meter: Meter) => unknown) | undefined;
};

const SIGNATURE = /^(?:([\w.]+)\.)?(\w+)\(([^)]*)\): \S+$/;

function parsed(signature: string): { readonly key: string; readonly types: readonly string[] } {
  const match = SIGNATURE.exec(signature.replace(/<[^>]*>/g, ""));
  if (match === null) throw new Error(`not a signature: ${signature}`);
  const [, receiver, name = "", list = ""] = match;
  const parameters = list === "" ? [] : list.split(", ");
  const key = `${receiver === undefined ? "" : "."}${name}/${parameters.length}`;
  return { key, types: receiver === undefined ? parameters : [receiver, ...parameters] };
}

/** Pays for the size of a value that is passed in or out. */
function chargeSize(meter: Meter, value: unknown, made: boolean): void {
  if (typeof value === "string" || value instanceof Uint8Array) meter.text(value.length);
  else if (made && Array.isArray(value)) meter.charge(value.length);
}

/** Names the types of values: CEL's own and those of the libraries. */
function typesOf(libraries: readonly Library[]): Functions["typeOf"] {
  const prototypes = new Map<unknown, string>([
    [null, "map"],
    [Object.prototype, "map"],
    [Map.prototype, "map"],
    [Uint.prototype, "uint"],
    [Date.prototype, "google.protobuf.Timestamp"],
    [Duration.prototype, "google.protobuf.Duration"],
    [Optional.prototype, "optional"],
    [TypeValue.prototype, "type"],
  ]);
  for (const { types = {} } of libraries) {
    for (const [name, ctor] of Object.entries(types)) prototypes.set(ctor.prototype, name);
  }
  // An object's own `constructor` is a tenant's data: a class is known by its prototype.
  return (value) => {
    switch (typeof value) {
      case "string":
        return "string";
      case "bigint":
        return "int";
      case "number":
        return "double";
      case "boolean":
        return "bool";
    }
    if (value === null) return "null_type";
    if (Array.isArray(value)) return "list";
    if (value instanceof Uint8Array) return "bytes";
    if (value instanceof Namespace) return value.type;
    return prototypes.get(Object.getPrototypeOf(value)) ?? "unknown";
  };
}

/** All functions of some libraries. */
export function functionsOf(libraries: readonly Library[]): Functions {
  const typeOf = typesOf(libraries);
  const namespaces = new Map<string, Namespace>();
  const equalities = new Map<string, (a: never, b: never) => boolean>();
  const overloads = new Map<string, Overload[]>();
  for (const { namespaces: spaces = {}, equality = {}, functions } of libraries) {
    for (const [name, type] of Object.entries(spaces)) namespaces.set(name, new Namespace(type));
    for (const [type, same] of Object.entries(equality)) equalities.set(type, same);
    for (const [signature, handler] of Object.entries(functions)) {
      const { key, types } = parsed(signature);
      const others = overloads.get(key) ?? [];
      overloads.set(key, [...others, { types, handler }]);
    }
  }

  return {
    namespaces,
    typeOf,
    equality: (type) => equalities.get(type),
    find(name, method, parameters) {
      const candidates = overloads.get(`${method ? "." : ""}${name}/${parameters}`);
      if (candidates === undefined) return undefined;
      return (args, meter) => {
        meter.charge(1);
        const types = args.map(typeOf);
        const fits = ({ types: taken }: Overload) =>
          taken.every((type, index) => type === "dyn" || type === types[index]);
        const overload = candidates.find(fits);
        if (overload === undefined) {
          throw new Error(`no such overload: ${name}(${types.join(", ")})`);
        }
        for (const arg of args) chargeSize(meter, arg, false);
        const result = overload.handler(...args, meter);
        chargeSize(meter, result, true);
        return result;
      };
    },
  };
}
