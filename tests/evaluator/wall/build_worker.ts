/** Bundles parts of the product in which files are replaced, for the tests of the second wall. */
import { build, type Plugin } from "esbuild";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** Files of the product, from the repository's root, and the files that take their place. */
export type Replacements = Readonly<Record<string, string>>;

/** Bundles the worker into `folder`. Returns its URL. */
export const buildWorker = (folder: string, replacements: Replacements): Promise<URL> =>
  bundle(folder, { worker: "evaluator/apply/worker_entry.ts" }, replacements);

/**
 * Bundles `entries`, files by the names of their bundles, into `folder`. Returns the URL of the first. Throws when a file that is
 * to be replaced is not part of it.
 */
export async function bundle(
  folder: string,
  entries: Readonly<Record<string, string>>,
  replacements: Replacements,
): Promise<URL> {
  const used = new Set<string>();
  const replace: Plugin = {
    name: "replace",
    setup({ onResolve }) {
      onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => {
        const file = join(resolveDir, path);
        const found = Object.entries(replacements).find(([replaced]) => join(root, replaced) === file);
        if (found === undefined) return undefined;
        used.add(found[0]);
        return { path: join(root, found[1]) };
      });
    },
  };
  await build({
    absWorkingDir: root,
    entryPoints: { ...entries },
    outdir: folder,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node24",
    conditions: ["node"],
    plugins: [replace],
    banner: {
      js: 'import { createRequire as __make } from "node:module"; const require = __make(import.meta.url);',
    },
    logLevel: "error",
  });
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
  const missing = Object.keys(replacements).filter((file) => !used.has(file));
  if (missing.length > 0) throw new Error(`not part of the worker: ${missing.join(", ")}`);
  return pathToFileURL(join(folder, `${Object.keys(entries)[0]}.js`));
}
