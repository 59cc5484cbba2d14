/** Where a new policy's folder gets this package from: the same that its author has. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { shellWord } from "../../program/render/shell_word.ts";
import { VERSION } from "../../policy_server/types/version.ts";
import type { OwnPackage } from "../render/new_policy/common.ts";

const NAME = "portreeve";
/** `npm pack` and `package/build.ts` make it; a checkout alone has it. */
const BUILD = "package/build.ts";
/** `package/build.ts` writes it into what is published. */
const PUBLISHED = "npm/published";
/** From a chunk of the package to its folder, and from a source. */
const MAX_DEPTH = 4;

/** The folder of the package that this code is in; undefined in a single executable and in an image. */
function ownFolder(): string | undefined {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let depth = 0; depth < MAX_DEPTH; depth++, folder = dirname(folder)) {
    try {
      if (JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).name === NAME) return folder;
    } catch {
      // The next folder above.
    }
  }
  return undefined;
}

/** What a new policy names as its dependency on this package. A version only where a registry is known to have it, or nothing else is known. */
export function ownPackage(): OwnPackage {
  const folder = ownFolder();
  const version = { from: `^${VERSION}`, commands: [] };
  if (folder === undefined) {
    const note =
      `package.json names portreeve ^${VERSION}; where no registry of npm has it, pack it in a checkout ` +
      "with npm pack, and npm install --save-dev that file";
    return { ...version, note };
  }
  if (existsSync(join(folder, PUBLISHED))) return version;
  const windows = process.platform === "win32";
  if (!existsSync(join(folder, BUILD))) {
    return { from: `file:${folder.replaceAll("\\", "/")}`, commands: [] };
  }
  return {
    from: `file:${NAME}-${VERSION}.tgz`,
    commands: [`npm pack --silent ${shellWord(folder, windows)}`],
  };
}
