// `reeve` without words shows five commands to begin with; under the name `kwctl` it shows what it always has.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { reeve } from "./reeve.ts";

let home: string;
test.before(() => void (home = mkdtempSync(join(tmpdir(), "reeve-first-"))));
test.after(() => rmSync(home, { recursive: true, force: true }));

test("five commands, on a screen", async () => {
  const { exit, stdout, stderr } = await reeve([], { cwd: home, home });
  assert.is(exit, 2);
  assert.is(stdout, "");
  const commands = [...stderr.matchAll(/^ {2}reeve (.*)$/gm)].map((match) => match[1]!);
  assert.is(commands.length, 5);
  assert.ok(stderr.split("\n").every((line) => line.length <= 80), stderr);
  assert.match(stderr, "reeve --help");
  // Each is a command with flags that it has: the first needs nothing, without files the others end with 1; with a wrong word it is 2.
  for (const command of commands) {
    const { exit, stderr } = await reeve(command.split(" "), { cwd: home, home });
    assert.is(exit, command.startsWith("new ") ? 0 : 1, `${command}: ${stderr}`);
  }
});

test("with options only, it is the same", async () => {
  const { exit, stderr } = await reeve(["--verbose"], { cwd: home, home });
  assert.is(exit, 2);
  assert.match(stderr, "To begin with:");
});

test("kwctl shows all commands, and so does --help", async () => {
  const called = await reeve([], { cwd: home, home, program: "kwctl" });
  assert.is(called.exit, 2);
  assert.match(called.stderr, /^Tool to manage Kubewarden policies\n\nUsage: kwctl \[OPTIONS\] <COMMAND>\n/);
  const asked = await reeve(["--help"], { cwd: home, home });
  assert.is(asked.exit, 0);
  assert.match(asked.stdout, /^Tool to manage Kubewarden policies\n\nUsage: reeve \[OPTIONS\] <COMMAND>\n/);
});

test("a command without its subcommand shows them", async () => {
  const { exit, stderr } = await reeve(["scaffold"], { cwd: home, home });
  assert.is(exit, 2);
  assert.match(stderr, "Usage: reeve scaffold <COMMAND>");
});

test.run();
