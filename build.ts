/**
 * Bundles the programs with esbuild, tree-shaken, so that a process loads no more than it needs. The folder needs nothing
 * beside it; images hold just this.
 *
 * usage: build.ts [OUTDIR] [NAME=FILE ...] [--metafile]
 *   OUTDIR      default: dist
 *   NAME=FILE   further entries, for tests of the bundling itself
 *   --metafile  writes esbuild's account of what is in each file to OUTDIR/metafile.json
 */
import "./program/check_script.ts";
import { build, type BuildOptions, type Plugin } from "esbuild";
import { rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { copySamples } from "./policies/demo/apply/copy_samples.ts";

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

/** What a program's entry loads lies beside it, in a file with this ending (`NAME.main.js`). */
const MAIN = ".main";

/** The files that a runtime reads first: they check it and then load the rest, so they hold no syntax that is newer than ours. */
const ENTRIES: Readonly<Record<string, string>> = {
  policy_server: "policy_server/main.ts",
  controller: "controller/main.ts",
  reeve: "cli/main.ts",
  audit: "audit/main.ts",
  portreeve: "policies/demo/main.ts",
  worker: "evaluator/apply/worker_entry.ts",
};

/** What an entry imports on demand is in the other build. */
const loadedLater: Plugin = {
  name: "loaded-later",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/(program|worker)\.ts$/ }, ({ importer, kind }) => {
      if (kind !== "dynamic-import") return undefined;
      const [name] = Object.entries(ENTRIES).find(([, file]) => resolve(root, file) === importer) ?? [];
      if (name === undefined) throw new Error(`${importer} is no entry`);
      return { path: `./${name}${MAIN}.js`, external: true };
    });
  },
};

const common: BuildOptions = {
  absWorkingDir: root,
  outdir,
  bundle: true,
  minifyWhitespace: true,
  format: "esm",
  platform: "node",
  sourcemap: "linked",
  logLevel: "warning",
  metafile: true,
};

rmSync(outdir, { recursive: true, force: true });
const programs = await build({
  ...common,
  entryPoints: {
    [`policy_server${MAIN}`]: "policy_server/program.ts",
    [`controller${MAIN}`]: "controller/program.ts",
    [`reeve${MAIN}`]: "cli/program.ts",
    [`audit${MAIN}`]: "audit/program.ts",
    [`portreeve${MAIN}`]: "policies/demo/program.ts",
    [`worker${MAIN}`]: "evaluator/apply/worker.ts",
    [`mod${MAIN}`]: "mod.ts",
    // Tinypool looks for the code of its threads here, seen from the file that it stands in.
    "entry/worker": "node_modules/tinypool/dist/entry/worker.js",
    ...Object.fromEntries(extra.map((entry) => entry.split("=", 2) as [string, string])),
  },
  // What is imported on demand lies in files of its own. They stay beside the programs: the worker's code and Tinypool's are
  // looked for from the file that names them.
  splitting: true,
  chunkNames: "[name]-[hash]",
  target: "node24",
  conditions: ["node"],
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
});
const entries = await build({
  ...common,
  entryPoints: { ...ENTRIES, runtime_check: "program/check_runtime.ts" },
  target: "es2018",
  plugins: [loadedLater],
});
// A library's names must be there at once, so its check is what it imports first: that runs before anything else of it does.
writeFileSync(
  resolve(outdir, "mod.js"),
  `import "./runtime_check.js";\nexport * from "./mod${MAIN}.js";\n`,
);
// Older runtimes take a file without it for CommonJS, newer ones read each file twice to find out.
writeFileSync(resolve(outdir, "package.json"), '{ "type": "module" }\n');
copySamples(root, outdir);
if (process.argv.includes("--metafile")) {
  const outputs = { ...programs.metafile!.outputs, ...entries.metafile!.outputs };
  writeFileSync(resolve(outdir, "metafile.json"), JSON.stringify({ outputs }));
}
