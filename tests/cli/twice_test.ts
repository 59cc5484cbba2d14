/** Keys that stand twice in what people write for `reeve`: settings, suites, metadata, custom resources. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inPlace, POLICY } from "./place.ts";
import { signingKey } from "./signing.ts";

test("each is refused with its file and both places", () =>
  inPlace(async ({ reeve, file, recorded }) => {
    recorded("plain.wasm", "ok.json", "meta.yml", "vap.yml", "binding.yml");
    file("settings.yml", "a: 1\nb: 2\na: 3\n");
    file("keys.yml", `{1: a, "1": b}\n`);
    file("suite.yml", "policy: plain.wasm\ncases:\n  - name: one\n    name: two\n    request: ok.json\n");
    file("metadata.yml", "rules: []\nmutating: false\nrules: []\n");
    file(
      "policy.yml",
      "apiVersion: policies.kubewarden.io/v1\nkind: ClusterAdmissionPolicy\nmetadata: {name: p}\nspec:\n" +
        "  module: plain.wasm\n  settings: {k: 1, k: 2}\n",
    );
    file("object.yml", "apiVersion: v1\nkind: Pod\nkind: Pod\n");
    const rows: (readonly [readonly string[], RegExp])[] = [
      [
        ["run", "plain.wasm", "-r", "ok.json", "-s", "settings.yml"],
        /settings\.yml.*: a is given twice, first at line 1 column 1 and again at line 3 column 1/,
      ],
      // Keys are texts in the JSON that a guest reads.
      [
        ["run", "plain.wasm", "-r", "ok.json", "-s", "keys.yml"],
        /keys\.yml.*: 1 is given twice, first at line 1 column 2 and again at line 1 column 8/,
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
    const resource = (name: string, settings: string) =>
      "apiVersion: policies.kubewarden.io/v1\nkind: ClusterAdmissionPolicy\n" +
      `metadata: {name: ${name}}\nspec: {module: "file://${POLICY}", rules: [], mutating: false, settings: ${settings}}\n`;
    file("two.yml", `${resource("p", "{}")}---\n${resource("q", "{}")}---\n${resource("p", "{}")}`);
    file(
      "names.yml",
      "policy: plain.wasm\ncases:\n- {name: a, request: ok.json}\n- {name: a, request: ok.json}\n",
    );
    file("verification.yml", "apiVersion: v1\nallOf: []\nallOf: []\n");
    file("sources.yml", "insecure_sources: [a]\nproxies: {}\ninsecure_sources: [b]\n");
    file("keys.pub", signingKey().pem + signingKey().pem);
    const verify = ["verify", "registry://localhost:1/x:v1"];
    rows.push(
      [["test", "names.yml"], /cases\[1\]: the name "a" is that of cases\[0\] already: rename one/],
      [
        [...verify, "--verification-config-path", "verification.yml"],
        /a key is given twice, first at line 2, column 1 and again at line 3, column 1 \(\S+verification\.yml\)/,
      ],
      [
        [...verify, "--sources-path", "sources.yml"],
        /sources\.yml: a key is given twice, first at line 1, column 1 and again at line 3, column 1/,
      ],
    );
    // What 1.36 takes is a warning.
    const warnings: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ["run", "two.yml", "-r", "ok.json"],
        /WARN .*ClusterAdmissionPolicy "p" is given twice in two\.yml, at line 1 column 1 and line 11 column 1: a cluster keeps the last one/,
      ],
      [
        ["run", POLICY, "-r", "ok.json", "--settings-path", "empty.yml", "--settings-json", "{}"],
        /WARN .*--settings-json is passed over: --settings-path gives settings as well \(empty\.yml\)/,
      ],
      [
        [
          "annotate",
          "-m",
          "meta.yml",
          "-o",
          "out.wasm",
          "plain.wasm",
          "--annotation",
          "a=1",
          "--annotation",
          "a=2",
        ],
        /WARN .*--annotation gives the key "a" twice: the last one counts/,
      ],
      [
        [...verify, "-k", "keys.pub", "-a", "a=1", "-a", "a=2"],
        /WARN .*--verification-annotation gives the key "a" twice: the last one counts/,
      ],
      [
        [...verify, "-k", "keys.pub"],
        /WARN .*keys\.pub holds 2 keys, only the first is used: give a --verification-key for each/,
      ],
    ];
    // What kubectl reads otherwise than kwctl 1.36 and we do: it would be another policy in the cluster.
    const read = (settings: string, more = "") =>
      `x-defaults: &d {k: 1}\napiVersion: policies.kubewarden.io/v1\nkind: ClusterAdmissionPolicy\nmetadata: {name: p}\n` +
      `spec:\n  module: "file://${POLICY}"\n  settings: ${settings}\n${more}`;
    const readings: readonly (readonly [string, RegExp | undefined])[] = [
      [
        "{a: yes}",
        /WARN .*spec\.settings\.a is "yes" here, and true for kubectl: write what is meant, a text in quotes \(r\.yml line 7\)/,
      ],
      ["{a: [on, 'off']}", /spec\.settings\.a\[0\] is "on" here, and true for kubectl/],
      ["{a: 0644}", /spec\.settings\.a is "0644" here, and 420 for kubectl/],
      ["{a: 1_000}", /spec\.settings\.a is "1_000" here, and 1000 for kubectl/],
      ["{<<: *d}", /spec\.settings\.<< is a key here, and merges maps for kubectl: write the keys out/],
      ["{1.10: a}", /the key of spec\.settings\.1\.10 is "1\.1" for kubectl: write it in quotes/],
      ["{yes: a}", /the key of spec\.settings\.yes is "true" for kubectl/],
      [
        "{yes: a, 'true': b}",
        /spec\.settings\.true is given twice for kubectl: remove one \(r\.yml line 7\)/,
      ],
      [
        "{a: 18446744073709551615}",
        /spec\.settings\.a is 18446744073709551615 here, and 18446744073709552000 for kubectl/,
      ],
      [
        "{a: {<<: 1}, b: yes}",
        /kubectl reads this file otherwise or not at all: `<<` merges maps, .* \(r\.yml line 7\)/,
      ],
      ["{a: {~: 1}}", /kubectl reads this file otherwise or not at all: a null as a key/],
      ["{a: 'yes', b: true, c: 0o644, d: 0x10, e: 1e3, e2: 80.0, 1: 1, f: ~, g: 1:30, h: '0644'}", undefined],
    ];
    for (const [settings, expected] of readings) {
      file("r.yml", read(settings));
      const { stderr } = await reeve("run", "r.yml", "-r", "ok.json");
      if (expected === undefined) assert.not.match(stderr, "kubectl");
      else assert.match(stderr, expected);
    }
    file("empty.yml", "{}\n");
    for (const [words, text] of warnings) {
      const { stderr } = await reeve(...words);
      assert.match(stderr, text, `${words.join(" ")}\n${stderr}`);
    }
    for (const [words, text] of rows) {
      const { exit, stdout, stderr } = await reeve(...words);
      assert.is(exit, 1, `${words.join(" ")}\n${stdout}${stderr}`);
      assert.match(stdout + stderr, text);
    }
  }));

test.run();
