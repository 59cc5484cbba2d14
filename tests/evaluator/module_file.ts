/** Modules that a test makes, as files for the programs that it starts. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

let folder: string | undefined;

/** Writes a module below a folder that is gone when this process is. Returns its path. */
export function moduleFile(name: string, module: Uint8Array): string {
  if (folder === undefined) {
    const made = folder = mkdtempSync(join(tmpdir(), "portreeve-modules-"));
    process.on("exit", () => rmSync(made, { recursive: true, force: true }));
  }
  const file = join(folder, `${name}.wasm`);
  writeFileSync(file, module);
  return file;
}
