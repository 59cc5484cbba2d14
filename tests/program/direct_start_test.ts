// The code of a program that is started without the program's entry says so and ends with code 1, also on old runtimes.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bundleFile } from "../programs.ts";
import { OLD_RUNTIMES } from "./old_runtimes.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const REFUSED = /^Error: this file is a part of (\S+) and no program by itself: start \1 instead\n$/;
const PARTS = [
  ["reeve", "cli"],
  ["policy_server", "policy_server"],
  ["controller", "controller"],
  ["audit", "audit"],
  ["portreeve", "policies/demo"],
] as const;
const WORDS = ["verify", "-k", "key.pub", "registry://localhost:1/policy:v1"];

let folder: string;
test.before(() => void (folder = mkdtempSync(join(tmpdir(), "direct-start-"))));
test.after(() => rmSync(folder, { recursive: true, force: true }));

function run(binary: string, file: string) {
  return spawnSync(binary, [file, ...WORDS], {
    cwd: root,
    encoding: "utf8",
    env: { PATH: process.env["PATH"], HOME: folder, NODE_NO_WARNINGS: "1" },
  });
}

for (const [program, room] of PARTS) {
  test(`${program}: its code alone is refused`, () => {
    const bundled = join(dirname(bundleFile(program)), `${program}.main.js`);
    const link = join(folder, `${program}.js`);
    symlinkSync(bundled, link);
    for (const file of [bundled, link, bundled.replace(/\.js$/, ""), join(root, room, "program.ts")]) {
      const { status, stdout, stderr } = run(process.execPath, file);
      assert.is(status, 1, file);
      assert.is(stdout, "");
      assert.match(stderr, REFUSED);
    }
  });

  for (const { title, binary, missing } of OLD_RUNTIMES) {
    if (missing !== undefined) {
      test.skip(`${program}: its code alone, on ${title} (${missing})`, () => {});
      continue;
    }
    test(`${program}: its code alone fails on ${title}`, () => {
      const { status } = run(binary, join(dirname(bundleFile(program)), `${program}.main.js`));
      assert.is(status, 1);
    });
  }
}

test("every file of a build but the programs is refused", () => {
  const home = dirname(bundleFile("reeve"));
  // What is built into policies runs in QuickJS, and has no process to end.
  const files = readdirSync(home, { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.c?js$/.test(name) && dirname(name) !== "policy"
  );
  assert.ok(files.length > 50);
  // Chunks are many and alike.
  const named = files.filter((name) => !/-[0-9A-Z]{8}\.js$/.test(name));
  const chunks = files.filter((name) => !named.includes(name)).sort();
  const tried = [...named, ...chunks.slice(0, 3), ...chunks.slice(-3)];
  for (const name of ["mod.js", "mod.main.js", "worker.js", "worker.main.js", "entry/worker.js"]) {
    assert.ok(tried.includes(name), name);
  }
  for (const name of tried.filter((name) => !PARTS.some(([program]) => name.startsWith(`${program}.`)))) {
    const { status, stdout, stderr } = run(process.execPath, join(home, name));
    assert.is(status, 1, name);
    assert.is(stdout, "", name);
    // Tinypool's code, and what takes another file to be there first, fail before it comes to that.
    if (/^Error: this file/.test(stderr)) {
      assert.is(stderr, "Error: this file is a part of Portreeve and no program by itself\n", name);
    } else assert.ok(name === "entry/worker.js" || chunks.includes(name), `${name}: ${stderr.slice(-500)}`);
  }
  for (const name of chunks) {
    assert.match(readFileSync(join(home, name), "utf8"), /refusePartStart\(import/, name);
  }
});

test("a program that has the library in itself starts, whatever it is called", () => {
  const home = dirname(bundleFile("reeve"));
  for (const name of ["mine.mjs", "mod.js", "mod.main.js"]) {
    const place = mkdtempSync(join(folder, "program-"));
    writeFileSync(join(place, "package.json"), '{"type":"module"}');
    const source = join(place, "source.ts");
    writeFileSync(
      source,
      `import { loadPolicy } from ${JSON.stringify(join(home, "mod.js"))};\nconsole.log(typeof loadPolicy);`,
    );
    buildSync({
      entryPoints: [source],
      bundle: true,
      format: "esm",
      platform: "node",
      outfile: join(place, name),
      logLevel: "error",
      // For benchmarks only.
      external: ["autocannon"],
    });
    const { status, stdout, stderr } = run(process.execPath, join(place, name));
    assert.is(stderr, "", name);
    assert.is(stdout, "function\n", name);
    assert.is(status, 0, name);
    // … and so does one that imports it.
    writeFileSync(join(place, "importing.mjs"), readFileSync(source, "utf8"));
    assert.is(run(process.execPath, join(place, "importing.mjs")).stdout, "function\n");
  }
});

test.run();
