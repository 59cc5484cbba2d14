/**
 * `evaluator/apply/link.ts` as it was before imports were checked: looked up on ordinary objects, so that a module gets what
 * those inherit. The tests of the second wall are compiled against it (`second_wall_test.ts`); nothing else may import it.
 */
import { loadExtism } from "../../../deps.ts";
import { InstantiationError } from "../../../evaluator/types/guest.ts";

// Numbers of any WebAssembly type, as many as the import takes.
// deno-lint-ignore no-explicit-any
type ImportedFunction = (...parameters: any[]) => unknown;

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
  const wanted = WebAssembly.Module.imports(module);
  const missing = wanted.filter(({ module: namespace, name, kind }) => {
    const given = imports[namespace]?.[name];
    return kind === "memory"
      ? !(given instanceof WebAssembly.Memory)
      : kind !== "function" || typeof given !== "function";
  });
  if (missing.length > 0) {
    const names = missing.slice(0, 10).map(({ module: namespace, name, kind }) =>
      `${kind} ${namespace}.${name}`
    );
    const more = missing.length > names.length ? ` and ${missing.length - names.length} more` : "";
    throw new InstantiationError(`the module imports what no host provides: ${names.join(", ")}${more}`);
  }
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
  // Extism hands in functions only, and a Rego module wants its memory from the host.
  if (wanted.some(({ kind }) => kind === "memory")) {
    return await instantiate(
      module,
      mapped(
        imports,
        (member) => typeof member === "function" ? guarded(member as ImportedFunction) : member,
      ),
    );
  }
  const functions = mapped(imports, (member): ImportedFunction => {
    const call = guarded(member as ImportedFunction);
    // Extism passes its call context first.
    return (_context, ...parameters) => call(...parameters);
  });
  try {
    const { createPlugin } = await loadExtism();
    // A bare module and a way to fetch of its own spare it the runtime's, which takes long to load and which no guest gets.
    const plugin = await createPlugin(module, {
      useWasi: false,
      runInWorker: false,
      functions,
      fetch: noFetch,
    });
    return await plugin.getInstance();
  } catch (error) {
    throw new InstantiationError(error instanceof Error ? error.message : String(error));
  }
}

const noFetch = () => Promise.reject(new Error("guests fetch nothing"));

function mapped<T>(
  imports: WebAssembly.Imports,
  map: (member: WebAssembly.ImportValue) => T,
): Record<string, Record<string, T>> {
  return Object.fromEntries(
    Object.entries(imports).map(([namespace, members]) =>
      [
        namespace,
        Object.fromEntries(Object.entries(members).map(([name, member]) => [name, map(member)])),
      ] as const
    ),
  );
}

async function instantiate(
  module: WebAssembly.Module,
  imports: WebAssembly.Imports,
): Promise<WebAssembly.Instance> {
  try {
    return await WebAssembly.instantiate(module, imports);
  } catch (error) {
    throw new InstantiationError(error instanceof Error ? error.message : String(error));
  }
}
