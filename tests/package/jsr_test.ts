/** What JSR would get: `deno publish` checks it without sending it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { BIN, ROOT, run } from "./consumer.ts";

const read = (name: string) => JSON.parse(readFileSync(join(ROOT, name), "utf8"));

test("both registries get the same version and parts", () => {
  const [npm, jsr] = [read("package.json"), read("deno.json")];
  assert.is(jsr.version, npm.version);
  assert.is(jsr.license, npm.license);
  // The types of custom resources are inferred from their schemas, which JSR's own documentation can't follow.
  const parts = Object.keys(npm.exports).filter((part) => part !== "./package.json" && part !== "./crd");
  assert.equal(Object.keys(jsr.exports).sort(), parts.sort());
});

const once = "bun" in process.versions ? test.skip : test;
once("deno publish --dry-run passes", () => {
  const { status, stdout, stderr } = run(ROOT, join(BIN, "deno"), ["publish", "--dry-run", "--allow-dirty"]);
  assert.is(status, 0, stdout + stderr);
  assert.match(stderr, /admission\/mod\.ts/);
  assert.not.match(stderr, /_test\.ts|\/tests\//);
});

test.run();
