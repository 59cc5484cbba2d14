/** What npm gets, and what becomes of it where something is missing: one line that says what, and what to do. */
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { OLD_RUNTIMES } from "../program/old_runtimes.ts";
import { BIN, consumer, NODE_24, ROOT, run, succeed, write } from "./consumer.ts";

const onBun = "bun" in process.versions;
const runtime = join(BIN, onBun ? "bun" : "node");

let folder: string;
test.before(() => void (folder = consumer()));

/** All files below a folder, with their sizes. */
function filesOf(root: string, below = ""): readonly (readonly [name: string, bytes: number])[] {
  return readdirSync(join(root, below), { withFileTypes: true }).flatMap((entry) => {
    const name = join(below, entry.name);
    return entry.isDirectory() ? filesOf(root, name) : [[name, statSync(join(root, name)).size] as const];
  });
}

test("it is one package, small, without tests, sources and source maps", () => {
  const home = join(folder, "node_modules");
  assert.equal(readdirSync(home).filter((name) => !name.startsWith(".")), ["portreeve"]);
  const files = filesOf(join(home, "portreeve"));
  const bytes = files.reduce((sum, [, size]) => sum + size, 0);
  assert.ok(bytes < 6_000_000, `unpacked: ${bytes} bytes`);
  const strange = files.filter(([name]) =>
    !/^(npm\/|package\.json$|README\.md$|LICENSE$)/.test(name) ||
    /\.map$|_test\.|(?<!\.d)\.ts$|node_modules/.test(name)
  );
  assert.equal(strange, []);
});

test("it says what it is, and every part that it names is there", () => {
  const home = join(folder, "node_modules/portreeve");
  const manifest = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
  for (const field of ["description", "license", "keywords", "engines", "bin", "types"]) {
    assert.ok(manifest[field], field);
  }
  assert.is(manifest.dependencies, undefined);
  assert.is(manifest.publishConfig.provenance, true);
  const named = (value: unknown): readonly string[] =>
    typeof value === "string" ? [value] : Object.values(value as object).flatMap(named);
  const files = [...named(manifest.exports), ...named(manifest.bin), manifest.types];
  assert.ok(files.length > 10);
  for (const file of files) assert.ok(existsSync(join(home, file)), file);
  const licenses = readFileSync(join(home, "npm/THIRD_PARTY_LICENSES.txt"), "utf8");
  for (const name of ["@extism/extism", "undici", "@noble/hashes", "yaml"]) {
    assert.match(licenses, new RegExp(`^${name} \\d`, "m"));
  }
});

test("its README is for those who got it by npm: no link leads nowhere, and what it shows does what it says", () => {
  const home = join(folder, "node_modules/portreeve");
  const readme = readFileSync(join(home, "README.md"), "utf8");
  assert.equal([...readme.matchAll(/\]\((?!https:)[^)]*\)/g)].map(([link]) => link), []);
  assert.not.match(readme, /npm (ci|start|test)|checkout|clone/);
  const manifest = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
  for (const [, part] of readme.matchAll(/^\| `portreeve(\/?[\w-]*)`/gm)) {
    assert.ok(manifest.exports[`.${part}`], part);
  }
  const [, code, said] = /```js\n([\s\S]*?\/\/ (.*)\n)```/.exec(readme)!;
  write(folder, { "readme.mjs": code! });
  assert.is(succeed(folder, runtime, "readme.mjs"), `${said}\n`);
  if (onBun) return;
  const policy = join(ROOT, "policies/required-labels/requests");
  const request = readdirSync(policy).find((name) => name.endsWith(".json"))!;
  write(folder, { "request.json": readFileSync(join(policy, request), "utf8") });
  const [, command] = /^(npx reeve run .*)$/m.exec(readme)!;
  assert.type(JSON.parse(succeed(folder, "sh", "-c", command!)).allowed, "boolean");
  // The repository has its own again.
  assert.match(readFileSync(join(ROOT, "README.md"), "utf8"), "npm ci && npm start");
});

