// `reeve build` and `reeve new`: from TypeScript to a module, and what is said when that can't be.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { REQUEST } from "../typescript/building.ts";
import { type Folder, openFolder, policy } from "./folder.ts";

let folder: Folder;
test.before(() => {
  folder = openFolder();
  symlinkSync(policy("node_modules"), join(folder.path, "node_modules"));
});
test.after(() => folder.remove());

const POLICY = `import { definePolicy, reject } from "portreeve/policy";
export default definePolicy({ validate: (request) => reject(\`no \${request.uid}\`) });
`;
const METADATA = `rules: [{ apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE] }]
mutating: false
annotations: { io.kubewarden.policy.title: mine }
`;

test("a policy is built, with its metadata and usage, and answers", async () => {
  folder.file("policy.ts", POLICY);
  folder.file("metadata.yml", METADATA);
  folder.file("usage.md", "How to use it\n");
  folder.file("request.json", REQUEST);
  const built = await folder.run(["build", "policy.ts", "-m", "metadata.yml", "-u", "usage.md"]);
  assert.is(built.exit, 0, built.stderr);
  assert.match(built.stderr, /^policy\.wasm: \d+ bytes\n$/);
  assert.match((await folder.run(["inspect", "policy.wasm"])).stdout, /title: +mine/);
  assert.match((await folder.run(["inspect", "policy.wasm"])).stdout, /How to use it/);
  const { stdout } = await folder.run(["run", "policy.wasm", "-r", "request.json"]);
  assert.equal(JSON.parse(stdout).status, { message: "no 1" });
});

test("the module goes where it is told to, without metadata if there are none", async () => {
  folder.file("other.ts", POLICY);
  const built = await folder.run(["build", "other.ts", "--output", "made.wasm", "--skip-type-check"]);
  assert.is(built.exit, 0, built.stderr);
  assert.ok(!existsSync(join(folder.path, "other.wasm")));
  const bytes = new Uint8Array(readFileSync(join(folder.path, "made.wasm")));
  assert.equal(
    WebAssembly.Module.customSections(new WebAssembly.Module(bytes), "io.kubewarden.metadata"),
    [],
  );
});

