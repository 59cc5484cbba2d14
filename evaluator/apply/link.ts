/**
 * Links modules, most of them with Extism. Its manifest takes compiled modules and its `functions` any import namespace; `call()`
 * passes one block of input to functions without parameters, which can't carry waPC's two-argument `__guest_call`, nor can a
 * plug-in be put back to a snapshot, so the runtimes call the exports of the instance that Extism gives.
 *
 * Extism and the engines look imports up by the module's words. Extism does so on ordinary objects of its own, on which it puts
 * what it is given over functions of its SDK, for each namespace and name; so what keeps a guest from all else is that every
 * import has been compared with a list (`render/imports.ts`), and that exactly those are given here.
 */
import { loadExtism } from "../../deps.ts";
import { setOwn } from "../../program/types/own.ts";
import { InstantiationError } from "../types/guest.ts";

// Numbers of any WebAssembly type, as many as the import takes.
// deno-lint-ignore no-explicit-any
type ImportedFunction = (...parameters: any[]) => unknown;

/** Functions, and for a Rego module its memory, by namespace and name. */
type Imports = Readonly<Record<string, Readonly<Record<string, WebAssembly.ImportValue>>>>;

/** What Extism's SDK calls while it links, before a limit holds (`docs/extism_policies.md`: not supported). */
const CALLED_BY_EXTISM = "hs_init";

/**
 * An instance of `module` whose imports are the given functions. Before each call of one of them `entering` is called, which
 * refuses by throwing, and when it is about to return to the guest, `returning`, with the exception if it ends with one, which
 * is put in an array. Throws {@link InstantiationError}.
 */
export async function link(
  module: WebAssembly.Module,
  imports: WebAssembly.Imports,
  entering: () => void,
  returning: (fault?: readonly [unknown]) => void,
): Promise<WebAssembly.Instance> {
  const guarded = (call: ImportedFunction): ImportedFunction => (...parameters) => {
    entering();
    let result: unknown;
    try {
      result = call(...parameters);
    } catch (error) {
      returning([error]);
      throw error;
    }
    returning();
    return result;
  };
  const wanted = WebAssembly.Module.imports(module);
  // Extism hands in functions only, and a Rego module wants its memory from the host.
  const withExtism = wanted.every(({ kind }) => kind === "function") &&
    WebAssembly.Module.exports(module).every(({ name }) => name !== CALLED_BY_EXTISM);
  const given = exactly(wanted, imports, (call) => {
    const guard = guarded(call);
    // Extism passes its call context first.
    return withExtism ? (_context: unknown, ...parameters: unknown[]) => guard(...parameters) : guard;
  });
  try {
    if (!withExtism) return await WebAssembly.instantiate(module, given);
    const { createPlugin } = await loadExtism();
    // A bare module and a way to fetch of its own spare it the runtime's, which takes long to load and which no guest gets.
    const plugin = await createPlugin(module, {
      useWasi: false,
      runInWorker: false,
      functions: given as Record<string, Record<string, ImportedFunction>>,
      fetch: noFetch,
    });
    return await plugin.getInstance();
  } catch (error) {
    throw new InstantiationError(error instanceof Error ? error.message : String(error));
  }
}

const noFetch = () => Promise.reject(new Error("guests fetch nothing"));

/**
 * What the module imports and nothing else, on frozen objects without a prototype. A module that was prepared imports only what
 * its runtime gives; another is refused, by the same rule on whatever it may be looked up: own members count, no others.
 */
function exactly(
  wanted: readonly WebAssembly.ModuleImportDescriptor[],
  imports: Imports,
  guard: (call: ImportedFunction) => ImportedFunction,
): WebAssembly.Imports {
  const namespaces = new Map<string, Record<string, WebAssembly.ImportValue>>();
  for (const { module: namespace, name, kind } of wanted) {
    const members = Object.hasOwn(imports, namespace) ? imports[namespace]! : {};
    const member = Object.hasOwn(members, name) ? members[name] : undefined;
    const fits = kind === "memory"
      ? member instanceof WebAssembly.Memory
      : kind === "function" && typeof member === "function";
    if (!fits) {
      throw new InstantiationError(
        `the module imports what its execution mode does not provide: ${kind} ${namespace}.${name}`,
      );
    }
    const own: Record<string, WebAssembly.ImportValue> = namespaces.get(namespace) ?? Object.create(null);
    namespaces.set(namespace, own);
    setOwn(own, name, typeof member === "function" ? guard(member as ImportedFunction) : member!);
  }
  const given: Record<string, Record<string, WebAssembly.ImportValue>> = Object.create(null);
  for (const [namespace, members] of namespaces) setOwn(given, namespace, Object.freeze(members));
  return Object.freeze(given);
}
