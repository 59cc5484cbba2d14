// Packages that load on demand give from the shipped bundle what they give from source: a CommonJS package that comes as
// `{default}` alone once made the controller unable to create its certificate authority, though every test passed.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const root = fileURLToPath(new URL("../", import.meta.url));
type Names = { readonly [loader: string]: readonly string[] };

function run(args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  assert.is(status, 0, stderr);
  return stdout;
}

/** Names that say nothing of a package: how it was compiled, and CommonJS seen from an ES module. Keys of JSON are no names. */
const MARKS: ReadonlySet<string> = new Set(["default", "module.exports", "__esModule"]);

test("every loader gives the same names from the bundle as from source", () => {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-loaders-"));
  try {
    run(["build.ts", folder, "loaders_entry=tests/loaders_entry.ts"]);
    const source = JSON.parse(run(["tests/loaders_entry.ts"])) as Names;
    const bundled = JSON.parse(run([join(folder, "loaders_entry.js")])) as Names;
    const declared = [
      ...readFileSync(join(root, "deps.ts"), "utf8").matchAll(/export (?:const|async function) (load\w+)/g),
    ]
      .map(([, name]) => name!);
    assert.equal(Object.keys(bundled).sort(), declared.sort());
    for (const loader of declared) {
      // From source, Bun gives an undici of its own instead of the package.
      const own = loader === "loadUndici" && "bun" in process.versions;
      const wanted = own ? [] : source[loader]!.filter((name) => /^\w+$/.test(name) && !MARKS.has(name));
      const missing = wanted.filter((name) => !bundled[loader]!.includes(name));
      assert.equal(missing, [], `${loader} lacks these from the bundle`);
      assert.ok(bundled[loader]!.length > 0, `${loader} gives nothing`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
