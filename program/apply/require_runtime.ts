/** The runtime check, for what is imported and for what is started. Read by runtimes that are too old: syntax of 2018. */
import { unsupportedRuntime } from "../render/runtime.ts";

declare const process: {
  readonly versions: { readonly [name: string]: string | undefined };
  exit(code: number): never;
};

/**
 * For the library.
 *
 * @throws {Error} on a runtime that is not supported: one line that says what is needed and how to get it, with the code
 * `unsupported_runtime`
 */
export function requireRuntime(name: string): void {
  const unsupported = unsupportedRuntime(name, process.versions, true);
  if (unsupported === undefined) return;
  const error = Object.assign(new Error(unsupported), { code: "unsupported_runtime" });
  // Where the check stands helps nobody.
  error.stack = "Error: " + unsupported;
  throw error;
}

/** Ends the process with code 1 and that line on stderr on a runtime that is not supported. */
export function exitUnlessSupported(name: string): void {
  const unsupported = unsupportedRuntime(name, process.versions);
  if (unsupported === undefined) return;
  console.error("Error: " + unsupported);
  process.exit(1);
}
