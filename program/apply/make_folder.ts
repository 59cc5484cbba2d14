/** Folders that are made where a user says. */
import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/**
 * Makes a folder and those above it; one that is there already is fine. Node's own way (`recursive`) never ends in a folder that
 * answers "no such file" to whoever would make something in it, as `/proc` does.
 *
 * @throws the system's error for the folder that could not be made
 */
export async function makeFolder(path: string): Promise<void> {
  const folder = resolve(path);
  try {
    await mkdir(folder);
  } catch (cause) {
    const isThere = await stat(folder).then((entry) => entry.isDirectory(), () => false);
    if (isThere) return;
    const above = dirname(folder);
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT" || above === folder) throw cause;
    await makeFolder(above);
    await mkdir(folder).catch(async (cause) => {
      // Another process may have made it meanwhile.
      if (!await stat(folder).then((entry) => entry.isDirectory(), () => false)) throw cause;
    });
  }
}