/** What a runtime prints of an error that nobody catches. */
test("an error that nobody catches is told apart by its name, and shows no screen of code", () => {
  const pieces: readonly (readonly [name: string, code: string])[] = [
    ["PolicyError", 'await loadPolicy("absent.wasm");'],
    ["ModuleError", "await loadPolicy(new Uint8Array(8));"],
    ["ArtifactError", 'await fetchPolicy("registry://A B", { kind: "store", root: "." });'],
    [
      "ReviewShapeError",
      `const policy = await loadPolicy(${
        JSON.stringify(join(ROOT, "policies/pod-privileged/policy.wasm"))
      }, { threads: 0 }); await policy.validate({});`,
    ],
  ];
  for (const [name, code] of pieces) {
    write(folder, { "uncaught.mjs": `import { fetchPolicy, loadPolicy } from "portreeve";\n${code}\n` });
    const { status, stderr } = run(folder, runtime, ["uncaught.mjs"]);
    assert.is(status, 1, stderr);
    assert.match(stderr, new RegExp(`^(error: )?(Uncaught )?${name}:|^${name}: |${name}`, "m"));
    const longest = Math.max(...stderr.split("\n").map((line) => line.length));
    assert.ok(longest < 400, `${name}: a line of ${longest} characters: ${stderr}`);
    assert.ok(stderr.length < 6_000, `${name}: ${stderr.length} characters`);
  }
  write(folder, {
    "named.mjs": `import * as all from "portreeve";
for (const [name, value] of Object.entries(all)) if (typeof value === "function" && value.name !== name) console.log(name, value.name);
`,
  });
  assert.is(succeed(folder, runtime, "named.mjs"), "");
});

(onBun ? test.skip : test)(
  "on Deno a policy is asked with the permission to read its module, and no other",
  () => {
    const module = join(ROOT, "policies/required-labels/policy.wasm");
    for (const threads of [0, 1]) {
      for (const part of ["portreeve", "portreeve/evaluator"]) {
        write(folder, {
          "bare.mjs": `import { loadPolicy } from "${part}";
await using policy = await loadPolicy(${
            JSON.stringify(module)
          }, { threads: ${threads}, settings: { required: ["a"] } });
console.log((await policy.validateSettings()).valid);
`,
        });
        const words = ["run", "--no-prompt", `--allow-read=${module}`, "bare.mjs"];
        assert.is(succeed(folder, join(BIN, "deno"), ...words), "true\n", `${part} ${threads}`);
      }
    }
  },
);

/** Parts, and how many kilobytes of code an import may load at most: what is loaded on demand must stay so. */
const PARTS: readonly (readonly [part: string, maxKb: number])[] = [
  ["portreeve", 360],
  ["portreeve/evaluator", 120],
  ["portreeve/artifact", 250],
  ["portreeve/crd", 50],
  ["portreeve/policy-server", 525],
];

/** All files that an import of one loads. */
function loadedBy(file: string, seen: Set<string> = new Set()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (
    const [, path] of readFileSync(file, "utf8").matchAll(/(?:\bfrom|\bimport)\s*"(\.[^"]+)"/g)
  ) loadedBy(join(dirname(file), path!), seen);
  return seen;
}

test("an import loads no more code than its part needs", () => {
  const home = join(folder, "node_modules/portreeve");
  const { exports } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
  for (const [part, maxKb] of PARTS) {
    const files = [...loadedBy(join(home, exports[part.replace("portreeve", ".")].import))];
    const kb = files.reduce((sum, file) => sum + statSync(file).size, 0) / 1000;
    assert.ok(kb > 20 && kb < maxKb, `${part}: ${kb} kB in ${files.length} files`);
  }
});

/** Resident memory of a runtime after an import, in MB: the least of some runs, which what else the machine does hardly changes. */
function residentMb(binary: string, words: readonly string[], load: string): number {
  write(folder, { "resident.mjs": `${load}\nconsole.log(process.memoryUsage.rss() / 1e6);\n` });
  const runs = Array.from({ length: 3 }, () => succeed(folder, binary, ...words, "resident.mjs"));
  return Math.min(...runs.map(Number));
}

