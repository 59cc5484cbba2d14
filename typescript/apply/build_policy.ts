/** From an author's module to a policy's. */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { PolicyBuildError } from "../types/build_error.ts";
import { bundlePolicy } from "./bundle.ts";
import { engineUrl } from "./own_files.ts";
import { snapshotModule } from "./snapshot.ts";

/** Much code for a policy, and not yet what a server refuses. */
const MAX_MODULE = 16 * 1024 * 1024;

/** What was built. */
export interface BuiltPolicy {
  readonly module: Uint8Array;
  /** The files that it is made of. */
  readonly files: readonly string[];
}

/** Throws {@link PolicyBuildError} unless `file` is one. */
export async function requireSource(file: string): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  if (!found?.isFile()) throw new PolicyBuildError(`${file} is no file`);
}

/**
 * The module of the policy whose source is `file`, without metadata. `log` gets what the policy logs while it is built, and what is probably wrong with it. Throws
 * {@link PolicyBuildError}.
 */
export async function buildPolicy(file: string, log: (line: string) => void): Promise<BuiltPolicy> {
  await requireSource(file);
  if (!existsSync(engineUrl())) {
    throw new PolicyBuildError(
      "this program can't build policies, the npm package portreeve can: install it as README.md says, then npx reeve build",
    );
  }
  const bundle = await bundlePolicy(file, (line) => log(`warning: ${line}`));
  const module = await snapshotModule(bundle, log);
  if (module.length > MAX_MODULE) {
    throw new PolicyBuildError(
      `the module has ${module.length} bytes, the limit is ${MAX_MODULE}: import less`,
    );
  }
  return { module, files: bundle.files };
}
