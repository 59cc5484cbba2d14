/**
 * Modules that are prepared, by their digest, shared by the policy sets that use them: while a reload builds the next set, the modules
 * that stay are held once. Compiled, a module takes several times its size.
 */
import type { PreparedModule } from "../../evaluator/types/module.ts";

/** A prepared module and the number by which the pool knows it. */
export type SharedModule = { readonly id: number; readonly prepared: PreparedModule };

export type SharedModules = {
  /** The module of this digest, for one more user; made by `make` where nobody uses it yet. */
  acquire(digest: string, make: () => Promise<SharedModule>): Promise<SharedModule>;
  /** One user less. Returns the module's number where that was the last one: nobody gets it any more. */
  release(digest: string): number | undefined;
};

/** Nothing is shared yet. */
export function sharedModules(): SharedModules {
  const modules = new Map<string, { users: number; readonly module: Promise<SharedModule>; id?: number }>();
  return {
    async acquire(digest, make) {
      let entry = modules.get(digest);
      if (entry === undefined) modules.set(digest, entry = { users: 0, module: make() });
      entry.users++;
      try {
        const module = await entry.module;
        entry.id = module.id;
        return module;
      } catch (error) {
        if (modules.get(digest) === entry) modules.delete(digest);
        throw error;
      }
    },
    release(digest) {
      const entry = modules.get(digest);
      if (entry === undefined || --entry.users > 0) return undefined;
      modules.delete(digest);
      return entry.id;
    },
  };
}
