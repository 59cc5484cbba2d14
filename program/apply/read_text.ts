/** Reads what people write. */
import { readFile } from "node:fs/promises";
import { decodedText } from "../types/decoded_text.ts";

/**
 * The text of a file.
 *
 * @throws {Error} of the file system, or when it is no text (`decodedText`)
 */
export async function readText(path: string): Promise<string> {
  return decodedText(await readFile(path));
}
