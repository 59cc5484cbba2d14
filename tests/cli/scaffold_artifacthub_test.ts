// scaffold artifacthub (spec/cli.md §16.4).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inPlace } from "./place.ts";
import { yaml } from "./scaffolded.ts";

test("artifacthub: the package's file, on standard output or where it is wanted", () =>
  inPlace(async ({ reeve, file, cwd, recorded }) => {
    recorded("meta-full.yml");
    const full = readFileSync(join(cwd, "meta-full.yml"), "utf8");
    file("metadata.yaml", full.replace("https://example.org/full.git", "https://github.com/o/full"));
    file("questions.yml", "questions: []\n");
    const { exit, stdout, stderr } = await reeve("scaffold", "artifacthub");
    assert.equal([exit, stderr], [0, ""]);
    assert.match(stdout, /^(#[^\n]*\n){6}version: 1\.2\.3\n/);
    const document = yaml(stdout);
    assert.equal(
      Object.keys(document).join(" "),
      "version name displayName createdAt description license homeURL containersImages keywords links install maintainers " +
        "provider recommendations annotations",
    );
    assert.equal(document.links, [
      { name: "policy", url: "https://github.com/o/full/releases/download/v1.2.3/policy.wasm" },
      { name: "source", url: "https://github.com/o/full" },
    ]);
    assert.is(document.annotations["kubewarden/questions-ui"], "questions: []\n");
    assert.match(document.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/);
    const written = await reeve(
      "scaffold",
      "artifacthub",
      "-o",
      "artifacthub-pkg.yml",
      "-m",
      "meta-full.yml",
    );
    assert.equal([written.exit, written.stdout], [0, ""]);
    assert.match(
      readFileSync(join(cwd, "artifacthub-pkg.yml"), "utf8"),
      "homeURL: https://example.org/full\n",
    );

    const variants: readonly (readonly [(text: string) => string, RegExp])[] = [
      [(text) => text.replace("version: 1.2.3", "version: v1"), /policy version must be in semver: /],
      [
        (text) => text.replace(/.*policy\.title.*\n/, ""),
        /policy metadata must specify "io\.kubewarden\.policy\.title" in annotations/,
      ],
      [
        (text) => text.replace(/.*ociUrl.*\n/, ""),
        /policy metadata must specify "io\.kubewarden\.policy\.ociUrl" in annotations/,
      ],
      [(text) => text.replace("keywords: a, b", "keywords: a,, b"), /csv/],
      [(text) => text.replace("url: https://example.org/full", "url: nowhere"), /URL/],
      [(text) => text.replace("Someone <someone@example.org>", "Someone"), /RFC 5322/],
      [
        (text) => text.slice(0, text.indexOf("annotations:")),
        /no annotations in policy metadata\. policy metadata must specify annotations/,
      ],
    ];
    for (const [change, text] of variants) {
      file("bad.yml", change(full));
      const refused = await reeve("scaffold", "artifacthub", "-m", "bad.yml");
      assert.equal([refused.exit, refused.stdout], [1, ""], String(text));
      assert.match(refused.stderr, text);
    }
    file("empty.yml", " \n");
    assert.is(
      (await reeve("scaffold", "artifacthub", "-q", "empty.yml")).stderr,
      "Error: questions-ui content cannot be empty\n",
    );
    await inPlace(async (empty) => {
      assert.is(
        (await empty.reeve("scaffold", "artifacthub")).stderr,
        "Error: path to metadata file not provided, plus 'metadata.yml' not found: give it with --metadata-path\n",
      );
    });
  }));

test("artifacthub knows the addresses of authors", () =>
  inPlace(async ({ reeve, file, recorded, cwd }) => {
    recorded("meta-full.yml");
    const full = readFileSync(join(cwd, "meta-full.yml"), "utf8");
    for (
      const [author, maintainers] of [
        ["a@example.org", [{ name: "a@example.org", email: "a@example.org" }]],
        ["A <a@example.org>, B C <b@example.org>", [{ name: "A", email: "a@example.org" }, {
          name: "B C",
          email: "b@example.org",
        }]],
        ["'\"Last, First\" <a@example.org>'", [{ name: "Last, First", email: "a@example.org" }]],
      ] as const
    ) {
      file("m.yml", full.replace("Someone <someone@example.org>", author));
      const { stdout, stderr } = await reeve("scaffold", "artifacthub", "-m", "m.yml");
      assert.equal(yaml(stdout).maintainers, maintainers, stderr);
    }
  }));

test.run();
