/**
 * Builds what npm gets: JavaScript for every runtime and bundler, its declarations, and nothing to be installed beside it.
 *
 * usage: package/build.ts [OUTDIR]     (default: npm, which `npm pack` takes)
 *
 * The library's parts and the two command lines share their chunks. What only some callers need (the Kubernetes client, gRPC,
 * Sigstore) lies in chunks of its own that are loaded on demand. Source maps go to a folder beside OUTDIR.
 */
import "../program/check_script.ts";
import { build, type BuildOptions, type Metafile, type Plugin } from "esbuild";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { copySamples } from "../policies/demo/apply/copy_samples.ts";
import { browserShims } from "./browser.ts";
import { writeDeclarations } from "./declarations.ts";
import { thirdPartyLicenses } from "./licenses.ts";
import { writePolicyKit } from "./policy_kit.ts";
import {
  directPackages,
  leanPackages,
  requiredBuiltins,
  unreadHttp,
  withoutPool,
  withoutWasi,
} from "./plugins.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const outdir = resolve(process.argv[2] ?? join(root, "npm"));
const mapdir = `${outdir}-maps`;

/** The library's parts, by the names of their files. */
const PARTS = {
  mod: "mod.ts",
  evaluator: "admission/mod.ts",
  artifact: "artifact/mod.ts",
  crd: "crd/mod.ts",
  policy_server: "policy_server/mod.ts",
} as const;

const common: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  minify: true,
  // Classes and functions are told apart by their names in errors and in profiles; an uncaught error shows the line it was thrown in.
  keepNames: true,
  lineLimit: 120,
  // Packages as ES modules, where they have them: of CommonJS a bundle gets all.
  mainFields: ["module", "main"],
  legalComments: "none",
  logLevel: "warning",
  metafile: true,
  conditions: ["node"],
  // Switches that nobody sets here; on Deno, looking would take a permission.
  define: {
    "process.env.EXTISM_ENABLE_WASI_OUTPUT": '""',
    "process.env.__MINIMATCH_TESTING_PLATFORM__": '""',
  },
  // The package's files for Node are CommonJS, of which a bundle always gets all.
  alias: { yaml: join(root, "node_modules/yaml/browser/index.js") },
};
/** Older runtimes have to read the files to come to the check that refuses them. */
const target = "es2022";

/** A part of the evaluator in one file that imports nothing of ours. */
async function whole(
  name: string,
  entry: string,
  options: BuildOptions,
): Promise<{ text: string; metafile: Metafile }> {
  const { outputFiles, metafile } = await build({
    ...common,
    ...options,
    entryPoints: { [name]: entry },
    outdir: mapdir,
    write: false,
    platform: "node",
    target,
    sourcemap: "external",
  });
  for (const { path, contents } of outputFiles!) if (path.endsWith(".map")) write(path, contents);
  return { text: outputFiles!.find(({ path }) => path.endsWith(`${name}.js`))!.text, metafile: metafile! };
}

/** The code of an evaluating thread. */
async function workerText(): Promise<{ text: string; metafile: Metafile }> {
  const { text, metafile } = await whole("worker", "evaluator/apply/worker_entry.ts", {
    plugins: [withoutWasi, requiredBuiltins("__builtin")],
    // Taken before the thread gives up what leads out of it (`evaluator/apply/confine.ts`).
    banner: { js: "const __builtin = process.getBuiltinModule.bind(process);" },
  });
  // Without a name of its own, every line of a stack trace would hold the whole code: that is what a data: URL is.
  return { text: `${text.trimEnd()}\n//# sourceURL=portreeve-worker.js\n`, metafile };
}

const WORKER_TEXT = "worker-text";

/** Puts the worker's code, loaded when the first thread is started, in the place of the file that says where it is. */
const workerInside = (text: string): Plugin => ({
  name: "worker-inside",
  setup({ onLoad, onResolve }) {
    onLoad({ filter: /evaluator[\\/]apply[\\/]worker_url\.ts$/ }, () => ({
      contents: `export const DEFAULT_THREADS = 1;
      export const workerUrl = async () => {
        const { default: code } = await import(${JSON.stringify(WORKER_TEXT)});
        return new URL("data:text/javascript;base64," + btoa(code));
      };`,
      resolveDir: root,
    }));
    onResolve({ filter: new RegExp(`^${WORKER_TEXT}$`) }, () => ({ path: "worker", namespace: WORKER_TEXT }));
    // Letters beyond Latin-1 are escaped in it, so that it can be encoded as it is.
    onLoad(
      { filter: /.*/, namespace: WORKER_TEXT },
      () => ({ contents: `export default ${JSON.stringify(text)};` }),
    );
  },
});

