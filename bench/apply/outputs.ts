/** The files that a benchmark is asked to write. */
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";

/** What went wrong, without the call that failed. */
function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const known = new Map([
    ["ENOENT", "no such file or folder"],
    ["EISDIR", "it is a folder"],
    ["ENOTDIR", "a part of its path is no folder"],
    ["EACCES", "permission denied"],
    ["EROFS", "the file system is read-only"],
  ]);
  return known.get(code ?? "") ?? message;
}

/** Throws an Error unless a file, if one is asked for, can be written: a run of minutes shall not end with that. */
export function checkWritable(option: string, file: string | undefined): void {
  if (file === undefined) return;
  const existed = existsSync(file);
  try {
    closeSync(openSync(file, "a"));
  } catch (error) {
    throw new Error(`${option}: ${file} can't be written: ${reason(error)}`);
  }
  if (!existed) rmSync(file);
}

export function write(option: string, file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new Error(`${option}: ${file} can't be written: ${reason(error)}`);
  }
}

/** Writes a value as JSON to the file, if one is asked for. */
export function writeJson(option: string, file: string | undefined, value: unknown): void {
  if (file !== undefined) write(option, file, `${JSON.stringify(value, null, 2)}\n`);
}

/** The text of a file, as `parse` understands it. Throws an Error that names the file. */
export function read<T>(option: string, file: string, parse: (text: string) => T): T {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new Error(`${option}: ${file} can't be read: ${reason(error)}`);
  }
  try {
    return parse(text);
  } catch (error) {
    throw new Error(`${option}: ${file}: ${(error as Error).message}`);
  }
}
