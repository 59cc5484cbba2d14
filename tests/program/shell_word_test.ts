// Words that people paste into a shell: they come out of it as they went in.
import { spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { shellWord } from "../../program/render/shell_word.ts";

test("a shell of Unix reads every word as it was, quoted only where it has to be", () => {
  const words = [
    "/tmp/a",
    "@/tmp/a-b,c",
    "a b",
    "it's",
    "$HOME",
    "`id`",
    '"',
    "\\",
    "*",
    "",
    "a\nb",
    "~",
    "#x",
  ];
  for (const word of words) {
    const { stdout } = spawnSync("sh", ["-c", `printf %s ${shellWord(word, false)}`], { encoding: "utf8" });
    assert.is(stdout, word);
  }
  assert.is(shellWord("/tmp/a", false), "/tmp/a");
});

test("shells of Windows read paths, and what stands behind @", () => {
  const words: readonly (readonly [word: string, shown: string])[] = [
    ["C:\\Users\\me\\tls.crt", "C:\\Users\\me\\tls.crt"],
    ["C:\\Users\\A B\\tls.crt", '"C:\\Users\\A B\\tls.crt"'],
    ["@C:\\request.json", '"@C:\\request.json"'],
    ["https://127.0.0.1:8443/validate/p", "https://127.0.0.1:8443/validate/p"],
  ];
  for (const [word, shown] of words) assert.is(shellWord(word, true), shown);
});

test.run();
