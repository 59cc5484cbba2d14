// Every policy's suite, on the Wasm that is committed, and on what was built anew (`PORTREEVE_REBUILT_POLICIES`).
import { globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { judgeBySuite, throughLibrary, throughPool } from "./suite.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const suites = globSync(["policies/*/suite*.yml", "tests/policies/*/suite*.yml"], { cwd: root }).sort();
const rebuilt = process.env["PORTREEVE_REBUILT_POLICIES"];

test("there are suites", () => {
  for (const name of ["pod-privileged", "required-labels", "default-seccomp", "raw-quota"]) {
    assert.ok(suites.includes(`policies/${name}/suite.yml`), name);
  }
});

async function judgeAll(modules: string, through = throughPool): Promise<void> {
  let count = 0;
  for (const suite of suites) {
    const { faults, cases } = await judgeBySuite(
      join(root, suite),
      (policy) => new Uint8Array(readFileSync(join(modules, dirname(suite), policy))),
      through,
    );
    assert.is(faults.join("\n"), "");
    count += cases;
  }
  assert.ok(count >= 50, `${count} cases`);
}

test("the committed policies answer as their suites say", () => judgeAll(root));

test("through the library they answer the same", () => judgeAll(root, throughLibrary));

if (rebuilt === undefined) {
  const how = "npm run build:policies -- --check-only DIR, then set PORTREEVE_REBUILT_POLICIES=DIR";
  test.skip(`policies that were built anew answer the same (${how})`, () => {});
} else test("policies that were built anew answer the same", () => judgeAll(resolve(rebuilt)));

test("what a suite gets wrong is a fault, not a pass", async () => {
  const suite = join(root, "policies/pod-privileged/suite.yml");
  const other = await judgeBySuite(
    suite,
    () => new Uint8Array(readFileSync(join(root, "policies/default-seccomp/policy.wasm"))),
  );
  assert.ok(other.faults.length > 0);
});

test.run();
