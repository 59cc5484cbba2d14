/** `info`: versions and folders. */
import { REGO_BUILTINS } from "../../evaluator/types/rego_builtin_names.ts";
import { pathsOf } from "../apply/paths.ts";
import type { Run } from "../types/command.ts";
import { COMPATIBLE_VERSION } from "../types/version.ts";

export const run: Run = (context) => {
  const { store, config, cache } = pathsOf(context.env);
  context.out([
    `${context.program} version: ${COMPATIBLE_VERSION}`,
    "",
    "Open Policy Agent/Gatekeeper implemented builtins:",
    ...[...REGO_BUILTINS].sort().map((name) => `  - ${name}`),
    "",
    `Policy store: ${store}`,
    `Config directory: ${config}`,
    `${context.program} cache directory: ${cache}`,
    "",
  ].join("\n"));
  return Promise.resolve();
};
