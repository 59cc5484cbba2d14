/**
 * How every program starts: the runtime is checked first, and only then is the program's code loaded, because a runtime that
 * is too old fails to parse it, or finds nothing to run and ends with code 0. Read by such runtimes: syntax of 2018, no
 * imports but the check.
 */
import { exitUnlessSupported } from "./require_runtime.ts";

declare const process: {
  exitCode: number | undefined;
  on(event: "SIGHUP", listener: () => void): void;
  once(event: "beforeExit", listener: () => void): void;
  removeListener(event: "beforeExit", listener: () => void): void;
};

/** A program's code. `start` resolves to the exit code; undefined: 0, unless it is set meanwhile. */
export type Program = { readonly start: () => Promise<number | void> };

/**
 * Ends the process with code 1 and one line on stderr on a runtime that is not supported; else loads the program and runs
 * it. Until the program says how it went, the exit code is 1: a process that ends for any other reason has not succeeded.
 * With `reloads` SIGHUP does not end the process while it starts: the program takes it to mean that it is to read something again.
 */
export function startProgram(name: string, load: () => Promise<Program>, reloads = false): void {
  exitUnlessSupported(name);
  // As long as the program has not begun, nothing was read that could be read again.
  if (reloads) process.on("SIGHUP", () => {});
  process.exitCode = 1;
  const unfinished = () => console.error("Error: " + name + " ended before its work was done");
  process.once("beforeExit", unfinished);
  // A rejection is not handled here, so that the runtime shows the error and ends with code 1.
  void load().then((program) => program.start()).then((exitCode) => {
    process.removeListener("beforeExit", unfinished);
    process.exitCode = exitCode || 0;
  });
}
