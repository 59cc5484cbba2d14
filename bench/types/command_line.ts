/** The command lines of all benchmarks. */
import { parseArgs, type ParseArgsConfig } from "node:util";

/** What `parseArgs` understands. Throws an Error of one line. */
export function parseCommandLine<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    throw new Error(`${(error as Error).message.replace(/\s*\n\s*/g, " ")} (see --help)`);
  }
}
