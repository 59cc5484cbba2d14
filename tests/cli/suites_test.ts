// Policies' own end-to-end suites, which call `kwctl`, pass with this tool under that name.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root } from "./place.ts";
import { bundledProgram, execute, type Program } from "./program.ts";

const suites = readdirSync(join(root, "policies"))
  .filter((policy) => existsSync(join(root, "policies", policy, "e2e.bats")));

function isInstalled(): boolean {
  try {
    execFileSync("bats", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

if (!isInstalled()) test.skip("suites of policies: needs bats (apt-get install bats)", () => {});
else {
  let program: Program;
  const home = mkdtempSync(join(tmpdir(), "reeve-home-"));
  test.before(async () => {
    program = await bundledProgram();
  });
  test.after(() => {
    program?.remove();
    rmSync(home, { recursive: true, force: true });
  });

  test("the policies of this project have suites", () => {
    assert.ok(suites.length >= 4);
  });

  for (const policy of suites) {
    test(policy, async () => {
      const folder = join(root, "policies", policy);
      const { exit, stdout, stderr } = await execute("bats", ["--tap", "e2e.bats"], {
        cwd: folder,
        env: { PATH: program.path, HOME: home, TERM: "dumb", TMPDIR: tmpdir() },
      });
      assert.is(exit, 0, stdout + stderr);
      const cases = readFileSync(join(folder, "e2e.bats"), "utf8").match(/^@test/gm)!.length;
      assert.is(stdout.match(/^ok (?!.*# skip)/gm)?.length, cases, stdout);
    });
  }
}

test.run();
