// The program as a process: names, exit codes, signals, pipes, terminals, and the single executable.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Folder, hostCallRequest, openFolder, policy } from "./folder.ts";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const ECHO = policy("tests/vectors/verdict-echo.wasm");
const onBun = "bun" in process.versions;

let folder: Folder;
test.before(() => {
  folder = openFolder();
  folder.file("ok.json", hostCallRequest(undefined, { object: { metadata: { name: "p" } } }));
});
test.after(() => folder.remove());

const environment = () => ({ PATH: process.env["PATH"], HOME: folder.home, TERM: "xterm" });

function call(...words: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...words], {
    cwd: folder.path,
    env: environment(),
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

test("exit codes, and where what is said", () => {
  const ran = call("run", ECHO, "-r", "ok.json");
  assert.is(ran.status, 0, ran.stderr);
  assert.is(JSON.parse(ran.stdout).allowed, true);
  const failed = call("run", "absent.wasm", "-r", "ok.json");
  assert.equal([failed.status, failed.stdout, failed.stderr], [
    1,
    "",
    "Error: Cannot find policy with uri: absent.wasm\n",
  ]);
  const verbose = call("-v", "run", "absent.wasm", "-r", "ok.json");
  assert.match(verbose.stderr, /^\s+at /m, "whoever asks for more words gets where it was");
  const misused = call("run");
  assert.is(misused.status, 2);
  assert.is(misused.stdout, "");
});

test("called kwctl by a link, it goes by that name", () => {
  const link = join(folder.path, "linked/kwctl");
  mkdirSync(join(folder.path, "linked"));
  symlinkSync(MAIN, link);
  const { stdout } = spawnSync(process.execPath, [link, "--version"], { encoding: "utf8" });
  assert.match(stdout, /^kwctl 1\.36\./);
});

test("a reader that has had enough ends it quietly", () => {
  const script = `"${process.execPath}" "${MAIN}" info | head -n 1`;
  const { stdout, stderr, status } = spawnSync("bash", ["-o", "pipefail", "-c", script], {
    env: environment(),
    encoding: "utf8",
  });
  assert.match(stdout, /^reeve version: /);
  assert.is(stderr, "");
  assert.is(status, 0);
});

const SOURCE = `import { accept, definePolicy } from "portreeve/policy";
export default definePolicy({ validate: () => accept() });
`;
const SUITE = `policy: ${policy("policies/pod-privileged/policy.wasm")}
cases: [{ name: one, request: ${
  policy("policies/pod-privileged/requests/unprivileged-3500-bytes.json")
}, allowed: true }]
`;

test("what watches ends when its readers have gone, with the code of its last run", async () => {
  folder.file("right.ts", SOURCE);
  folder.file("wrong.ts", "const = 1;\n");
  folder.file("right.yml", SUITE);
  folder.file("wrong.yml", SUITE.replace("allowed: true", "allowed: false"));
  const cases: readonly (readonly [words: readonly string[], code: number])[] = [
    [["build", "right.ts", "--skip-type-check"], 0],
    [["build", "wrong.ts", "--skip-type-check"], 1],
    [["test", "right.yml"], 0],
    [["test", "wrong.yml"], 1],
    [["test", "absent.yml"], 1],
  ];
  for (const [words, code] of cases) {
    const child = spawn(process.execPath, [MAIN, ...words, "--watch"], {
      cwd: folder.path,
      env: environment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const output of [child.stdout, child.stderr]) output.destroy();
    assert.is(await ended(child), code, words.join(" "));
  }
});

/** A file server that sends the beginning of a module and then nothing. */
async function stuckServer(): Promise<
  { readonly server: Server; readonly host: string; readonly asked: Promise<void> }
> {
  let tell = () => {};
  const asked = new Promise<void>((resolve) => tell = resolve);
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-length": "1000000" });
    response.write(Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
    tell();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, host: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

function everythingBelow(path: string): readonly string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((
    { name },
  ) => name);
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.on("close", (code) => resolve(code)));
}

test("Ctrl-C during a pull: exit code 130, nothing half-written, no word", async () => {
  const { server, host, asked } = await stuckServer();
  try {
    const sources = folder.file("sources.yaml", { insecure_sources: [host] });
    const child = spawn(
      process.execPath,
      [MAIN, "pull", "--sources-path", sources, `http://${host}/policy.wasm`],
      { env: environment(), stdio: ["ignore", "pipe", "pipe"] },
    );
    let stderr = "";
    child.stderr!.on("data", (piece: Uint8Array) => stderr += new TextDecoder().decode(piece));
    await asked;
    child.kill("SIGINT");
    assert.is(await ended(child), 130, stderr);
    assert.not.match(stderr, /Error|^\s+at /m);
    assert.equal(everythingBelow(join(folder.home, ".cache/kubewarden/store")), []);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

/** Runs a command line in a terminal of its own and returns what the terminal got. */
function inTerminal(command: readonly string[]): string {
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const { stdout, error } = spawnSync("script", ["-qec", quoted, "/dev/null"], {
    cwd: folder.path,
    env: environment(),
    encoding: "utf8",
  });
  if (error) throw error;
  return stdout;
}

const hasScript = spawnSync("script", ["--version"]).status === 0;
const terminal = (hasScript ? test : test.skip) as typeof test;
if (!hasScript) {
  test.skip("terminals (`script` of util-linux is missing: apt-get install bsdutils)", () => {});
}

terminal("a terminal sees colours, tables and progress; a pipe sees the same without", () => {
  const words = ["test", policy("policies/required-labels"), "--filter", "pattern"];
  const shown = inTerminal([process.execPath, MAIN, ...words]);
  assert.ok(shown.includes("\u001b[32mPASS"));
  const piped = call(...words);
  assert.not.ok(piped.stdout.includes("\u001b"));
  assert.match(piped.stdout, /PASS/);
  const plain = inTerminal(["env", "NO_COLOR=1", process.execPath, MAIN, ...words]);
  assert.not.ok(plain.includes("\u001b[32m"));
  assert.not.ok(inTerminal([process.execPath, MAIN, "--no-color", ...words]).includes("\u001b[32m"));
});

if (!onBun) test.skip("the single executable (it is built and run by the tests on Bun)", () => {});
else {
  test("the single executable needs nothing beside it, and answers to both names", () => {
    const file = join(folder.path, "reeve-executable");
    const built = spawnSync(join(ROOT, "node_modules/.bin/node"), [join(ROOT, "build_executable.ts"), file], {
      encoding: "utf8",
    });
    assert.is(built.status, 0, built.stderr);
    const link = join(folder.path, "bin-kwctl");
    symlinkSync(file, link);
    const run = (path: string, ...words: string[]) =>
      spawnSync(path, words, { cwd: folder.path, env: { HOME: folder.home }, encoding: "utf8" });
    assert.match(run(file, "-V").stdout, /^reeve 1\.36\./);
    const { status, stdout, stderr } = run(file, "run", ECHO, "-r", "ok.json");
    assert.is(status, 0, stderr);
    assert.is(JSON.parse(stdout).allowed, true);
    const kwctl = join(folder.path, "kwctl");
    symlinkSync(file, kwctl);
    assert.match(run(kwctl, "-V").stdout, /^kwctl 1\.36\./);

    // It is started in folders of others: what Bun would take from there must not become part of it.
    folder.file("evil.ts", 'console.log("EVIL");\n');
    folder.file("bunfig.toml", 'preload = ["./evil.ts"]\n');
    folder.file(".env", "XDG_CACHE_HOME=/evil\n");
    const info = run(file, "info");
    assert.is(info.status, 0, info.stderr);
    assert.not.match(info.stdout, /evil/i);
  });
}

test.run();
