// The store and its archives: policies, rm, save, load, and what a policy is called by (spec/cli.md §2, §5, §6, §12).
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadTar } from "../../deps.ts";
import { inPlace, PLAIN, POLICY, sha256 } from "./place.ts";

const policy = readFileSync(POLICY);
const plain = readFileSync(PLAIN);
const TAGGED = "registry/ghcr.io/kubewarden/policies/pod-privileged:v0.2.2";
const BY_DIGEST = `registry/localhost:5000/a/b@sha256:${"ab".repeat(32)}`;
const FROM_WEB = "https/github.com/o/r/releases/download/v0.1.6/policy.wasm";

test("a missing and an empty store are listed as nothing at all", () =>
  inPlace(async ({ reeve, store }) => {
    assert.equal(await reeve("policies").then(({ exit, stdout, stderr }) => [exit, stdout, stderr]), [
      0,
      "",
      "",
    ]);
    mkdirSync(store, { recursive: true });
    assert.is((await reeve("policies")).stdout, "");
  }));

test("what lies below the schemes is listed with its URI, metadata, digest and size", () =>
  inPlace(async ({ reeve, stored }) => {
    stored(TAGGED, policy);
    stored(BY_DIGEST, plain);
    stored("elsewhere/policy.wasm", policy);
    const { stdout, stderr, exit } = await reeve("policies");
    assert.equal([exit, stderr], [0, ""]);
    const lines = stdout.trimEnd().split("\n");
    assert.is(lines.length, 6);
    assert.match(lines[0]!, /^\+-+\+-+\+-+\+-+\+-+\+$/);
    for (const rule of [2, 5]) assert.is(lines[rule], lines[0]);
    const rows = lines.filter((line) => line.startsWith("|")).map((line) =>
      line.slice(1, -1).split("|").map((cell) => cell.trim())
    );
    const size = (bytes: Uint8Array) => `${(bytes.length / 1000).toFixed(2)} kB`;
    assert.equal(rows[0], ["Policy", "Mutating", "Context aware", "SHA-256", "Size"]);
    assert.equal(rows.slice(1).sort(), [
      [
        "registry://ghcr.io/kubewarden/policies/pod-privileged:v0.2.2",
        "no",
        "no",
        sha256(policy).slice(0, 12),
        size(policy),
      ],
      [
        `registry://localhost:5000/a/b@sha256:${"ab".repeat(32)}`,
        "unknown",
        "no",
        sha256(plain).slice(0, 12),
        size(plain),
      ],
    ]);
  }));

test("one file that is no module fails the listing, and is named", () =>
  inPlace(async ({ reeve, stored }) => {
    stored(TAGGED, policy);
    stored("https/h/junk.wasm", new TextEncoder().encode("junk"));
    const { exit, stdout, stderr } = await reeve("policies");
    assert.equal([exit, stdout], [1, ""]);
    assert.match(stderr, /^Error: error processing metadata of policy https:\/\/h\/junk\.wasm: /);
  }));

test("a policy of a file is not pulled, which is said where it should have been written", () =>
  inPlace(async ({ reeve, cwd }) => {
    const path = join(cwd, "policy.wasm");
    writeFileSync(path, policy);
    assert.is((await reeve("pull", `file://${path}`)).stderr, "");
    const { exit, stdout, stderr } = await reeve("pull", "-o", "copy.wasm", `file://${path}`);
    assert.equal([exit, stdout, existsSync(join(cwd, "copy.wasm"))], [0, "", false]);
    assert.match(stderr, "WARN reeve: nothing was written: ");
  }));

test("policies are removed by URI, by name and by the beginning of their digest, with the folders that become empty", () =>
  inPlace(async ({ reeve, stored, inStore, store }) => {
    stored(TAGGED, policy);
    stored("registry/docker.io/library/busybox:latest", policy);
    stored(FROM_WEB, plain);
    const ambiguous = await reeve("rm", sha256(policy).slice(0, 8));
    assert.equal([ambiguous.exit, ambiguous.stderr], [
      1,
      `Error: multiple policies found with the same prefix: ${sha256(policy).slice(0, 8)}\n`,
    ]);
    assert.equal(await reeve("rm", "busybox").then(({ exit, stdout, stderr }) => [exit, stdout, stderr]), [
      0,
      "",
      "",
    ]);
    assert.equal(inStore(), [FROM_WEB, TAGGED]);
    assert.is((await reeve("rm", sha256(policy).slice(0, 4))).exit, 0);
    assert.equal(readdirSync(store), ["https"]);
    assert.is((await reeve("rm", " https://github.com/o/r/releases/download/v0.1.6/policy.wasm ")).exit, 0);
    assert.not(existsSync(store));
    const again = await reeve("rm", "busybox");
    assert.equal([again.exit, again.stderr], [
      1,
      "Error: Cannot find policy with uri: registry://docker.io/library/busybox:latest\n",
    ]);
    assert.is(
      (await reeve("rm", `file://${POLICY}`)).stderr,
      `Error: unknown scheme: file (file://${POLICY} is not in the store: delete the file itself)\n`,
    );
  }));

