/** Files that a command line names. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { readText } from "../../program/apply/read_text.ts";
import { osErrorText, writeErrorText } from "../../program/render/os_error.ts";
import { CliError, type Context } from "../types/command.ts";
import { buildFirst } from "./build_first.ts";
import { writeWhole } from "./write_whole.ts";

async function reading<T>(
  { cwd }: Context,
  path: string,
  what: string,
  read: (whole: string) => Promise<T>,
): Promise<T> {
  const whole = resolve(cwd, path);
  try {
    return await read(whole);
  } catch (error) {
    const remedy = (error as NodeJS.ErrnoException).code === "ENOENT" ? await buildFirst(whole) : "";
    throw new CliError(`Error reading ${what} file: ${osErrorText(error)}: ${path}${remedy}`);
  }
}

/** Reads a file; `what` is its name in the error. Throws {@link CliError}. */
export function readGiven(context: Context, path: string, what: string): Promise<Buffer> {
  return reading(context, path, what, (whole) => readFile(whole));
}

/** As {@link readGiven}, for what has to be text. */
export function readGivenText(context: Context, path: string, what: string): Promise<string> {
  return reading(context, path, what, readText);
}

/** The error of what can't be written. */
export const cannotWrite = (path: string, error: unknown): CliError =>
  new CliError(`cannot write ${path}: ${writeErrorText(error)}`);

/** Writes a file. Throws {@link CliError}. */
export async function writeGiven(
  { cwd }: Context,
  path: string,
  content: string | Uint8Array,
): Promise<void> {
  try {
    await writeWhole(resolve(cwd, path), content);
  } catch (error) {
    throw cannotWrite(path, error);
  }
}
