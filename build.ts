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
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { posix, relative, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { unreadHttp, withoutWasi } from "./package/plugins.ts";
import { writePolicyKit } from "./package/policy_kit.ts";
import { copySamples } from "./policies/demo/apply/copy_samples.ts";

const root = fileURLToPath(new URL(".", import.meta.url));
const given = process.argv.slice(2).filter((argument) => argument !== "--metafile");
const extra = given.filter((argument) => argument.includes("="));
const outdir = resolve(given.find((argument) => !argument.includes("=")) ?? `${root}dist`);

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
  serving: "policy_server/serve/serving_entry.ts",
};

/** What an entry imports on demand is in the other build. */
const loadedLater: Plugin = {
  name: "loaded-later",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/(program|worker|serving_thread)\.ts$/ }, ({ importer, kind }) => {
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
    [`serving${MAIN}`]: "policy_server/serve/serving_thread.ts",
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
  entryPoints: {
    ...ENTRIES,
    runtime_check: "program/check_runtime.ts",
    direct_start: "program/apply/refuse_direct_start.ts",
  },
  target: "es2018",
  plugins: [loadedLater],
});
// A library's names must be there at once, so its check is what it imports first: that runs before anything else of it does.
writeFileSync(
  resolve(outdir, "mod.js"),
  `import "./runtime_check.js";\nexport * from "./mod${MAIN}.js";\n`,
);
const outputs = { ...programs.metafile!.outputs, ...entries.metafile!.outputs };

/** Programs, which are started by their name. */
const STARTED: ReadonlySet<string> = new Set(
  ["policy_server", "controller", "reeve", "audit", "portreeve"].map((name) => `${name}.js`),
);
/** What refuses to be started, see `program/apply/refuse_direct_start.ts`. */
const GUARD = "direct_start.js";

/** Lets a file end with code 1 when it is started by itself: it would do nothing and end with 0. Lines keep their numbers. */
function refuseStart(name: string): void {
  const file = resolve(outdir, name);
  const guard = posix.relative(posix.dirname(name), GUARD);
  const specifier = guard.startsWith(".") ? guard : `./${guard}`;
  const code = readFileSync(file, "utf8");
  const map = code.match(/\/\/# sourceMappingURL=\S+\s*$/)?.[0] ?? "";
  const call = `__refusePartStart(import.meta.url,${JSON.stringify(posix.basename(name))},${
    JSON.stringify(specifier)
  });`;
  writeFileSync(
    file,
    `${code.slice(0, code.length - map.length)}import{refusePartStart as __refusePartStart}from${
      JSON.stringify(specifier)
    };import.meta.main===false||${call}\n${map}`,
  );
}

const nameOf = (path: string) => relative(outdir, resolve(root, path)).replaceAll("\\", "/");
const guardPath = Object.keys(outputs).find((path) => nameOf(path) === GUARD)!;
for (const [path, output] of Object.entries(outputs)) {
  const name = nameOf(path);
  if (!name.endsWith(".js") || STARTED.has(name)) continue;
  refuseStart(name);
  if (name !== GUARD) output.imports.push({ path: guardPath, kind: "import-statement" });
}
refuseStart("mod.js");
// Older runtimes take a file without it for CommonJS, newer ones read each file twice to find out.
writeFileSync(resolve(outdir, "package.json"), '{ "type": "module" }\n');
copySamples(root, outdir);
await writePolicyKit(root, outdir);
if (process.argv.includes("--metafile")) {
  writeFileSync(resolve(outdir, "metafile.json"), JSON.stringify({ outputs }));
}
