/** A module that is not there, beside the sources that it is made of. */
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { own } from "../../program/types/own.ts";
import { buildCommands } from "../render/new_policy/build_commands.ts";

/** What to do about it, to stand behind an error's text; nothing where no source is known. */
export async function buildFirst(path: string): Promise<string> {
  const folder = dirname(path);
  const files = await readdir(folder).catch(() => []);
  let scripts: Readonly<Record<string, unknown>> | undefined;
  try {
    scripts = JSON.parse(await readFile(join(folder, "package.json"), "utf8")).scripts;
  } catch {
    // Without scripts.
  }
  const commands = buildCommands(basename(path), new Set(files), own(scripts, "build") !== undefined);
  return commands.length === 0 ? "" : `; build first: ${commands.join(" && ")}`;
}