const RUNTIMES: readonly (readonly [title: string, binary: string, words: readonly string[]])[] = onBun
  ? [["Bun", runtime, []]]
  : [
    ["Node", runtime, []],
    ...existsSync(NODE_24) ? [["Node 24", NODE_24, []] as const] : [],
    ["Deno", join(BIN, "deno"), ["run", "--allow-read", "--allow-env", "--allow-sys"]],
  ];
for (const [title, binary, words] of RUNTIMES) {
  test(`${title}: an import takes less than 45 MB`, () => {
    const process = 'import process from "node:process";';
    const bare = residentMb(binary, words, process);
    for (const [part] of PARTS) {
      const mb = residentMb(binary, words, `${process} await import(${JSON.stringify(part)});`) - bare;
      assert.ok(mb < 45, `${part}: ${mb} MB`);
    }
  });
}

test("its command lines run, by both names", () => {
  const [version] = [
    readFileSync(join(ROOT, "cli/types/version.ts"), "utf8"),
  ].map((text) => /"(\d+\.\d+\.\d+[^"]*)"/.exec(text)![1]!);
  const files = ["reeve", "kwctl"].map((name) => join(folder, "node_modules/.bin", name));
  for (const file of files) assert.match(succeed(folder, runtime, file, "--version"), version!);
  if (onBun) return;
  assert.match(succeed(folder, "npx", "--no-install", "reeve", "--version"), version!);
  const policy = join(ROOT, "policies/required-labels");
  const request = join(
    policy,
    "requests",
    readdirSync(join(policy, "requests")).find((name) => name.endsWith(".json"))!,
  );
  const said = succeed(
    folder,
    runtime,
    files[0]!,
    ...[
      "run",
      join(policy, "policy.wasm"),
      "-r",
      request,
      "--settings-json",
      '{"required":["nobody-has-this"]}',
    ],
  );
  assert.is(JSON.parse(said).allowed, false);
});

test("what is loaded on demand is there: a policy is fetched, a cluster and a registry are asked", async () => {
  const module = readFileSync(join(ROOT, "policies/required-labels/policy.wasm"));
  const server = createServer((_request, response) => void response.end(module));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  write(folder, {
    "kubeconfig.yml": JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "c",
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      clusters: [{ name: "c", cluster: { server: `http://127.0.0.1:1` } }],
      users: [{ name: "u", user: { token: "t" } }],
    }),
    "demand.mjs": `
import { fetchPolicy, hostCapabilities, loadPolicy } from "portreeve";
import { parseReference } from "portreeve/artifact";
import { customResourceDefinitions } from "portreeve/crd";
import { servePolicies } from "portreeve/policy-server";
const fetched = await fetchPolicy("http://127.0.0.1:${port}/policy.wasm", { kind: "store", root: "store" }, {
  sources: { insecureSources: new Set(["127.0.0.1:${port}"]), sourceAuthorities: new Map(), proxies: undefined },
});
console.log(fetched.path.includes("store"));
const host = await hostCapabilities({ kubeconfig: "kubeconfig.yml" });
const policy = await loadPolicy(${JSON.stringify(join(ROOT, "tests/policies/host-caller/policy.wasm"))}, {
  host, hostCapabilities: ["*"], contextAwareResources: [{ apiVersion: "v1", kind: "Pod" }], timeoutMs: 30_000,
});
const ask = async (namespace, operation, payload) => (await policy.validate({
  uid: "1", kind: { group: "", version: "v1", kind: "Pod" }, resource: { group: "", version: "v1", resource: "pods" },
  operation: "CREATE", userInfo: {}, options: { hostCall: { namespace, operation, payload } },
})).status.message;
console.log(await ask("kubernetes", "get_resource", { api_version: "v1", kind: "Pod", name: "a", namespace: "b" }));
console.log(await ask("oci", "v1/manifest_digest", "127.0.0.1:1/image:tag"));
console.log(await ask("net", "v1/dns_lookup_host", "localhost"));
console.log(parseReference("ghcr.io/a/b:c").repository ?? "?", Object.keys(customResourceDefinitions({})).length > 0);
console.log(await servePolicies(["--policies", "absent.yml"], { env: {} }).catch(({ code, message }) => code + " " + message));
await policy.close();
host.close();
`,
  });
  const child = await new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) => {
    // Not the synchronous way: this process serves the module.
    void import("node:child_process").then(({ execFile }) =>
      execFile(runtime, ["demand.mjs"], {
        cwd: folder,
        encoding: "utf8",
        env: { ...process.env, NO_COLOR: "1" },
      }, (error, stdout, stderr) => resolve({ status: error ? 1 : 0, stdout, stderr }))
    );
  });
  server.close();
  assert.is(child.status, 0, child.stdout + child.stderr);
  const [fetched, cluster, registry, names, parts, served] = child.stdout.trim().split("\n");
  assert.is(fetched, "true");
  assert.match(cluster!, /cannot reach the Kubernetes API at http:\/\/127\.0\.0\.1:1/);
  assert.match(registry!, /127\.0\.0\.1:1/);
  assert.match(names!, /127\.0\.0\.1|::1/);
  assert.match(parts!, /true$/);
  assert.match(served!, /absent\.yml/);
});

