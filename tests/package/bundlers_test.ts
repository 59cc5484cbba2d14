/**
 * The packed package as its users meet it: installed into an empty folder, imported or required on every runtime, and bundled by
 * every bundler, from which it is run where nothing else of it lies. Everywhere the same verdicts, with threads and without.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as library from "../../mod.ts";
import { BIN, consumer, MISSING_TOOLS, NODE_24, ROOT, run, succeed, TOOLS, write } from "./consumer.ts";
import { verdicts } from "./verdicts.mjs";

const onBun = "bun" in process.versions;
const VERDICTS = readFileSync(new URL("./verdicts.mjs", import.meta.url), "utf8");

/** Prints the verdicts, evaluated with and without threads; closed policies let it end by itself. */
const body = (close: string) => `
const read = (file) => new Uint8Array(readFileSync(process.argv[2] + file));
const print = async () => {
  const [threads, calling] = [await verdicts(library, read, 1), await verdicts(library, read, 0)];
  if (JSON.stringify(threads) !== JSON.stringify(calling)) throw new Error("threads and the calling thread differ");
  console.log(threads.join("\\n"));
};
${close}
`;
const FILES = {
  "verdicts.mjs": VERDICTS,
  "main.mjs": `import { readFileSync } from "node:fs";
import * as library from "portreeve";
import { verdicts } from "./verdicts.mjs";
${body("await print();")}`,
  "main.cjs": `const { readFileSync } = require("node:fs");
const library = require("portreeve");
const { verdicts } = require("./verdicts.mjs");
${body("print();")}`,
  "lean.mjs": `import { readFileSync } from "node:fs";
import * as library from "portreeve/evaluator";
import { verdicts } from "./verdicts.mjs";
${body("await print();")}`,
};

let expected: string;
let folder: string;
test.before(async () => {
  const read = (file: string) => new Uint8Array(readFileSync(join(ROOT, file)));
  expected = (await verdicts(library, read, 0)).join("\n");
  assert.match(expected, "is required");
  folder = consumer(FILES);
});

function check(command: string, ...words: readonly string[]): void {
  const { status, stdout, stderr } = run(folder, command, [...words, ROOT]);
  assert.is(status, 0, `${command} ${words.join(" ")}\n${stdout}\n${stderr}`);
  assert.is(stdout.trim(), expected, `${command} ${words.join(" ")}`);
  assert.is(stderr, "");
}

/** Runs a bundle from a folder of its own. */
function checkBundle(bundle: string, command: string, ...words: readonly string[]): void {
  const { status, stdout, stderr } = run(bundle, command, [...words, ROOT]);
  assert.is(status, 0, `${command} ${words.join(" ")}\n${stdout}\n${stderr}`);
  assert.is(stdout.trim(), expected, `${command} ${words.join(" ")}`);
}

/** Where a bundle is put: it finds no package there. */
function elsewhere(use: (folder: string) => void): void {
  const bundle = mkdtempSync(join(tmpdir(), "portreeve-bundle-"));
  try {
    use(bundle);
  } finally {
    rmSync(bundle, { recursive: true, force: true });
  }
}

const DENO_RIGHTS = ["--allow-read", "--allow-env", "--allow-sys"];

/**
 * The executable part of what `deno compile` makes, `denort`, is no part of Deno's package: Deno downloads it from dl.deno.land when
 * it compiles for the first time, unless this variable names one.
 */
const DENORT = process.env["DENORT_BIN"];
const denort: Readonly<Record<string, string>> = DENORT === undefined ? {} : { DENORT_BIN: DENORT };

function compile(from: string, entry: string, program: string, env = denort): ReturnType<typeof run> {
  const words = ["compile", "--no-check", ...DENO_RIGHTS, "--output", program, entry];
  return run(from, join(BIN, "deno"), words, env);
}