test("a policy of the store is run and inspected by URI, short name and digest; not without its scheme", () =>
  inPlace(async ({ reeve, stored }) => {
    stored("registry/docker.io/library/echo:latest", policy);
    for (
      const name of [
        "registry://docker.io/library/echo:latest",
        "registry://echo",
        sha256(policy).slice(0, 6),
      ]
    ) {
      assert.is((await reeve("inspect", name)).exit, 0, name);
    }
    assert.is((await reeve("inspect", "echo")).stderr, "Error: Cannot find policy with uri: echo\n");
    assert.is((await reeve("inspect", "ftp://echo")).stderr, "Error: Unknown scheme: ftp\n");
  }));

test("what is saved is read by tar, and what tar packs is loaded", () =>
  inPlace(async ({ reeve, stored, inStore, file, cwd, store }) => {
    stored(TAGGED, policy);
    stored(FROM_WEB, plain);
    const saved = await reeve(
      "save",
      `registry://ghcr.io/kubewarden/policies/pod-privileged:v0.2.2`,
      "-o",
      "out.tar.gz",
      sha256(plain).slice(0, 8),
    );
    assert.equal([saved.exit, saved.stdout, saved.stderr], [0, "", ""]);
    const entries = execFileSync("tar", ["tzf", "out.tar.gz"], { cwd, encoding: "utf8" }).trim().split("\n");
    assert.equal(entries.sort(), [FROM_WEB, TAGGED].sort());
    mkdirSync(join(cwd, "unpacked"));
    execFileSync("tar", ["xzf", "out.tar.gz", "-C", "unpacked"], { cwd });
    assert.equal(readFileSync(join(cwd, "unpacked", TAGGED)), policy);

    // The other direction: folders as entries of their own, names with a leading "./", another compression level.
    file(`made/registry/host:5000/a/b:v1`, policy);
    file(`made/${FROM_WEB}`, policy);
    execFileSync("tar", ["cf", "made.tar", "-C", "made", "."], { cwd });
    file("made.tar.gz", gzipSync(readFileSync(join(cwd, "made.tar")), { level: 1 }));
    const loaded = await reeve("load", "--input", "made.tar.gz");
    assert.equal([loaded.exit, loaded.stdout, loaded.stderr], [0, "", ""]);
    assert.equal(inStore(), [FROM_WEB, TAGGED, "registry/host:5000/a/b:v1"].sort());
    assert.equal(readFileSync(join(store, FROM_WEB)), policy, "it replaces what was there");
    assert.is((await reeve("load", "--input", "made.tar")).exit, 0, "also uncompressed");
  }));

test("archives go through standard output and input", () =>
  inPlace(async ({ reeve, reeveWith, stored, inStore, cwd }) => {
    stored(TAGGED, policy);
    const { exit, bytes } = await reeve(
      "save",
      "-o",
      "-",
      `registry://ghcr.io/kubewarden/policies/pod-privileged:v0.2.2`,
    );
    assert.is(exit, 0);
    assert.ok(gunzipSync(bytes).includes(TAGGED));
    await inPlace(async (other) => {
      const loaded = await reeveWith({ home: other.home, cwd, stdin: bytes }, "load", "--input", "-");
      assert.equal([loaded.exit, loaded.stderr], [0, ""]);
      assert.equal(other.inStore(), inStore());
    });
  }));

test("files outside of the store are loaded to where they are listed, each under a name of its own", () =>
  inPlace(async ({ reeve, file, inStore, cwd }) => {
    file("one/policy.wasm", policy);
    file("two/policy.wasm", plain);
    assert.is(
      (await reeve("save", "-o", "x.tgz", "one/policy.wasm", `file://${cwd}/two/policy.wasm`)).exit,
      0,
    );
    assert.is((await reeve("load", "--input", "x.tgz")).exit, 0);
    assert.is(inStore().length, 2);
    const { stdout } = await reeve("policies");
    for (const folder of ["one", "two"]) {
      assert.match(stdout, `https://localhost${cwd}/${folder}/policy.wasm`);
    }
  }));

