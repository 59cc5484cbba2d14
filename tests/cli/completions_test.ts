// completions work in the shells that they are for; the reference names everything (spec/cli.md §18, §19).
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { CommandDescription } from "../../cli/types/command.ts";
import { COMMANDS } from "../../cli/types/commands.ts";
import { inPlace, root } from "./place.ts";

const has = (shell: string) => spawnSync(shell, ["--version"]).status === 0;
/** A test that needs a shell. */
const withShell = (shell: string, name: string, run: () => Promise<void>) =>
  has(shell) ? test(name, run) : test.skip(`${name} (skipped: apt-get install ${shell})`, run);

/** Runs a script of a shell, and returns the lines that it writes. */
function lines(shell: string, script: string, cwd: string): readonly string[] {
  const { stdout, stderr, status } = spawnSync(shell, ["-c", script], { cwd, encoding: "utf8" });
  assert.is(status, 0, stderr);
  assert.is(stderr, "");
  return stdout.trimEnd().split("\n");
}

const CASES: readonly (readonly [words: readonly string[], offered: readonly string[]])[] = [
  [["kwctl", "sc"], ["scaffold"]],
  [["kwctl", "scaffold", "m"], ["manifest"]],
  [["kwctl", "scaffold", "manifest", "-t", ""], ["AdmissionPolicy", "ClusterAdmissionPolicy"]],
  [["kwctl", "scaffold", "manifest", "--type", "Cl"], ["ClusterAdmissionPolicy"]],
  [["kwctl", "push", "--forc"], ["--force"]],
  [["kwctl", "push", "--output", "j"], ["json"]],
  [["kwctl", "completions", "-s", "z"], ["zsh"]],
  [["kwctl", "--verb"], ["--verbose"]],
  [["kwctl", "inspect", "some"], ["some policy.wasm"]],
  [["kwctl", "pull", "--sources-path", "some"], ["some policy.wasm"]],
];

withShell(
  "bash",
  "bash completes commands, flags, values and files",
  () =>
    inPlace(async ({ reeveWith, file, cwd }) => {
      file("some policy.wasm", "");
      const { stdout } = await reeveWith({ program: "kwctl" }, "completions", "-s", "bash");
      file("c.bash", stdout);
      const calls = CASES.map(([words]) => `complete_words ${words.map((word) => `'${word}'`).join(" ")}`);
      const split = `complete_words kwctl push --output = j`;
      const got = lines(
        "bash",
        `source c.bash
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kwctl; (IFS='|'; echo "\${COMPREPLY[*]}"); }
complete -p kwctl > /dev/null || exit 1
${calls.join("\n")}
${split}`,
        cwd,
      );
      assert.equal(got.map((line) => line.split("|").sort()), [...CASES.map(([, offered]) => offered), [
        "json",
      ]]);
      const [all] = lines(
        "bash",
        `source c.bash; COMP_WORDS=(kwctl ''); COMP_CWORD=1; _kwctl; echo "\${COMPREPLY[*]}"`,
        cwd,
      );
      assert.equal(all!.split(" "), [...COMMANDS.map(({ name }) => name), "help"]);
    }),
);

withShell(
  "fish",
  "fish completes commands, flags, values and files",
  () =>
    inPlace(async ({ reeveWith, file, cwd }) => {
      file("some policy.wasm", "");
      const { stdout } = await reeveWith({ program: "kwctl" }, "completions", "--shell", "fish");
      file("c.fish", stdout);
      const calls = CASES.map(([words]) => `complete -C ${JSON.stringify(words.join(" "))}; echo END`).join(
        "\n",
      );
      const got = lines("fish", `source c.fish\n${calls}`, cwd).join("\n").split("END").slice(0, -1).map((
        part,
      ) => part.trim().split("\n").map((line) => line.split("\t")[0]!.replaceAll("\\", "")).sort());
      assert.equal(got, CASES.map(([, offered]) => offered));
    }),
);

withShell("zsh", "zsh takes the script for what it is", () =>
  inPlace(async ({ reeve, file, cwd }) => {
    file("_reeve", (await reeve("completions", "-s", "zsh")).stdout);
    assert.equal(
      lines("zsh", "autoload -U compinit; compinit -u -D; source ./_reeve; echo $_comps[reeve]", cwd),
      ["_reeve"],
    );
  }));

test("elvish and PowerShell have scripts that name all commands", () =>
  inPlace(async ({ reeve }) => {
    for (const shell of ["elvish", "powershell"]) {
      const { exit, stdout } = await reeve("completions", "-s", shell);
      assert.is(exit, 0);
      for (const { name } of COMMANDS) assert.match(stdout, `'reeve;${name}'`);
      assert.match(stdout, "'reeve;scaffold;manifest'");
    }
  }));

test("completions need the name of a shell that is known", () =>
  inPlace(async ({ reeve }) => {
    assert.is((await reeve("completions")).exit, 2);
    assert.match(
      (await reeve("completions", "-s", "tcsh")).stderr,
      "error: invalid value 'tcsh' for '--shell <VALUE>'\n  [possible values: bash, elvish, fish, powershell, zsh]",
    );
  }));

test("the reference has a section for every command, with all of its arguments, flags, values and defaults", () =>
  inPlace(async ({ reeve, cwd }) => {
    const { exit, stdout, stderr } = await reeve("docs", "-o", "reference.md");
    assert.equal([exit, stdout, stderr], [0, "", ""]);
    const text = readFileSync(join(cwd, "reference.md"), "utf8");
    const sections = new Map(
      text.split(/^## /m).slice(1).map((part) => [/^\`(.*)\`\n/.exec(part)![1]!, part] as const),
    );
    const check = (path: string, { commands, flags, positionals, name, about }: CommandDescription) => {
      const title = `${path} ${name}`;
      const section = sections.get(title) ?? "";
      assert.match(section, about.split(/[<*]/)[0]!, title);
      assert.match(text, `(#${title.replaceAll(" ", "-")})`);
      assert.match(section, `**Usage:** \`${title}`);
      for (const flag of flags ?? []) {
        assert.match(section, `\`--${flag.name}`, title);
        for (const choice of flag.choices ?? []) assert.match(section, `\`${choice}\``);
        if (flag.preset !== undefined) assert.match(section, `Default value: \`${flag.preset}\``);
      }
      for (const positional of positionals ?? []) assert.match(section, positional.name);
      for (const command of commands ?? []) check(title, command);
    };
    for (const command of COMMANDS) check("reeve", command);
  }));

test("the reference that is checked in is the tool's own: write it anew with `reeve docs -o docs/reeve_reference.md` and deno fmt", () =>
  inPlace(async ({ reeve, cwd }) => {
    await reeve("docs", "-o", "reference.md");
    // The formatter breaks lines.
    const words = (path: string) => readFileSync(path, "utf8").trim().split(/\s+/).join(" ");
    assert.is(words(join(root, "docs/reeve_reference.md")), words(join(cwd, "reference.md")));
  }));

test.run();