/**
 * The engine that evaluates in the calling thread, in one piece. Rollup puts what a chunk shares with a program into the program's
 * own file; a chunk that is loaded while that file still waits, as with `await loadPolicy(…)` at its top level, would wait for it
 * for ever. So this chunk shares nothing.
 */
const engineInside = (text: string): Plugin => ({
  name: "engine-inside",
  setup({ onLoad, onResolve }) {
    onResolve(
      { filter: /evaluator\/apply\/inline\.ts$/ },
      ({ kind }) => kind === "dynamic-import" ? { path: "engine", namespace: "engine" } : undefined,
    );
    onLoad({ filter: /.*/, namespace: "engine" }, () => ({ contents: text, resolveDir: root }));
  },
});

function write(path: string, contents: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, contents);
}

for (const folder of [outdir, mapdir]) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}
const worker = await workerText();
const engine = await whole("engine", "evaluator/apply/inline.ts", {
  plugins: [withoutWasi, unreadHttp, requiredBuiltins("process.getBuiltinModule")],
});
const modules = await build({
  ...common,
  outdir,
  entryPoints: {
    ...Object.fromEntries(Object.entries(PARTS).map(([name, file]) => [`${name}.main`, file])),
    "reeve.main": "cli/program.ts",
    "portreeve.main": "policies/demo/program.ts",
  },
  splitting: true,
  chunkNames: "chunks/[name]-[hash]",
  platform: "node",
  target,
  sourcemap: "external",
  plugins: [
    withoutWasi,
    unreadHttp,
    requiredBuiltins("process.getBuiltinModule"),
    leanPackages(root),
    withoutPool,
    workerInside(worker.text),
    engineInside(engine.text),
    directPackages(root),
  ],
});
const browser = await build({
  ...common,
  outdir,
  entryPoints: { "evaluator.browser": "admission/mod.ts" },
  platform: "browser",
  conditions: ["browser"],
  target,
  sourcemap: "external",
  plugins: [withoutPool, browserShims(root)],
});
// Read first, by runtimes that may be too old.
const checks = await build({
  ...common,
  outdir,
  entryPoints: {
    library_check: "program/check_runtime.ts",
    reeve: "cli/main.ts",
    portreeve: "policies/demo/main.ts",
  },
  platform: "node",
  target: "es2018",
  // An older Node shows the line that refuses it.
  minify: false,
  plugins: [{
    name: "loaded-later",
    setup({ onResolve }) {
      onResolve({ filter: /^\.\/program\.ts$/ }, ({ importer }) => {
        const name = /[\\/]cli[\\/]/.test(importer) ? "reeve" : "portreeve";
        return { path: `./${name}.main.js`, external: true };
      });
    },
  }],
});
const outputs = { ...modules.metafile!.outputs, ...browser.metafile!.outputs, ...checks.metafile!.outputs };
for (const path of Object.keys(outputs).filter((path) => path.endsWith(".map"))) {
  const from = resolve(root, path);
  renameSync(from, join(mapdir, basename(from)));
}
for (const name of Object.keys(PARTS)) {
  const [main, part] = [`./${name}.main.js`, `./${name}.js`].map((file) => JSON.stringify(file));
  write(join(outdir, `${name}.js`), `import "./library_check.js";\nexport * from ${main};\n`);
  // For `require`: an older Node can't require an ES module, and would say just that.
  const check = 'require("./library_check.cjs");';
  write(join(outdir, `${name}.cjs`), `"use strict";\n${check}\nmodule.exports = require(${part});\n`);
}
await build({
  ...common,
  outfile: join(outdir, "library_check.cjs"),
  entryPoints: ["program/check_runtime.ts"],
  format: "cjs",
  platform: "node",
  target: "es2018",
  minify: false,
});
copySamples(root, outdir);
await writePolicyKit(root, outdir);
writeDeclarations(root, PARTS, join(outdir, "types"));
const inputs = [worker.metafile, engine.metafile, modules.metafile!, browser.metafile!].flatMap((
  { outputs },
) => Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs)));
// The engine of policies in TypeScript is made of it.
const quickjs = "node_modules/quickjs-wasi/quickjs.wasm";
const licenses = thirdPartyLicenses(root, [...inputs, quickjs]);
const engineLicense = readFileSync(join(root, "package/policy_engine/LICENSE.quickjs-ng.txt"), "utf8");
write(join(outdir, "THIRD_PARTY_LICENSES.txt"), `${licenses}\n${"-".repeat(80)}\n\n${engineLicense}`);
// `reeve new` writes the version where a registry has it, and else where the package lies.
if (process.env["npm_command"] === "publish" || process.env["PORTREEVE_RELEASE"] !== undefined) {
  write(join(outdir, "published"), "");
}
// Which files are in which part, for who wonders what is large.
write(join(mapdir, "metafile.json"), JSON.stringify({ outputs }));