test("a part that is missing is one line that says what to do", () => {
  const broken = consumer();
  const chunks = join(broken, "node_modules/portreeve/npm/chunks");
  for (const name of readdirSync(chunks)) if (/^(worker|engine)-/.test(name)) rmSync(join(chunks, name));
  for (const threads of [1, 0]) {
    write(broken, {
      "main.mjs": `import { loadPolicy, PortreeveError } from "portreeve";
await loadPolicy(${
        JSON.stringify(join(ROOT, "policies/required-labels/policy.wasm"))
      }, { threads: ${threads} })
  .catch((error) => console.log(error instanceof PortreeveError, error.code, error.message));
`,
    });
    const { status, stdout, stderr } = run(broken, runtime, ["main.mjs"]);
    assert.is(status, 0, stderr);
    assert.is(stdout.trim().split("\n").length, 1, stdout);
    assert.match(stdout, /^true missing_part .*install portreeve anew, or have the bundler keep/);
  }
});

/** Nobody can write here, root neither. */
const READ_ONLY = "/sys";
const LABELS = join(ROOT, "policies/required-labels/policy.wasm");

test("a policy is asked without HOME, with a cache that can't be written, in a folder that can't be written", () => {
  write(folder, {
    "read_only.mjs": `import { loadPolicy } from "portreeve";
await using policy = await loadPolicy(${JSON.stringify(LABELS)}, { settings: { required: ["a"] } });
console.log((await policy.validateSettings()).valid);
`,
  });
  const environments: readonly Readonly<Record<string, string>>[] = [
    { HOME: "", XDG_CACHE_HOME: "/dev/null", TMPDIR: "/dev/null" },
    { HOME: "/nonexistent" },
    { HOME: READ_ONLY },
  ];
  for (const env of environments) {
    const { status, stdout, stderr } = run(READ_ONLY, runtime, [join(folder, "read_only.mjs")], env);
    assert.is(status, 0, stderr);
    assert.is(stdout, "true\n");
  }
});

