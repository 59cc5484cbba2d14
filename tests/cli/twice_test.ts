/** Keys that stand twice in what people write for `reeve`: settings, suites, metadata, custom resources. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inPlace } from "./place.ts";

test("each is refused with its file and both places", () =>
  inPlace(async ({ reeve, file, recorded }) => {
    recorded("plain.wasm", "ok.json", "meta.yml", "vap.yml", "binding.yml");
    file("settings.yml", "a: 1\nb: 2\na: 3\n");
    file("suite.yml", "policy: plain.wasm\ncases:\n  - name: one\n    name: two\n    request: ok.json\n");
    file("metadata.yml", "rules: []\nmutating: false\nrules: []\n");
    file(
      "policy.yml",
      "apiVersion: policies.kubewarden.io/v1\nkind: ClusterAdmissionPolicy\nmetadata: {name: p}\nspec:\n" +
        "  module: plain.wasm\n  settings: {k: 1, k: 2}\n",
    );
    file("object.yml", "apiVersion: v1\nkind: Pod\nkind: Pod\n");
    const rows: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ["run", "plain.wasm", "-r", "ok.json", "-s", "settings.yml"],
        /settings\.yml.*: a is given twice, first at line 1 column 1 and again at line 3 column 1/,
      ],
      [
        ["run", "plain.wasm", "-r", "ok.json", "--settings-json", '{"a":1,"a":2}'],
        /settings JSON: a is given twice, first at line 1 column 2 and again at line 1 column 8/,
      ],
      [
        ["test", "suite.yml"],
        /suite\.yml.*cases\[0\]\.name is given twice, first at line 3 column 5 and again/,
      ],
      [
        ["annotate", "-m", "metadata.yml", "-o", "out.wasm", "plain.wasm"],
        /rules is given twice, first at line 1 column 1 and again at line 3 column 1 in metadata\.yml/,
      ],
      [
        ["run", "policy.yml", "-r", "ok.json"],
        /policy\.yml".*: spec\.settings\.k is given twice, first at line 6 column 14 and again at line 6 column 20/,
      ],
      [
        ["scaffold", "admission-request", "-o", "CREATE", "--object", "object.yml"],
        /object\.yml: kind is given twice/,
      ],
    ];
    for (const [words, text] of rows) {
      const { exit, stdout, stderr } = await reeve(...words);
      assert.is(exit, 1, `${words.join(" ")}\n${stdout}${stderr}`);
      assert.match(stdout + stderr, text);
    }
  }));

test.run();
