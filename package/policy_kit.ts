/** What `reeve build` makes policies with, as a build has it: the engine, and the code that goes into every policy. */
import { build } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { writeDeclarations } from "./declarations.ts";

/** Writes it to the folder `policy` of `outdir`. What the two files share is in a third one; types are beside them. */
export async function writePolicyKit(root: string, outdir: string): Promise<void> {
  const folder = join(outdir, "policy");
  await build({
    absWorkingDir: root,
    entryPoints: { mod: "typescript/mod.ts", guest: "typescript/render/guest.ts" },
    outdir: folder,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "neutral",
    target: "es2022",
    chunkNames: "[name]-[hash]",
    legalComments: "none",
    logLevel: "warning",
  });
  // Six parts in ten of what it takes in the package.
  const engine = brotliCompressSync(readFileSync(join(root, "typescript/apply/engine.wasm")));
  writeFileSync(join(folder, "engine.wasm.br"), engine);
  writeDeclarations(root, { mod: "typescript/mod.ts" }, join(folder, "types"));
}