const WHOSE = "let this user write there, or choose another folder with the variable XDG_CACHE_HOME";
const UNWRITABLE = "; choose a place that this user may write to";
const OF_WINDOWS = "; that is a path of Windows: write it as this system does, with /";
/** Where `reeve` can't do its work for where it is, and what it says of it. */
const NO_PLACE: readonly (readonly [
  words: readonly string[],
  env: Readonly<Record<string, string>>,
  said: readonly string[],
])[] = [
  [["pull", "registry://127.0.0.1:1/p:v1"], { HOME: READ_ONLY }, ["cannot write to /sys/.cache/", WHOSE]],
  [["pull", "registry://127.0.0.1:1/p:v1"], { HOME: "", XDG_CACHE_HOME: "/sys/c" }, [
    "cannot write to /sys/c/",
    WHOSE,
  ]],
  [["pull", "registry://127.0.0.1:1/p:v1"], { XDG_CACHE_HOME: "/dev/null" }, [
    "cannot write to /dev/null/",
    WHOSE,
  ]],
  [["annotate", LABELS, "-m", join(ROOT, "policies/required-labels/metadata.yml"), "-o", "x.wasm"], {}, [
    "cannot write x.wasm: ",
    UNWRITABLE,
  ]],
  [["save", LABELS, "-o", "x.tar"], {}, ["cannot create file x.tar: ", UNWRITABLE]],
  [["docs", "-o", "x.md"], {}, ["cannot create file x.md: ", UNWRITABLE]],
  [["run", "C:\\policies\\x.wasm", "-r", "x.json"], {}, ["C:\\policies\\x.wasm", OF_WINDOWS]],
  [["inspect", "C:\\policies\\x.wasm"], {}, ["C:\\policies\\x.wasm", OF_WINDOWS]],
  [["inspect", "file:///C:/policies/x.wasm"], {}, ["file:///C:/policies/x.wasm", OF_WINDOWS]],
  [["pull", "C:\\policies\\x.wasm"], {}, ["is a path; the URL of a file is file:///C:/policies/x.wasm"]],
];

test("where there is no place to write, and where a path is of Windows, reeve says it in one line, with what to do", () => {
  for (const [words, env, said] of NO_PLACE) {
    const reeve = join(folder, "node_modules/.bin/reeve");
    const { status, stdout, stderr } = run(READ_ONLY, runtime, [reeve, ...words], env);
    assert.is(status, 1, `${words}: ${stdout}${stderr}`);
    assert.match(stderr, /^Error: [^\n]+\n$/, `${words}`);
    for (const text of said) assert.ok(stderr.includes(text), `${words}: ${stderr}`);
  }
});

test("… and so does the library", () => {
  write(folder, {
    "no_place.mjs": `import { fetchPolicy, loadTrustRoot } from "portreeve";
const said = ({ code, message }) => console.log(code, message);
await fetchPolicy("registry://127.0.0.1:1/p:v1", { kind: "store", root: "store" }).catch(said);
await loadTrustRoot({ kind: "tuf", cacheDir: "cache", mirror: "http://127.0.0.1:1" }).catch(said);
`,
  });
  const lines = run(READ_ONLY, runtime, [join(folder, "no_place.mjs")]).stdout.trimEnd().split("\n");
  assert.is(lines.length, 2, lines.join("\n"));
  assert.match(
    lines[0]!,
    /^store cannot write to store\/.*choose another folder with .* the destination \(library\)$/,
  );
  assert.match(
    lines[1]!,
    /^trust_root .*cannot write to cache\/.*choose another folder with .* cacheDir \(library\)$/,
  );
});

for (const { title, binary, missing } of OLD_RUNTIMES) {
  const withIt = missing === undefined ? test : test.skip;
  withIt(
    `${title} is told what it needs, by import, by require and by the command line${
      missing ? ` (get it by: ${missing})` : ""
    }`,
    () => {
      const needs =
        /portreeve needs Node 24 or later .* or Bun 1\.4 or later .* or Deno 2\.9 or later .*, and this is/;
      write(folder, { "old.mjs": 'import "portreeve";\n', "old.cjs": 'require("portreeve");\n' });
      for (const file of ["old.mjs", "old.cjs"]) {
        const { status, stderr } = run(folder, binary, [file]);
        assert.is(status, 1, stderr);
        assert.is(stderr.split("\n").filter((line) => needs.test(line)).length, 1, stderr);
        assert.not.match(stderr, "\n    at ");
      }
      write(folder, {
        "caught.mjs": 'import("portreeve").catch((error) => console.log(error.code, error.message));\n',
      });
      const caught = run(folder, binary, ["caught.mjs"]);
      assert.is(caught.status, 0);
      assert.match(caught.stdout, needs);
      assert.match(caught.stdout, /^unsupported_runtime /);
      const { status, stderr } = run(folder, binary, [
        join(folder, "node_modules/portreeve/npm/reeve.js"),
        "--version",
      ]);
      assert.is(status, 1);
      assert.match(stderr, /^Error: reeve needs Node 24 or later .*\n$/);
    },
  );
}

test.run();
