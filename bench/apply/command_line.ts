/** The command line of this process. */
import process from "node:process";
import type { parseArgs, ParseArgsConfig } from "node:util";
import { parseCommandLine } from "../types/command_line.ts";

/** What was given. Ends the process with one line when that can't be understood. */
export function commandLine<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseCommandLine(config);
  } catch (error) {
    console.error(`Error: ${(error as Error).message}`);
    process.exit(1);
  }
}
