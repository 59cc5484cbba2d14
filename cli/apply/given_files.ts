/** Files that a command line names. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { readText } from "../../program/apply/read_text.ts";
import { osErrorText, writeErrorText } from "../../program/render/os_error.ts";
import { CliError, type Context } from "../types/command.ts";
import { writeWhole } from "./write_whole.ts";

async function reading<T>(path: string, what: string, content: Promise<T>): Promise<T> {
  try {
    return await content;
  } catch (error) {
    throw new CliError(`Error reading ${what} file: ${osErrorText(error)}: ${path}`);
  }
}

/** Reads a file; `what` is its name in the error. Throws {@link CliError}. */
export function readGiven({ cwd }: Context, path: string, what: string): Promise<Buffer> {
  return reading(path, what, readFile(resolve(cwd, path)));
}

/** As {@link readGiven}, for what has to be text. */
export function readGivenText({ cwd }: Context, path: string, what: string): Promise<string> {
  return reading(path, what, readText(resolve(cwd, path)));
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
    throw new CliError(`cannot write ${path}: ${writeErrorText(error)}`);
  }
}
