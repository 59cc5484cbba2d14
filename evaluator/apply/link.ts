/**
 * Links modules with Extism. Its manifest takes compiled modules and its `functions` any import namespace; `call()` passes
 * one block of input to functions without parameters, which can't carry waPC's two-argument `__guest_call`, nor can a
 * plug-in be put back to a snapshot, so the runtimes call the exports of the instance that Extism gives.
 */
import { loadExtism } from "../../deps.ts";
import { InstantiationError } from "../types/guest.ts";

// Numbers of any WebAssembly type, as many as the import takes.
// deno-lint-ignore no-explicit-any
type ImportedFunction = (...parameters: any[]) => unknown;

/**
 * An instance of `module` whose imports are the given functions. Before each call of one of them `entering` is called, which
 * refuses by throwing, and when it is about to return to the guest, be it with an exception, `returning`. Throws
 * {@link InstantiationError}.
 */
export async function link(
  module: WebAssembly.Module,
  imports: WebAssembly.Imports,
  entering: () => void,
  returning: () => void,
): Promise<WebAssembly.Instance> {
  const missing = WebAssembly.Module.imports(module).filter(({ module: namespace, name, kind }) =>
    kind !== "function" || typeof imports[namespace]?.[name] !== "function"
  );
  if (missing.length > 0) {
    const names = missing.slice(0, 10).map(({ module: namespace, name, kind }) =>
      `${kind} ${namespace}.${name}`
    );
    const more = missing.length > names.length ? ` and ${missing.length - names.length} more` : "";
    throw new InstantiationError(`the module imports what no host provides: ${names.join(", ")}${more}`);
  }
  const functions: Record<string, Record<string, ImportedFunction>> = {};
  for (const [namespace, members] of Object.entries(imports)) {
    functions[namespace] = {};
    for (const [name, member] of Object.entries(members)) {
      // Extism passes its call context first.
      const call = member as ImportedFunction;
      functions[namespace][name] = (_context, ...parameters) => {
        entering();
        try {
          return call(...parameters);
        } finally {
          returning();
        }
      };
    }
  }
  try {
    const { createPlugin } = await loadExtism();
    const plugin = await createPlugin({ wasm: [{ module }] }, {
      useWasi: false,
      runInWorker: false,
      functions,
    });
    return await plugin.getInstance();
  } catch (error) {
    throw new InstantiationError(error instanceof Error ? error.message : String(error));
  }
}
