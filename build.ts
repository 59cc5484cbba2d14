/**
 * Bundles the programs with esbuild, tree-shaken, so that a process loads no more than it needs. The folder needs nothing
 * beside it; images hold just this.
 *
 * usage: build.ts [OUTDIR] [NAME=FILE ...] [--metafile]
 *   OUTDIR      default: dist
 *   NAME=FILE   further entries, for tests of the bundling itself
 *   --metafile  writes esbuild's account of what is in each file to OUTDIR/metafile.json
 */
import { build, type Plugin } from "esbuild";
import { rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL(".", import.meta.url));
const given = process.argv.slice(2).filter((argument) => argument !== "--metafile");
const extra = given.filter((argument) => argument.includes("="));
const outdir = resolve(given.find((argument) => !argument.includes("=")) ?? `${root}dist`);

/** Extism names the runtime's own WASI in a static import, though guests here never get it (`deps.ts`). */
const withoutWasi: Plugin = {
  name: "without-wasi",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?wasi$/ }, () => ({ path: "wasi", namespace: "without-wasi" }));
    onLoad({ filter: /.*/, namespace: "without-wasi" }, () => ({
      contents:
        "export class WASI { constructor() { throw new Error('the runtime\\'s own WASI is not used'); } }",
    }));
  },
};

/**
 * An `import` of `node:http` reads all its members, one of which loads the whole of Node's fetch: 60 ms of processor time at every
 * start, for a client that few commands use. Taken as an object, it costs nothing.
 */
const unreadHttp: Plugin = {
  name: "unread-http",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?http$/ }, () => ({ path: "http", namespace: "unread-http" }));
    onLoad({ filter: /.*/, namespace: "unread-http" }, () => ({
      contents: 'module.exports = process.getBuiltinModule("node:http");',
    }));
  },
};

rmSync(outdir, { recursive: true, force: true });
const { metafile } = await build({
  metafile: true,
  absWorkingDir: root,
  entryPoints: {
    policy_server: "policy_server/main.ts",
    controller: "controller/main.ts",
    reeve: "cli/main.ts",
    audit: "audit/main.ts",
    worker: "evaluator/apply/worker.ts",
    mod: "mod.ts",
    // Tinypool looks for the code of its threads here, seen from the file that it stands in.
    "entry/worker": "node_modules/tinypool/dist/entry/worker.js",
    ...Object.fromEntries(extra.map((entry) => entry.split("=", 2) as [string, string])),
  },
  outdir,
  bundle: true,
  // What is imported on demand lies in files of its own. They stay beside the programs: the worker's code and Tinypool's are
  // looked for from the file that names them.
  splitting: true,
  chunkNames: "[name]-[hash]",
  minifyWhitespace: true,
  format: "esm",
  platform: "node",
  target: "node24",
  conditions: ["node"],
  sourcemap: "linked",
  // For benchmarks only.
  external: ["autocannon"],
  plugins: [withoutWasi, unreadHttp],
  // The package's files for Node are CommonJS, of which a bundle always gets all.
  alias: { yaml: `${root}node_modules/yaml/browser/index.js` },
  // CommonJS packages ask for `require`, which an ES module hasn't got.
  banner: {
    js:
      'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  logLevel: "warning",
});
if (process.argv.includes("--metafile")) writeFileSync(`${outdir}/metafile.json`, JSON.stringify(metafile));
