/** Policies in TypeScript with the package alone: from an empty folder to a tested module, as `reeve new` says. */
import { mkdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { BIN, consumer, ROOT, run, succeed, write } from "./consumer.ts";

const runtime = join(BIN, "bun" in process.versions ? "bun" : "node");

let folder: string;
test.before(() => void (folder = consumer()));

const reeve = (cwd: string, ...words: readonly string[]) =>
  run(cwd, runtime, [join(folder, "node_modules/portreeve/npm/reeve.js"), ...words]);

/** What `npm install` does with what a new policy's package.json names. */
function install(name: string): void {
  const link = join(folder, "node_modules", name);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(join(ROOT, "node_modules", name), link);
}

test("what is missing is named, and how to get it", () => {
  assert.is(reeve(folder, "new", "mine").status, 0);
  const { status, stderr } = reeve(join(folder, "mine"), "build", "policy.ts");
  assert.is(status, 1);
  assert.match(stderr, /types were not checked: npm install --save-dev typescript/);
  assert.match(
    stderr,
    /building a policy in TypeScript needs the package esbuild: npm install --save-dev esbuild/,
  );
});

test("a new policy is built with its types checked, and passes both of its tests", () => {
  for (
    const name of [
      "esbuild",
      "@esbuild",
      "typescript",
      "@typescript",
      "valibot",
      "@types/node",
      "undici-types",
    ]
  ) install(name);
  const cwd = join(folder, "mine");
  const built = reeve(cwd, "build", "policy.ts", "-m", "metadata.yml");
  assert.is(built.status, 0, built.stderr);
  assert.match(built.stderr, /^policy\.wasm: \d+ bytes\n$/);
  const tested = reeve(cwd, "test");
  assert.is(tested.status, 0, tested.stdout + tested.stderr);
  assert.match(tested.stdout, /3 passed, 0 failed/);
  // The module itself, with nothing of Wasm.
  succeed(cwd, runtime, ..."bun" in process.versions ? ["test"] : ["--test"]);
});

test("types are wrong in the author's own words", () => {
  write(join(folder, "mine"), {
    "wrong.ts": `import { accept, definePolicy } from "portreeve/policy";
export default definePolicy({ validate: async (request) => accept({ warnings: request.uid }) });
`,
  });
  const { status, stderr } = reeve(join(folder, "mine"), "build", "wrong.ts");
  assert.is(status, 1);
  assert.match(stderr, /wrong\.ts:2:\d+: TS\d+: /);
});

test.run();
