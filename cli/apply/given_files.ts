/** Files that a command line names. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { osErrorText } from "../../program/render/os_error.ts";
import { CliError, type Context } from "../types/command.ts";
import { writeWhole } from "./write_whole.ts";

/** Reads a file; `what` is its name in the error. Throws {@link CliError}. */
export async function readGiven({ cwd }: Context, path: string, what: string): Promise<Buffer> {
  try {
    return await readFile(resolve(cwd, path));
  } catch (error) {
    throw new CliError(`Error reading ${what} file: ${osErrorText(error)}: ${path}`);
  }
}

/** Writes a file. Throws {@link CliError}. */
export async function writeGiven(
  { cwd }: Context,
  path: string,
  content: string | Uint8Array,
): Promise<void> {
  try {
    await writeWhole(resolve(cwd, path), content);
  } catch (error) {
    throw new CliError(`cannot write ${path}: ${osErrorText(error)}`);
  }
}
