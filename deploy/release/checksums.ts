/** The digests of what a release publishes, in the form that `sha256sum --check` reads. */
import { createHash } from "node:crypto";
import { createReadStream, readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";

/** SHA-256 of every file below `folder` but `except`, sorted by name. */
export async function checksums(folder: string, except: string): Promise<string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((name) => name !== except).sort();
  const lines: string[] = [];
  for (const name of files) {
    const hash = createHash("sha256");
    for await (const piece of createReadStream(join(folder, name))) hash.update(piece as Uint8Array);
    lines.push(`${hash.digest("hex")}  ${name}\n`);
  }
  return lines.join("");
}
