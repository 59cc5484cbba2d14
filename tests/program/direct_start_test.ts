// The code of a program that is started without the program's entry says so and ends with code 1, also on old runtimes.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
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

test.run();
