/** How the functions of Kubernetes' CEL libraries are told to the CEL library. */
import type { CelEnvironment } from "../../../deps.ts";

// deno-lint-ignore no-explicit-any
type Handler = (...args: any[]) => unknown;

export type Library = {
  /** Types of values that only these functions make and take: the class that such values are of, by name. */
  readonly types?: { readonly [name: string]: abstract new (...args: never[]) => unknown };
  /** Namespaces such as `sets.`: the type whose methods are the namespace's functions. */
  readonly namespaces?: { readonly [name: string]: string };
  /** Handlers by signature, such as `quantity(string): Quantity`. */
  readonly functions: { readonly [signature: string]: Handler };
};

/** Stands for a namespace in an expression. */
class Namespace {}

/** Adds a library to an environment. */
export function install(
  environment: CelEnvironment,
  { types = {}, namespaces = {}, functions }: Library,
): void {
  for (const [name, ctor] of Object.entries(types)) {
    environment.registerType(name, { ctor, fields: {} } as never);
  }
  for (const [name, type] of Object.entries(namespaces)) {
    const ctor = class extends Namespace {};
    environment.registerType(type, { ctor, fields: {} } as never);
    environment.registerConstant(name, type, new ctor() as never);
  }
  for (const [signature, handler] of Object.entries(functions)) {
    environment.registerFunction(signature, handler as never);
  }
}
