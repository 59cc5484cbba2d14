// What a release consists of: the parts that are cheap to build are built, the others are looked at.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { changelog, parseLog } from "../../deploy/release/changelog.ts";
import { EXECUTABLES } from "../../deploy/release/check.ts";
import { checksums } from "../../deploy/release/checksums.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
let folder: string;
test.before(() => void (folder = mkdtempSync(join(tmpdir(), "release-"))));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const check = (...words: readonly string[]) =>
  spawnSync(process.execPath, ["deploy/release/check.ts", ...words], { cwd: root, encoding: "utf8" });

test("bill of materials, changelog and checksums are built, and nothing is published", () => {
  const out = join(folder, "out");
  const { status, stdout, stderr } = check("--out", out, "--only", "bill", "--only", "changelog");
  assert.is(status, 0, stderr);
  assert.match(stdout, /\n3 files in .*; nothing was published\n$/);
  assert.equal(readdirSync(out).sort(), [
    "CHANGELOG.md",
    "SHA256SUMS",
    "portreeve.cdx.json",
    "reeve.cdx.json",
  ]);
  for (const file of ["portreeve.cdx.json", "reeve.cdx.json"]) {
    const bill = JSON.parse(readFileSync(join(out, file), "utf8"));
    assert.is(bill.bomFormat, "CycloneDX");
    const found = new Set(bill.components.map(({ purl }: { purl: string }) => purl.replace(/@[^@]*$/, "")));
    assert.is(found.has("pkg:npm/bun"), file === "reeve.cdx.json");
    for (const name of ["yaml", "%40sigstore/verify", "re2js"]) {
      assert.ok(found.has(`pkg:npm/${name}`), `${file}: ${name}`);
    }
    for (const name of ["uvu", "esbuild", "typescript"]) {
      assert.not.ok(found.has(`pkg:npm/${name}`), `${file}: ${name}`);
    }
  }
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  assert.match(readFileSync(join(out, "CHANGELOG.md"), "utf8"), new RegExp(`^# Portreeve ${version}\n\n`));
  for (const line of readFileSync(join(out, "SHA256SUMS"), "utf8").trimEnd().split("\n")) {
    const [digest, name] = line.split("  ") as [string, string];
    assert.is(createHash("sha256").update(readFileSync(join(out, name))).digest("hex"), digest, name);
  }
});

test("a part that does not exist is named", () => {
  const { status, stderr } = check("--out", join(folder, "x"), "--only", "imagse");
  assert.is(status, 2);
  assert.match(
    stderr,
    "Error: --only imagse: expected one of package, executables, charts, images, bill, changelog",
  );
});

test("a part that can't be built fails the check with its reason, and the others are built", () => {
  const out = join(folder, "broken");
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["deploy/release/check.ts", "--out", out, "--only", "package", "--only", "changelog"],
    {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, PATH: pathWithoutNpm() },
    },
  );
  assert.is(status, 1);
  assert.match(stderr, /^Error: package: npm cannot be started: .*/);
  assert.match(stdout, "changelog: built");
});

/** Programs that the check needs, but npm. */
function pathWithoutNpm(): string {
  const bin = join(folder, "bin");
  mkdirSync(bin, { recursive: true });
  const git = spawnSync("sh", ["-c", "command -v git"], { encoding: "utf8" }).stdout.trim();
  writeFileSync(join(bin, "git"), `#!/bin/sh\nexec ${git} "$@"\n`, { mode: 0o755 });
  return bin;
}

test("the changelog sorts commits by what they touch, and shows their words as words", () => {
  const log = [
    "\0abc1234\tServe [x](y) `now`\n\npolicy_server/a.ts\npolicy_server/b.ts\ntests/a_test.ts\ndocs/a.md\n",
    "\0abc1235\tSay more\n\ndocs/a.md\n",
    "\0abc1236\tRun faster\n\ntests/run.ts\n",
    "\0abc1237\tNothing\n",
  ].join("");
  assert.is(
    changelog("1.2.3", "v1.2.2", parseLog(log)),
    "# Portreeve 1.2.3\n\nSince v1.2.2. 4 commits.\n\n" +
      "## Policy server\n\n- Serve \\[x\\](y) \\`now\\` (abc1234)\n\n" +
      "## Documentation\n\n- Say more (abc1235)\n\n" +
      "## Tests, benchmarks and the build\n\n- Run faster (abc1236)\n- Nothing (abc1237)\n",
  );
  assert.match(changelog("0.1.0", undefined, []), "The first release. 0 commits.");
});

test("checksums are those of all files below, but their own", async () => {
  const place = join(folder, "sums");
  mkdirSync(join(place, "a/b"), { recursive: true });
  writeFileSync(join(place, "a/b/c"), "abc");
  writeFileSync(join(place, "z"), "");
  writeFileSync(join(place, "SUMS"), "old");
  assert.is(
    await checksums(place, "SUMS"),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a/b/c\n" +
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  z\n",
  );
});

test("an executable for each system and processor", () => {
  const wanted = ["linux", "darwin", "windows"].flatMap((system) =>
    ["x64", "arm64"].map((arch) => `bun-${system}-${arch}`)
  );
  assert.equal(EXECUTABLES.map(([target]) => target), wanted);
  assert.is(new Set(EXECUTABLES.map(([, name]) => name)).size, wanted.length);
});

test.run();
