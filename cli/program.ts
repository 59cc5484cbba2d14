/** `reeve`, and `kwctl` for scripts that call it by that name: reads the command line and calls the command. */
import process from "node:process";
import { refuseDirectStart } from "../program/apply/refuse_direct_start.ts";
import { own } from "../program/types/own.ts";
import { withoutCodeGeneration } from "../evaluator/apply/confine.ts";
import { processContext } from "./apply/context.ts";
import { pathsOf } from "./apply/paths.ts";
import { programName } from "./apply/program_name.ts";
import { parseCommandLine, type RootFlags } from "./apply/parse.ts";
import { errorText, usageErrorText } from "./render/error.ts";
import { firstCommands } from "./render/first_commands.ts";
import { helpText } from "./render/help.ts";
import { printing } from "./render/printing.ts";
import { LOADERS } from "./serve/commands.ts";
import type { ProcessContext } from "./types/command.ts";
import { UsageError } from "./types/usage_error.ts";
import { COMPATIBLE_VERSION } from "./types/version.ts";

refuseDirectStart(import.meta.url, "reeve");

/** 128 and the signal's number. */
const INTERRUPTED = 130;
/** How long a command may take to put away what is half done. */
const PUT_AWAY_MS = 1500;

/**
 * Runs one command line, without the program's name. Resolves to the exit code. `context` makes the world that the command
 * sees from the flags that stand before it.
 */
export async function main(
  program: string,
  words: readonly string[],
  context: (root: RootFlags) => ProcessContext,
): Promise<number> {
  const plain = printing(context({ verbose: false, colour: true }));
  try {
    const parsed = parseCommandLine(program, words);
    if (parsed.kind === "version") {
      const more = parsed.long ? "\nUse the `info` command to display system information.\n\n" : "";
      plain.out(`${program} ${COMPATIBLE_VERSION}\n${more}`);
      return 0;
    }
    if (parsed.kind === "help") {
      const begins = !parsed.asked && parsed.command === undefined && program === "reeve";
      const text = begins ? firstCommands() : helpText(parsed.path, parsed.command, parsed.long);
      if (parsed.asked) plain.out(text);
      else plain.err(text);
      return parsed.asked ? 0 : 2;
    }
    const world = printing(context(parsed.root));
    try {
      const { run } = await own(LOADERS, parsed.path.join(" "))!();
      return await run(world, parsed.args) ?? 0;
    } catch (error) {
      if (error instanceof UsageError) throw error;
      if (world.signal.aborted) return INTERRUPTED;
      world.err(errorText(error));
      if (world.verbose && error instanceof Error) world.err(`${error.stack ?? ""}\n`);
      return 1;
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    plain.err(usageErrorText(error));
    return 2;
  }
}

/** Runs the process' own command line, and ends the process. */
export async function start(): Promise<void> {
  // Policies are evaluated in this thread as well (`evaluator/apply/inline_first.ts`).
  withoutCodeGeneration();
  // What was compiled for this tool is kept for its next call, in its own folder. Bun does without.
  if (!("bun" in process.versions)) {
    const { enableCompileCache } = await import("node:module");
    enableCompileCache(pathsOf(process.env).compiled);
  }
  const program = programName();
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    // The first lets the command put away what is half done, the second does not wait for that.
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(INTERRUPTED);
      stop.abort();
      // A policy that never ends, or a peer that says nothing, is not waited for either.
      setTimeout(() => process.exit(INTERRUPTED), PUT_AWAY_MS).unref();
    });
  }
  // Compiling a module in the background alone does not keep Node waiting for it.
  setInterval(() => {}, 2 ** 30);
  process.exitCode = await main(
    program,
    process.argv.slice(2),
    (root) => processContext(program, root, stop.signal),
  );
  // Threads and watches that nobody waits for any more must not keep it alive.
  process.exit();
}