test("an archive can't write outside of the store, nor through a link, nor leave parts behind", () =>
  inPlace(async ({ reeve, file, inStore, home, cwd }) => {
    const { pack } = await loadTar();
    const archive = async (name: string, entry: Record<string, unknown>, content = "x") => {
      const tar = pack();
      const pieces: Uint8Array[] = [];
      const read = (async () => {
        for await (const piece of tar) pieces.push(piece as Uint8Array);
      })();
      tar.entry({ name: "registry/h/good:v1" }, "good");
      if (entry["type"] === undefined) tar.entry(entry as { name: string }, content);
      else tar.entry(entry as { name: string });
      tar.finalize();
      await read;
      return file(name, gzipSync(Buffer.concat(pieces)));
    };
    for (
      const [index, entry] of [
        { name: "../../escaped" },
        { name: "/tmp/reeve-escaped" },
        { name: "registry/../../../escaped" },
        { name: "registry/link", type: "symlink", linkname: "/etc" },
        { name: "registry/hard", type: "link", linkname: "registry/h/good:v1" },
      ].entries()
    ) {
      await archive(`bad${index}.tgz`, entry);
      const { exit, stderr } = await reeve("load", "--input", `bad${index}.tgz`);
      assert.is(exit, 1, JSON.stringify(entry));
      assert.match(stderr, /^Error: cannot unpack file: the entry "/);
    }
    assert.not(existsSync(join(home, "escaped")) || existsSync("/tmp/reeve-escaped"));
    assert.equal(inStore(), ["registry/h/good:v1"]);

    const whole = readFileSync(join(cwd, "bad0.tgz"));
    file("cut.tgz", whole.subarray(0, whole.length - 20));
    const cut = await reeve("load", "--input", "cut.tgz");
    assert.is(cut.exit, 1);
    assert.match(cut.stderr, /^Error: cannot unpack file/);
    assert.not.ok(inStore().some((path) => path.includes(".part")));
  }));

test("what can't be saved or loaded says so, and leaves nothing", () =>
  inPlace(async ({ reeve, file, cwd }) => {
    file("policy.wasm", policy);
    for (
      const [words, text] of [
        [
          ["save", "-o", "x.tgz", "absent.wasm"],
          "cannot find policy absent.wasm: Cannot find policy with uri: absent.wasm",
        ],
        [
          ["save", "-o", "no/x.tgz", "policy.wasm"],
          "cannot create file no/x.tgz: No such file or directory (os error 2)",
        ],
        [
          ["load", "--input", "absent.tgz"],
          "cannot open file absent.tgz: No such file or directory (os error 2)",
        ],
      ] as const
    ) {
      const { exit, stderr } = await reeve(...words);
      assert.equal([exit, stderr], [1, `Error: ${text}\n`]);
    }
    const junk = await reeve("load", "--input", "policy.wasm");
    assert.is(junk.exit, 1);
    assert.match(junk.stderr, /^Error: cannot unpack file policy\.wasm: [^\n]+\n$/);
    if (existsSync("/dev/full")) {
      const { exit, stderr } = await reeve("save", "-o", "/dev/full", "policy.wasm");
      assert.is(exit, 1);
      assert.match(stderr, /^Error: cannot [^\n]*: No space left on device \(os error 28\)\n$/);
    }
    assert.equal(readdirSync(cwd), ["policy.wasm"]);
  }));

test("a store behind a symbolic link is a store", () =>
  inPlace(async ({ reeve, home, store, cwd }) => {
    mkdirSync(join(cwd, "real/https/h"), { recursive: true });
    writeFileSync(join(cwd, "real/https/h/p.wasm"), policy);
    mkdirSync(join(home, ".cache/kubewarden"), { recursive: true });
    symlinkSync(join(cwd, "real"), store);
    assert.match((await reeve("policies")).stdout, "https://h/p.wasm");
  }));

test("info names the version, Rego's builtins and the folders, which follow the environment", () =>
  inPlace(async ({ reeve, reeveWith, home }) => {
    const { stdout } = await reeve("info");
    assert.match(
      stdout,
      /^reeve version: 1\.36\.[^\n]+\n\nOpen Policy Agent\/Gatekeeper implemented builtins:\n {2}- /,
    );
    const builtins = [...stdout.matchAll(/^ {2}- (.*)$/gm)].map(([, name]) => name!);
    assert.equal(builtins, [...builtins].sort());
    for (const name of ["sprintf", "json.patch", "yaml.marshal", "semver.compare"]) {
      assert.ok(builtins.includes(name));
    }
    const folders = (text: string) => text.trimEnd().split("\n").slice(-3);
    assert.equal(folders(stdout), [
      `Policy store: ${home}/.cache/kubewarden/store`,
      `Config directory: ${home}/.config/kubewarden`,
      `reeve cache directory: ${home}/.cache/kubewarden/kwctl`,
    ]);
    const env = { HOME: home, XDG_CACHE_HOME: "/cache", XDG_CONFIG_HOME: "relative" };
    assert.equal(folders((await reeveWith({ env }, "info")).stdout), [
      "Policy store: /cache/kubewarden/store",
      `Config directory: ${home}/.config/kubewarden`,
      "reeve cache directory: /cache/kubewarden/kwctl",
    ]);
  }));

test.run();
