// The sample policies' end-to-end suites, which call `kwctl`, pass with this tool under that name.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { commandsInPath, runWith } from "./commands_in_path.ts";
import { inPlace, root } from "./place.ts";

const folder = join(root, "policies");
const suites = readdirSync(folder).map((name) => join(folder, name, "e2e.bats")).filter(existsSync).sort();

test("every sample policy has an end-to-end suite", () => {
  const policies = readdirSync(folder).filter((name) => existsSync(join(folder, name, "metadata.yml")));
  assert.equal(suites.map((suite) => dirname(suite)), policies.sort().map((name) => join(folder, name)));
});

const there = spawnSync("bats", ["--version"]).status === 0;
const withBats = (there ? test : test.skip) as typeof test;

withBats(
  `the end-to-end suites pass${there ? "" : " (skipped: apt-get install bats)"}`,
  () =>
    inPlace(({ home, cwd }) => {
      const bin = commandsInPath(cwd);
      for (const suite of suites) {
        // As their users run them: in the policy's folder.
        const { status, output } = runWith(bin, home, dirname(suite), "bats", "--tap", "e2e.bats");
        assert.is(status, 0, `${suite}\n${output}`);
        const passed = output.match(/^ok \d+ /gm)?.length ?? 0;
        assert.is(passed, readFileSync(suite, "utf8").match(/^@test /gm)?.length, output);
      }
      return Promise.resolve();
    }),
);

test.run();
