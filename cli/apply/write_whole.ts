/** Writes files of which nobody ever sees a part. */
import { rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import process from "node:process";

/** Writes beside the file and takes its name when all is there; devices and pipes are written to as they are. */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const special = await stat(path).then((entry) => !entry.isFile() && !entry.isDirectory(), () => false);
  if (special) return await writeFile(path, content);
  const unfinished = join(dirname(path), `.${basename(path)}-${process.pid}.part`);
  try {
    await writeFile(unfinished, content);
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}
