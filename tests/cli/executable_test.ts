// The single executable: it needs nothing beside it, runs every mode, and takes nothing from the folder it is started in.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { POLICY, root } from "./place.ts";
import { reeve } from "./reeve.ts";

const there = process.platform === "linux" && existsSync(join(root, "node_modules/.bin/bun"));
const built = (there ? test : test.skip) as typeof test;
if (!there) test.skip("the executable: is built by Bun, on Linux (npm ci installs it)", () => {});

const folder = mkdtempSync(join(tmpdir(), "reeve-executable-"));
const [bin, cwd] = [join(folder, "bin"), join(folder, "work")];
const LIMIT_MS = 240_000;

function run(...words: readonly string[]): { exit: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(join(bin, "reeve"), words, {
    cwd,
    encoding: "utf8",
    env: { HOME: cwd, PATH: "" },
    timeout: LIMIT_MS,
    killSignal: "SIGKILL",
  });
  return { exit: status, stdout, stderr };
}

test.before(() => {
  for (const path of [bin, cwd]) mkdirSync(path);
  if (!there) return;
  const { status, stderr } = spawnSync(process.execPath, [
    join(root, "build_executable.ts"),
    join(bin, "reeve"),
  ], {
    cwd: root,
    encoding: "utf8",
    timeout: LIMIT_MS,
  });
  assert.is(status, 0, stderr);
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

built("it is one file", () => {
  assert.equal(readdirSync(bin), ["reeve"]);
  const { exit, stdout } = run("-V");
  assert.is(exit, 0);
  assert.match(stdout, /^reeve 1\.36\.0/);
});

const REQUEST = join(root, "policies/pod-privileged/requests/privileged.json");
const POLICIES = [
  { mode: "waPC", folder: "policies/pod-privileged", settings: {}, allowed: false },
  { mode: "OPA", folder: "tests/policies/opa-labels", settings: { required: ["owner"] }, allowed: false },
  { mode: "Gatekeeper", folder: "tests/policies/gatekeeper-answers", settings: {}, allowed: true },
  { mode: "WASI", folder: "tests/policies/wasi-go", settings: {}, allowed: true },
  {
    mode: "Extism",
    folder: "tests/policies/extism-rust",
    settings: { allowedRegistries: ["registry.example"] },
    allowed: false,
  },
];

for (const { mode, folder, settings, allowed } of POLICIES) {
  built(`it runs ${mode} policies, as the source does`, async () => {
    const words = [
      "run",
      join(root, folder, "policy.wasm"),
      "-r",
      REQUEST,
      `--settings-json=${JSON.stringify(settings)}`,
    ];
    const { exit, stdout, stderr } = run(...words);
    assert.is(exit, 0, stderr);
    assert.is(stdout, (await reeve(words, { cwd, home: cwd })).stdout);
    assert.not.match(stdout, "internal server error");
    assert.is((JSON.parse(stdout) as { allowed: unknown }).allowed, allowed, stdout);
  });
}

built("it packs and unpacks policies, writes completions, and fails as the bundle does", () => {
  copyFileSync(POLICY, join(cwd, "policy.wasm"));
  assert.is(run("save", "-o", "policies.tar.gz", "policy.wasm").exit, 0);
  assert.is(run("load", "--input", "policies.tar.gz").exit, 0);
  assert.match(run("completions", "-s", "bash").stdout, "reeve");
  const absent = run("run", "absent.wasm", "-r", REQUEST);
  assert.is(absent.exit, 1);
  assert.match(absent.stderr, "Error: Cannot find policy with uri: absent.wasm");
  assert.is(run("--nonsense").exit, 2);
});

built("files of the folder it is started in do not become part of it", () => {
  writeFileSync(join(cwd, "evil.ts"), 'console.log("EVIL");\n');
  writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
  writeFileSync(join(cwd, ".env"), "XDG_CACHE_HOME=/evil\n");
  writeFileSync(join(cwd, "package.json"), '{"type":"commonjs"}\n');
  const { exit, stdout } = run("info");
  assert.is(exit, 0);
  assert.not.match(stdout, /evil/i);
});

test.run();