function canCompile(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-compile-"));
  try {
    write(folder, { "probe.mjs": "" });
    return compile(folder, "probe.mjs", join(folder, "probe")).status === 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// Each runtime and each bundler once: the tests on Bun have what is Bun's.
if (onBun) {
  test("Bun: import, require, and the evaluator alone", () => {
    for (const file of ["main.mjs", "main.cjs", "lean.mjs"]) check(join(BIN, "bun"), file);
  });

  test("Bun's bundler", () =>
    elsewhere((out) => {
      succeed(folder, join(BIN, "bun"), "build", "main.mjs", "--target=bun", `--outdir=${out}`);
      checkBundle(out, join(BIN, "bun"), "main.js");
      succeed(
        folder,
        join(BIN, "bun"),
        "build",
        "main.mjs",
        "--target=node",
        "--outfile",
        join(out, "node.mjs"),
      );
      checkBundle(out, join(BIN, "node"), "node.mjs");
    }));

  test("one executable by Bun", () =>
    elsewhere((out) => {
      succeed(folder, join(BIN, "bun"), "build", "--compile", "main.mjs", "--outfile", join(out, "program"));
      const { status, stdout, stderr } = run(out, join(out, "program"), [ROOT]);
      assert.is(status, 0, stderr);
      assert.is(stdout.trim(), expected);
    }));
} else {
  test("Node: import, require, and the evaluator alone", () => {
    for (const file of ["main.mjs", "main.cjs", "lean.mjs"]) check(join(BIN, "node"), file);
  });

  const node24 = existsSync(NODE_24) ? test : test.skip;
  node24(
    `Node 24${existsSync(NODE_24) ? "" : ' (npm install --prefix "$HOME/.cache/portreeve/node24" node@24)'}`,
    () => {
      for (const file of ["main.mjs", "main.cjs"]) check(NODE_24, file);
    },
  );

  test("Deno", () => check(join(BIN, "deno"), "run", ...DENO_RIGHTS, "main.mjs"));

  const compiles = canCompile();
  const compiled = compiles ? test : test.skip;
  compiled(
    `one executable by Deno${
      compiles ? "" : " (needs dl.deno.land, or denort of this Deno named by DENORT_BIN)"
    }`,
    () =>
      elsewhere((out) => {
        const program = join(out, "program");
        const { status, stderr } = compile(folder, "main.mjs", program);
        assert.is(status, 0, stderr);
        const ran = run(out, program, [ROOT]);
        assert.is(ran.stdout.trim(), expected, ran.stderr);
      }),
  );

  test("one executable by Deno holds the threads' code and the engine", () =>
    elsewhere((out) => {
      // Deno itself in the place of `denort`: this one can't be run, but what is put into it is the same.
      const env = { DENORT_BIN: join(ROOT, "node_modules/deno/deno") };
      const program = join(out, "program");
      const { status, stderr } = compile(folder, "main.mjs", program, env);
      assert.is(status, 0, stderr);
      const bytes = readFileSync(program);
      const chunks = join(folder, "node_modules/portreeve/npm/chunks");
      const needed = readdirSync(chunks).filter((name) => /^(worker|engine)-.*\.js$/.test(name));
      assert.ok(needed.length >= 2, needed.join());
      for (const name of needed) assert.ok(bytes.includes(readFileSync(join(chunks, name))), name);
    }));

  for (
    const [title, file, ...flags] of [
      ["esbuild, ES modules", "main.mjs", "--format=esm"],
      ["esbuild, CommonJS", "main.cjs", "--format=cjs"],
      ["esbuild, split", "main.mjs", "--format=esm", "--splitting"],
      ["esbuild, minified", "lean.mjs", "--format=esm", "--minify"],
    ] as const
  ) {
    test(title, () =>
      elsewhere((out) => {
        const extension = file.endsWith(".cjs") ? ".cjs" : ".mjs";
        succeed(
          folder,
          join(BIN, "esbuild"),
          file,
          "--bundle",
          "--platform=node",
          `--outdir=${out}`,
          `--out-extension:.js=${extension}`,
          "--log-level=error",
          ...flags,
        );
        checkBundle(out, join(BIN, "node"), file);
      }));
  }

  const withTools = MISSING_TOOLS === undefined ? test : test.skip;
  const hint = MISSING_TOOLS === undefined ? "" : ` (${MISSING_TOOLS})`;

  withTools(`Rollup${hint}`, () =>
    elsewhere((out) => {
      const plugins = ["node-resolve", "commonjs", "json"].map((name) =>
        join(TOOLS, `@rollup/plugin-${name}/dist/es/index.js`)
      );
      succeed(
        folder,
        join(BIN, "node"),
        join(TOOLS, "rollup/dist/bin/rollup"),
        "main.mjs",
        "--format=es",
        `--dir=${out}`,
        "--entryFileNames=[name].mjs",
        "--chunkFileNames=[name]-[hash].mjs",
        "--silent",
        ...plugins.filter((path) => existsSync(path)).flatMap((path) => ["--plugin", path]),
      );
      checkBundle(out, join(BIN, "node"), "main.mjs");
    }));

  withTools(`Vite, for a server${hint}`, () =>
    elsewhere((out) => {
      write(folder, {
        "vite.config.mjs": `export default {
  ssr: { noExternal: true, target: "node" },
  build: { ssr: "main.mjs", outDir: ${
          JSON.stringify(out)
        }, emptyOutDir: true, target: "node24", rollupOptions: { output: { entryFileNames: "[name].mjs" } } },
  logLevel: "error",
};
`,
      });
      succeed(folder, join(BIN, "node"), join(TOOLS, "vite/bin/vite.js"), "build");
      checkBundle(out, join(BIN, "node"), "main.mjs");
    }));

  withTools(`webpack${hint}`, () =>
    elsewhere((out) => {
      write(folder, {
        "webpack.mjs": `import webpack from ${JSON.stringify(join(TOOLS, "webpack/lib/index.js"))};
webpack({
  mode: "production",
  target: "node24",
  entry: "./main.mjs",
  experiments: { outputModule: true },
  // Takes minutes on these machines.
  optimization: { minimize: false },
  output: { path: ${JSON.stringify(out)}, filename: "main.mjs", module: true, chunkFormat: "module" },
}, (error, stats) => {
  if (error || stats.hasErrors()) throw error ?? new Error(stats.toString({ all: false, errors: true }));
  if (stats.hasWarnings()) console.log(stats.toString({ all: false, warnings: true }));
});
`,
      });
      assert.is(succeed(folder, join(BIN, "node"), "webpack.mjs"), "");
      checkBundle(out, join(BIN, "node"), "main.mjs");
    }));
}

test("what is bundled names no file of this machine", () => {
  const parts = join(folder, "node_modules/portreeve/npm");
  for (const name of readdirSync(parts, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".js")) continue;
    assert.not.ok(readFileSync(join(parts, name), "utf8").includes(ROOT), name);
  }
  writeFileSync(join(folder, "done"), "");
});

test.run();