/** What can't be built, with which flags, and what is said. */
const REFUSED:
  readonly (readonly [what: string, source: string | undefined, flags: readonly string[], said: RegExp])[] = [
    ["no file", undefined, [], /^Error: cannot build the policy: .*refused\.ts is no file$/],
    [
      "an error in the types",
      "const a: number = 'a';\nexport default a;\n",
      [],
      /has errors in its types:\nrefused\.ts:1:7: TS2322: Type 'string' is not assignable/,
    ],
    ["an error in the syntax", "const = 1;\n", ["--skip-type-check"], /refused\.ts:1:7: Expected identifier/],
    [
      "a promise",
      POLICY.replace("(request) =>", "async (request) =>"),
      [],
      /refused\.ts:2:\d+: TS2741: Property 'accepted' is missing in type 'Promise<Answer>'/,
    ],
    ["no policy", "export default 1;\n", [], /the module's default export is no policy/],
    [
      "usage alone",
      POLICY,
      ["-u", "usage.md"],
      /--usage-path adds to the metadata: give them with --metadata-path/,
    ],
    [
      "metadata that are not there",
      POLICY,
      ["-m", "absent.yml"],
      /Error opening metadata file: .*absent\.yml/,
    ],
    [
      "metadata of Rego",
      POLICY,
      ["-m", "opa.yml"],
      /opa\.yml says executionMode: opa, and a policy in TypeScript/,
    ],
    [
      "metadata of a mode that it isn't",
      POLICY,
      ["-m", "wasi.yml"],
      /wasi\.yml says executionMode: wasi, and a policy in TypeScript is kubewarden-wapc: leave it out$/,
    ],
    ["wrong metadata", POLICY, ["-m", "wrong.yml"], /Error unmarshalling metadata .*missing field `rules`/],
    [
      "a folder that is not there",
      POLICY,
      ["-o", "absent/policy.wasm"],
      /cannot write absent\/policy\.wasm: /,
    ],
  ];

for (const [what, source, flags, said] of REFUSED) {
  test(`it says what is wrong: ${what}`, async () => {
    if (source !== undefined) folder.file("refused.ts", source);
    folder.file("opa.yml", `${METADATA}executionMode: opa\n`);
    folder.file("wasi.yml", `${METADATA}executionMode: wasi\n`);
    folder.file("wrong.yml", "mutating: false\n");
    const { exit, stderr } = await folder.run(["build", "refused.ts", ...flags]);
    assert.is(exit, 1, stderr);
    assert.match(stderr.trim(), said);
    assert.ok(!existsSync(join(folder.path, "refused.wasm")));
  });
}

test("with --watch it is built again whenever the source changes, and errors do not end it", async () => {
  folder.file("watched.ts", POLICY);
  const stop = new AbortController();
  let printed = "";
  let wake = () => {};
  const running = folder.run(["build", "watched.ts", "--watch"], {
    signal: stop.signal,
    onOutput: (text) => {
      printed += text;
      wake();
    },
  });
  /** Waits for a text that is new. */
  const until = async (pattern: RegExp) => {
    while (!pattern.test(printed)) await new Promise<void>((resolve) => void (wake = resolve));
    printed = "";
  };
  await until(/watched\.wasm: \d+ bytes[^]*waiting for changes/);
  folder.file("watched.ts", "const = 1;\n");
  await until(/Error: cannot build the policy: watched\.ts:1:7:[^]*waiting for changes/);
  folder.file("watched.ts", POLICY.replace("no $", "never $"));
  await until(/watched\.wasm: \d+ bytes[^]*waiting for changes/);
  // Many editors save under another name and rename that, each time.
  for (const word of ["once", "twice", "thrice"]) {
    folder.file("saved.tmp", POLICY.replace("no $", `${word} $`));
    renameSync(join(folder.path, "saved.tmp"), join(folder.path, "watched.ts"));
    await until(/watched\.wasm: \d+ bytes[^]*waiting for changes/);
  }
  // A folder that comes later is watched, and so is one that is put in its place.
  for (const word of ["new", "newer"]) {
    rmSync(join(folder.path, "parts"), { recursive: true, force: true });
    mkdirSync(join(folder.path, "parts/deep"), { recursive: true });
    folder.file("parts/deep/word.ts", `export const word = "${word}";\n`);
    if (word === "new") {
      folder.file(
        "watched.ts",
        `import { word } from "./parts/deep/word.ts";\n${POLICY.replace("no $", "${word} $")}`,
      );
    }
    await until(/watched\.wasm: \d+ bytes[^]*waiting for changes/);
  }
  folder.file("parts/deep/word.ts", 'export const word = "newest";\n');
  await until(/watched\.wasm: \d+ bytes[^]*waiting for changes/);
  // What is no part of it starts nothing: the next thing that is said is about what is changed after it.
  folder.file("build.log", "watched.wasm\n");
  folder.file("other-request.json", REQUEST);
  folder.file("watched.ts", POLICY.replace("no $", "// $").replace("{ validate", "{ validat"));
  await until(/Error: cannot build the policy: [^]*waiting for changes/);
  rmSync(join(folder.path, "watched.ts"));
  await until(/watched\.ts is no file\nwaiting for changes/);
  // What is outside of its folder is watched, too.
  const outside = openFolder();
  outside.file("word.ts", 'export const word = "not";\n');
  folder.file(
    "watched.ts",
    `import { word } from "${join(outside.path, "word.ts")}";\n${POLICY.replace("no $", "${word} $")}`,
  );
  await until(/watched\.wasm: \d+ bytes[^]*waiting for changes/);
  outside.file("word.ts", 'export const word = "never";\n');
  await until(/watched\.wasm: \d+ bytes[^]*waiting for changes/);
  stop.abort();
  await running;
  outside.remove();
  folder.file("request.json", REQUEST);
  const { stdout } = await folder.run(["run", "watched.wasm", "-r", "request.json"]);
  assert.is(JSON.parse(stdout).status.message, "never 1");
});

test("a new policy's folder has all that it takes, and its suite passes", async () => {
  const made = await folder.run(["new", "made/owner-label"]);
  assert.is(made.exit, 0, made.stderr);
  assert.match(made.stdout, /^made\/owner-label\/policy\.ts$/m);
  assert.match(made.stderr, /next: cd made\/owner-label && npm pack --silent \S+ && npm install/);
  const cwd = join(folder.path, "made/owner-label");
  const built = await folder.run(["build", "policy.ts", "-m", "metadata.yml", "--skip-type-check"], { cwd });
  assert.is(built.exit, 0, built.stderr);
  const tested = await folder.run(["test"], { cwd });
  assert.is(tested.exit, 0, tested.stdout + tested.stderr);
  assert.match(tested.stdout, /3 passed, 0 failed/);
});

test("a module that is not built yet: every command says what to build first", async () => {
  const languages: readonly (readonly [lang: string, build: string])[] = [
    ["ts", "npm run build"],
    ["as", "npm run build && reeve annotate"],
    ["rust", "cargo build --release [^&]+ && cp [^&]+ && reeve annotate"],
    ["go", "GOOS=wasip1 GOARCH=wasm go build [^&]+ && reeve annotate"],
    ["rego", "opa build [^&]+ && tar [^&]+ && reeve annotate"],
  ];
  for (const [lang, build] of languages) {
    assert.is((await folder.run(["new", `unbuilt/${lang}`, "--lang", lang])).exit, 0);
    const cwd = join(folder.path, "unbuilt", lang);
    const { exit, stderr } = await folder.run(["test"], { cwd });
    assert.is(exit, 1);
    assert.match(
      stderr,
      new RegExp(`^Error: Cannot find policy with uri: (policy|annotated)\\.wasm; build first: ${build}`),
    );
  }
  const commands: readonly (readonly string[])[] = [
    ["run", "policy.wasm", "-r", "request.json"],
    ["explain", "policy.wasm", "-r", "request.json"],
    ["bench", "policy.wasm", "-r", "request.json"],
    ["annotate", "policy.wasm", "-m", "metadata.yml", "-o", "annotated.wasm"],
    ["push", "policy.wasm", "127.0.0.1:1/policy:v1"],
    ["inspect", "policy.wasm"],
    ["save", "policy.wasm", "-o", "policies.tar.gz"],
    ["scaffold", "manifest", "-t", "ClusterAdmissionPolicy", "policy.wasm"],
  ];
  for (const words of commands) {
    const { exit, stderr } = await folder.run(words, { cwd: join(folder.path, "unbuilt/go") });
    assert.is(exit, 1, words[0]);
    assert.match(stderr, /policy\.wasm; build first: GOOS=wasip1 [^&]+\n$/, words.join(" "));
  }
  const shown: readonly (readonly [lang: string, files: Readonly<Record<string, string>>, said: RegExp])[] = [
    // What is built and has no metadata yet.
    ["go", { "policy.wasm": "" }, /: annotated\.wasm; build first: reeve annotate policy\.wasm -m metadata/],
    // As the page on TypeScript has it: no script, and a package.json that npm wrote.
    ["ts", { "package.json": "{}" }, /; build first: reeve build policy\.ts -m metadata\.yml\n/],
    ["ts", { "package.json": "[" }, /; build first: reeve build policy\.ts -m metadata\.yml\n/],
  ];
  for (const [lang, files, said] of shown) {
    const cwd = join(folder.path, "unbuilt", lang);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
    assert.match((await folder.run(["test"], { cwd })).stderr, said);
  }
  // Where no source is, nothing is said of building.
  const nowhere = await folder.run(["run", "unbuilt/policy.wasm", "-r", "request.json"]);
  assert.is(nowhere.stderr, "Error: Cannot find policy with uri: unbuilt/policy.wasm\n");
});

const canMount = process.platform === "linux" && process.getuid?.() === 0 &&
  spawnSync("unshare", ["--mount", "true"]).status === 0;
const mounted = (canMount ? test : test.skip) as typeof test;
mounted(
  `in a read-only folder it is one line that says what to do${canMount ? "" : " (needs root, to mount it)"}`,
  () => {
    folder.file("read.ts", POLICY);
    folder.file("metadata.yml", METADATA);
    const commands = [
      "new mine",
      "build read.ts --skip-type-check",
      "annotate made.wasm -m metadata.yml -o a.wasm",
    ];
    const at = `'${folder.path}'`;
    for (const command of commands) {
      const { status, stderr } = spawnSync("unshare", [
        "--mount",
        "sh",
        "-c",
        `mount --bind ${at} ${at} && mount -o remount,ro,bind ${at} && cd ${at} && exec "$@"`,
        "sh",
        process.execPath,
        policy("cli/main.ts"),
        ...command.split(" "),
      ], { encoding: "utf8", env: { PATH: process.env["PATH"], HOME: folder.home } });
      assert.is(status, 1, command);
      assert.match(
        stderr,
        /^Error: cannot write \S+: Read-only file system \(os error 30\); choose a place that this user may write to\n$/,
      );
    }
  },
);

test("a new policy is written over nothing, and has a name that all take", async () => {
  mkdirSync(join(folder.path, "full"));
  writeFileSync(join(folder.path, "full/a.txt"), "");
  const cases: readonly (readonly [words: readonly string[], exit: number, said: RegExp])[] = [
    [["full"], 1, /full is not empty, it has a\.txt: choose another folder/],
    [["Owner"], 1, /"Owner" can't be a policy's name: use up to 63 lower case letters/],
    [["-l", "cobol", "a"], 2, /invalid value 'cobol'[^]*ts, rust, rego, go, as/],
    [["-l", "rust", "1st"], 1, /"1st" can't be this policy's name: the name of a Rust package begins with/],
    [["request.json/a"], 1, /cannot write request\.json\/a: /],
  ];
  for (const [words, exit, said] of cases) {
    const result = await folder.run(["new", ...words]);
    assert.is(result.exit, exit, words.join(" "));
    assert.match(result.stderr, said);
  }
});

test.run();
