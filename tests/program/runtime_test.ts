// On a runtime that is too old every program ends with code 1 and one line that says what it needs.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { unsupportedRuntime } from "../../program/render/runtime.ts";
import { bundleFile } from "../programs.ts";
import { OLD_RUNTIMES } from "./old_runtimes.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const REFUSED =
  /^Error: \S+ needs Node 24 or later \(https:\S+\) or Bun 1\.4 or later \(https:\S+\)(?: or Deno 2\.9 or later \(https:\S+\))?, and this is (Node|Bun) [\d.]+\n$/;

let folder: string;
/** The bundles without the `package.json` beside them, as somebody may have copied them. */
let bare: string;
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), "runtime-"));
  bare = join(folder, "bare");
  cpSync(dirname(bundleFile("reeve")), bare, { recursive: true });
  rmSync(join(bare, "package.json"));
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

function run(binary: string, ...words: string[]) {
  const { status, stdout, stderr } = spawnSync(binary, words, {
    cwd: root,
    encoding: "utf8",
    env: { PATH: process.env["PATH"], HOME: folder, NODE_NO_WARNINGS: "1" },
  });
  return { status, stdout, stderr };
}

test("what is supported", () => {
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const text = unsupportedRuntime("reeve", { node: "20.0.0" })!;
  for (const minimum of [engines.node, engines.bun]) {
    assert.match(text, ` ${minimum.replace(">=", "")} or later`, "package.json says the same");
  }
  assert.not.match(text, "\n");
  for (
    const versions of [
      { node: "24.0.0" },
      { node: "26.10.0" },
      { node: "100.1.0-nightly" },
      { node: "26.3.0", bun: "1.4.0" },
      { node: "22.1.0", bun: "1.10.0" },
      { node: "22.1.0", bun: "2.0.0-canary.1" },
    ]
  ) assert.is(unsupportedRuntime("reeve", versions), undefined, JSON.stringify(versions));
  for (
    const versions of [
      {},
      { node: "" },
      { node: "x" },
      { node: "4.0.0" },
      { node: "23.99.99" },
      { node: "26.0.0", bun: "1.3.99" },
      { node: "26.0.0", bun: "0.9" },
      { node: "26.0.0", deno: "2.9.6" },
    ]
  ) assert.type(unsupportedRuntime("reeve", versions), "string", JSON.stringify(versions));
});

/** Command lines that a script would take for a success if they ended with 0. */
const COMMANDS: readonly (readonly [program: string, ...words: string[]])[] = [
  ["reeve"],
  ["reeve", "--version"],
  ["reeve", "verify", "-k", "key.pub", "registry://localhost:1/policy:v1"],
  ["policy_server"],
  ["policy_server", "--version"],
  ["portreeve"],
  ["portreeve", "--version"],
  ["audit"],
  ["audit", "--help"],
  ["controller"],
  ["controller", "--help"],
];

for (const { title, binary, missing, readsTypes } of OLD_RUNTIMES) {
  const withIt = missing === undefined ? test : test.skip;
  const hint = missing === undefined ? "" : ` (get it by: ${missing})`;

  withIt(`${title}: programs end with code 1 and say what they need${hint}`, () => {
    for (const [program, ...words] of COMMANDS) {
      for (const home of [dirname(bundleFile("reeve")), bare]) {
        const { status, stdout, stderr } = run(binary, join(home, `${program}.js`), ...words);
        const what = `${title} ${program} ${words.join(" ")}`;
        assert.is(status, 1, what);
        assert.is(stdout, "", what);
        assert.match(stderr, REFUSED, what);
      }
    }
  });

  withIt(`${title}: what is imported throws that line${hint}`, () => {
    const home = pathToFileURL(dirname(bundleFile("reeve"))).href;
    for (const name of ["mod.js", "worker.js"]) {
      const file = join(folder, "import.mjs");
      writeFileSync(
        file,
        `import${"("}"${home}/${name}").then(() => console.log("imported"), (error) => console.log(String(error)));\n`,
      );
      assert.match(run(binary, file).stdout, REFUSED, name);
      writeFileSync(file, `import * as all ${"from"} "${home}/${name}";\nconsole.log(Object.keys(all));\n`);
      const { status, stdout } = run(binary, file);
      assert.is(status, 1);
      assert.is(stdout, "");
    }
  });

  withIt(`${title}: so does what \`npm start\` runs${hint}`, () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const [program, ...words] = scripts.start.split(" ") as [string, ...string[]];
    assert.is(program, "node");
    // Bun is never what npm calls by the name of Node.
    if (/bun/i.test(title)) return;
    const { status, stdout, stderr } = run(binary, ...words);
    assert.is(status, 1);
    assert.is(stdout, "");
    assert.match(
      stderr,
      /^Error: portreeve needs Node 24 or later \(https:\S+\), and this is Node [\d.]+\n$/,
    );
  });

  if (!readsTypes) continue;
  withIt(`${title}: so do the sources${hint}`, () => {
    for (
      const script of [
        "cli/main.ts",
        "policy_server/main.ts",
        "audit/main.ts",
        "controller/main.ts",
        "policies/serve.ts",
        "build.ts",
        "build_executable.ts",
        "tests/run.ts",
      ]
    ) {
      const { status, stdout, stderr } = run(binary, script, "--help");
      assert.is(status, 1, script);
      assert.is(stdout, "", script);
      assert.match(stderr, REFUSED, script);
    }
  });
}

test("a program that ends before it is done has not succeeded", () => {
  const entry = pathToFileURL(join(root, "program/apply/start_program.ts")).href;
  const cases: readonly (readonly [start: string, status: number, stderr: RegExp])[] = [
    ["() => new Promise(() => {})", 1, /^Error: probe ended before its work was done\n$/],
    ["async () => { throw new Error('broken'); }", 1, /broken/],
    ["async () => {}", 0, /^$/],
    ["async () => 0", 0, /^$/],
    ["async () => 3", 3, /^$/],
    ["async () => process.exit(0)", 0, /^$/],
  ];
  const file = join(folder, "probe.mjs");
  for (const [start, status, stderr] of cases) {
    writeFileSync(
      file,
      `import { startProgram } from "${entry}";\nstartProgram("probe", async () => ({ start: ${start} }));\n`,
    );
    const ended = run(process.execPath, file);
    assert.is(ended.status, status, start);
    assert.match(ended.stderr, stderr, start);
  }
  writeFileSync(
    file,
    `import { startProgram } from "${entry}";\nstartProgram("probe", () => import${"("}"./absent.mjs"));\n`,
  );
  assert.is(run(process.execPath, file).status, 1);
});

test.run();
